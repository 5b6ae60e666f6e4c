//! The files of a Delta log: which there are, and what is in them.
//!
//! Invariant: what cannot be read whole is an error, never less than what was written.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use serde::Deserialize;

use super::MaintenanceError;

/// Where the log lies in a table.
pub(super) const LOG_FOLDER: &str = "_delta_log";
/// What tells readers where to begin.
const HINT_NAME: &str = "_last_checkpoint";
/// More files than this are not listed at once.
const MAX_FILES: usize = 4_000_000;
/// The largest commit or checkpoint that is read, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 30;
/// The largest hint.
const MAX_HINT_BYTES: u64 = 1 << 16;

/// The versions that are in a log.
pub(crate) struct Log {
    store: Arc<dyn ObjectStore>,
    /// When the store has each commit from.
    pub(crate) commits: BTreeMap<u64, DateTime<Utc>>,
    /// The versions that have a checkpoint in one file.
    pub(super) checkpoints: BTreeMap<u64, u64>,
    /// Checkpoints of other shapes and files that go with a version.
    pub(super) others: BTreeMap<u64, Vec<Path>>,
}

/// What a file of the log is, by its name.
enum Kind {
    Commit,
    Checkpoint,
    Other,
}

/// What the hint says.
#[derive(Deserialize)]
pub(super) struct Hint {
    pub(super) version: u64,
}

impl Log {
    pub(crate) async fn list(store: &Arc<dyn ObjectStore>) -> Result<Self, MaintenanceError> {
        let mut log = Self {
            store: Arc::clone(store),
            commits: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            others: BTreeMap::new(),
        };
        let mut listed = store.list(Some(&Path::from(LOG_FOLDER)));
        let mut files = 0;
        while let Some(meta) = listed.try_next().await? {
            log.take(meta);
            files += 1;
            if files > MAX_FILES {
                return Err(MaintenanceError::bad_log(LOG_FOLDER, format!("it has more than {MAX_FILES} files")));
            }
        }
        Ok(log)
    }

    fn take(&mut self, meta: ObjectMeta) {
        match parse(&meta.location) {
            Some((version, Kind::Commit)) => drop(self.commits.insert(version, meta.last_modified)),
            Some((version, Kind::Checkpoint)) => drop(self.checkpoints.insert(version, meta.size)),
            Some((version, Kind::Other)) => self.others.entry(version).or_default().push(meta.location),
            None => {}
        }
    }

    pub(super) fn newest(&self) -> Option<u64> {
        self.commits.keys().next_back().copied()
    }

    /// The first version that can be made out; none if the log has no beginning.
    pub(super) fn oldest_base(&self) -> Option<u64> {
        if self.commits.contains_key(&0) { Some(0) } else { self.checkpoints.keys().next().copied() }
    }

    /// Whether there is anything before `version` that versions after it could be made out from.
    pub(super) fn has_base_before(&self, version: u64) -> bool {
        let of_other_shape = self.others.range(..version).flat_map(|(_, paths)| paths).any(is_checkpoint);
        self.commits.range(..version).next().is_some_and(|(first, _)| *first == 0)
            || self.checkpoints.range(..version).next().is_some()
            || of_other_shape
    }

    /// Whether there is a checkpoint of this version, in one file or of another shape.
    pub(super) fn has_checkpoint(&self, version: u64) -> bool {
        let of_other_shape = || self.others.get(&version).is_some_and(|paths| paths.iter().any(is_checkpoint));
        self.checkpoints.contains_key(&version) || of_other_shape()
    }

    /// Whether all commits from `first` to `last` are there.
    pub(super) fn has_commits(&self, first: u64, last: u64) -> bool {
        (first..=last).all(|version| self.commits.contains_key(&version))
    }

    /// The last version that was the newest one at `time`. A version follows the one before it, whatever clocks say.
    pub(super) fn newest_at(&self, time: DateTime<Utc>) -> Option<u64> {
        let mut followed_at = DateTime::<Utc>::MIN_UTC;
        let commits = self.commits.iter().take_while(|(_, written_at)| {
            followed_at = (**written_at).max(followed_at + TimeDelta::milliseconds(1));
            followed_at <= time
        });
        commits.last().map(|(version, _)| *version)
    }

    /// The commit of a version; none if there is none (yet, or any more).
    pub(super) async fn find_commit(&self, version: u64) -> Result<Option<Bytes>, MaintenanceError> {
        read(&self.store, &commit_path(version)).await
    }

    pub(super) async fn commit(&self, version: u64) -> Result<Bytes, MaintenanceError> {
        let missing = || MaintenanceError::bad_log(commit_path(version), "it is missing");
        self.find_commit(version).await?.ok_or_else(missing)
    }

    pub(super) async fn checkpoint(&self, version: u64) -> Result<Bytes, MaintenanceError> {
        let missing = || MaintenanceError::bad_log(checkpoint_path(version), "it is missing");
        read(&self.store, &checkpoint_path(version)).await?.ok_or_else(missing)
    }
}

/// What the hint says: nothing if there is none, an error's text if it says nothing.
pub(super) async fn find_hint(store: &Arc<dyn ObjectStore>) -> Result<Option<Result<Hint, String>>, MaintenanceError> {
    let path = hint_path();
    if let Some(meta) = found(store.head(&path).await)?
        && meta.size > MAX_HINT_BYTES
    {
        return Ok(Some(Err(format!("it has {} bytes", meta.size))));
    }
    let Some(bytes) = read(store, &path).await? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&bytes).map_err(|error| error.to_string())))
}

fn is_checkpoint(path: &Path) -> bool {
    path.as_ref().contains(".checkpoint.")
}

pub(crate) fn commit_path(version: u64) -> Path {
    file(&format!("{version:020}.json"))
}

pub(super) fn checkpoint_path(version: u64) -> Path {
    file(&format!("{version:020}.checkpoint.parquet"))
}

pub(super) fn hint_path() -> Path {
    file(HINT_NAME)
}

/// The version of the checkpoint at this place; none where it is none.
pub(super) fn checkpoint_version(location: &Path) -> Option<u64> {
    parse(location).and_then(|(version, kind)| matches!(kind, Kind::Checkpoint).then_some(version))
}

fn file(name: &str) -> Path {
    Path::from_iter([LOG_FOLDER, name])
}

/// Which version a file of the log belongs to. Only files right in the log's folder belong to one.
fn parse(location: &Path) -> Option<(u64, Kind)> {
    let name = location.as_ref().strip_prefix(LOG_FOLDER)?.strip_prefix('/')?;
    let (digits, rest) = name.split_at_checked(20)?;
    if name.contains('/') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let version = digits.parse().ok()?;
    match rest {
        ".json" => Some((version, Kind::Commit)),
        ".checkpoint.parquet" => Some((version, Kind::Checkpoint)),
        ".crc" => Some((version, Kind::Other)),
        _ if rest.starts_with(".checkpoint.") => Some((version, Kind::Other)),
        _ => {
            // Several commits in one file belong to the last of them.
            let last = rest.strip_prefix('.')?.strip_suffix(".compacted.json")?;
            Some((last.parse().ok()?, Kind::Other))
        }
    }
}

fn found<T>(outcome: object_store::Result<T>) -> Result<Option<T>, MaintenanceError> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The whole object, if there is one.
pub(super) async fn read(store: &Arc<dyn ObjectStore>, path: &Path) -> Result<Option<Bytes>, MaintenanceError> {
    let Some(object) = found(store.get(path).await)? else { return Ok(None) };
    let size_bytes = object.meta.size;
    if size_bytes > MAX_FILE_BYTES {
        return Err(MaintenanceError::bad_log(path, format!("it has {size_bytes} bytes")));
    }
    let mut bytes = Vec::with_capacity(size_bytes as usize);
    let mut stream = object.into_stream();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    if bytes.len() as u64 != size_bytes {
        let reason = format!("{} of {size_bytes} bytes could be read", bytes.len());
        return Err(MaintenanceError::bad_log(path, reason));
    }
    Ok(Some(bytes.into()))
}
