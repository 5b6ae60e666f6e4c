//! The ledger of small requests whose rows are gathered into one upload.
//!
//! Invariant: a request is entered together with the upload that holds its rows, or not at all.
//! Invariant: a channel has rows in one unfinished upload at the most, so that no later offset overtakes an earlier one.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{ChannelId, ChannelOffset, IdempotencyKey, TableId, UploadEntry, UploadId};

use crate::{CatalogError, CommitTry, NewUpload};

/// One request among those of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRequest {
    /// What makes it repeatable.
    pub key: Option<IdempotencyKey>,
    /// Where it gets its channel to.
    pub offset: Option<ChannelOffset>,
    /// The SHA-256 of its body, in lower-case hexadecimal.
    pub sha256: String,
    /// How many rows it has.
    pub rows: u64,
}

/// An upload that holds the rows of requests. Of these, those are kept that may be asked for again.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// The upload.
    pub upload: NewUpload,
    /// The requests, in the order of their rows.
    pub requests: Vec<RowRequest>,
}

/// Why one request of a group cannot go on. The others can, without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Its key is that of a request whose rows are in this upload.
    KeyTaken(UploadId),
    /// Rows of its channel are in this upload, of which is not known yet what becomes of it.
    ChannelBusy(UploadId),
    /// Its channel was opened by somebody else since, or dropped.
    ChannelFenced,
}

/// What came of entering groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entered<T> {
    /// All of them are entered.
    All(T),
    /// Nothing is entered, because of this request of a group.
    Stopped {
        /// The upload of the group.
        upload: UploadId,
        /// The request's place in it.
        number: usize,
        /// What is in its way.
        obstacle: Obstacle,
    },
}

/// A request that was entered before.
#[derive(Debug, Clone)]
pub struct KnownRequest {
    /// The upload that holds its rows.
    pub upload: UploadEntry,
    /// The SHA-256 of its body.
    pub sha256: String,
    /// How many rows it has.
    pub rows: u64,
    /// Where it gets its channel to.
    pub offset: Option<(ChannelId, i64)>,
}

/// The ledger of requests.
#[async_trait]
pub trait RowGroups: Send + Sync {
    /// Enter a group whose rows are durable, as an upload that landed.
    async fn land_group(&self, group: &NewGroup) -> Result<Entered<UploadEntry>, CatalogError>;

    /// The same as [`Sequences::begin_commits`](crate::Sequences::begin_commits), for uploads of which some are
    /// entered with it, as groups that landed. All or none.
    async fn begin_groups(
        &self,
        table: TableId,
        tries: &[CommitTry],
        groups: &[&NewGroup],
    ) -> Result<Entered<Vec<i64>>, CatalogError>;

    /// The request of this key, unless its upload failed: then it may be made again.
    async fn find_by_key(&self, scope: &str, key: &str) -> Result<Option<KnownRequest>, CatalogError>;

    /// How far the requests of an upload get their channels, until it is committed or failed.
    async fn offsets(&self, upload: UploadId) -> Result<Vec<(ChannelId, i64)>, CatalogError>;

    /// The unfinished upload that holds rows of this channel.
    async fn unfinished_of(&self, channel: ChannelId) -> Result<Option<UploadId>, CatalogError>;

    /// Forget requests that were entered before this instant, except those of unfinished uploads, this many at the
    /// most; gives how many there were.
    async fn forget_requests(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, CatalogError>;
}
