//! What can go wrong on an upload's road.

use sluice_catalog::CatalogError;
use sluice_domain::{ErrorKind, Failure, StoredFailure, TableRef, UploadId};
use sluice_storage::StorageError;
use sluice_table::{CommitFailure, MaintenanceError, TableError};

use crate::{BodyError, ContractBreach, DecodeError, ModeError};

/// Why an upload is not in its table.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The body did not come in whole.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// As many uploads as are taken at once are under way.
    #[error("{limit} uploads are under way already; try again in a moment")]
    TooManyUploads {
        /// How many are taken at once.
        limit: usize,
    },
    /// An upload with this key is under way.
    #[error("an upload with this Idempotency-Key is under way; try again in a moment")]
    KeyInFlight,
    /// The key belongs to another upload.
    #[error("this Idempotency-Key was used for {0}")]
    KeyReused(&'static str),
    /// The upload asks for another partitioning, layout or format than the table has.
    #[error("the table has {option}={actual}, not {asked}")]
    OtherLayout {
        /// The upload's parameter.
        option: &'static str,
        /// What the table has.
        actual: String,
        /// What the upload asks for.
        asked: String,
    },
    /// The mode of the upload does not fit the table.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// The contract of the table does not let it in.
    #[error(transparent)]
    Breach(#[from] ContractBreach),
    /// The bytes are not what they were said to be, or do not fit the table.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The table could not be written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The catalog could not be read or written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The object store could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The failure of an earlier try of the same upload, or one without a cause that is worth naming.
    #[error(transparent)]
    Stored(#[from] StoredFailure),
}

impl From<MaintenanceError> for IngestError {
    fn from(error: MaintenanceError) -> Self {
        match error {
            MaintenanceError::Table(source) => source.into(),
            MaintenanceError::Storage(source) => source.into(),
            other => StoredFailure::from(&other).into(),
        }
    }
}

impl Failure for IngestError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Body(source) => source.kind(),
            Self::TooManyUploads { .. } => ErrorKind::TooMany,
            Self::KeyInFlight => ErrorKind::InProgress,
            Self::KeyReused(_) | Self::OtherLayout { .. } => ErrorKind::Invalid,
            Self::Mode(source) => source.kind(),
            Self::Breach(source) => source.kind(),
            Self::Decode(source) => source.kind(),
            Self::Table(source) => source.kind(),
            Self::Catalog(source) => source.kind(),
            Self::Storage(source) => source.kind(),
            Self::Stored(source) => source.kind(),
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Body(source) => source.code(),
            Self::TooManyUploads { .. } => "too-many-uploads",
            Self::KeyInFlight => "idempotency-key-in-flight",
            Self::KeyReused(_) => "idempotency-key-reused",
            Self::OtherLayout { option: "partition_by", .. } => "other-partitioning",
            Self::OtherLayout { .. } => "other-layout",
            Self::Mode(source) => source.code(),
            Self::Breach(source) => source.code(),
            Self::Decode(source) => source.code(),
            Self::Table(source) => source.code(),
            Self::Catalog(source) => source.code(),
            Self::Storage(source) => source.code(),
            Self::Stored(source) => source.code(),
        }
    }
}

impl IngestError {
    /// Whether the bytes themselves are at fault, so that trying them again can only fail again. What is missing or
    /// broken elsewhere, a wrongly configured zone included, is no fault of theirs.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Decode(source) => !matches!(source, DecodeError::Read(_) | DecodeError::Stopped),
            Self::Table(TableError::Commit(CommitFailure::AppendOnly)) => true,
            Self::Table(TableError::Commit(CommitFailure::OffsetTaken { .. })) => true,
            Self::Table(source) => source.kind() == ErrorKind::Invalid,
            Self::OtherLayout { .. } | Self::Mode(_) | Self::Breach(_) => true,
            _ => false,
        }
    }

    /// Rows go into a quarantine from the uploads of its table alone.
    pub(crate) fn reserved_name(table: &TableRef) -> Self {
        Self::Stored(StoredFailure {
            kind: ErrorKind::Invalid,
            code: "reserved-name".into(),
            detail: format!("{table} is the quarantine of another table: nothing is uploaded to it"),
        })
    }

    /// A task of this process ended without an answer.
    pub(crate) fn lost_task(task: &'static str) -> Self {
        Self::Stored(StoredFailure {
            kind: ErrorKind::Internal,
            code: "internal".into(),
            detail: format!("the {task} of the upload ended without an answer"),
        })
    }
}

/// A failed upload: its id, if its bytes are in the raw zone, and why.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct UploadFailure {
    /// The upload whose bytes are kept.
    pub upload_id: Option<UploadId>,
    /// Why it failed.
    pub error: IngestError,
}

impl Failure for UploadFailure {
    fn kind(&self) -> ErrorKind {
        self.error.kind()
    }

    fn code(&self) -> &str {
        self.error.code()
    }

    fn retry_after_seconds(&self) -> Option<u32> {
        self.error.retry_after_seconds()
    }
}

impl<E: Into<IngestError>> From<E> for UploadFailure {
    fn from(error: E) -> Self {
        Self { upload_id: None, error: error.into() }
    }
}
