//! What can go wrong with a source and its runs.

use sluice_domain::{ErrorKind, Failure, RunId, SourceName, SourceSettingsError, StoredFailure};

use crate::IngestError;

/// Why a source is not as it is wanted, or a run of it failed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no such source.
    #[error("there is no source {name}")]
    NotFound {
        /// The name.
        name: SourceName,
    },
    /// The source has no such run.
    #[error("the source has no run {run}")]
    RunNotFound {
        /// The id.
        run: RunId,
    },
    /// A run of the source is under way.
    #[error("the run {run} of the source is under way; wait for its end")]
    Busy {
        /// Its id.
        run: RunId,
    },
    /// There are as many sources as there can be.
    #[error("there are {limit} sources already; delete one first")]
    TooMany {
        /// How many there can be.
        limit: u32,
    },
    /// What was seen at one place says nothing of another, or of another table.
    #[error("a source keeps its {0}: delete it and make it anew")]
    Fixed(&'static str),
    /// The definition makes no sense.
    #[error(transparent)]
    Settings(#[from] SourceSettingsError),
    /// The settings of the server do not allow it.
    #[error("{what} is not one that the server's setting {setting} allows")]
    NotAllowed {
        /// What would be reached.
        what: String,
        /// The setting that would have to name it.
        setting: &'static str,
    },
    /// The API did not give its pages.
    #[error("page {page} could not be fetched: {reason}")]
    Api {
        /// Which page, from 1.
        page: u64,
        /// Why.
        reason: String,
    },
    /// The folder could not be looked through.
    #[error("{location} cannot be read: {reason}")]
    Unreadable {
        /// The folder.
        location: String,
        /// Why.
        reason: String,
    },
    /// What any upload can fail of.
    #[error(transparent)]
    Ingest(IngestError),
}

impl<E: Into<IngestError>> From<E> for SourceError {
    fn from(error: E) -> Self {
        Self::Ingest(error.into())
    }
}

impl SourceError {
    /// A failure of the server's own making.
    pub(super) fn internal(detail: impl Into<String>) -> Self {
        let failure = StoredFailure { kind: ErrorKind::Internal, code: "internal".into(), detail: detail.into() };
        Self::Ingest(failure.into())
    }

    /// A folder that could not be looked through.
    pub(super) fn unreadable(location: &str, reason: impl ToString) -> Self {
        Self::Unreadable { location: location.to_owned(), reason: reason.to_string() }
    }
}

impl Failure for SourceError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::RunNotFound { .. } => ErrorKind::NotFound,
            Self::Busy { .. } => ErrorKind::InProgress,
            Self::TooMany { .. } | Self::Fixed(_) => ErrorKind::Conflict,
            Self::Settings(source) => source.kind(),
            Self::NotAllowed { .. } => ErrorKind::Invalid,
            Self::Api { .. } | Self::Unreadable { .. } => ErrorKind::Unavailable,
            Self::Ingest(source) => source.kind(),
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::NotFound { .. } | Self::RunNotFound { .. } => "not-found",
            Self::Busy { .. } => "run-in-progress",
            Self::TooMany { .. } => "too-many-sources",
            Self::Fixed(_) => "source-fixed",
            Self::Settings(source) => source.code(),
            Self::NotAllowed { .. } => "source-not-allowed",
            Self::Api { .. } => "source-api-failed",
            Self::Unreadable { .. } => "source-unreadable",
            Self::Ingest(source) => source.code(),
        }
    }

    fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            Self::Ingest(source) => source.retry_after_seconds(),
            Self::Busy { .. } => Some(1),
            _ => None,
        }
    }
}
