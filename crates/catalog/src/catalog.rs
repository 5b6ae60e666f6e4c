//! The open catalog: this server's place in it, and the way to each aggregate.

use std::{path::Path, sync::Arc};

use sluice_domain::UploadEntry;

use crate::{
    AlertRules, Alerts, Annotations, CatalogError, CatalogSettings, ChangeWebhooks, Changes, Channels, Contracts,
    Descriptions, Discovery, FreshnessExpectations, Inventory, LifecyclePlans, LifecycleRules, Lineage, Partials,
    PipelineRuns, Pipelines, Pulls, Quality, Rebuilding, Replays, RowGroups, Schemas, ServiceLevels, SourceRuns,
    Sources, StoredObjects, Tables, Uploads, Views, Watches,
    backends::{Backend, Leased, SqlBackend, Transfer},
    nodes::{self, Node},
};

/// The catalog of one lake. Clones share one database.
#[derive(Debug, Clone)]
pub struct Catalog {
    backend: Arc<dyn Backend>,
    place: Arc<Place>,
}

/// This server's place among those that share the catalog.
#[derive(Debug)]
enum Place {
    /// A lock in the data folder, which ends with the process.
    Locked(Node),
    /// A lease in the database.
    Leased(Leased),
}

impl Catalog {
    /// Open the catalog where the settings say, the data folder if they do not.
    ///
    /// # Errors
    /// Those of [`Catalog::open`] and [`Catalog::connect`].
    pub async fn start(settings: &CatalogSettings, data_dir: &Path) -> Result<Self, CatalogError> {
        match &settings.url {
            Some(url) => Self::connect(url).await,
            None => Self::open(data_dir).await,
        }
    }

    /// Open the catalog in this folder, making both if need be, and take a place in it until it is closed or its last
    /// clone is dropped.
    ///
    /// # Errors
    /// [`CatalogError::CatalogInUse`] where every place is taken; [`CatalogError::Corrupt`] where the database is not
    /// one of this release or an earlier one.
    pub async fn open(data_dir: &Path) -> Result<Self, CatalogError> {
        tokio::fs::create_dir_all(data_dir).await?;
        let _opening = nodes::opening(data_dir).await?;
        let node = Node::take(data_dir)?;
        let backend = SqlBackend::open_file(&data_dir.join("catalog.db"), node.number).await?;
        tracing::info!(catalog.data_dir = %data_dir.display(), catalog.node = node.number, "the catalog is open");
        Ok(Self { backend: Arc::new(backend), place: Arc::new(Place::Locked(node)) })
    }

    /// Open the catalog in this PostgreSQL database, and take a place in it until it is closed. The place of a server
    /// that ends in another way is free when its lease has run out.
    ///
    /// # Errors
    /// As for [`Catalog::open`]; [`CatalogError::Unavailable`] where the database cannot be reached, or the URL is none of
    /// PostgreSQL's.
    pub async fn connect(url: &str) -> Result<Self, CatalogError> {
        let (backend, leased) = SqlBackend::connect(url).await?;
        tracing::info!(catalog.node = leased.number(), "the catalog is open");
        Ok(Self { backend: Arc::new(backend), place: Arc::new(Place::Leased(leased)) })
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

    /// What tables looked like when they were opened last.
    pub fn descriptions(&self) -> &dyn Descriptions {
        self.backend.descriptions()
    }

    /// The suites of tables, and what came of asking them.
    pub fn quality(&self) -> &dyn Quality {
        self.backend.quality()
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

    /// Where data comes from and goes to, as others tell.
    pub fn lineage(&self) -> &dyn Lineage {
        self.backend.lineage()
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

    /// What is said of tables and columns.
    pub fn annotations(&self) -> &dyn Annotations {
        self.backend.annotations()
    }

    /// The search for tables.
    pub fn discovery(&self) -> &dyn Discovery {
        self.backend.discovery()
    }

    /// The feed of changes.
    pub fn changes(&self) -> &dyn Changes {
        self.backend.changes()
    }

    /// Where the feed of changes is told.
    pub fn change_webhooks(&self) -> &dyn ChangeWebhooks {
        self.backend.change_webhooks()
    }

    /// The runs of pipelines.
    pub fn pipeline_runs(&self) -> &dyn PipelineRuns {
        self.backend.pipeline_runs()
    }

    /// The pipelines that make curated tables, and their runs.
    pub fn pipelines(&self) -> &dyn Pipelines {
        self.backend.pipelines()
    }

    /// How often tables are expected to change.
    pub fn freshness(&self) -> &dyn FreshnessExpectations {
        self.backend.freshness()
    }

    /// The views.
    pub fn views(&self) -> &dyn Views {
        self.backend.views()
    }

    /// What is asked of the runs of pipelines.
    pub fn service_levels(&self) -> &dyn ServiceLevels {
        self.backend.service_levels()
    }

    /// When to raise an alert.
    pub fn alert_rules(&self) -> &dyn AlertRules {
        self.backend.alert_rules()
    }

    /// The alerts, and those on their way.
    pub fn alerts(&self) -> &dyn Alerts {
        self.backend.alerts()
    }

    /// Whose turn it is to watch.
    pub fn watches(&self) -> &dyn Watches {
        self.backend.watches()
    }

    /// The way to make it anew.
    pub fn rebuilding(&self) -> &dyn Rebuilding {
        self.backend.rebuilding()
    }

    pub(crate) fn transfer(&self) -> &dyn Transfer {
        self.backend.transfer()
    }

    /// The lifecycle rules.
    pub fn lifecycle_rules(&self) -> &dyn LifecycleRules {
        self.backend.lifecycle_rules()
    }

    /// The plans made from lifecycle rules.
    pub fn lifecycle_plans(&self) -> &dyn LifecyclePlans {
        self.backend.lifecycle_plans()
    }

    /// The bytes of uploads, and the files of deleted tables.
    pub fn stored_objects(&self) -> &dyn StoredObjects {
        self.backend.stored_objects()
    }

    /// The name under which this server commits: no other server of this or another lake has it.
    pub fn writer(&self) -> &str {
        self.backend.writer()
    }

    /// The place of this server among those that share the catalog, from 0.
    pub fn node(&self) -> u32 {
        match &*self.place {
            Place::Locked(node) => node.number,
            Place::Leased(leased) => leased.number(),
        }
    }

    /// Whether another server works on this upload.
    pub fn is_foreign(&self, entry: &UploadEntry) -> bool {
        entry.node != self.node()
    }

    /// Take over the unfinished uploads and runs of servers that have ended; gives how many there were.
    ///
    /// # Errors
    /// The database's, or the operating system's.
    pub async fn take_over(&self) -> Result<u64, CatalogError> {
        let mut taken = 0;
        for number in self.backend.unfinished_nodes().await? {
            taken += match &*self.place {
                // Held meanwhile: the place cannot be taken by a server that would work on the same uploads.
                Place::Locked(node) => match node.hold_other(number)? {
                    Some(_held) => self.backend.adopt(number).await?,
                    None => 0,
                },
                Place::Leased(leased) => self.take_over_leased(leased, number).await?,
            };
        }
        Ok(taken)
    }

    async fn take_over_leased(&self, leased: &Leased, number: u32) -> Result<u64, CatalogError> {
        if !leased.take_other(number).await? {
            return Ok(0);
        }
        let adopted = self.backend.adopt(number).await;
        leased.free_other(number).await?;
        adopted
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
        let left = match &*self.place {
            Place::Locked(_) => Ok(()),
            Place::Leased(leased) => leased.leave().await,
        };
        self.backend.close().await;
        match &*self.place {
            Place::Locked(node) => Ok(node.leave()?),
            Place::Leased(_) => left,
        }
    }
}
