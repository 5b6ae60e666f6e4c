//! Entering what the lake itself tells into a catalog that has lost it.

use async_trait::async_trait;
use sluice_domain::{FileRecord, LogRecord, TableEntry};

use crate::{CatalogError, CommittedUpload, NewSchemaVersion, NewUpload};

/// A table as it was found in the lake.
#[derive(Debug, Clone)]
pub struct FoundTable {
    /// Its entry: active, or deleted where a newer table has its name.
    pub entry: TableEntry,
    /// Its schemas, the oldest first.
    pub schemas: Vec<NewSchemaVersion>,
    /// The uploads that its log names, the oldest first.
    pub uploads: Vec<(NewUpload, CommittedUpload)>,
    /// Its data files.
    pub files: Vec<FileRecord>,
    /// Its log entries.
    pub log: Vec<LogRecord>,
}

/// A catalog that is made anew.
#[async_trait]
pub trait Rebuilding: Send + Sync {
    /// Whether it holds no table and no upload.
    async fn is_new(&self) -> Result<bool, CatalogError>;

    /// Enter a table with all that was found of it, in one transaction. [`CatalogError::TableExists`] where its name is
    /// in use: of several tables of a name the older ones are entered first, as deleted.
    async fn enter_found(&self, found: &FoundTable) -> Result<(), CatalogError>;
}
