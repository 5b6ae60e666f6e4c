//! A table at its place: the newest snapshot, kept and brought up to date, and what is read from it.

use std::sync::Arc;

use deltalake::{
    DeltaTable,
    datafusion::catalog::TableProvider,
    logstore::{LogStoreRef, StorageConfig, default_logstore},
};
use sluice_storage::Folder;
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard};

use crate::{
    TableError,
    log::state::{LogState, check_files},
};

/// One Delta table. Cheap to keep: its newest snapshot is brought up to date by what is new in the log.
pub struct Table {
    pub(crate) folder: Folder,
    pub(crate) log_store: LogStoreRef,
    pub(crate) state: Mutex<Option<LogState>>,
    turn: Mutex<()>,
    columns_turn: Arc<Mutex<()>>,
}

/// The right to commit: one holder at a time in a process, so that transactions go into the log in their order.
pub struct CommitTurn<'a>(#[expect(dead_code, reason = "held, not read")] MutexGuard<'a, ()>);

/// The right to be the next one of those who have to look at a table's columns again, because they changed: one holder
/// at a time in a process.
pub struct ColumnsTurn(#[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<()>);

/// What a query needs to read one version of a table.
pub struct Scan {
    /// Plans the files of the version.
    pub provider: Arc<dyn TableProvider>,
    /// The version.
    pub version: u64,
}

impl Table {
    /// The table in this folder; reads nothing yet.
    pub fn open(folder: Folder) -> Self {
        let log_store =
            default_logstore(folder.store.clone(), folder.root.clone(), &folder.url, &StorageConfig::default());
        Self { folder, log_store, state: Mutex::new(None), turn: Mutex::default(), columns_turn: Arc::default() }
    }

    /// Where the table lies.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Wait for the right to commit.
    pub async fn take_turn(&self) -> CommitTurn<'_> {
        CommitTurn(self.turn.lock().await)
    }

    /// Wait for the right to look at the columns again, to commit for those that are there then.
    pub async fn take_columns_turn(&self) -> ColumnsTurn {
        ColumnsTurn(Arc::clone(&self.columns_turn).lock_owned().await)
    }

    /// Read the log anew when it is needed next.
    pub async fn forget_snapshot(&self) {
        *self.state.lock().await = None;
    }

    /// The table at a version, the newest where none is given.
    pub(crate) async fn at(&self, version: Option<u64>) -> Result<DeltaTable, TableError> {
        let mut table = self.newest().await?;
        let latest = table.version().ok_or(TableError::NotCreated)?;
        match version {
            None => {}
            Some(version) if version == latest => {}
            Some(version) if version > latest => return Err(TableError::NoSuchVersion { version, latest }),
            Some(version) => {
                table = DeltaTable::new(self.log_store.clone());
                table.load_version(version).await?;
                check_files(&table)?;
            }
        }
        Ok(table)
    }

    /// Prepare to read a version, the newest where none is given.
    ///
    /// # Errors
    /// [`TableError::NoSuchVersion`], [`TableError::NotCreated`], or the store's.
    pub async fn scan(&self, version: Option<u64>) -> Result<Scan, TableError> {
        let table = self.at(version).await?;
        let version = table.version().ok_or(TableError::NotCreated)?;
        let provider = table
            .table_provider()
            .build()
            .await
            .map_err(|error| deltalake::DeltaTableError::generic(error.to_string()))?;
        Ok(Scan { provider: Arc::new(provider), version })
    }
}
