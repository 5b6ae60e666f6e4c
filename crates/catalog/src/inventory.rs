//! What the tables' folders should hold: the measure of what they do hold.
//!
//! Invariant: a data file is entered before a commit names it, so that every file of this lake's commits is known.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sluice_domain::{FileRecord, LogRecord, TableId, TableRef};

use crate::CatalogError;

/// The data files and log entries of the tables.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Enter data files, before a commit names them. One of the same path takes the place of an earlier one, which no
    /// commit named.
    async fn enter_files(&self, table: TableId, files: &[FileRecord]) -> Result<(), CatalogError>;

    /// Data files in the order of their paths, those after `after`, this many at the most.
    async fn files(&self, table: TableId, after: Option<&str>, limit: u32) -> Result<Vec<FileRecord>, CatalogError>;

    /// The data file of this path.
    async fn file(&self, table: TableId, path: &str) -> Result<Option<FileRecord>, CatalogError>;

    /// Strike out data files that were deleted.
    async fn forget_files(&self, table: TableId, paths: &[String]) -> Result<(), CatalogError>;

    /// Enter what a commit wrote into the log. What is entered for the version already stays.
    async fn enter_commit(&self, table: TableId, entry: &LogRecord) -> Result<(), CatalogError>;

    /// Log entries in the order of their versions, from `from` on, this many at the most.
    async fn commits(&self, table: TableId, from: u64, limit: u32) -> Result<Vec<LogRecord>, CatalogError>;

    /// The newest version that is entered.
    async fn newest_commit(&self, table: TableId) -> Result<Option<u64>, CatalogError>;

    /// The newest version that is entered of each of these tables; one that is not there, or has none, is left out.
    async fn newest_commits(&self, tables: &[TableRef]) -> Result<BTreeMap<TableRef, u64>, CatalogError>;

    /// Strike out the log entries below this version, which were cleaned up.
    async fn forget_commits(&self, table: TableId, below: u64) -> Result<(), CatalogError>;
}
