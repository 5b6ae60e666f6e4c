//! Flows of data that others tell of, and the runs that moved it.
//!
//! Invariant: events of a run come to the same, in whatever order and however often they arrive.
//! Invariant: of the flows of one transformation between two datasets, one is the latest.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sluice_domain::{
    Page, PageRequest, TableRef,
    lineage::{ColumnNode, ColumnStep, Dataset, Flow, FlowColumn, FlowId, FlowOrigin, LineageReport},
};
use uuid::Uuid;

use crate::CatalogError;

/// A flow to be kept.
#[derive(Debug, Clone)]
pub struct NewFlow {
    /// Where the data comes from.
    pub source: Dataset,
    /// Where it goes.
    pub target: Dataset,
    /// What moves it.
    pub transformation: String,
    /// Who tells of it.
    pub origin: FlowOrigin,
    /// The run that moved it.
    pub run: Option<Uuid>,
    /// The version of the source that was read.
    pub source_version: Option<u64>,
    /// The version of the target that was made.
    pub target_version: Option<u64>,
    /// Whatever else was told.
    pub metadata: Map<String, Value>,
    /// Who told.
    pub principal: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// How its columns depend on one another; added to what is known of a flow that is there.
    pub columns: BTreeSet<FlowColumn>,
}

/// What became of flows that were declared by hand.
#[derive(Debug, Clone, PartialEq)]
pub enum Declared {
    /// They are there now.
    Made(Vec<Flow>),
    /// They were there; versions and metadata are what was said now.
    Changed(Vec<Flow>),
    /// Data would come back to where it came from; nothing was kept.
    Cycle,
    /// There is too much behind the target to say whether there would be a cycle; nothing was kept.
    Unclear,
}

/// An event to be kept.
#[derive(Debug, Clone)]
pub struct NewLineageEvent {
    /// The digest of its text.
    pub id: String,
    /// Its text.
    pub body: String,
    /// What it tells.
    pub report: LineageReport,
    /// Who sent it.
    pub principal: String,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOutcome {
    /// It is kept.
    Kept,
    /// It was kept before; nothing changed.
    Known,
    /// Its run has more datasets or flows than are accepted; nothing was kept.
    TooMuch,
}

/// An event as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineageEvent {
    /// The digest of its text.
    pub id: String,
    /// Its text.
    pub body: String,
    /// Who sent it.
    pub principal: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// One of the two ends of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowEnd {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Target,
}

/// The state of things that a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineageView {
    /// What happened before this instant; everything without it.
    pub before: Option<DateTime<Utc>>,
    /// How many answers are wanted at the most.
    pub limit: u32,
}

/// The events of jobs elsewhere.
#[async_trait]
pub trait LineageEvents: Send + Sync {
    /// Keep an event, and the flows that follow from it and from the earlier events of its run.
    async fn record_event(&self, event: &NewLineageEvent) -> Result<EventOutcome, CatalogError>;

    /// The events of a run by their own time. The token is the last time and id.
    async fn run_events(&self, run: Uuid, page: &PageRequest) -> Result<Page<LineageEvent>, CatalogError>;

    /// The active table in this folder of this zone.
    async fn table_at(&self, zone: &str, path: &str) -> Result<Option<TableRef>, CatalogError>;
}

/// The flows of data.
#[async_trait]
pub trait Lineage: LineageEvents {
    /// Keep flows that somebody declares; those by hand must not close a cycle. All or none.
    async fn declare(&self, flows: &[NewFlow]) -> Result<Declared, CatalogError>;

    /// The latest flows that begin or end at these datasets, in the order in which they were first told.
    async fn flows(&self, ends: &[Dataset], end: FlowEnd, view: LineageView) -> Result<Vec<Flow>, CatalogError>;

    /// All flows from an asset, then those into it, each in the order in which it was first told; without an asset the
    /// latest flows of everything. The token is the last place and id.
    async fn list_flows(&self, asset: Option<&Dataset>, page: &PageRequest) -> Result<Page<Flow>, CatalogError>;

    /// The latest steps between columns that begin or end at these.
    async fn steps(
        &self,
        ends: &[ColumnNode],
        end: FlowEnd,
        view: LineageView,
    ) -> Result<Vec<ColumnStep>, CatalogError>;

    /// What is known of the columns of flows, so many dependences at the most.
    async fn flow_columns(&self, flows: &[FlowId], limit: u32) -> Result<Vec<(FlowId, FlowColumn)>, CatalogError>;
}
