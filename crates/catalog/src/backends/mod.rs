//! The databases that a catalog can live in. Each passes the same conformance suite.

mod sqlite;

use std::{fmt, path::Path, sync::Arc};

use async_trait::async_trait;

use crate::{CatalogError, Schemas, Tables, Uploads};

/// A database that holds a catalog.
#[async_trait]
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    fn tables(&self) -> &dyn Tables;
    fn schemas(&self) -> &dyn Schemas;
    fn uploads(&self) -> &dyn Uploads;
    async fn ping(&self) -> Result<(), CatalogError>;
    async fn close(&self);
}

/// Connect to the database in this folder and bring it up to this release.
pub(crate) async fn open(data_dir: &Path) -> Result<Arc<dyn Backend>, CatalogError> {
    Ok(Arc::new(sqlite::SqliteBackend::open(&data_dir.join("catalog.db")).await?))
}
