//! The open catalog: this server's place in it, and the way to each aggregate.

use std::{path::Path, sync::Arc};

use sluice_domain::UploadEntry;

use crate::{
    CatalogError, Channels, Contracts, Inventory, Partials, Pulls, Replays, RowGroups, Schemas, SourceRuns, Sources,
    Tables, Uploads,
    backends::{self, Backend},
    nodes::{self, Node},
};

/// The catalog of one lake. Clones share one database.
#[derive(Debug, Clone)]
pub struct Catalog {
    backend: Arc<dyn Backend>,
    node: Arc<Node>,
}

impl Catalog {
    /// Open the catalog in this folder, making both if need be, and take a place in it until it is closed or its last
    /// clone is dropped.
    ///
    /// # Errors
    /// [`CatalogError::DataDirInUse`] where every place is taken; [`CatalogError::Corrupt`] where the database is not
    /// one of this release or an earlier one.
    pub async fn open(data_dir: &Path) -> Result<Self, CatalogError> {
        tokio::fs::create_dir_all(data_dir).await?;
        let _opening = nodes::opening(data_dir).await?;
        let node = Arc::new(Node::take(data_dir)?);
        let backend = backends::open(data_dir, node.number).await?;
        tracing::info!(catalog.data_dir = %data_dir.display(), catalog.node = node.number, "the catalog is open");
        Ok(Self { backend, node })
    }

    /// The namespaces and tables.
    pub fn tables(&self) -> &dyn Tables {
        self.backend.tables()
    }

    /// The schema versions of tables.
    pub fn schemas(&self) -> &dyn Schemas {
        self.backend.schemas()
    }

    /// What tables ask of their uploads.
    pub fn contracts(&self) -> &dyn Contracts {
        self.backend.contracts()
    }

    /// The ledger of uploads.
    pub fn uploads(&self) -> &dyn Uploads {
        self.backend.uploads()
    }

    /// The ledger of the requests whose rows uploads gather.
    pub fn row_groups(&self) -> &dyn RowGroups {
        self.backend.row_groups()
    }

    /// The channels of tables.
    pub fn channels(&self) -> &dyn Channels {
        self.backend.channels()
    }

    /// The uploads that have not landed yet.
    pub fn partials(&self) -> &dyn Partials {
        self.backend.partials()
    }

    /// What the tables' folders should hold.
    pub fn inventory(&self) -> &dyn Inventory {
        self.backend.inventory()
    }

    /// The replays of quarantined rows.
    pub fn replays(&self) -> &dyn Replays {
        self.backend.replays()
    }

    /// The places that data is pulled from.
    pub fn sources(&self) -> &dyn Sources {
        self.backend.sources()
    }

    /// The runs of sources.
    pub fn source_runs(&self) -> &dyn SourceRuns {
        self.backend.source_runs()
    }

    /// What the runs of sources pulled.
    pub fn pulls(&self) -> &dyn Pulls {
        self.backend.pulls()
    }

    /// The name under which this server commits: no other server of this or another lake has it.
    pub fn writer(&self) -> &str {
        self.backend.writer()
    }

    /// The place of this server among those that share the catalog, from 0.
    pub fn node(&self) -> u32 {
        self.node.number
    }

    /// Whether another server works on this upload.
    pub fn is_foreign(&self, entry: &UploadEntry) -> bool {
        entry.node != self.node.number
    }

    /// Take over the unfinished uploads and runs of servers that have ended; gives how many there were.
    ///
    /// # Errors
    /// The database's, or the operating system's.
    pub async fn take_over(&self) -> Result<u64, CatalogError> {
        let mut taken = 0;
        for number in self.backend.unfinished_nodes().await? {
            // Held meanwhile: the place cannot be taken by a server that would work on the same uploads.
            let Some(_place) = self.node.hold_other(number)? else { continue };
            taken += self.backend.adopt(number).await?;
        }
        Ok(taken)
    }

    /// Ask the database for a sign of life.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where it gives none.
    pub async fn ping(&self) -> Result<(), CatalogError> {
        self.backend.ping().await
    }

    /// Finish what runs, close the database and give the place free. Every later call fails, through clones too.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where the place cannot be given back; the database is closed all the same.
    pub async fn close(&self) -> Result<(), CatalogError> {
        self.backend.close().await;
        Ok(self.node.leave()?)
    }
}
