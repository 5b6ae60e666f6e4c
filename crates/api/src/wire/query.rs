//! Queries and their results on the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A query.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryBody {
    /// One read-only statement; tables are named `namespace.table`.
    #[schema(example = "SELECT count(*) AS flights FROM nyc.flights", max_length = 65536)]
    pub(crate) sql: String,
    /// How many rows to give at the most. Default: 1,000 in a JSON document, all of them in a stream.
    #[schema(minimum = 1, maximum = 100000)]
    pub(crate) row_limit: Option<u64>,
    /// The versions to read tables at, by `namespace.table`; the newest where a table is not named.
    #[serde(default)]
    pub(crate) versions: BTreeMap<String, u64>,
}

/// A column of a result.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueryColumn {
    /// Its name.
    pub(crate) name: String,
    /// Its type as Arrow names it.
    #[serde(rename = "type")]
    #[schema(example = "Int64")]
    pub(crate) data_type: String,
}

/// The result of a query.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueryView {
    /// The columns, in order.
    pub(crate) columns: Vec<QueryColumn>,
    /// The rows, each an object with the columns' values.
    #[schema(value_type = Vec<Object>)]
    pub(crate) rows: Box<RawValue>,
    /// How many rows there are.
    pub(crate) row_count: u64,
    /// Whether the row limit cut rows off.
    pub(crate) truncated: bool,
    /// The versions that were read, by `namespace.table`.
    pub(crate) tables: BTreeMap<String, u64>,
    /// How many data files were read after pruning.
    pub(crate) files_scanned: u64,
    /// How many bytes of data files were read.
    pub(crate) bytes_scanned: u64,
    /// How long it took, in milliseconds.
    pub(crate) elapsed_ms: u64,
}

/// The first rows of a table.
#[derive(Serialize, ToSchema)]
pub(crate) struct PreviewView {
    /// The columns, in order.
    pub(crate) columns: Vec<QueryColumn>,
    /// Some rows, each an object with the columns' values; which ones is not defined.
    #[schema(value_type = Vec<Object>)]
    pub(crate) rows: Box<RawValue>,
    /// The table version that they come from.
    pub(crate) version: u64,
}
