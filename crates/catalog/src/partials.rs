//! The uploads that have not landed yet: what was announced, and how much of it is there.
//!
//! Invariant: an upload is partial or in the ledger, never both.
//! Invariant: every server that shares the catalog may go on with any of them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{PartialUpload, UploadId};

use crate::CatalogError;

/// The uploads that have not landed yet.
#[async_trait]
pub trait Partials: Send + Sync {
    /// Enter an upload, unless there are as many as the limit; says whether it is entered.
    async fn announce(&self, new: &PartialUpload, limit: u32) -> Result<bool, CatalogError>;

    /// One upload, if it is there.
    async fn find(&self, id: UploadId) -> Result<Option<PartialUpload>, CatalogError>;

    /// Say that the bytes up to this offset are durable, from `from` on, and when the upload is given up now. Says whether
    /// it was as far as `from`; nothing is changed otherwise.
    async fn advance(&self, id: UploadId, from: u64, to: u64, expires_at: DateTime<Utc>) -> Result<bool, CatalogError>;

    /// Forget an upload; says whether it was there.
    async fn forget(&self, id: UploadId) -> Result<bool, CatalogError>;

    /// Those that are to be given up by now, the oldest first, this many at the most. One whose every byte a server has
    /// is not: it will land.
    async fn expired(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<PartialUpload>, CatalogError>;

    /// Those whose every byte a server has, the oldest first, this many at the most.
    async fn whole(&self, limit: u32) -> Result<Vec<PartialUpload>, CatalogError>;
}
