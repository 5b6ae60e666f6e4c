//! The databases that a catalog can live in. Each passes the same conformance suite.

mod sql;

use std::fmt;

use async_trait::async_trait;

pub(crate) use sql::{Leased, SqlBackend};

use crate::{
    AlertRules, Alerts, Annotations, CatalogError, ChangeWebhooks, Changes, Channels, Contracts, Descriptions,
    Discovery, FreshnessExpectations, Inventory, LifecyclePlans, LifecycleRules, Lineage, Partials, PipelineRuns,
    Pipelines, Pulls, Quality, Rebuilding, Replays, RowGroups, Schemas, ServiceLevels, SourceRuns, Sources,
    StoredObjects, Tables, Uploads, Views, Watches,
    transfer::{RowSink, RowSource},
};

/// The way out and in of everything at once.
#[async_trait]
pub(crate) trait Transfer: Send + Sync {
    /// Give every row as of one moment, those that others refer to first.
    async fn dump(&self, sink: &mut RowSink<'_>) -> Result<(), CatalogError>;
    /// Take rows into a catalog that has none, in one transaction; gives how many they were.
    async fn load(&self, source: &mut RowSource<'_>) -> Result<u64, CatalogError>;
}

/// A database that holds a catalog.
#[async_trait]
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    fn tables(&self) -> &dyn Tables;
    fn schemas(&self) -> &dyn Schemas;
    fn contracts(&self) -> &dyn Contracts;
    fn descriptions(&self) -> &dyn Descriptions;
    fn uploads(&self) -> &dyn Uploads;
    fn row_groups(&self) -> &dyn RowGroups;
    fn channels(&self) -> &dyn Channels;
    fn partials(&self) -> &dyn Partials;
    fn inventory(&self) -> &dyn Inventory;
    fn lineage(&self) -> &dyn Lineage;
    fn quality(&self) -> &dyn Quality;
    fn replays(&self) -> &dyn Replays;
    fn sources(&self) -> &dyn Sources;
    fn source_runs(&self) -> &dyn SourceRuns;
    fn pulls(&self) -> &dyn Pulls;
    fn annotations(&self) -> &dyn Annotations;
    fn discovery(&self) -> &dyn Discovery;
    fn changes(&self) -> &dyn Changes;
    fn change_webhooks(&self) -> &dyn ChangeWebhooks;
    fn pipeline_runs(&self) -> &dyn PipelineRuns;
    fn pipelines(&self) -> &dyn Pipelines;
    fn views(&self) -> &dyn Views;
    fn freshness(&self) -> &dyn FreshnessExpectations;
    fn service_levels(&self) -> &dyn ServiceLevels;
    fn alert_rules(&self) -> &dyn AlertRules;
    fn alerts(&self) -> &dyn Alerts;
    fn watches(&self) -> &dyn Watches;
    fn rebuilding(&self) -> &dyn Rebuilding;
    fn transfer(&self) -> &dyn Transfer;
    fn lifecycle_rules(&self) -> &dyn LifecycleRules;
    fn lifecycle_plans(&self) -> &dyn LifecyclePlans;
    fn stored_objects(&self) -> &dyn StoredObjects;
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
