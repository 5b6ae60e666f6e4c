//! What can go wrong with a Delta table.

use deltalake::{DeltaTableError, datafusion::error::DataFusionError};
use sluice_domain::{ErrorKind, Failure};
use sluice_storage::{StorageError, is_full, is_outage};

use crate::{CommitFailure, Refusal};

/// A failure of a table operation.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// There is no table at the location.
    #[error("the table has no version yet")]
    NotCreated,
    /// The version asked for does not exist (any more).
    #[error("version {version} does not exist; the latest is {latest}")]
    NoSuchVersion {
        /// The version asked for.
        version: u64,
        /// The newest there is.
        latest: u64,
    },
    /// The log holds newer transactions of this writer than the sequence that it was given.
    #[error("the table's log holds commits up to {newest} of this server already")]
    SequenceTaken {
        /// The newest in the log.
        newest: i64,
    },
    /// Other writers won every attempt.
    #[error("other writers were faster {attempts} times in a row")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// The commit was not made, or is not known to be.
    #[error(transparent)]
    Commit(#[from] CommitFailure),
    /// What was asked for cannot be done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The log is damaged, or names files outside of the table.
    #[error("version {version} of the table's log cannot be trusted: {reason}")]
    UntrustedLog {
        /// The version.
        version: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The Delta log or a data file could not be read or written.
    #[error("the Delta table could not be read or written")]
    Delta(#[source] Box<DeltaTableError>),
    /// A data file could not be encoded or decoded.
    #[error("the data file could not be encoded or decoded")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The object store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<DeltaTableError> for TableError {
    fn from(source: DeltaTableError) -> Self {
        match source {
            // The kernel does not give what the store said as its source.
            DeltaTableError::KernelError(buoyant_kernel::Error::ObjectStore(error)) if is_outage(&error) => {
                Self::Storage(error.into())
            }
            source => Self::Delta(Box::new(source)),
        }
    }
}

impl From<arrow::error::ArrowError> for TableError {
    fn from(source: arrow::error::ArrowError) -> Self {
        Self::Encode(Box::new(source))
    }
}

impl From<parquet::errors::ParquetError> for TableError {
    fn from(source: parquet::errors::ParquetError) -> Self {
        Self::encode(source)
    }
}

impl From<DataFusionError> for TableError {
    fn from(source: DataFusionError) -> Self {
        Self::encode(source)
    }
}

impl From<std::io::Error> for TableError {
    fn from(source: std::io::Error) -> Self {
        Self::encode(source)
    }
}

impl TableError {
    /// A failure to write a scratch file; a full disk is told apart, since it mends itself.
    pub(crate) fn encode(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        if is_full(&source) { Self::Storage(StorageError::Full) } else { Self::Encode(Box::new(source)) }
    }

    /// Whether the operation may succeed when it is begun anew from the newest version.
    pub fn starts_over(&self) -> bool {
        matches!(self, Self::Commit(failure) if failure.starts_over())
    }
}

impl Failure for TableError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotCreated | Self::NoSuchVersion { .. } => ErrorKind::NotFound,
            Self::Contended { .. } | Self::SequenceTaken { .. } => ErrorKind::Unavailable,
            Self::Commit(failure) => failure.kind(),
            Self::Refused(refusal) => refusal.kind(),
            Self::Delta(source) if matches!(**source, DeltaTableError::ObjectStore { .. }) || is_outage(source) => {
                ErrorKind::Unavailable
            }
            // Once it is repaired, the same succeeds.
            Self::UntrustedLog { .. } => ErrorKind::Unavailable,
            Self::Delta(_) | Self::Encode(_) => ErrorKind::Internal,
            Self::Storage(source) => source.kind(),
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::NotCreated => "not-found",
            Self::NoSuchVersion { .. } => "version-not-found",
            Self::Contended { .. } => "table-contended",
            Self::SequenceTaken { .. } => "sequence-taken",
            Self::Commit(failure) => failure.code(),
            Self::Refused(refusal) => refusal.code(),
            Self::UntrustedLog { .. } => "untrusted-log",
            Self::Delta(_) => "table-unavailable",
            Self::Encode(_) => "encode-failed",
            Self::Storage(source) => source.code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use deltalake::ObjectStoreError;

    use super::*;

    fn away() -> ObjectStoreError {
        ObjectStoreError::Generic { store: "S3", source: std::io::Error::from(std::io::ErrorKind::TimedOut).into() }
    }

    #[test]
    fn a_store_that_is_away_is_told_from_a_broken_table() {
        for error in [DeltaTableError::from(away()), DeltaTableError::KernelError(away().into())] {
            let error = TableError::from(error);
            assert_eq!((error.kind(), error.retry_after_seconds()), (ErrorKind::Unavailable, Some(1)), "{error:?}");
        }
        let broken = DeltaTableError::KernelError(buoyant_kernel::Error::MissingProtocol);
        assert_eq!(TableError::from(broken).kind(), ErrorKind::Internal);
    }
}
