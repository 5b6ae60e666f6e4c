//! Quarantined rows that are sent again.
//!
//! Invariant: a row is replayed by one upload at a time, and by none once one of them is committed.

use async_trait::async_trait;
use sluice_domain::{Replay, UploadEntry, UploadId};

use crate::{CatalogError, NewUpload};

/// The replays of quarantined rows.
#[async_trait]
pub trait Replays: Send + Sync {
    /// Enter the upload that replays these rows, landed. [`CatalogError::KeyTaken`] where one of them is replayed
    /// already, by an upload that did not fail.
    async fn land(&self, new: &NewUpload, replay: &Replay) -> Result<UploadEntry, CatalogError>;

    /// The rows of this upload that were replayed, or are about to be.
    async fn replayed(&self, source: UploadId) -> Result<Vec<u64>, CatalogError>;

    /// Replays that are committed, whose rows may still lie in quarantine; so many at the most.
    async fn unremoved(&self, limit: u32) -> Result<Vec<(UploadEntry, Replay)>, CatalogError>;

    /// Say that the rows that this upload replayed are in quarantine no more.
    async fn removed(&self, upload: UploadId) -> Result<(), CatalogError>;
}
