//! Removing the part of a log that nobody needs any more.
//!
//! Invariant: every version that was the newest one at any time within the retention stays readable: a checkpoint at
//! or before the first of them was compared with the log just now, and all that is removed is older than it.
//! Invariant: removal begins with the oldest version, so that a log that is cut short has no gap.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use object_store::{ObjectStore, path::Path};
use sluice_storage::Lease;

use super::{
    LogRetention, MaintenanceError,
    checkpoint::verify,
    data_files::delete_all,
    log::{Log, checkpoint_path, commit_path},
    replay::Replay,
};
use crate::Table;

/// How many versions are removed between two looks at the lease.
const BATCH: usize = 100;
/// How many versions one call removes; the rest is for the next.
const MAX_VERSIONS: usize = 10_000;

/// What a clean-up removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanedLog {
    /// The versions whose commits are gone, oldest first.
    pub versions: Vec<u64>,
    /// The versions whose checkpoints are gone, oldest first.
    pub checkpoints: Vec<u64>,
    /// Whether there is more to remove.
    pub more: bool,
}

impl CleanedLog {
    /// The places of the checkpoints below the table's folder.
    pub fn checkpoint_paths(&self) -> Vec<String> {
        self.checkpoints.iter().map(|version| checkpoint_path(*version).to_string()).collect()
    }
}

/// What a version leaves in the log.
struct Remains {
    version: u64,
    has_commit: bool,
    has_checkpoint: bool,
    others: Vec<Path>,
}

impl Table {
    /// Remove commits and checkpoints of versions that were followed longer ago than the retention, up to the newest
    /// checkpoint before them that agrees with the log.
    ///
    /// # Errors
    /// The lease's, or the store's; what was removed until then is gone, from the oldest on.
    pub async fn clean_log(
        &self,
        lease: &Lease,
        retention: LogRetention,
        now: DateTime<Utc>,
    ) -> Result<CleanedLog, MaintenanceError> {
        let log = Log::list(&self.folder().store).await?;
        let Some(first_kept) = log.newest_at(retention.before(now)) else { return Ok(CleanedLog::default()) };
        let Some(base) = find_verified(&log, first_kept).await? else { return Ok(CleanedLog::default()) };
        let mut remains = remains(&log, base);
        let more = remains.len() > MAX_VERSIONS;
        remains.truncate(MAX_VERSIONS);
        for batch in remains.chunks(BATCH) {
            lease.check().await?;
            for version in batch {
                remove(self.folder().store.as_ref(), version).await?;
            }
        }
        let with = |has: fn(&Remains) -> bool| remains.iter().filter(|of| has(of)).map(|of| of.version).collect();
        Ok(CleanedLog { versions: with(|of| of.has_commit), checkpoints: with(|of| of.has_checkpoint), more })
    }
}

/// The newest checkpoint at `version` or before that agrees with the log, if all commits since it are there.
async fn find_verified(log: &Log, version: u64) -> Result<Option<u64>, MaintenanceError> {
    for base in log.checkpoints.range(..=version).rev().map(|(base, _)| *base) {
        let newest = log.newest().unwrap_or(base);
        if !log.has_commits(base + 1, newest) {
            return Ok(None);
        }
        match compare(log, base).await {
            Ok(()) => return Ok(Some(base)),
            Err(error @ (MaintenanceError::BadLog { .. } | MaintenanceError::NotVerified { .. })) => {
                tracing::warn!(%error, version = base, "a checkpoint cannot be verified, so the log before it stays");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

async fn compare(log: &Log, base: u64) -> Result<(), MaintenanceError> {
    let bytes = log.checkpoint(base).await?;
    if !log.has_base_before(base) {
        // A clean-up that was cut short left commits that nothing can be made out from; there is nothing to lose.
        return Replay::from_checkpoint(bytes, base).await.map(drop);
    }
    let expected = Replay::of(log, base, true).await?;
    verify(&expected.state, bytes, base).await.map(drop)
}

/// What lies in the log before `base`, by version.
fn remains(log: &Log, base: u64) -> Vec<Remains> {
    let commits = log.commits.range(..base).map(|(version, _)| *version);
    let checkpoints = log.checkpoints.range(..base).map(|(version, _)| *version);
    let others = log.others.range(..base).map(|(version, _)| *version);
    let versions: BTreeSet<u64> = commits.chain(checkpoints).chain(others).collect();
    let of = |version| Remains {
        version,
        has_commit: log.commits.contains_key(&version),
        has_checkpoint: log.checkpoints.contains_key(&version),
        others: log.others.get(&version).cloned().unwrap_or_default(),
    };
    versions.into_iter().take(MAX_VERSIONS + 1).map(of).collect()
}

async fn remove(store: &dyn ObjectStore, remains: &Remains) -> Result<(), MaintenanceError> {
    let commit = remains.has_commit.then(|| commit_path(remains.version));
    let checkpoint = remains.has_checkpoint.then(|| checkpoint_path(remains.version));
    // The commit goes last: while it is there, a next call finds the version.
    let paths = remains.others.iter().cloned().chain(checkpoint).chain(commit).collect();
    delete_all(store, paths).await
}
