//! Which files belong to plain tables, as the catalog's entries say; what was read of them is kept.
//!
//! Invariant: an entry, once it is there, never changes, so that only what is newer is read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sluice_catalog::Catalog;
use sluice_domain::{ErrorKind, LogRecord, PlainFile, PlainSnapshot, StoredFailure, TableEntry, TableId};
use sluice_table::{TableError, VersionEntry};

use super::{PAGE, PlainEntry};
use crate::IngestError;

/// How many files a plain table can have and still be read here: a query is told of all of them.
const MAX_FILES: usize = 100_000;
/// How many tables are kept; with more, those that were read are read anew.
const MAX_TABLES: usize = 64;

/// The plain tables of a catalog.
pub(crate) struct PlainTables {
    catalog: Catalog,
    known: Mutex<HashMap<TableId, Arc<PlainSnapshot>>>,
}

impl PlainTables {
    pub(crate) fn new(catalog: Catalog) -> Self {
        Self { catalog, known: Mutex::default() }
    }

    /// The table's newest version.
    pub(crate) async fn snapshot(&self, entry: &TableEntry) -> Result<Arc<PlainSnapshot>, IngestError> {
        let known = self.lock().get(&entry.id).cloned();
        let newest = self.catalog.inventory().newest_commit(entry.id).await?.ok_or(TableError::NotCreated)?;
        if let Some(known) = known.as_ref().filter(|known| known.version == newest) {
            return Ok(Arc::clone(known));
        }
        let schema = self.catalog.schemas().latest(entry.id).await?.ok_or(TableError::NotCreated)?.schema;
        let (mut files, next) = known.map_or((Vec::new(), 0), |known| (known.files.clone(), known.version + 1));
        let version = self.read_on(entry, next, &mut files).await?;
        let snapshot = Arc::new(PlainSnapshot { version, schema, partition_by: entry.partition_by.clone(), files });
        let mut known = self.lock();
        if known.len() >= MAX_TABLES {
            known.clear();
        }
        known.insert(entry.id, Arc::clone(&snapshot));
        Ok(snapshot)
    }

    /// Add the files of the versions from `next` on; gives the newest.
    async fn read_on(&self, entry: &TableEntry, next: u64, files: &mut Vec<PlainFile>) -> Result<u64, IngestError> {
        let mut next = next;
        loop {
            let records = self.catalog.inventory().commits(entry.id, next, PAGE).await?;
            let Some(last) = records.last().map(|record| record.version) else {
                return next.checked_sub(1).ok_or_else(|| TableError::NotCreated.into());
            };
            for LogRecord { version, content } in records {
                let added = PlainEntry::parse(&content)?.files.into_iter();
                files.extend(added.map(|file| PlainFile {
                    path: file.path,
                    size_bytes: file.size_bytes,
                    rows: file.rows,
                    version,
                }));
            }
            if files.len() > MAX_FILES {
                return Err(too_many_files(entry));
            }
            next = last + 1;
        }
    }

    /// The versions below `before` (the newest where none is given), newest first, `limit` at the most.
    pub(crate) async fn versions(
        &self,
        entry: &TableEntry,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<VersionEntry>, IngestError> {
        let newest = self.catalog.inventory().newest_commit(entry.id).await?.ok_or(TableError::NotCreated)?;
        let end = before.map_or(newest + 1, |before| before.min(newest + 1));
        let records = self.catalog.inventory().commits(entry.id, end.saturating_sub(limit.into()), limit).await?;
        let before_end = records.into_iter().rev().filter(|record| record.version < end);
        before_end.map(|record| Ok(PlainEntry::parse(&record.content)?.into_version(record.version))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TableId, Arc<PlainSnapshot>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many_files(entry: &TableEntry) -> IngestError {
    IngestError::Stored(StoredFailure {
        kind: ErrorKind::TooLarge,
        code: "too-many-files".into(),
        detail: format!("{} has more than {MAX_FILES} files, the most that a table without a log can have", entry.name),
    })
}
