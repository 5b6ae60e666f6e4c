//! The tables of the catalog as the query engine sees them.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use sluice_catalog::Catalog;
use sluice_curate::{LogCheck, Suites};
use sluice_domain::{Action, Caller, Resource, StoredFailure, Suite, TableEntry, TableId, TableRef};
use sluice_ingest::Ingest;
use sluice_lifecycle::{Labels, LifecycleError, TableFacts};
use sluice_quality::Evaluation;
use sluice_query::{Extent, OpenError, OpenedTable, TableAddress, TableOpener, TableResolver, ViewText};
use sluice_storage::Zones;
use sluice_table::{IncrementError, Shelf, scan_plain};

use crate::housekeeping::ReadCounts;

/// Finds a table for a query if the catalog has it and the caller may read it.
pub(crate) struct LakeNames {
    pub(crate) catalog: Catalog,
    pub(crate) ingest: Ingest,
    pub(crate) zones: Arc<Zones>,
    pub(crate) reads: Arc<ReadCounts>,
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
        self.reads.add(entry.id);
        Ok(TableAddress { id: entry.id, zone: entry.zone, path: entry.path, plain })
    }

    async fn view(&self, caller: &Caller, name: &TableRef) -> Result<Option<ViewText>, OpenError> {
        if caller.require(Action::Read, &Resource::Table(name.clone())).is_err() {
            return Ok(None);
        }
        let view = self.catalog.views().find(name).await.map_err(OpenError::new)?;
        Ok(view.map(|view| ViewText { reader: view.reader(), sql: view.definition.sql }))
    }
}

/// Opens the tables that were found.
pub(crate) struct LakeTables {
    pub(crate) shelf: Arc<Shelf>,
}

#[async_trait]
impl TableOpener for LakeTables {
    async fn open(&self, address: &TableAddress, extent: Extent) -> Result<OpenedTable, OpenError> {
        let table = self.shelf.get_at(address.id, address.zone, &address.path);
        let folder = table.folder();
        let scan = match (&address.plain, extent.since) {
            (None, Some(since)) => table.scan_increment(since, extent.version).await,
            (None, None) => table.scan(extent.version).await.map_err(IncrementError::from),
            (Some(snapshot), None) => scan_plain(folder, snapshot, extent.version).map_err(IncrementError::from),
            (Some(_), Some(version)) => Err(IncrementError::Untold { version, reason: "is of a table without a log" }),
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

/// What lifecycle rules ask of tables.
pub(crate) struct LakeFacts {
    pub(crate) ingest: Ingest,
    pub(crate) catalog: Catalog,
}

#[async_trait]
impl TableFacts for LakeFacts {
    async fn labels(&self, table: TableId) -> Result<Labels, LifecycleError> {
        let notes = self.catalog.annotations().notes(table).await?;
        if notes.is_cut_off {
            tracing::warn!(table.id = %table, "too much is upstream of a table to know all that its columns inherit");
        }
        let own = std::iter::once(&notes.table).chain(notes.columns.values());
        Ok(Labels {
            tags: own.flat_map(|notes| &notes.tags).map(ToString::to_string).collect(),
            classifications: notes.classifications().map(ToString::to_string).collect(),
        })
    }

    async fn check_log(&self, table: &TableEntry) -> Result<(), LifecycleError> {
        self.ingest.check_log(table).await.map_err(|error| LifecycleError::Facts(Box::new(error)))
    }
}

#[async_trait]
impl LogCheck for LakeFacts {
    async fn check_log(&self, table: &TableEntry) -> Result<(), StoredFailure> {
        self.ingest.check_log(table).await.map_err(|error| StoredFailure::from(&error))
    }
}

#[async_trait]
impl Suites for LakeFacts {
    async fn begin(&self, suite: &Suite, columns: &SchemaRef, is_partial: bool) -> Result<Evaluation, StoredFailure> {
        let begun = self.ingest.begin_suite(suite, columns, is_partial).await;
        begun.map_err(|error| StoredFailure::from(&error))
    }
}
