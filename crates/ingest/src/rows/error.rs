//! What can go wrong with a request of a few rows.

use sluice_domain::{ChannelName, ErrorKind, Failure, StoredFailure};

use crate::{BodyError, DecodeError, IngestError};

/// Why the rows of a request are not in their table.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The body is longer than what is taken here.
    #[error("the body is longer than {limit_bytes} bytes: send it as a file to {uploads}")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
        /// The path that takes files.
        uploads: String,
    },
    /// The body says that it is something else than rows.
    #[error("{media_type:?} is not one of application/json, application/x-ndjson, application/vnd.apache.arrow.stream")]
    Unsupported {
        /// What it says.
        media_type: String,
    },
    /// As many requests, or tables, as are taken at once are under way.
    #[error("{limit} {what} are under way already; try again in a moment")]
    TooMany {
        /// Of what there are too many.
        what: &'static str,
        /// How many are taken at once.
        limit: usize,
    },
    /// The channel was never opened, or was dropped.
    #[error("the table has no channel {0}; open it first")]
    NoChannel(ChannelName),
    /// Rows of the channel are under way: which offset comes next is not known before they have their outcome.
    #[error("rows of channel {0} are under way; try again in a moment")]
    ChannelBusy(ChannelName),
    /// Somebody opened the channel since, or dropped it.
    #[error("channel {channel} was opened by somebody else since epoch {epoch}")]
    Fenced {
        /// The channel.
        channel: ChannelName,
        /// The epoch that has passed.
        epoch: i64,
    },
    /// The table has as many channels as it may have.
    #[error("the table has {limit} channels, and takes no more: drop those that are not used")]
    TooManyChannels {
        /// How many it may have.
        limit: u32,
    },
    /// Whatever an upload can fail of.
    #[error(transparent)]
    Ingest(#[from] IngestError),
}

impl RowsError {
    /// The same failure for another request of the group.
    pub(super) fn copy_of(error: &IngestError) -> Self {
        Self::Ingest(StoredFailure::from(error).into())
    }
}

impl From<BodyError> for RowsError {
    fn from(error: BodyError) -> Self {
        Self::Ingest(error.into())
    }
}

impl From<DecodeError> for RowsError {
    fn from(error: DecodeError) -> Self {
        Self::Ingest(error.into())
    }
}

impl Failure for RowsError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::TooMany { .. } => ErrorKind::TooMany,
            Self::NoChannel(_) => ErrorKind::NotFound,
            Self::ChannelBusy(_) => ErrorKind::InProgress,
            Self::Fenced { .. } | Self::TooManyChannels { .. } => ErrorKind::Conflict,
            Self::Ingest(source) => source.kind(),
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::TooLarge { .. } => "body-too-large",
            Self::Unsupported { .. } => "unsupported-media-type",
            Self::TooMany { .. } => "too-many-requests",
            Self::NoChannel(_) => "channel-not-found",
            Self::ChannelBusy(_) => "channel-busy",
            Self::Fenced { .. } => "channel-fenced",
            Self::TooManyChannels { .. } => "too-many-channels",
            Self::Ingest(source) => source.code(),
        }
    }

    fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            Self::Ingest(source) => source.retry_after_seconds(),
            Self::TooMany { .. } | Self::ChannelBusy(_) => Some(1),
            _ => None,
        }
    }
}
