//! How far an upload has come, for whoever waits for it.

use crate::{PartialUpload, UploadEntry, UploadState};

/// What is being done with an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Its bytes come in.
    Receiving,
    /// They are durable, and wait for their turn.
    Landed,
    /// They are read.
    Decoding,
    /// What was read is put into the store.
    Writing,
    /// It is being added to the table.
    Committing,
    /// Its rows are in the table.
    Committed,
    /// It will not be in the table.
    Failed,
}

impl Phase {
    /// The phase's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Landed => "landed",
            Self::Decoding => "decoding",
            Self::Writing => "writing",
            Self::Committing => "committing",
            Self::Committed => "committed",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing follows.
    pub fn is_last(self) -> bool {
        matches!(self, Self::Committed | Self::Failed)
    }
}

/// How far an upload has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// How many bytes came in, as sent.
    pub bytes_received: u64,
    /// How many there will be, where that is known.
    pub bytes_total: Option<u64>,
    /// How many of them were read, in the pass that is under way; none before the first.
    pub bytes_decoded: Option<u64>,
    /// How many rows were read.
    pub rows: u64,
}

impl From<&PartialUpload> for Progress {
    fn from(partial: &PartialUpload) -> Self {
        Self {
            phase: Phase::Receiving,
            bytes_received: partial.offset_bytes,
            bytes_total: Some(partial.size_bytes),
            bytes_decoded: None,
            rows: 0,
        }
    }
}

impl From<&UploadEntry> for Progress {
    fn from(entry: &UploadEntry) -> Self {
        let size_bytes = entry.landed.size_bytes;
        let (phase, bytes_decoded) = match entry.state {
            UploadState::Landed => (Phase::Landed, None),
            UploadState::Committing => (Phase::Committing, Some(size_bytes)),
            UploadState::Committed => (Phase::Committed, Some(size_bytes)),
            UploadState::Failed => (Phase::Failed, None),
        };
        let rows = entry.rows.map_or(0, |rows| rows.received());
        Self { phase, bytes_received: size_bytes, bytes_total: Some(size_bytes), bytes_decoded, rows }
    }
}
