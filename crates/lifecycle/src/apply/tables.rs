//! Tables: rows, versions, files, and those that were deleted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::ObjectStore;
use sluice_catalog::CatalogError;
use sluice_domain::{FileRecord, LogRecord, PlanAction, PlanSubject, TableEntry, TableFormat, TableId, TableState};
use sluice_storage::{Lease, StorageError};
use sluice_table::{
    Compact, DataFile, Delete, Expire, LogRetention, Operation, Provenance, Table, TableError, VacuumRetention,
    Workspace,
};

use super::{Applier, Done, skipped};
use crate::LifecycleError;

/// The lease under which a table is maintained, whoever does it.
const MAINTENANCE: &str = "maintenance";
/// How long it holds unless it is renewed.
const LEASE_TTL: Duration = Duration::from_secs(60);
/// How long one item goes on removing files.
const MAX_VACUUM: Duration = Duration::from_secs(30 * 60);

impl Applier<'_> {
    pub(super) async fn table(
        &self,
        id: TableId,
        subject: &PlanSubject,
        action: &PlanAction,
    ) -> Result<Done, LifecycleError> {
        let entry = match self.lake.catalog.tables().find_by_id(id).await {
            Ok(entry) if entry.state == TableState::Active && entry.format == TableFormat::Delta => entry,
            Ok(_) | Err(CatalogError::TableNotFound { .. }) => return skipped("the table is not in use any more"),
            Err(error) => return Err(error.into()),
        };
        if let Some(reason) = self.objection(&entry, action).await? {
            return skipped(reason);
        }
        self.lake.facts.check_log(&entry).await?;
        let table = self.lake.shelf.get(&entry);
        let Some(lease) = Lease::acquire(table.folder(), MAINTENANCE, self.lake.catalog.writer(), LEASE_TTL).await?
        else {
            return skipped("another server maintains the table");
        };
        let done = lease.hold(self.maintain(&entry, &table, &lease, (subject, action))).await;
        if let Err(error) = lease.release().await {
            tracing::warn!(%error, "a lease could not be given back");
        }
        done
    }

    /// Why the rules of the moment do not say this; none where they do.
    async fn objection(&self, entry: &TableEntry, action: &PlanAction) -> Result<Option<String>, LifecycleError> {
        let said = self.planner().said_of(entry).await?.proposals;
        let now = said.into_iter().find(|proposal| covers(&proposal.action, action));
        Ok(match now {
            None => Some("the rules say otherwise now".to_owned()),
            Some(proposal) => proposal.refusal,
        })
    }

    async fn maintain(
        &self,
        entry: &TableEntry,
        table: &Arc<Table>,
        lease: &Lease,
        (subject, action): (&PlanSubject, &PlanAction),
    ) -> Result<Done, LifecycleError> {
        match action {
            PlanAction::ExpireRows { column, before } => {
                let operation = match column {
                    None => Operation::Expire(Expire { before: *before }),
                    Some(column) => {
                        Operation::Delete(of_partition(table.delete_aged(column, *before).await?, column, subject))
                    }
                };
                self.change(entry, table, (lease, &operation)).await
            }
            PlanAction::Compact { below_bytes, target_bytes } => {
                let compact =
                    Compact { target_bytes: *target_bytes, below_bytes: Some(*below_bytes), ..Compact::default() };
                self.change(entry, table, (lease, &Operation::Compact(compact))).await
            }
            PlanAction::Vacuum { hours } => self.vacuum(entry, table, (lease, *hours)).await,
            PlanAction::CleanLog { hours } => self.clean_log(entry, table, (lease, *hours)).await,
            _ => skipped("this is not done to tables"),
        }
    }

    /// Commit an operation, and enter in the ledger what it wrote.
    async fn change(
        &self,
        entry: &TableEntry,
        table: &Table,
        (lease, operation): (&Lease, &Operation),
    ) -> Result<Done, LifecycleError> {
        let inventory = self.lake.catalog.inventory();
        let enter = async |files: Vec<DataFile>| {
            let records: Vec<FileRecord> = files.iter().map(|file| file.record(None)).collect();
            inventory.enter_files(entry.id, &records).await.map_err(|error| TableError::Encode(Box::new(error)))
        };
        lease.check().await.map_err(sluice_table::MaintenanceError::from)?;
        let of = Provenance { epoch: Some(lease.epoch()), ..Provenance::default() };
        let workspace = Workspace::new(self.lake.scratch_dir.clone());
        let applied = Box::pin(table.apply(operation, &workspace, &of, enter)).await?;
        let Some(committed) = applied.entry else { return skipped("there is nothing left to do") };
        let record = LogRecord { version: committed.version, content: committed.text() };
        inventory.enter_commit(entry.id, &record).await?;
        let rows = applied.rows;
        let detail =
            format!("version {}: {} rows gone, {} rows written anew", committed.version, rows.deleted, rows.copied);
        Ok(Done::Freed(0, detail))
    }

    async fn vacuum(
        &self,
        entry: &TableEntry,
        table: &Table,
        (lease, hours): (&Lease, u64),
    ) -> Result<Done, LifecycleError> {
        let retention = VacuumRetention::from_hours(hours)?;
        let begun = Instant::now();
        let (mut files, mut size_bytes) = (0, 0);
        loop {
            // Forgotten first: a file that the ledger misses is a smaller evil than one that it misses in the store.
            let planned = table.plan_vacuum(retention, self.now).await?;
            self.lake.catalog.inventory().forget_files(entry.id, &planned.paths).await?;
            let gone = table.vacuum(lease, retention, self.now).await?;
            self.lake.catalog.inventory().forget_files(entry.id, &gone.paths).await?;
            files += gone.files;
            size_bytes += gone.size_bytes;
            if !gone.has_more {
                return Ok(Done::Freed(size_bytes, format!("{files} files are gone")));
            }
            if begun.elapsed() >= MAX_VACUUM || self.stop.is_wanted() {
                return Ok(Done::Freed(size_bytes, format!("{files} files are gone; the rest is for the next run")));
            }
        }
    }

    async fn clean_log(
        &self,
        entry: &TableEntry,
        table: &Table,
        (lease, hours): (&Lease, u64),
    ) -> Result<Done, LifecycleError> {
        let inventory = self.lake.catalog.inventory();
        if let Some(checkpoint) = table.checkpoint(lease).await? {
            let record = FileRecord {
                path: checkpoint.path,
                size_bytes: checkpoint.size_bytes,
                sha256: checkpoint.sha256,
                rows: 0,
                upload: None,
            };
            inventory.enter_files(entry.id, &[record]).await?;
        }
        let cleaned = table.clean_log(lease, LogRetention::from_hours(hours)?, self.now).await?;
        if let Some(newest) = cleaned.versions.last() {
            inventory.forget_commits(entry.id, newest + 1).await?;
        }
        inventory.forget_files(entry.id, &cleaned.checkpoint_paths()).await?;
        if cleaned.versions.is_empty() {
            return skipped("no version may go yet: a checkpoint has to be as old");
        }
        Ok(Done::Freed(0, format!("{} versions are gone", cleaned.versions.len())))
    }

    pub(super) async fn purge(&self, id: TableId) -> Result<Done, LifecycleError> {
        let entry = match self.lake.catalog.tables().find_by_id(id).await {
            Ok(entry) if entry.state == TableState::Deleted => entry,
            Ok(_) | Err(CatalogError::TableNotFound { .. }) => return skipped("the table is not deleted any more"),
            Err(error) => return Err(error.into()),
        };
        match self.planner().purge_of(&entry).await? {
            None => return skipped("the rules say otherwise now"),
            Some(proposal) => {
                if let Some(refusal) = proposal.refusal {
                    return skipped(refusal);
                }
            }
        }
        if !self.lake.catalog.stored_objects().begin_purge(id).await? {
            return skipped("the table is not deleted any more");
        }
        let folder = self.lake.zones.get(entry.zone).folder(&entry.path);
        let (files, size_bytes) = empty(folder.store.as_ref()).await?;
        self.lake.catalog.stored_objects().finish_purge(id).await?;
        Ok(Done::Freed(size_bytes, format!("{files} files are gone")))
    }
}

/// Whether what the rules say now lets what was planned be done.
fn covers(now: &PlanAction, planned: &PlanAction) -> bool {
    match (now, planned) {
        (
            PlanAction::ExpireRows { column, before },
            PlanAction::ExpireRows { column: planned_column, before: planned_before },
        ) => column == planned_column && planned_before <= before,
        (PlanAction::Vacuum { hours }, PlanAction::Vacuum { hours: planned }) => planned >= hours,
        (PlanAction::CleanLog { hours }, PlanAction::CleanLog { hours: planned }) => planned >= hours,
        (now, planned) => now == planned,
    }
}

/// The same for one partition, where the plan names one.
fn of_partition(delete: Delete, column: &str, subject: &PlanSubject) -> Delete {
    let PlanSubject::Partition { value, .. } = subject else { return delete };
    let (column, value) = (column.replace('"', "\"\""), value.replace('\'', "''"));
    Delete { predicate: format!("({}) AND \"{column}\" = '{value}'", delete.predicate) }
}

/// Remove everything in a folder; gives how much that was.
async fn empty(store: &dyn ObjectStore) -> Result<(u64, u64), LifecycleError> {
    let (mut files, mut size_bytes) = (0, 0);
    let listed: Vec<_> = store.list(None).try_collect().await.map_err(StorageError::from)?;
    for object in &listed {
        files += 1;
        size_bytes += object.size;
    }
    let locations = stream::iter(listed.into_iter().map(|object| Ok(object.location))).boxed();
    let mut outcomes = store.delete_stream(locations);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(StorageError::from(error).into()),
        }
    }
    Ok((files, size_bytes))
}
