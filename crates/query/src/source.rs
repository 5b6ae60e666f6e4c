//! Where tables come from: the seam to the catalog and the object stores.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use object_store::{ObjectStore, path::Path};
use sluice_domain::{Caller, ErrorKind, Failure, TableRef};
use url::Url;

/// A table that is open for reading at one version.
#[derive(Debug, Clone)]
pub struct OpenedTable {
    /// What scans it.
    pub provider: Arc<dyn TableProvider>,
    /// The version that is read.
    pub version: u64,
    /// The table's URL; scheme and host tell under which name the scan looks for its store.
    pub store_url: Url,
    /// The store of that scheme and host, which shows the table's folder and nothing else.
    pub root_store: Arc<dyn ObjectStore>,
    /// The table's folder in that store.
    pub folder: Path,
}

/// Opens the tables that a query names.
#[async_trait]
pub trait TableSource: Send + Sync {
    /// Open a table for this caller, at its newest version or at a given one.
    ///
    /// # Errors
    /// A failure of kind [`ErrorKind::NotFound`] both for a table that does not exist and for one that
    /// does not exist for this caller.
    async fn open(&self, caller: &Caller, table: &TableRef, version: Option<u64>) -> Result<OpenedTable, OpenError>;
}

/// Why a table could not be opened: any failure, with its kind and code.
pub struct OpenError(Box<dyn Failure>);

impl OpenError {
    /// Wrap a failure.
    pub fn new(failure: impl Failure) -> Self {
        Self(Box::new(failure))
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind()
    }

    /// Its stable name.
    pub fn code(&self) -> &str {
        self.0.code()
    }
}

impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            // What went wrong inside may name paths and hosts: it is for the log, not for the caller.
            ErrorKind::Internal => f.write_str("it cannot be read"),
            ErrorKind::Unavailable => f.write_str("it cannot be read now; try again later"),
            _ => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
