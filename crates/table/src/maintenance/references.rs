//! The data files that a table's log names, kept up to date while others commit.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryFutureExt, TryStreamExt, stream};
use object_store::path::Path;
use sluice_storage::Folder;
use url::Url;

use super::{
    MaintenanceError,
    data_files::Names,
    log::{LOG_FOLDER, Log},
    replay::{READ_AHEAD, Replay},
};

/// How many commits one look takes in; a table that gets more is looked at again.
const MAX_COMMITS: u64 = 100_000;

/// The names of data files in the log, up to a version.
pub(super) struct References {
    log: Log,
    table: Url,
    names: Names,
    /// The first version that has not been read.
    next: u64,
}

impl References {
    /// The files of every version that was the newest at `since` or later, and those removed since; none where the
    /// table has no version.
    pub(super) async fn since(folder: &Folder, since: DateTime<Utc>) -> Result<Option<Self>, MaintenanceError> {
        let log = Log::list(&folder.store).await?;
        let Some(newest) = log.newest() else { return Ok(None) };
        let wanted = log.newest_at(since).unwrap_or(0);
        // What cannot be made out any more cannot be read either: the first version that can is the first to keep.
        let start = log.oldest_base().ok_or_else(beginning_is_lost)?.max(wanted);
        let state = Replay::of(&log, start, false).await?.state;
        let early: Vec<u64> = log.commits.range(wanted..start).map(|(version, _)| *version).collect();
        let mut references = Self::new(folder, log, newest + 1);
        state.paths().chain(state.removed_since(since.timestamp_millis())).for_each(|path| references.insert(path));
        references.read(early.into_iter().chain(start + 1..=newest).collect()).await?;
        Ok(Some(references))
    }

    /// Every file that is named anywhere in the log.
    pub(super) async fn ever(folder: &Folder) -> Result<Self, MaintenanceError> {
        let log = Log::list(&folder.store).await?;
        let Some(newest) = log.newest() else {
            let is_lost = !log.checkpoints.is_empty() || !log.others.is_empty();
            return if is_lost { Err(beginning_is_lost()) } else { Ok(Self::new(folder, log, 0)) };
        };
        let base = log.oldest_base().ok_or_else(beginning_is_lost)?;
        if !log.has_commits(base + 1, newest) {
            return Err(MaintenanceError::bad_log(LOG_FOLDER, "commits are missing"));
        }
        let state = Replay::of(&log, base, false).await?.state;
        let versions = log.commits.keys().copied().collect();
        let mut references = Self::new(folder, log, newest + 1);
        state.paths().chain(state.removed_since(i64::MIN)).for_each(|path| references.insert(path));
        references.read(versions).await?;
        Ok(references)
    }

    fn new(folder: &Folder, log: Log, next: u64) -> Self {
        Self { log, table: folder.url.clone(), names: Names::default(), next }
    }

    fn insert(&mut self, path: &str) {
        self.names.insert(path, &self.table);
    }

    pub(super) fn contains(&self, location: &Path) -> bool {
        self.names.contains(location)
    }

    /// Take in what was committed since.
    pub(super) async fn catch_up(&mut self) -> Result<(), MaintenanceError> {
        for _ in 0..MAX_COMMITS {
            if self.log.find_commit(self.next).await?.is_none() {
                return Ok(());
            }
            self.read(vec![self.next]).await?;
            self.next += 1;
        }
        Err(MaintenanceError::bad_log(LOG_FOLDER, "it grows faster than it can be read"))
    }

    async fn read(&mut self, versions: Vec<u64>) -> Result<(), MaintenanceError> {
        let (log, table, names) = (&self.log, &self.table, &mut self.names);
        let commits = stream::iter(versions).map(|version| log.commit(version).map_ok(move |bytes| (version, bytes)));
        let mut commits = commits.buffered(READ_AHEAD);
        while let Some((version, bytes)) = commits.try_next().await? {
            let replay =
                Replay { seen: Some(HashSet::new()), ..Replay::default() }.apply_commit(bytes, version).await?;
            replay.seen.into_iter().flatten().for_each(|path| names.insert(&path, table));
        }
        Ok(())
    }
}

fn beginning_is_lost() -> MaintenanceError {
    MaintenanceError::bad_log(LOG_FOLDER, "its beginning is missing, and no checkpoint stands for it")
}
