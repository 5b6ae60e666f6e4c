//! What keeps tables quick to open and their folders clean: checkpoints, clean-up of the log, orphans.
//!
//! Invariant: one server at a time maintains a table, under its lease.
//! Invariant: an orphan goes only where the ledger says that its upload came to an outcome without it.

use std::{sync::Arc, time::Duration};

use chrono::{TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sluice_catalog::{Catalog, CatalogError};
use sluice_domain::{FileRecord, PageRequest, RunId, TableEntry, TableFormat, TableId, UploadId, UploadState};
use sluice_storage::Lease;
use sluice_table::{
    Checkpoint, LogRetention, MaintenanceSettings, Orphan, OrphanSearch, Shelf, Table, wants_checkpoint,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::IngestError;

/// The name of the lease under which a table is maintained.
pub(crate) const MAINTENANCE: &str = "maintenance";
/// How long a lease holds unless it is renewed.
const LEASE_TTL: Duration = Duration::from_secs(60);
/// Longer than any server runs; what is far beyond it cannot be added to a time.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How many tables wait for a checkpoint at the most; those beyond are found by the next round.
const MAX_WAITING: usize = 256;
/// How many orphans are looked at together.
const ORPHANS_AT_ONCE: usize = 500;

/// How often the tables are looked after, and what is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpkeepSettings {
    /// How often every table is looked at, in seconds; 0 is never.
    pub every_seconds: u64,
    /// How old a data file must be that no version names, before it is deleted with its failed upload, in hours.
    pub orphan_grace_hours: u32,
    /// When checkpoints are written, and how long the log is kept.
    pub tables: MaintenanceSettings,
}

impl Default for UpkeepSettings {
    fn default() -> Self {
        Self { every_seconds: 3600, orphan_grace_hours: 24, tables: MaintenanceSettings::default() }
    }
}

/// Looks after tables.
pub(crate) struct Upkeep {
    pub(crate) settings: UpkeepSettings,
    pub(crate) catalog: Catalog,
    pub(crate) shelf: Arc<Shelf>,
}

/// Tells the upkeep of tables that want a checkpoint.
#[derive(Clone)]
pub(crate) struct Bell {
    every_versions: u64,
    sender: mpsc::Sender<TableId>,
}

impl Bell {
    pub(crate) fn new(settings: &UpkeepSettings) -> (Self, mpsc::Receiver<TableId>) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        (Self { every_versions: settings.tables.checkpoint_every_versions.max(1), sender }, receiver)
    }

    /// A version was committed. Each version is committed by one server, so one of them rings.
    pub(crate) fn committed(&self, table: TableId, version: u64) {
        if (version + 1).is_multiple_of(self.every_versions) {
            // A full queue is worked off; what is left out now, the next round finds.
            let _ = self.sender.try_send(table);
        }
    }
}

impl Upkeep {
    /// Look after tables until the server stops.
    pub(crate) async fn run(self, mut wanted: mpsc::Receiver<TableId>, stopping: CancellationToken) {
        let every = Duration::from_secs(self.settings.every_seconds);
        let mut round = tokio::time::interval(if every.is_zero() { LONGEST } else { every.min(LONGEST) });
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        if every.is_zero() {
            round.tick().await;
        }
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                Some(table) = wanted.recv() => self.look_after(table).await,
                _ = round.tick() => self.look_after_all(&stopping).await,
            }
        }
    }

    async fn look_after(&self, table: TableId) {
        let outcome = match self.catalog.tables().find_by_id(table).await {
            Ok(entry) => self.checkpoint(&entry).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = outcome {
            tracing::warn!(table.id = %table, %error, "could not look after a table");
        }
    }

    async fn look_after_all(&self, stopping: &CancellationToken) {
        let mut page = PageRequest { size: PageRequest::MAX_SIZE, token: None };
        loop {
            let tables = match self.catalog.tables().list(None, None, &page).await {
                Ok(tables) => tables,
                Err(error) => return tracing::warn!(%error, "could not list the tables to look after"),
            };
            // A plain table has no log to keep short, and its files are named by the catalog alone.
            for entry in tables.items.iter().filter(|entry| entry.format == TableFormat::Delta) {
                if stopping.is_cancelled() {
                    return;
                }
                let outcome = async {
                    self.checkpoint(entry).await?;
                    self.delete_orphans(entry).await
                };
                if let Err(error) = outcome.await {
                    tracing::warn!(table.name = %entry.name, %error, "could not look after a table");
                }
            }
            let Some(next) = tables.next else { return };
            page.token = Some(next);
        }
    }

    /// Write a checkpoint where one is due, and clean up the log behind it.
    async fn checkpoint(&self, entry: &TableEntry) -> Result<(), IngestError> {
        let (table, settings) = (self.shelf.get(entry), &self.settings.tables);
        let newest = table.describe(None).await?.version;
        if !wants_checkpoint(newest, table.last_checkpoint().await?, settings) {
            return Ok(());
        }
        let Some(lease) = self.lease(&table).await? else { return Ok(()) };
        let work = async {
            if let Some(Checkpoint { version, path, size_bytes, sha256 }) = table.checkpoint(&lease).await? {
                let record = FileRecord { path, size_bytes, sha256, rows: 0, upload: None };
                self.catalog.inventory().enter_files(entry.id, &[record]).await?;
                tracing::info!(table.name = %entry.name, table.version = version, "wrote a checkpoint");
            }
            let retention = LogRetention::from_hours(settings.log_retention_hours)?;
            let cleaned = table.clean_log(&lease, retention, Utc::now()).await?;
            if let Some(newest) = cleaned.versions.last() {
                self.catalog.inventory().forget_commits(entry.id, newest + 1).await?;
            }
            self.catalog.inventory().forget_files(entry.id, &cleaned.checkpoint_paths()).await?;
            Ok::<(), IngestError>(())
        };
        let outcome = lease.hold(work).await;
        release(&lease).await;
        outcome
    }

    /// Delete the data files of uploads that came to an outcome without them.
    async fn delete_orphans(&self, entry: &TableEntry) -> Result<(), IngestError> {
        let table = self.shelf.get(entry);
        let mut after = None;
        loop {
            let grace = TimeDelta::hours(self.settings.orphan_grace_hours.into());
            let search = OrphanSearch { grace, now: Utc::now(), after, limit: ORPHANS_AT_ONCE };
            let page = table.list_orphans(&search).await?;
            let mut settled = Vec::new();
            for orphan in page.orphans {
                if self.is_settled(entry.id, &orphan).await? {
                    settled.push(orphan);
                }
            }
            self.delete(entry, &table, &settled).await?;
            let Some(next) = page.next else { return Ok(()) };
            after = Some(next);
        }
    }

    /// Whether the ledger says that the orphan's upload came to its outcome without it. What a log that was damaged does
    /// not name any more is not meant: a file that was ever part of a commit is in the inventory.
    async fn is_settled(&self, table: TableId, orphan: &Orphan) -> Result<bool, IngestError> {
        let Some(id) = orphan.upload_id else { return Ok(false) };
        match self.catalog.uploads().find(UploadId(id)).await {
            Ok(upload) => Ok(match upload.state {
                UploadState::Failed => true,
                UploadState::Committed => self.catalog.inventory().file(table, &orphan.path).await?.is_none(),
                UploadState::Landed | UploadState::Committing => false,
            }),
            Err(CatalogError::UploadNotFound { .. }) => self.is_of_ended_run(table, orphan, RunId(id)).await,
            Err(error) => Err(error.into()),
        }
    }

    /// The same of the files of a run of a pipeline.
    async fn is_of_ended_run(&self, table: TableId, orphan: &Orphan, run: RunId) -> Result<bool, IngestError> {
        let run = self.catalog.pipelines().find_run(run).await?;
        if !run.is_some_and(|run| run.status.has_ended()) {
            return Ok(false);
        }
        Ok(self.catalog.inventory().file(table, &orphan.path).await?.is_none())
    }

    async fn delete(&self, entry: &TableEntry, table: &Table, orphans: &[Orphan]) -> Result<(), IngestError> {
        if orphans.is_empty() {
            return Ok(());
        }
        let Some(lease) = self.lease(table).await? else { return Ok(()) };
        let outcome = lease.hold(table.delete_orphans(&lease, orphans)).await;
        release(&lease).await;
        let gone: Vec<String> = outcome?.into_iter().map(|orphan| orphan.path).collect();
        tracing::info!(table.name = %entry.name, files = gone.len(), "deleted files of uploads that failed");
        Ok(self.catalog.inventory().forget_files(entry.id, &gone).await?)
    }

    async fn lease(&self, table: &Table) -> Result<Option<Lease>, IngestError> {
        Ok(Lease::acquire(table.folder(), MAINTENANCE, self.catalog.writer(), LEASE_TTL).await?)
    }
}

/// Give a lease back; one that cannot be ends with its time.
async fn release(lease: &Lease) {
    if let Err(error) = lease.release().await {
        tracing::warn!(%error, "a lease could not be given back");
    }
}
