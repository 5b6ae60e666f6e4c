//! Checkpoints that are damaged: finding them, and getting them out of readers' way.
//!
//! Readers take the newest checkpoint as it is, and have nothing to fall back to.
//!
//! Invariant: what is set aside is kept, and nothing is set aside that the table could not be read without.

use object_store::{Error, ObjectStoreExt, path::Path};
use sluice_storage::Lease;

use super::{
    MaintenanceError,
    checkpoint::verify,
    log::{Log, checkpoint_path, checkpoint_version, find_hint, hint_path},
    replay::Replay,
};
use crate::Table;

/// A checkpoint, or the hint to one, that readers stumble over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadCheckpoint {
    /// Its version; none for the hint.
    pub version: Option<u64>,
    /// The file, relative to the table.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

impl BadCheckpoint {
    /// The checkpoint or the hint at this place below the table's folder; none where it is neither.
    pub fn at(path: &str, reason: &str) -> Option<Self> {
        let location = Path::from(path);
        let version = checkpoint_version(&location);
        let is_either = version.is_some() || location == hint_path();
        is_either.then(|| Self { version, path: path.to_owned(), reason: reason.to_owned() })
    }
}

impl Table {
    /// The checkpoints that cannot be decoded or do not agree with the log, oldest first, then the hint if it points
    /// to none that is good. A checkpoint whose commits are gone is only decoded.
    ///
    /// # Errors
    /// The store's, or a commit that cannot be read.
    pub async fn find_bad_checkpoints(&self) -> Result<Vec<BadCheckpoint>, MaintenanceError> {
        let log = Log::list(&self.folder().store).await?;
        let mut bad = Vec::new();
        for version in log.checkpoints.keys() {
            match judge(&log, *version).await {
                Ok(()) => {}
                Err(MaintenanceError::NotVerified { reason, .. } | MaintenanceError::BadLog { reason, .. }) => bad
                    .push(BadCheckpoint {
                        version: Some(*version),
                        path: checkpoint_path(*version).to_string(),
                        reason,
                    }),
                Err(error) => return Err(error),
            }
        }
        let is_bad = |version| bad.iter().any(|found: &BadCheckpoint| found.version == Some(version));
        let reason = match find_hint(&self.folder().store).await? {
            None => None,
            Some(Err(reason)) => Some(reason),
            Some(Ok(hint)) if is_bad(hint.version) => Some("it points to a damaged checkpoint".to_owned()),
            // It may have been written since the log was listed.
            Some(Ok(hint)) if !Log::list(&self.folder().store).await?.has_checkpoint(hint.version) => {
                Some(format!("there is no checkpoint of version {}", hint.version))
            }
            Some(Ok(_)) => None,
        };
        bad.extend(reason.map(|reason| BadCheckpoint { version: None, path: hint_path().to_string(), reason }));
        Ok(bad)
    }

    /// Move a damaged checkpoint, or the hint, out of the log to `_sluice/aside`. The hint goes before a checkpoint
    /// that it points to.
    ///
    /// # Errors
    /// [`MaintenanceError::NotReplaceable`] where the rest of the log does not tell what the table holds, the
    /// lease's, or the store's.
    pub async fn set_checkpoint_aside(&self, lease: &Lease, bad: &BadCheckpoint) -> Result<(), MaintenanceError> {
        let Some(version) = bad.version else { return self.move_aside(lease, &hint_path()).await };
        let log = Log::list(&self.folder().store).await?;
        let path = checkpoint_path(version);
        if Replay::of(&log, version, true).await.is_err() {
            return Err(MaintenanceError::NotReplaceable { path: path.to_string() });
        }
        self.move_aside(lease, &path).await
    }

    /// Move a file out of the log. The hint is gone before a checkpoint, lest it point to nothing.
    pub(super) async fn move_aside(&self, lease: &Lease, path: &Path) -> Result<(), MaintenanceError> {
        let store = &self.folder().store;
        let hint = hint_path();
        for path in if *path == hint { vec![&hint] } else { vec![&hint, path] } {
            lease.check().await?;
            if !self.copy_aside(path).await? {
                continue;
            }
            lease.check().await?;
            match store.delete(path).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

async fn judge(log: &Log, version: u64) -> Result<(), MaintenanceError> {
    let bytes = log.checkpoint(version).await?;
    let first = log.checkpoints.range(..version).next_back().map_or(0, |(base, _)| base + 1);
    if !log.has_commits(first, version) {
        return Replay::from_checkpoint(bytes, version).await.map(drop);
    }
    match Replay::of(log, version, true).await {
        Ok(expected) => verify(&expected.state, bytes, version).await.map(drop),
        // What the log cannot tell is no fault of the checkpoint.
        Err(MaintenanceError::BadLog { .. }) => Replay::from_checkpoint(bytes, version).await.map(drop),
        Err(error) => Err(error),
    }
}
