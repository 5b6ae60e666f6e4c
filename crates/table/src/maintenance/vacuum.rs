//! Vacuum: removing data files that no version within the retention needs.
//!
//! Invariant: a file goes only if it is older than the retention by the store's own time, no version that was the
//! newest one within the retention holds it, and nobody committed or wrote it anew until right before.

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::ObjectMeta;
use sluice_storage::Lease;

use super::{
    MaintenanceError, VacuumRetention,
    data_files::{delete_all, is_data_file, keep_unchanged},
    references::References,
};
use crate::Table;

/// How many files are removed between two looks at the lease and the log.
const BATCH: usize = 200;
/// How many files one call removes; the rest is for the next.
const MAX_FILES: usize = 10_000;

/// What a vacuum removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// How many files.
    pub files: u64,
    /// Their size, in bytes.
    pub size_bytes: u64,
    /// Their paths, relative to the table.
    pub paths: Vec<String>,
    /// Whether there may be more: one call stops after many files.
    pub has_more: bool,
}

impl Vacuumed {
    fn count(&mut self, files: &[ObjectMeta]) {
        for file in files {
            self.files += 1;
            self.size_bytes += file.size;
            self.paths.push(file.location.to_string());
        }
    }
}

impl Table {
    /// What a vacuum would remove.
    ///
    /// # Errors
    /// A log that cannot be read, or the store's.
    pub async fn plan_vacuum(
        &self,
        retention: VacuumRetention,
        now: DateTime<Utc>,
    ) -> Result<Vacuumed, MaintenanceError> {
        self.sweep(None, retention.before(now)).await
    }

    /// Remove the data files that no version within the retention needs.
    ///
    /// # Errors
    /// A log that cannot be read, the lease's, or the store's; none of the files that are gone then was needed.
    pub async fn vacuum(
        &self,
        lease: &Lease,
        retention: VacuumRetention,
        now: DateTime<Utc>,
    ) -> Result<Vacuumed, MaintenanceError> {
        self.sweep(Some(lease), retention.before(now)).await
    }

    async fn sweep(&self, lease: Option<&Lease>, before: DateTime<Utc>) -> Result<Vacuumed, MaintenanceError> {
        let mut vacuumed = Vacuumed::default();
        let Some(mut references) = References::since(self.folder(), before).await? else { return Ok(vacuumed) };
        let mut listed = self.folder().store.list(None);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let next = listed.try_next().await?;
            let is_last = next.is_none();
            batch.extend(next.filter(|file| {
                is_data_file(&file.location) && file.last_modified < before && !references.contains(&file.location)
            }));
            if batch.len() >= BATCH || is_last {
                let files = std::mem::take(&mut batch);
                vacuumed.count(&self.remove_unreferenced(lease, &mut references, files).await?);
            }
            vacuumed.has_more = !is_last && vacuumed.paths.len() >= MAX_FILES;
            if is_last || vacuumed.has_more {
                return Ok(vacuumed);
            }
        }
    }

    /// Remove those of the files that still nobody needs; only tell which where there is no lease.
    pub(super) async fn remove_unreferenced(
        &self,
        lease: Option<&Lease>,
        references: &mut References,
        mut files: Vec<ObjectMeta>,
    ) -> Result<Vec<ObjectMeta>, MaintenanceError> {
        if files.is_empty() {
            return Ok(files);
        }
        let store = self.folder().store.as_ref();
        // First whether it was written anew, then whether it was committed: writers do it in this order.
        files = keep_unchanged(store, files).await?;
        references.catch_up().await?;
        files.retain(|file| !references.contains(&file.location));
        if let Some(lease) = lease {
            lease.check().await?;
            delete_all(store, files.iter().map(|file| file.location.clone()).collect()).await?;
        }
        Ok(files)
    }
}
