//! The open catalog: the lock on its folder, and the way to each aggregate.

use std::{
    fs::{File, TryLockError},
    path::Path,
    sync::Arc,
};

use crate::{
    CatalogError, Schemas, Tables, Uploads,
    backends::{self, Backend},
};

/// The lock file's name in the data folder.
const LOCK_FILE: &str = "sluice.lock";

/// The catalog of one lake. Clones share one database.
#[derive(Debug, Clone)]
pub struct Catalog {
    backend: Arc<dyn Backend>,
    lock: Arc<File>,
}

impl Catalog {
    /// Open the catalog in this folder, making both if need be. The folder is locked until the catalog is closed or
    /// its last clone is dropped.
    ///
    /// # Errors
    /// [`CatalogError::DataDirInUse`] where another process, or another catalog of this one, has it open;
    /// [`CatalogError::Corrupt`] where the database is not one of this release or an earlier one.
    pub async fn open(data_dir: &Path) -> Result<Self, CatalogError> {
        tokio::fs::create_dir_all(data_dir).await?;
        let lock = Arc::new(lock(data_dir)?);
        let backend = backends::open(data_dir).await?;
        tracing::info!(catalog.data_dir = %data_dir.display(), "the catalog is open");
        Ok(Self { backend, lock })
    }

    /// The namespaces and tables.
    pub fn tables(&self) -> &dyn Tables {
        self.backend.tables()
    }

    /// The schema versions of tables.
    pub fn schemas(&self) -> &dyn Schemas {
        self.backend.schemas()
    }

    /// The ledger of uploads.
    pub fn uploads(&self) -> &dyn Uploads {
        self.backend.uploads()
    }

    /// Ask the database for a sign of life.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where it gives none.
    pub async fn ping(&self) -> Result<(), CatalogError> {
        self.backend.ping().await
    }

    /// Finish what runs, close the database and give the folder free. Every later call fails, through clones too.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where the lock cannot be given back; the database is closed all the same.
    pub async fn close(&self) -> Result<(), CatalogError> {
        self.backend.close().await;
        Ok(self.lock.unlock()?)
    }
}

fn lock(data_dir: &Path) -> Result<File, CatalogError> {
    let file = File::options().create(true).truncate(false).write(true).open(data_dir.join(LOCK_FILE))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CatalogError::DataDirInUse { path: data_dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
