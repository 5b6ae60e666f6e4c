//! The databases that a catalog can live in. Each passes the same conformance suite.

mod sqlite;

use std::{fmt, path::Path, sync::Arc};

use async_trait::async_trait;

use crate::{
    CatalogError, Channels, Contracts, Inventory, Partials, Pulls, Replays, RowGroups, Schemas, SourceRuns, Sources,
    Tables, Uploads,
};

/// A database that holds a catalog.
#[async_trait]
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    fn tables(&self) -> &dyn Tables;
    fn schemas(&self) -> &dyn Schemas;
    fn contracts(&self) -> &dyn Contracts;
    fn uploads(&self) -> &dyn Uploads;
    fn row_groups(&self) -> &dyn RowGroups;
    fn channels(&self) -> &dyn Channels;
    fn partials(&self) -> &dyn Partials;
    fn inventory(&self) -> &dyn Inventory;
    fn replays(&self) -> &dyn Replays;
    fn sources(&self) -> &dyn Sources;
    fn source_runs(&self) -> &dyn SourceRuns;
    fn pulls(&self) -> &dyn Pulls;
    /// The name under which this server commits.
    fn writer(&self) -> &str;
    /// The places of the servers that have unfinished uploads or runs.
    async fn unfinished_nodes(&self) -> Result<Vec<u32>, CatalogError>;
    /// Make the unfinished uploads and runs of the server that had this place those of this one; gives how many they
    /// are.
    async fn adopt(&self, node: u32) -> Result<u64, CatalogError>;
    async fn ping(&self) -> Result<(), CatalogError>;
    async fn close(&self);
}

/// Connect to the database in this folder and bring it up to this release, for the server that has this place.
pub(crate) async fn open(data_dir: &Path, node: u32) -> Result<Arc<dyn Backend>, CatalogError> {
    Ok(Arc::new(sqlite::SqliteBackend::open(&data_dir.join("catalog.db"), node).await?))
}
