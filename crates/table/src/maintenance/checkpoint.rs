//! Checkpoints: one Parquet file that says what a table holds at a version, so that readers need not read every commit.
//!
//! Invariant: a checkpoint is put in the log only after a replay of the log agreed with it, and the hint points to it
//! only after the store gave it back byte for byte.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use deltalake::{
    DeltaTable,
    logstore::{StorageConfig, default_logstore},
};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, prefix::PrefixStore};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sluice_storage::{Folder, Lease};
use tokio::{runtime::Handle, task::spawn_blocking};

use super::{
    MaintenanceError,
    log::{Log, checkpoint_path, find_hint, hint_path, read},
    overlay::Overlay,
    replay::{Replay, State},
};
use crate::{Table, TableError};

/// Removals of this age are told in a checkpoint for certain: a little less than the week that writers keep them.
const TOLD_REMOVALS: TimeDelta = TimeDelta::hours(167);

/// A checkpoint as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its version.
    pub version: u64,
    /// Its place below the table's folder.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// Its SHA-256, in lower-case hexadecimal.
    pub sha256: String,
}

/// What tells readers where to begin.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewHint {
    version: u64,
    /// How many actions the checkpoint has.
    size: u64,
    size_in_bytes: u64,
    num_of_add_files: u64,
}

impl Table {
    /// The version that has the newest checkpoint, as the hint says.
    ///
    /// # Errors
    /// The store's.
    pub async fn last_checkpoint(&self) -> Result<Option<u64>, MaintenanceError> {
        let hint = find_hint(&self.folder().store).await?;
        Ok(hint.and_then(Result::ok).map(|hint| hint.version))
    }

    /// Write a checkpoint of the newest version, and see that it is right. None if there is nothing to do.
    ///
    /// # Errors
    /// [`MaintenanceError::NotVerified`] with nothing of the checkpoint left in the log, the lease's, or the store's.
    pub async fn checkpoint(&self, lease: &Lease) -> Result<Option<Checkpoint>, MaintenanceError> {
        let log = Log::list(&self.folder().store).await?;
        let Some(version) = log.newest() else { return Ok(None) };
        let is_there = log.checkpoints.contains_key(&version);
        if is_there && self.last_checkpoint().await? == Some(version) {
            return Ok(None);
        }
        let expected = Replay::of(&log, version, true).await?.state;
        let left = if is_there { self.take_up(lease, &log, version, &expected).await? } else { None };
        let (bytes, state) = match left {
            Some(left) => left,
            None => self.write(lease, version, &expected).await?,
        };
        let hint = hint_of(version, &bytes, &state);
        lease.check().await?;
        let hint = serde_json::to_vec(&hint).map_err(|error| not_verified(version, error.to_string()))?;
        self.folder().store.put(&hint_path(), hint.into()).await?;
        Ok(Some(Checkpoint {
            version,
            path: checkpoint_path(version).to_string(),
            size_bytes: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(&bytes)),
        }))
    }

    /// A crash may have come between a checkpoint and its hint: what it left is judged like a new one.
    async fn take_up(
        &self,
        lease: &Lease,
        log: &Log,
        version: u64,
        expected: &State,
    ) -> Result<Option<(Bytes, State)>, MaintenanceError> {
        let left = log.checkpoint(version).await?;
        match verify(expected, left.clone(), version).await {
            Ok(found) => Ok(Some((left, found))),
            Err(error @ MaintenanceError::NotVerified { .. }) => {
                tracing::warn!(%error, version, "a checkpoint that does not agree with the log is set aside");
                self.move_aside(lease, &checkpoint_path(version)).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn write(&self, lease: &Lease, version: u64, expected: &State) -> Result<(Bytes, State), MaintenanceError> {
        let (store, path) = (&self.folder().store, checkpoint_path(version));
        let draft = draft(self.folder().clone(), version).await?;
        let drafted = verify(expected, draft.clone(), version).await?;
        let since = (Utc::now() - TOLD_REMOVALS).timestamp_millis();
        expected.tells_removals_to(&drafted, since).map_err(|reason| not_verified(version, reason))?;
        lease.check().await?;
        let put = store.put_opts(&path, draft.clone().into(), PutMode::Create.into()).await;
        // What the store gives back tells more than its answer: it may have failed after it took the object, or have
        // taken that of a writer who knows of no lease.
        let Some(found) = read(store, &path).await? else {
            put?;
            return Err(not_verified(version, "the store does not have it".into()));
        };
        if found == draft {
            return Ok((draft, drafted));
        }
        match verify(expected, found.clone(), version).await {
            Ok(state) => Ok((found, state)),
            Err(error) => {
                self.move_aside(lease, &path).await?;
                Err(error)
            }
        }
    }
}

fn hint_of(version: u64, checkpoint: &Bytes, state: &State) -> NewHint {
    NewHint {
        version,
        size: state.actions(),
        size_in_bytes: checkpoint.len() as u64,
        num_of_add_files: state.paths().count() as u64,
    }
}

/// Decode what is to be the checkpoint of a version, and compare it with what the log says.
pub(super) async fn verify(expected: &State, bytes: Bytes, version: u64) -> Result<State, MaintenanceError> {
    let found = match Replay::from_checkpoint(bytes, version).await {
        Ok(replay) => replay.state,
        Err(MaintenanceError::BadLog { reason, .. }) => return Err(not_verified(version, reason)),
        Err(error) => return Err(error),
    };
    match expected.agrees_with(&found) {
        Ok(()) => Ok(found),
        Err(reason) => Err(not_verified(version, reason)),
    }
}

fn not_verified(version: u64, reason: String) -> MaintenanceError {
    MaintenanceError::NotVerified { version, reason }
}

/// Have the library write the checkpoint to memory.
async fn draft(folder: Folder, version: u64) -> Result<Bytes, MaintenanceError> {
    let overlay = Arc::new(Overlay::new(Arc::clone(&folder.root)));
    let root: Arc<dyn ObjectStore> = Arc::<Overlay>::clone(&overlay);
    let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(Arc::clone(&root), folder.path.clone()));
    let log_store = default_logstore(store, root, &folder.url, &StorageConfig::default());
    let runtime = Handle::current();
    // The library's writer blocks the thread that it runs on.
    let written = spawn_blocking(move || {
        runtime.block_on(async {
            let mut table = DeltaTable::new(log_store);
            table.load_version(version).await?;
            deltalake::checkpoints::create_checkpoint(&table, None).await
        })
    });
    let broken = |_| not_verified(version, "its writer broke down".into());
    written.await.map_err(broken)?.map_err(TableError::from)?;
    let path = folder.path.parts().chain(checkpoint_path(version).parts()).collect();
    Ok(overlay.written().get(&path).await?.bytes().await?)
}
