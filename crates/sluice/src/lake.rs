//! The tables of the catalog as the query engine sees them.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_catalog::Catalog;
use sluice_domain::{Action, Caller, Resource, TableRef};
use sluice_query::{OpenError, OpenedTable, TableSource};
use sluice_table::Shelf;

/// Opens a table for a query if the catalog has it and the caller may read it.
pub(crate) struct LakeTables {
    pub(crate) catalog: Catalog,
    pub(crate) shelf: Arc<Shelf>,
}

#[async_trait]
impl TableSource for LakeTables {
    async fn open(&self, caller: &Caller, name: &TableRef, version: Option<u64>) -> Result<OpenedTable, OpenError> {
        caller.require(Action::Read, &Resource::Table(name.clone())).map_err(OpenError::new)?;
        let entry = self.catalog.tables().find(name).await.map_err(OpenError::new)?;
        let table = self.shelf.get(&entry);
        let scan = table.scan(version).await.map_err(OpenError::new)?;
        let folder = table.folder();
        Ok(OpenedTable {
            provider: scan.provider,
            version: scan.version,
            store_url: folder.url.clone(),
            root_store: Arc::clone(&folder.root),
            folder: folder.path.clone(),
        })
    }
}
