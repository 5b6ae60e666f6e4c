//! What a table refuses, and why a commit was not made.

use std::borrow::Cow;

use sluice_domain::ErrorKind;

/// Something asked of a table that it cannot do, whatever the number of tries.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A type that a Delta table cannot hold.
    #[error("column {column} has type {data_type}, which a Delta table cannot hold")]
    UnsupportedType {
        /// The column.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// A partitioning that cannot be.
    #[error("cannot partition by {column}: {reason}")]
    BadPartitioning {
        /// The column asked for.
        column: String,
        /// Why it cannot be.
        reason: &'static str,
    },
    /// More distinct partitions in one upload than are written at once.
    #[error("the upload has more than {limit} distinct partitions; partition by a coarser column")]
    TooManyPartitions {
        /// The limit.
        limit: usize,
    },
    /// A column that the table does not have.
    #[error("the table has no column {column}")]
    UnknownColumn {
        /// The column.
        column: String,
    },
    /// A condition that cannot be evaluated on the table's rows.
    #[error("the condition cannot be used: {reason}")]
    BadPredicate {
        /// What is wrong with it.
        reason: String,
    },
    /// A row without a value in a column by which rows are found.
    #[error("row {row} has no value in the key column {column}")]
    MissingKey {
        /// The row, counted from 1.
        row: u64,
        /// The column.
        column: String,
    },
    /// Two rows with one key, where a key has one row.
    #[error("two rows have the key {key}: the result has one row of each key")]
    DuplicateKey {
        /// The names and values of the key.
        key: String,
    },
    /// A column that rows cannot be found or ordered by.
    #[error("rows cannot be matched by column {column:?}: {reason}")]
    BadKey {
        /// The column.
        column: String,
        /// Why not.
        reason: &'static str,
    },
    /// A change of a column that readers of the files that are there would not survive.
    #[error("column {column} cannot be changed so: {reason}")]
    Unchangeable {
        /// The column.
        column: String,
        /// Why it cannot be.
        reason: Cow<'static, str>,
    },
    /// A table property that is not known, or has a value that it cannot have.
    #[error("the property {key} cannot be set so: {reason}")]
    BadProperty {
        /// The property.
        key: String,
        /// Why it cannot be.
        reason: &'static str,
    },
    /// The table uses a feature of Delta that is not written here.
    #[error("the table needs {feature}, which is not written here")]
    UnsupportedFeature {
        /// The feature.
        feature: String,
    },
}

impl Refusal {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::UnsupportedType { .. } => "unsupported-type",
            Self::BadPartitioning { .. } => "bad-partitioning",
            Self::TooManyPartitions { .. } => "too-many-partitions",
            Self::UnknownColumn { .. } => "unknown-column",
            Self::BadPredicate { .. } => "bad-predicate",
            Self::MissingKey { .. } => "missing-key",
            Self::DuplicateKey { .. } => "duplicate-key",
            Self::BadKey { .. } => "bad-key",
            Self::Unchangeable { .. } => "unchangeable-column",
            Self::BadProperty { .. } => "bad-property",
            Self::UnsupportedFeature { .. } => "unsupported-feature",
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    pub(crate) fn unchangeable(column: &str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Unchangeable { column: column.to_owned(), reason: reason.into() }
    }

    pub(crate) fn unknown(column: &str) -> Self {
        Self::UnknownColumn { column: column.to_owned() }
    }
}

/// Why a commit was not made, or is not known to be: the table moved on since its files were written.
#[derive(Debug, thiserror::Error)]
pub enum CommitFailure {
    /// The table's columns are not those that the files were written for: write them anew.
    #[error("the table's schema changed: {reason}")]
    SchemaChanged {
        /// What does not fit.
        reason: String,
    },
    /// The log has this stream of rows there or further already: its rows are in the table.
    #[error("the table's log has rows of {app_id} up to {newest} already")]
    OffsetTaken {
        /// The stream.
        app_id: String,
        /// How far the log has it.
        newest: i64,
    },
    /// Rows changed that the operation had read: begin it anew.
    #[error("version {version} changed what the operation had read")]
    RowsChanged {
        /// The version that changed them.
        version: u64,
    },
    /// A file that was to be removed is not in the table: begin anew.
    #[error("the file {path} is not in the table any more")]
    FileNotLive {
        /// The file.
        path: String,
    },
    /// A later holder of the table's maintenance committed: stop.
    #[error("maintenance of epoch {newer} took over from epoch {epoch}")]
    Fenced {
        /// The epoch of the commit that was refused.
        epoch: u64,
        /// The epoch found in the log.
        newer: u64,
    },
    /// The store did not answer in a way that tells whether the commit took: look it up before doing it again.
    #[error("it is not known whether version {version} was committed")]
    Unresolved {
        /// The version that was tried.
        version: u64,
    },
    /// The table takes appends only.
    #[error("the table takes appends only")]
    AppendOnly,
}

impl CommitFailure {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::SchemaChanged { .. } => "schema-changed",
            Self::OffsetTaken { .. } => "offset-taken",
            Self::RowsChanged { .. } => "rows-changed",
            Self::FileNotLive { .. } => "file-not-live",
            Self::Fenced { .. } => "fenced",
            Self::Unresolved { .. } => "commit-unresolved",
            Self::AppendOnly => "append-only",
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::AppendOnly => ErrorKind::Forbidden,
            Self::Unresolved { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::Conflict,
        }
    }

    /// Whether the operation may succeed when it is begun anew from the newest version.
    pub fn starts_over(&self) -> bool {
        matches!(self, Self::SchemaChanged { .. } | Self::RowsChanged { .. } | Self::FileNotLive { .. })
    }
}
