//! The tables of the catalog as the query engine sees them.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_catalog::Catalog;
use sluice_domain::{Action, Caller, Resource, TableRef};
use sluice_ingest::Ingest;
use sluice_query::{OpenError, OpenedTable, TableAddress, TableOpener, TableResolver};
use sluice_storage::Zones;
use sluice_table::{Shelf, scan_plain};

/// Finds a table for a query if the catalog has it and the caller may read it.
pub(crate) struct LakeNames {
    pub(crate) catalog: Catalog,
    pub(crate) ingest: Ingest,
    pub(crate) zones: Arc<Zones>,
}

#[async_trait]
impl TableResolver for LakeNames {
    async fn resolve(&self, caller: &Caller, name: &TableRef) -> Result<TableAddress, OpenError> {
        caller.require(Action::Read, &Resource::Table(name.clone())).map_err(OpenError::new)?;
        let entry = self.catalog.tables().find(name).await.map_err(OpenError::new)?;
        // The worker that runs the query would find out for itself, and slowly.
        self.zones.check_available().map_err(OpenError::new)?;
        // A log that lost its tail reads as a whole one: better no rows than some.
        self.ingest.check_log(&entry).await.map_err(OpenError::new)?;
        let plain = self.ingest.plain_snapshot(&entry).await.map_err(OpenError::new)?;
        let plain = plain.map(|snapshot| Box::new(snapshot.as_ref().clone()));
        Ok(TableAddress { id: entry.id, zone: entry.zone, path: entry.path, plain })
    }
}

/// Opens the tables that were found.
pub(crate) struct LakeTables {
    pub(crate) shelf: Arc<Shelf>,
}

#[async_trait]
impl TableOpener for LakeTables {
    async fn open(&self, address: &TableAddress, version: Option<u64>) -> Result<OpenedTable, OpenError> {
        let table = self.shelf.get_at(address.id, address.zone, &address.path);
        let folder = table.folder();
        let scan = match &address.plain {
            Some(snapshot) => scan_plain(folder, snapshot, version),
            None => table.scan(version).await,
        };
        let scan = scan.map_err(OpenError::new)?;
        Ok(OpenedTable {
            provider: scan.provider,
            version: scan.version,
            store_url: folder.url.clone(),
            root_store: Arc::clone(&folder.root),
            folder: folder.path.clone(),
        })
    }
}
