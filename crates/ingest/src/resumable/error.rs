//! What can go wrong with an upload that does not come by one request.

use std::io;

use sluice_domain::{ErrorKind, Failure, UploadId};
use sluice_storage::StorageError;

use crate::{IngestError, UploadFailure};

/// Why a piece of an upload, or its end, was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ResumableError {
    /// It was never announced, or is given up.
    #[error("there is no upload {upload} to go on with")]
    NotFound {
        /// The upload's id.
        upload: UploadId,
    },
    /// The piece does not begin where the bytes end.
    #[error("the upload has {actual_bytes} bytes, so it does not go on at {given_bytes}")]
    OtherOffset {
        /// Where the bytes end.
        actual_bytes: u64,
        /// Where the piece begins.
        given_bytes: u64,
    },
    /// Another request is adding to it, or ending it.
    #[error("another request is working on the upload {upload}; try again in a moment")]
    Busy {
        /// The upload's id.
        upload: UploadId,
    },
    /// The piece was changed on its way.
    #[error("the bytes do not have the {algorithm} that was sent with them")]
    OtherChecksum {
        /// The sum that was compared.
        algorithm: &'static str,
    },
    /// There are as many as are kept.
    #[error("{limit} uploads are open already; finish or end some, or try again later")]
    TooManyOpen {
        /// How many are kept.
        limit: u32,
    },
    /// Nothing follows the step that it has taken.
    #[error("the upload {upload} has landed, and takes no bytes and no end any more")]
    Landed {
        /// The upload's id.
        upload: UploadId,
    },
    /// The raw zone is not in a store that clients can reach.
    #[error("the raw zone is no object store that clients can write to: send the bytes by tus, to /api/v1/tus")]
    NoDirectUploads,
    /// The object is not what was announced.
    #[error("the object in the store is not what was announced: {reason}")]
    OtherObject {
        /// In what it differs.
        reason: String,
    },
    /// It landed, and failed later.
    #[error(transparent)]
    Failed(#[from] UploadFailure),
    /// What any upload can fail of.
    #[error(transparent)]
    Ingest(IngestError),
}

impl<E: Into<IngestError>> From<E> for ResumableError {
    fn from(error: E) -> Self {
        Self::Ingest(error.into())
    }
}

/// A failure of the disk that holds the bytes until they land.
pub(super) fn of_disk(error: io::Error) -> StorageError {
    object_store::Error::Generic { store: "partial uploads", source: Box::new(error) }.into()
}

impl Failure for ResumableError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::OtherOffset { .. } | Self::Landed { .. } | Self::NoDirectUploads => ErrorKind::Conflict,
            Self::Busy { .. } => ErrorKind::InProgress,
            Self::OtherChecksum { .. } | Self::OtherObject { .. } => ErrorKind::Invalid,
            Self::TooManyOpen { .. } => ErrorKind::TooMany,
            Self::Failed(source) => source.kind(),
            Self::Ingest(source) => source.kind(),
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::NotFound { .. } => "not-found",
            Self::OtherOffset { .. } => "other-offset",
            Self::Busy { .. } => "upload-busy",
            Self::OtherChecksum { .. } => "other-checksum",
            Self::TooManyOpen { .. } => "too-many-open-uploads",
            Self::Landed { .. } => "upload-landed",
            Self::NoDirectUploads => "no-direct-uploads",
            Self::OtherObject { .. } => "other-object",
            Self::Failed(source) => source.code(),
            Self::Ingest(source) => source.code(),
        }
    }

    fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            Self::Failed(source) => source.retry_after_seconds(),
            Self::Ingest(source) => source.retry_after_seconds(),
            Self::Busy { .. } | Self::TooManyOpen { .. } => Some(1),
            _ => None,
        }
    }
}
