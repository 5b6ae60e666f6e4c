//! The objects of a lease's epochs.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt, TryStreamExt, future::ready, stream};
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload, path::Path};

use super::record::Record;
use crate::{Folder, StorageError};

/// Where leases lie in a folder; readers of tables skip names that begin with `_`.
const LEASES_FOLDER: [&str; 2] = ["_sluice", "leases"];
/// How many epochs are kept, for people to read.
const KEPT: u64 = 5;
/// How many are removed at a time.
const MAX_REMOVED: usize = 1000;
/// The size beyond which an object is no record, in bytes.
const MAX_RECORD_BYTES: u64 = 4096;

/// The epochs of one lease.
#[derive(Clone)]
pub(super) struct Epochs {
    store: Arc<dyn ObjectStore>,
    directory: Path,
}

/// An epoch that was found.
pub(super) struct Epoch {
    pub(super) epoch: u64,
    meta: ObjectMeta,
}

/// What came of the wish to have an epoch.
pub(super) enum Claim {
    Won,
    Taken,
    /// The store refused it, and has nobody else's.
    Untold,
}

impl Epochs {
    pub(super) fn new(folder: &Folder, name: &str) -> Self {
        let directory = LEASES_FOLDER.into_iter().chain([name]).collect();
        Self { store: Arc::clone(&folder.store), directory }
    }

    fn path(&self, epoch: u64) -> Path {
        self.directory.clone().join(format!("{epoch:020}.json"))
    }

    fn list(&self) -> impl Stream<Item = Result<Epoch, Error>> {
        let listed = self.store.list(Some(&self.directory));
        listed.try_filter_map(|meta| async move { Ok(number(&meta).map(|epoch| Epoch { epoch, meta })) })
    }

    pub(super) async fn newest(&self) -> Result<Option<Epoch>, StorageError> {
        let newest = self.list().try_fold(None::<Epoch>, |newest, found| async move {
            Ok(newest.filter(|newest| newest.epoch > found.epoch).or(Some(found)))
        });
        Ok(newest.await?)
    }

    /// Whether others must wait for the holder of this epoch.
    pub(super) async fn stands(&self, found: &Epoch, now: DateTime<Utc>) -> Result<bool, StorageError> {
        let written_at = found.meta.last_modified;
        if found.meta.size > MAX_RECORD_BYTES {
            return Ok(Record::unreadable_stands(written_at, now));
        }
        Ok(match self.read(found.epoch).await? {
            Some((record, written_at)) => record.stands(written_at, now),
            // Removed or torn: it stood when it was listed, and a next try looks anew.
            None => Record::unreadable_stands(written_at, now),
        })
    }

    async fn read(&self, epoch: u64) -> Result<Option<(Record, DateTime<Utc>)>, StorageError> {
        let found = match self.store.get(&self.path(epoch)).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if found.meta.size > MAX_RECORD_BYTES {
            return Ok(None);
        }
        let written_at = found.meta.last_modified;
        let bytes = found.bytes().await?;
        Ok(serde_json::from_slice(&bytes).ok().map(|record| (record, written_at)))
    }

    /// Make the epoch's object, if nobody has. What the object says tells whose it is: an error may come after the
    /// store made it, and a refusal may be that of a request which the store itself repeated.
    pub(super) async fn claim(&self, epoch: u64, record: &Record) -> Result<Claim, StorageError> {
        let path = self.path(epoch);
        let refusal = match self.store.put_opts(&path, payload(record), PutMode::Create.into()).await {
            Ok(_) => return Ok(Claim::Won),
            Err(error) => error,
        };
        match self.store.get(&path).await {
            Ok(found) if found.meta.size > MAX_RECORD_BYTES => Ok(Claim::Taken),
            Ok(found) => {
                let ours = found.bytes().await? == Bytes::from(payload(record));
                Ok(if ours { Claim::Won } else { Claim::Taken })
            }
            // S3 refuses a conditional write beside another one, which may come to nothing.
            Err(Error::NotFound { .. }) if matches!(refusal, Error::AlreadyExists { .. }) => Ok(Claim::Untold),
            Err(_) => Err(refusal.into()),
        }
    }

    /// Only the holder of an epoch does this.
    pub(super) async fn write_over(&self, epoch: u64, record: &Record) -> Result<(), StorageError> {
        self.store.put(&self.path(epoch), payload(record)).await?;
        Ok(())
    }

    /// Remove the epochs long before `newest`; nothing depends on it.
    pub(super) async fn remove_old(&self, newest: u64) {
        let old = self.list().try_filter(|found| ready(found.epoch.saturating_add(KEPT) <= newest));
        let paths: Vec<_> = old.map_ok(|found| found.meta.location).take(MAX_REMOVED).collect().await;
        let removed = self.store.delete_stream(stream::iter(paths).boxed());
        removed
            .for_each(async |outcome| {
                if let Err(error) = outcome
                    && !matches!(error, Error::NotFound { .. })
                {
                    tracing::debug!(%error, "an old epoch of a lease could not be removed");
                }
            })
            .await;
    }
}

/// The epoch that an object is called after; one that nobody could follow is no epoch.
fn number(meta: &ObjectMeta) -> Option<u64> {
    let digits = meta.location.filename()?.strip_suffix(".json")?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|epoch| *epoch < u64::MAX)
}

/// Serializing a record of plain fields does not fail; an empty payload would be nobody's.
fn payload(record: &Record) -> PutPayload {
    serde_json::to_vec(record).unwrap_or_default().into()
}
