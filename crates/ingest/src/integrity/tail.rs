//! Whether the newest commit that the ledger knows still stands in the log.
//!
//! A log whose newest entry was lost or cut reads as a whole one of fewer rows, and the next commit would bury the
//! loss: so a table is looked at before a process uses it for the first time.
//!
//! Invariant: a table that was found sound is not looked at again; a damaged one is, until it is repaired.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use sluice_catalog::Catalog;
use sluice_domain::TableId;
use sluice_table::{Table, TableError};

use crate::IngestError;

/// Looks at the newest log entries of tables.
pub struct TailCheck {
    catalog: Catalog,
    sound: Mutex<HashSet<TableId>>,
}

impl TailCheck {
    /// Over this catalog.
    pub fn new(catalog: Catalog) -> Self {
        Self { catalog, sound: Mutex::default() }
    }

    /// Look at the table if this process has not yet.
    ///
    /// # Errors
    /// [`TableError::UntrustedLog`] where the log does not hold what was committed; the catalog's, or the store's.
    pub async fn check(&self, id: TableId, table: &Table) -> Result<(), IngestError> {
        if self.sound.lock().unwrap_or_else(PoisonError::into_inner).contains(&id) {
            return Ok(());
        }
        if let Some(version) = self.catalog.inventory().newest_commit(id).await?
            && let Some(record) = self.catalog.inventory().commits(id, version, 1).await?.pop()
            && table.read_entry_bytes(version).await?.as_deref() != Some(record.content.as_bytes())
        {
            // What was read of the log before is worth nothing; it is read anew once it is repaired.
            table.forget_snapshot().await;
            let reason = "it is not what was committed; `sluice repair` restores it".to_owned();
            return Err(TableError::UntrustedLog { version, reason }.into());
        }
        self.sound.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Ok(())
    }
}
