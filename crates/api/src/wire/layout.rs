//! The layout of a table on the wire.

use serde::Serialize;
use sluice_domain::TableLayout;
use utoipa::ToSchema;

/// How a table's files are laid out. What is absent is as the settings say.
#[derive(Serialize, ToSchema)]
pub(crate) struct LayoutView {
    /// The columns that are computed, as `year(order_date)`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    derived: Vec<String>,
    /// The columns that the rows of each file are sorted by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sort_by: Vec<String>,
    /// The columns with bloom filters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bloom_filter: Vec<String>,
    /// The columns with statistics, where it is not those that come first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stats_columns: Vec<String>,
    /// The size at which a file is closed and another begun, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_file_bytes: Option<u64>,
    /// How many rows a row group has at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    row_group_rows: Option<u64>,
    /// How large a row group is at the most before compression, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    row_group_bytes: Option<u64>,
}

impl From<&TableLayout> for LayoutView {
    fn from(layout: &TableLayout) -> Self {
        let TableLayout { derived, sort_by, bloom_filter, stats_columns, .. } = layout.clone();
        Self {
            derived: derived.iter().map(ToString::to_string).collect(),
            sort_by,
            bloom_filter,
            stats_columns,
            target_file_bytes: layout.target_file_bytes,
            row_group_rows: layout.row_group_rows,
            row_group_bytes: layout.row_group_bytes,
        }
    }
}
