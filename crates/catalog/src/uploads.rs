//! The ledger of uploads: what landed and what became of it.
//!
//! Invariant: landed, then committing, then committed or failed; no way leads back.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{
    IdempotencyKey, Landed, LogRecord, Page, PageRequest, ReadOptions, RowCounts, StoredFailure, TableId, TableRef,
    UploadEntry, UploadId,
};

use crate::{CatalogError, Sequences};

/// An upload whose bytes are durable.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// The id it was given when its first byte arrived.
    pub id: UploadId,
    /// The table that it is for.
    pub table: TableRef,
    /// Who sent it.
    pub principal: String,
    /// The key that makes it repeatable.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The client's name of the file: a note, never a path.
    pub file_name: Option<String>,
    /// How its bytes are read.
    pub options: ReadOptions,
    /// What was received.
    pub landed: Landed,
    /// When the first byte arrived.
    pub started_at: DateTime<Utc>,
}

/// How an upload got into its table.
#[derive(Debug, Clone)]
pub struct CommittedUpload {
    /// The table version that first holds its rows.
    pub version: u64,
    /// What became of the rows.
    pub rows: RowCounts,
    /// When the commit was durable.
    pub committed_at: DateTime<Utc>,
}

/// What one commit put into a table.
#[derive(Debug, Clone)]
pub struct CommittedUploads {
    /// The table.
    pub table: TableId,
    /// The log entry of the commit.
    pub entry: LogRecord,
    /// The uploads whose rows it holds.
    pub uploads: Vec<(UploadId, CommittedUpload)>,
    /// The uploads that bring their bad rows into quarantine; those that are entered already stay as they are.
    pub quarantined: Vec<NewUpload>,
}

/// The ledger of uploads.
#[async_trait]
pub trait Uploads: Sequences {
    /// Enter an upload, landed, as one that this server works on; it is a partial one no more. [`CatalogError::KeyTaken`] where its key is that of another upload,
    /// [`CatalogError::WrongState`] where this one is entered already.
    async fn land(&self, new: &NewUpload) -> Result<UploadEntry, CatalogError>;

    /// One upload; [`CatalogError::UploadNotFound`] without one.
    async fn find(&self, id: UploadId) -> Result<UploadEntry, CatalogError>;

    /// The upload that landed under this key.
    async fn find_by_key(&self, scope: &str, key: &str) -> Result<Option<UploadEntry>, CatalogError>;

    /// Say that uploads are in their table, keep the log entry that says so, and enter those of their bad rows, landed. All or none; doing it again with the
    /// same version is harmless; [`CatalogError::WrongState`] where no commit was begun, one failed, or another version
    /// is recorded. Gives their entries in the same order.
    async fn commit(&self, committed: &CommittedUploads) -> Result<Vec<UploadEntry>, CatalogError>;

    /// Say that the upload will never be in its table, and why. Doing it again with the same failure is harmless;
    /// [`CatalogError::WrongState`] where it is committed, or failed otherwise.
    async fn fail(&self, id: UploadId, failure: &StoredFailure) -> Result<(), CatalogError>;

    /// Uploads of this server that are neither committed nor failed, oldest first, this many at the most.
    async fn unfinished(&self, limit: u32) -> Result<Vec<UploadEntry>, CatalogError>;

    /// Uploads that were sent to the table of this name, newest first. The token is the last id.
    async fn list(&self, table: &TableRef, page: &PageRequest) -> Result<Page<UploadEntry>, CatalogError>;
}
