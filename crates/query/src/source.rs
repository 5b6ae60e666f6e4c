//! Where tables come from: the seam to the catalog and the object stores.
//!
//! What a name means to a caller is decided in one place, and the table is opened in another, which may be a process
//! that knows no callers.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use object_store::{ObjectStore, path::Path};
use serde::{Deserialize, Serialize};
use sluice_domain::{Caller, ErrorKind, Failure, PlainSnapshot, TableId, TableRef, ZoneName};
use url::Url;

/// Where a table lies: enough to open it without the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableAddress {
    /// The table's id, under which it is kept open.
    pub id: TableId,
    /// The zone that it lies in.
    pub zone: ZoneName,
    /// Its folder below the zone.
    pub path: String,
    /// What belongs to a table that has no log to tell it.
    #[serde(default)]
    pub plain: Option<Box<PlainSnapshot>>,
}

/// Which rows of a table are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Extent {
    /// Those that it has at this version, at the newest without it.
    pub version: Option<u64>,
    /// Of them only those that came after this version.
    #[serde(default)]
    pub since: Option<u64>,
}

/// The statement of a view, and who reads for it.
#[derive(Debug, Clone)]
pub struct ViewText {
    /// One `SELECT`.
    pub sql: String,
    /// Whose rights its tables are read with.
    pub reader: Caller,
}

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

/// Knows which table a name means, and who may read it.
#[async_trait]
pub trait TableResolver: Send + Sync {
    /// Find a table for this caller.
    ///
    /// # Errors
    /// A failure of kind [`ErrorKind::NotFound`] both for a table that does not exist and for one that
    /// does not exist for this caller.
    async fn resolve(&self, caller: &Caller, table: &TableRef) -> Result<TableAddress, OpenError>;

    /// The view of a name that is no table's, if this caller may read it; none where there is none.
    ///
    /// # Errors
    /// The catalog's.
    async fn view(&self, caller: &Caller, name: &TableRef) -> Result<Option<ViewText>, OpenError>;
}

/// Opens tables whose readers were checked before.
#[async_trait]
pub trait TableOpener: Send + Sync {
    /// Open a table at its newest version or at a given one, to read these rows.
    ///
    /// # Errors
    /// A failure of kind [`ErrorKind::NotFound`] for a version that does not exist, of kind [`ErrorKind::Conflict`]
    /// where it is not told which rows came after a version; otherwise the store's.
    async fn open(&self, address: &TableAddress, extent: Extent) -> Result<OpenedTable, OpenError>;
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
