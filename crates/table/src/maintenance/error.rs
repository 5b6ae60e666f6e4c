//! What can go wrong with maintenance.

use sluice_domain::{ErrorKind, Failure};
use sluice_storage::{LeaseError, StorageError};

use crate::TableError;

/// A failure of maintenance; the table is as readable as it was before.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// A retention below the floor, which protects readers of older versions and uploads under way.
    #[error("a retention of {hours} hours is too short: at least {floor_hours} hours are kept")]
    RetentionTooShort {
        /// What was asked for.
        hours: u64,
        /// The least there can be.
        floor_hours: u64,
    },
    /// A file of the log is damaged, missing or of a kind that is not understood.
    #[error("the log of the table cannot be read at {path}: {reason}")]
    BadLog {
        /// The file, relative to the table.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint does not say what the log says.
    #[error("the checkpoint of version {version} was not verified: {reason}")]
    NotVerified {
        /// The version.
        version: u64,
        /// The first difference.
        reason: String,
    },
    /// The table could not be read without this checkpoint, damaged as it is.
    #[error("nothing else than the checkpoint {path} tells what the table held at its version")]
    NotReplaceable {
        /// The file, relative to the table.
        path: String,
    },
    /// The lease is not held any more, or the store did not tell.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The table could not be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The object store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl MaintenanceError {
    pub(super) fn bad_log(path: impl ToString, reason: impl ToString) -> Self {
        Self::BadLog { path: path.to_string(), reason: reason.to_string() }
    }
}

impl From<object_store::Error> for MaintenanceError {
    fn from(source: object_store::Error) -> Self {
        Self::Storage(source.into())
    }
}

impl Failure for MaintenanceError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::RetentionTooShort { .. } => ErrorKind::Invalid,
            Self::BadLog { .. } | Self::NotVerified { .. } | Self::NotReplaceable { .. } => ErrorKind::Internal,
            Self::Lease(source) => source.kind(),
            Self::Table(source) => source.kind(),
            Self::Storage(source) => source.kind(),
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::RetentionTooShort { .. } => "retention-too-short",
            Self::BadLog { .. } => "bad-log",
            Self::NotVerified { .. } => "checkpoint-not-verified",
            Self::NotReplaceable { .. } => "checkpoint-not-replaceable",
            Self::Lease(source) => source.code(),
            Self::Table(source) => source.code(),
            Self::Storage(source) => source.code(),
        }
    }
}
