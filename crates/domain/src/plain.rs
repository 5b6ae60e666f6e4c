//! A table of Parquet files without a log, as the catalog knows it.

use arrow_schema::Schema;
use serde::{Deserialize, Serialize};

/// A file of a plain table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainFile {
    /// Its path below the table's folder; the folders in it tell the values of the partition columns.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// How many rows it holds.
    pub rows: u64,
    /// The version that added it.
    pub version: u64,
}

/// Everything that a reader needs to know of a plain table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainSnapshot {
    /// The newest version.
    pub version: u64,
    /// Its columns as they were written, those that it is partitioned by included.
    pub schema: Schema,
    /// The columns that it is partitioned by.
    pub partition_by: Vec<String>,
    /// The files that were committed up to the newest version.
    pub files: Vec<PlainFile>,
}
