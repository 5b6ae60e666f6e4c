//! Uploads: what landed, what became of it, and the receipt.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{ErrorKind, Failure, Prepared, QualitySummary, ReadOptions, SchemaEffect, TableId, TableRef};

/// The id of an upload: time-ordered, given out when its first byte arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UploadId(pub Uuid);

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for UploadId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// What makes a request repeatable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// Within what the key is unique: the caller, the method and the path.
    pub scope: String,
    /// The caller's key.
    pub key: String,
}

/// How far an upload has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UploadState {
    /// The original bytes are durable in the raw zone.
    Landed,
    /// A commit with its sequence number may have been tried.
    Committing,
    /// Its rows are in the table.
    Committed,
    /// It will not be in the table; the reason is stored.
    Failed,
}

impl UploadState {
    /// The state's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Landed => "landed",
            Self::Committing => "committing",
            Self::Committed => "committed",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for UploadState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "landed" => Ok(Self::Landed),
            "committing" => Ok(Self::Committing),
            "committed" => Ok(Self::Committed),
            "failed" => Ok(Self::Failed),
            other => Err(format!("{other:?} is not an upload state")),
        }
    }
}

/// What was received, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    /// Path of the original bytes below the raw zone.
    pub raw_path: String,
    /// How many bytes came in, as sent.
    pub size_bytes: u64,
    /// Their SHA-256, in lower-case hexadecimal.
    pub sha256: String,
    /// When they were durable.
    pub landed_at: DateTime<Utc>,
}

/// What became of the rows of an upload.
///
/// Invariant: `received = committed + quarantined + deduplicated + rejected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows that took effect: they are in the table, or they deleted a row of it.
    pub committed: u64,
    /// Rows set aside with a reason.
    pub quarantined: u64,
    /// Rows that were there already, or that another row of their key stands for.
    pub deduplicated: u64,
    /// Rows dropped by the caller's own wish, or that had nothing to delete.
    pub rejected: u64,
    /// What a merge did with the committed ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<MergedRows>,
}

/// What became of the rows of an upload that a merge committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MergedRows {
    /// Rows whose key the table lacked.
    pub inserted: u64,
    /// Rows that took the place of one with their key.
    pub updated: u64,
    /// Rows that took one with their key away.
    pub deleted: u64,
}

impl RowCounts {
    /// Counts of an upload whose every row is in the table.
    pub fn all_committed(committed: u64) -> Self {
        Self { committed, ..Self::default() }
    }

    /// How many rows came in.
    pub fn received(&self) -> u64 {
        self.committed + self.quarantined + self.deduplicated + self.rejected
    }
}

/// The outcome of a committed upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The upload.
    pub upload_id: UploadId,
    /// The table it went into.
    pub table: TableRef,
    /// The table version that first holds its rows.
    pub version: u64,
    /// How the bytes were read.
    pub options: ReadOptions,
    /// What was received.
    pub landed: Landed,
    /// What became of the rows.
    pub rows: RowCounts,
    /// What the upload meant for the table's schema, where that was looked at.
    pub effect: Option<SchemaEffect>,
    /// What came of the table's suite, where it has one.
    pub quality: Option<QualitySummary>,
    /// When the commit was durable.
    pub committed_at: DateTime<Utc>,
    /// From the first byte to the commit, in milliseconds.
    pub duration_ms: u64,
    /// Where the original bytes are, as a URL.
    pub raw_object: String,
}

/// A failure that is kept, so that the same request gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct StoredFailure {
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// Its stable name.
    pub code: String,
    /// What happened, naming the place.
    pub detail: String,
}

impl Failure for StoredFailure {
    fn kind(&self) -> ErrorKind {
        self.kind
    }

    fn code(&self) -> &str {
        &self.code
    }
}

impl<E: Failure> From<&E> for StoredFailure {
    fn from(failure: &E) -> Self {
        Self { kind: failure.kind(), code: failure.code().to_owned(), detail: failure.to_string() }
    }
}

/// An upload as the ledger stores it.
#[derive(Debug, Clone)]
pub struct UploadEntry {
    /// The id.
    pub id: UploadId,
    /// The table's name at the time.
    pub table: TableRef,
    /// The table that it goes into, once that is settled.
    pub table_id: Option<TableId>,
    /// Who sent it.
    pub principal: String,
    /// What makes it repeatable.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The client's name of the file: a note, never a path.
    pub file_name: Option<String>,
    /// How its bytes are read.
    pub options: ReadOptions,
    /// What was received.
    pub landed: Landed,
    /// When the first byte arrived.
    pub started_at: DateTime<Utc>,
    /// The server that works on it, where several share the lake.
    pub node: u32,
    /// How far it has come.
    pub state: UploadState,
    /// Under which name its commit is tried, once one may have been.
    pub writer: Option<String>,
    /// Its place in the order of the table's commits, once a commit may have been tried.
    pub sequence: Option<i64>,
    /// What its files hold, once a commit may have been tried.
    pub prepared: Option<Prepared>,
    /// The table version that holds its rows.
    pub version: Option<u64>,
    /// What became of the rows.
    pub rows: Option<RowCounts>,
    /// When the commit was durable.
    pub committed_at: Option<DateTime<Utc>>,
    /// Why it failed.
    pub failure: Option<StoredFailure>,
}
