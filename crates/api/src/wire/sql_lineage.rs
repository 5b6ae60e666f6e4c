//! The lineage of statements on the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sluice_domain::lineage::{SqlInput, SqlLineage};
use utoipa::ToSchema;

/// A statement whose lineage is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlLineageBody {
    /// One `SELECT`; it is planned, not run.
    #[schema(example = "SELECT amount * 2 AS double_amount FROM sales.orders", max_length = 65536)]
    pub(crate) sql: String,
}

/// A column of a table that something depends on.
#[derive(Serialize, ToSchema)]
pub(crate) struct SqlInputView {
    /// The table, `namespace.table`.
    table: String,
    /// Its column.
    column: String,
    /// `DIRECT` where values come from values, otherwise `INDIRECT`.
    kind: &'static str,
    /// How, in OpenLineage's words.
    #[schema(example = "TRANSFORMATION")]
    subtype: &'static str,
}

impl From<SqlInput> for SqlInputView {
    fn from(input: SqlInput) -> Self {
        let (kind, subtype) = (input.influence.kind(), input.influence.as_str());
        Self { table: input.table.to_string(), column: input.column, kind, subtype }
    }
}

/// A column of a result, and what its values depend on.
#[derive(Serialize, ToSchema)]
pub(crate) struct SqlOutputView {
    /// Its name.
    name: String,
    /// The columns that it depends on.
    inputs: Vec<SqlInputView>,
}

/// The lineage of a statement.
#[derive(Serialize, ToSchema)]
pub(crate) struct SqlLineageView {
    /// The columns of the result, in order.
    columns: Vec<SqlOutputView>,
    /// What all rows of the result depend on: filters, join keys, groups, order.
    influences: Vec<SqlInputView>,
    /// The tables that it reads, and the versions that they are at.
    tables: BTreeMap<String, u64>,
}

impl From<SqlLineage> for SqlLineageView {
    fn from(lineage: SqlLineage) -> Self {
        let inputs = |inputs: Vec<SqlInput>| inputs.into_iter().map(Into::into).collect();
        let outputs = lineage.outputs.into_iter();
        Self {
            columns: outputs.map(|output| SqlOutputView { name: output.name, inputs: inputs(output.inputs) }).collect(),
            influences: inputs(lineage.influences),
            tables: lineage.tables.into_iter().map(|(table, version)| (table.to_string(), version)).collect(),
        }
    }
}
