//! Why a schema cannot be what an upload or a declaration wants.

use sluice_catalog::CatalogError;
use sluice_domain::{ContractError, ErrorKind, Failure, SuiteError, Validation};
use sluice_table::TableError;

use crate::IngestError;

/// What of an upload the contract of its table does not let happen.
#[derive(Debug, thiserror::Error)]
pub enum ContractBreach {
    /// The contract freezes the columns.
    #[error("the table has no column {column}, and its contract freezes its columns{}", may_be(renamed))]
    NewColumn {
        /// The column of the upload.
        column: String,
        /// A column of the table that the upload lacks and that has its type: it may have another name there.
        renamed: Option<String>,
    },
    /// The contract freezes the types.
    #[error("column {column} is {actual} in the table and {found} in the upload, and the contract freezes its types")]
    OtherType {
        /// The column.
        column: String,
        /// The type in the table.
        actual: String,
        /// The type in the upload.
        found: String,
    },
    /// Two columns that names without regard to case do not tell apart.
    #[error("column {column} is there twice; case does not tell columns apart")]
    ColumnTwice {
        /// The second of them.
        column: String,
    },
    /// A rule that cannot be asked of the table any more.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// Rules of the table's suite are broken of which whole uploads are refused.
    #[error("Data quality validation failed: {}", told(validation))]
    Quality {
        /// What came of the suite.
        validation: Box<Validation>,
    },
}

/// What the broken rules say, all of them.
fn told(validation: &Validation) -> String {
    let complaints: Vec<&str> =
        validation.refusals().flat_map(|refused| &refused.complaints).map(String::as_str).collect();
    complaints.join("; ")
}

impl Failure for ContractBreach {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    fn code(&self) -> &str {
        match self {
            Self::NewColumn { .. } | Self::OtherType { .. } => "schema-frozen",
            Self::ColumnTwice { .. } => "duplicate-column",
            Self::Contract(_) => "bad-contract",
            Self::Quality { .. } => "quality-refused",
        }
    }
}

/// Why a schema stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Two columns that names without regard to case do not tell apart.
    #[error("column {column} is there twice; case does not tell columns apart")]
    ColumnTwice {
        /// The second of them.
        column: String,
    },
    /// A column that cannot be one.
    #[error("column {column} cannot be declared so: {reason}")]
    BadColumn {
        /// The column.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A declaration that would take something away from a table that exists.
    #[error("column {column} cannot be {change}{}", may_be(renamed))]
    Taken {
        /// The column.
        column: String,
        /// What was asked for.
        change: String,
        /// A new column of its type, which may be another name for it.
        renamed: Option<String>,
    },
    /// A table without a log keeps the columns of its first upload.
    #[error("the table is of plain Parquet files: its columns are those of its first upload")]
    Plain,
    /// The table is partitioned otherwise.
    #[error("the table is partitioned by [{actual}], not by [{asked}]")]
    OtherPartitioning {
        /// The table's partition columns.
        actual: String,
        /// Those of the declaration.
        asked: String,
    },
    /// A rule of a contract that cannot be asked of the table.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// A suite that cannot be, or cannot be asked of the table.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// The integrity of the table, or the ledger.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The table could not be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The catalog could not be read or written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

fn may_be(renamed: &Option<String>) -> String {
    let hint =
        |name: &String| format!(" ({name} may be the same column by another name; names are never changed here)");
    renamed.as_ref().map(hint).unwrap_or_default()
}

impl Failure for SchemaError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::ColumnTwice { .. } | Self::BadColumn { .. } | Self::Plain | Self::Contract(_) | Self::Suite(_) => {
                ErrorKind::Invalid
            }
            Self::Taken { .. } | Self::OtherPartitioning { .. } => ErrorKind::Conflict,
            Self::Ingest(source) => source.kind(),
            Self::Table(source) => source.kind(),
            Self::Catalog(source) => source.kind(),
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::ColumnTwice { .. } => "duplicate-column",
            Self::BadColumn { .. } => "bad-column",
            Self::Plain => "plain-table",
            Self::Contract(_) => "bad-contract",
            Self::Suite(_) => "bad-suite",
            Self::Taken { .. } => "schema-conflict",
            Self::OtherPartitioning { .. } => "other-partitioning",
            Self::Ingest(source) => source.code(),
            Self::Table(source) => source.code(),
            Self::Catalog(source) => source.code(),
        }
    }
}
