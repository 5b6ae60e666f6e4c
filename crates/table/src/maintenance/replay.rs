//! What a table holds at a version, by reading its log action by action.
//!
//! Invariant: a state is that of exactly one version; no commit between its base and its version is left out.

mod decode;

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::task::spawn_blocking;

use self::decode::{lines_of_checkpoint, lines_of_commit};
use super::{
    MaintenanceError,
    actions::{Add, DomainMetadata, Fingerprint, Line, Metadata, Protocol, file_key, path_of},
    log::{Log, checkpoint_path, commit_path},
};

/// How many commits are fetched ahead.
pub(super) const READ_AHEAD: usize = 8;

/// What a table holds at one version.
#[derive(Default)]
pub(super) struct State {
    files: HashMap<String, Fingerprint>,
    /// Files that were removed, and when, in milliseconds since 1970.
    removed: HashMap<String, Option<i64>>,
    transactions: BTreeMap<String, i64>,
    metadata: Option<Metadata>,
    protocol: Option<Protocol>,
    domains: BTreeMap<String, DomainMetadata>,
}

/// A state on its way through the log.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) state: State,
    /// Every path that a line names, as the log writes it, where they are asked for.
    pub(super) seen: Option<HashSet<String>>,
}

impl Replay {
    /// The state of a version. Checkpoints that cannot be decoded, and those of `version` and later where `before` is
    /// set, are no base for it.
    pub(super) async fn of(log: &Log, version: u64, before: bool) -> Result<Self, MaintenanceError> {
        let bases = log.checkpoints.range(..version.saturating_add(u64::from(!before))).rev();
        for (base, _) in bases {
            let replay = match Self::at_checkpoint(log, *base).await {
                Ok(replay) => replay,
                Err(MaintenanceError::BadLog { path, reason }) => {
                    tracing::warn!(path, reason, "a checkpoint cannot be read; an older one is tried");
                    continue;
                }
                Err(error) => return Err(error),
            };
            return replay.follow(log, *base + 1, version).await;
        }
        Self::default().follow(log, 0, version).await
    }

    pub(super) async fn at_checkpoint(log: &Log, version: u64) -> Result<Self, MaintenanceError> {
        Self::from_checkpoint(log.checkpoint(version).await?, version).await
    }

    pub(super) async fn from_checkpoint(bytes: Bytes, version: u64) -> Result<Self, MaintenanceError> {
        Self::default().apply_checkpoint(bytes, version).await
    }

    /// Go on with the commits from `first` to `last`.
    pub(super) async fn follow(mut self, log: &Log, first: u64, last: u64) -> Result<Self, MaintenanceError> {
        let mut commits = stream::iter(first..=last).map(|version| log.commit(version)).buffered(READ_AHEAD);
        let mut version = first;
        while let Some(bytes) = commits.try_next().await? {
            self = self.apply_commit(bytes, version).await?;
            version += 1;
        }
        Ok(self)
    }

    pub(super) async fn apply_commit(mut self, bytes: Bytes, version: u64) -> Result<Self, MaintenanceError> {
        let path = commit_path(version);
        let applied = spawn_blocking(move || lines_of_commit(&bytes, |line| self.apply(line)).map(|()| self)).await;
        applied
            .unwrap_or_else(|_| Err("its reader broke down".into()))
            .map_err(|reason| MaintenanceError::bad_log(path, reason))
    }

    async fn apply_checkpoint(mut self, bytes: Bytes, version: u64) -> Result<Self, MaintenanceError> {
        let path = checkpoint_path(version);
        // A damaged file may break the decoder down, which then is the task's end and not the server's.
        let applied = spawn_blocking(move || {
            lines_of_checkpoint(bytes, |line| self.apply(line))?;
            self.state.is_whole().map(|()| self)
        });
        applied
            .await
            .unwrap_or_else(|_| Err("its decoder broke down".into()))
            .map_err(|reason| MaintenanceError::bad_log(path, reason))
    }

    fn apply(&mut self, line: Line) -> Result<(), String> {
        if let Some(seen) = &mut self.seen {
            let named = [
                line.add.as_ref().map(|add| &add.path),
                line.remove.as_ref().map(|remove| &remove.path),
                line.cdc.as_ref().map(|change| &change.path),
            ];
            seen.extend(named.into_iter().flatten().cloned());
        }
        self.state.apply(line)
    }
}

impl State {
    fn apply(&mut self, line: Line) -> Result<(), String> {
        if let Some(add) = line.add {
            self.add(add)?;
        }
        if let Some(remove) = line.remove {
            let key = file_key(remove.path, remove.deletion_vector.as_ref());
            self.files.remove(&key);
            self.removed.insert(key, remove.deletion_timestamp);
        }
        if let Some(transaction) = line.txn {
            self.transactions.insert(transaction.app_id, transaction.version);
        }
        if let Some(domain) = line.domain_metadata {
            if domain.removed {
                self.domains.remove(&domain.domain);
            } else {
                self.domains.insert(domain.domain.clone(), domain);
            }
        }
        if line.sidecar.is_some() {
            return Err("it has parts elsewhere, which are not read here".into());
        }
        self.metadata = line.meta_data.or(self.metadata.take());
        self.protocol = line.protocol.map(Protocol::normal).or(self.protocol.take());
        Ok(())
    }

    fn add(&mut self, add: Add) -> Result<(), String> {
        let fingerprint = add.fingerprint().map_err(|error| error.to_string())?;
        let key = file_key(add.path, add.deletion_vector.as_ref());
        self.removed.remove(&key);
        self.files.insert(key, fingerprint);
        Ok(())
    }

    /// Whether it has what every table has.
    fn is_whole(&self) -> Result<(), String> {
        match (&self.metadata, &self.protocol) {
            (Some(_), Some(_)) => Ok(()),
            _ => Err("it has no metadata or no protocol".into()),
        }
    }

    /// How many actions it takes to say it.
    pub(super) fn actions(&self) -> u64 {
        let single = usize::from(self.metadata.is_some()) + usize::from(self.protocol.is_some());
        (single + self.files.len() + self.removed.len() + self.transactions.len() + self.domains.len()) as u64
    }

    /// The data files of the version, as the log writes their paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(|key| path_of(key))
    }

    /// The files that were removed at `since_millis` or later, or nobody knows when.
    pub(super) fn removed_since(&self, since_millis: i64) -> impl Iterator<Item = &str> {
        let late = move |at: &Option<i64>| at.is_none_or(|at| at >= since_millis);
        self.removed.iter().filter(move |(_, at)| late(at)).map(|(key, _)| path_of(key))
    }

    /// Whether a checkpoint that says `other` tells the same; the first difference if not.
    pub(super) fn agrees_with(&self, other: &Self) -> Result<(), String> {
        let same = [
            ("metadata", self.metadata == other.metadata),
            ("protocol", self.protocol == other.protocol),
            ("domain metadata", self.domains == other.domains),
        ];
        if let Some((what, _)) = same.iter().find(|(_, same)| !same) {
            return Err(format!("its {what} is not that of the log"));
        }
        self.files_agree_with(other)?;
        self.transactions_agree_with(other)?;
        match other.removed.iter().find(|(key, at)| self.removed.get(*key) != Some(*at)) {
            Some((key, _)) => Err(format!("it has the file {} removed, the log has not so", path_of(key))),
            None => Ok(()),
        }
    }

    fn files_agree_with(&self, other: &Self) -> Result<(), String> {
        if let Some(key) = self.files.keys().find(|key| !other.files.contains_key(*key)) {
            return Err(format!("the file {} is missing", path_of(key)));
        }
        match other.files.iter().find(|(key, fingerprint)| self.files.get(*key) != Some(*fingerprint)) {
            Some((key, _)) => Err(format!("the file {} is not in the log, or not with these statistics", path_of(key))),
            None => Ok(()),
        }
    }

    fn transactions_agree_with(&self, other: &Self) -> Result<(), String> {
        let forgets = self.setting("delta.setTransactionRetentionDuration").is_some();
        let lost = self.transactions.keys().find(|app_id| !other.transactions.contains_key(*app_id));
        if let (Some(app_id), false) = (lost, forgets) {
            return Err(format!("the transaction of {app_id} is missing"));
        }
        match other.transactions.iter().find(|(app_id, version)| self.transactions.get(*app_id) != Some(*version)) {
            Some((app_id, _)) => Err(format!("the transaction of {app_id} is not that of the log")),
            None => Ok(()),
        }
    }

    /// Whether a checkpoint that says `other` tells of every file that was removed at `since_millis` or later: other
    /// writers' vacuum goes by it. A table may have a shorter time of its own.
    pub(super) fn tells_removals_to(&self, other: &Self, since_millis: i64) -> Result<(), String> {
        let shorter = self.setting("delta.deletedFileRetentionDuration").is_some();
        let late = self.removed.iter().filter(|(_, at)| at.is_some_and(|at| at >= since_millis));
        match late.map(|(key, _)| key).find(|key| !other.removed.contains_key(*key)) {
            Some(key) if !shorter => Err(format!("it forgets that the file {} was removed lately", path_of(key))),
            _ => Ok(()),
        }
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.metadata.as_ref()?.configuration.get(name)?.as_deref()
    }
}
