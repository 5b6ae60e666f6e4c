//! How data files are written: what an operator can set, and what a table keeps of its own.

use serde::{Deserialize, Serialize};
use sluice_domain::TableLayout;

/// How data files are written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WriterSettings {
    /// Bytes that encoders hold in memory before the largest closes its row group.
    pub memory_bytes: usize,
    /// Compressed size at which a file is closed and another begun, in bytes. A table may have its own.
    pub target_file_bytes: usize,
    /// How many rows a row group has at the most. A table may have its own.
    pub row_group_rows: usize,
    /// How large a row group is at the most before compression, in bytes. A table may have its own.
    pub row_group_bytes: usize,
    /// How many distinct partitions one upload may have.
    pub max_partitions: usize,
    /// Level of the Zstandard compression, 1 to 22.
    pub zstd_level: i32,
    /// How many columns have statistics in the table's log, from the first on, those within objects counted each.
    /// A table may name its own.
    pub stats_columns: usize,
    /// Bytes of rows that are sorted in memory before they go to scratch files, for tables that are sorted.
    pub sort_memory_bytes: usize,
    /// What the table keeps of its own.
    #[serde(skip)]
    pub layout: TableLayout,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self {
            memory_bytes: 48 << 20,
            target_file_bytes: 256 << 20,
            row_group_rows: 1 << 20,
            row_group_bytes: 128 << 20,
            max_partitions: 1000,
            zstd_level: 1,
            stats_columns: 200,
            sort_memory_bytes: 64 << 20,
            layout: TableLayout::default(),
        }
    }
}

impl WriterSettings {
    /// The settings for a table of this layout: what it says goes before what an operator sets.
    #[must_use]
    pub fn for_table(&self, layout: &TableLayout) -> Self {
        let own =
            |own: Option<u64>, set: usize| own.map_or(set, |own| usize::try_from(own).unwrap_or(usize::MAX)).max(1);
        Self {
            target_file_bytes: own(layout.target_file_bytes, self.target_file_bytes),
            row_group_rows: own(layout.row_group_rows, self.row_group_rows),
            row_group_bytes: own(layout.row_group_bytes, self.row_group_bytes),
            layout: layout.clone(),
            ..self.clone()
        }
    }
}
