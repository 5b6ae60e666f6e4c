//! Runs of sources, and what each of them pulled.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{RowCounts, SourceId, StoredFailure, UploadId, UploadState, word_set::words};

/// The id of a run: time-ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub Uuid);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

words!(
    /// How far a run has come.
    RunState, "state of a run", {
        /// A server works on it, or will.
        Running = "running",
        /// It went through; single files of it may have failed.
        Succeeded = "succeeded",
        /// It did not go through, or every file of it failed.
        Failed = "failed",
    }
);

words!(
    /// Why a run began.
    RunCause, "cause of a run", {
        /// Somebody asked for it.
        Request = "request",
        /// Its time had come.
        Schedule = "schedule",
    }
);

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunCounts {
    /// Files that match.
    pub files_found: u64,
    /// Files whose rows are in the table.
    pub files_taken: u64,
    /// Files that failed, each alone.
    pub files_failed: u64,
    /// Files that may still be written, or that are more than one run takes: the next run looks again.
    pub files_waiting: u64,
    /// Files that are not what they were when they were taken.
    pub files_changed: u64,
    /// Pages that were fetched.
    pub pages: u64,
    /// What became of the rows.
    pub rows: RowCounts,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutcome {
    /// Why it failed, if it did.
    pub failure: Option<StoredFailure>,
    /// What it came to.
    pub counts: RunCounts,
}

/// A run as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRun {
    /// The id.
    pub id: RunId,
    /// Whose run it is.
    pub source: SourceId,
    /// Why it began.
    pub cause: RunCause,
    /// How far it has come.
    pub state: RunState,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The watermark that it began at.
    pub watermark_before: Option<String>,
    /// The watermark that the next run begins at, once it has ended.
    pub watermark_after: Option<String>,
    /// What it came to, once it has ended.
    pub counts: Option<RunCounts>,
    /// Why it failed.
    pub failure: Option<StoredFailure>,
}

/// One thing that a run took, or would have: a file, or all pages of an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The run.
    pub run: RunId,
    /// What it is, within its source: a path, or `pages`.
    pub position: String,
    /// What tells one content at this position from another.
    pub fingerprint: String,
    /// How many pages it came in.
    pub pages: u64,
    /// The watermark that it brings, once its rows are in the table.
    pub watermark: Option<String>,
}

/// What became of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullState {
    /// It never became an upload.
    Refused(StoredFailure),
    /// It is an upload.
    Uploaded(Box<UploadedPull>),
}

/// The upload that a pull became, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedPull {
    /// The upload.
    pub upload: UploadId,
    /// How far it has come.
    pub state: UploadState,
    /// What became of its rows.
    pub rows: Option<RowCounts>,
    /// Why it failed.
    pub failure: Option<StoredFailure>,
}

/// A pull as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullEntry {
    /// The pull.
    pub pull: Pull,
    /// What became of it.
    pub state: PullState,
    /// When it was entered.
    pub entered_at: DateTime<Utc>,
}

impl PullEntry {
    /// Why its rows are not in the table and will not be.
    pub fn failure(&self) -> Option<&StoredFailure> {
        match &self.state {
            PullState::Refused(failure) => Some(failure),
            PullState::Uploaded(uploaded) => uploaded.failure.as_ref(),
        }
    }

    /// Its upload, where it has one.
    pub fn uploaded(&self) -> Option<&UploadedPull> {
        match &self.state {
            PullState::Refused(_) => None,
            PullState::Uploaded(uploaded) => Some(uploaded),
        }
    }
}
