//! Runs of pipelines: those that other programs report are kept here, those of uploads, sources and pipelines of the lake
//! are read from where they are, and one listing has them all in the order of their starts.
//!
//! Invariant: what the ledger tells of a run is never written a second time.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{
    NamespaceName, Page, PageRequest, PipelineName, PipelineRun, PipelineTotals, RunId, RunStatus, TableRef,
};

use crate::CatalogError;

/// Which runs are wanted.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Those of one pipeline.
    pub pipeline: Option<PipelineName>,
    /// Those that fill one table.
    pub table: Option<TableRef>,
    /// Those of one status.
    pub status: Option<RunStatus>,
    /// Those that began then or later.
    pub since: Option<DateTime<Utc>>,
    /// Those whose tables are in one of these namespaces; without it, those without a table too.
    pub visible: Option<Vec<NamespaceName>>,
}

/// How many runs are kept.
#[derive(Debug, Clone, Copy)]
pub struct RunLimits {
    /// Of how many pipelines.
    pub pipelines: u32,
    /// How many of each, the newest.
    pub runs: u32,
}

/// What came of the wish for a run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunBegun {
    /// It is new.
    Started(PipelineRun),
    /// It began by an earlier request with the same key.
    Known(PipelineRun),
    /// There are as many pipelines as there can be.
    TooMany,
}

/// A place in the order in which runs ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedPlace {
    /// When the run ended.
    pub at: DateTime<Utc>,
    /// The run; none stands before all that ended at this moment.
    pub run: Option<RunId>,
}

/// The runs of pipelines.
#[async_trait]
pub trait PipelineRuns: Send + Sync {
    /// Enter a run that another program reports. Of its pipeline the newest are kept.
    async fn begin(&self, run: &PipelineRun, key: Option<&str>, limits: RunLimits) -> Result<RunBegun, CatalogError>;

    /// Put this in the place of the run of its id, if that has the revision that this one was made from. Says whether
    /// it had.
    async fn save(&self, run: &PipelineRun) -> Result<bool, CatalogError>;

    /// One run, wherever it comes from.
    async fn find(&self, id: RunId) -> Result<Option<PipelineRun>, CatalogError>;

    /// Runs, the last begun first. The token is the last id.
    async fn list(&self, filter: &RunFilter, page: &PageRequest) -> Result<Page<PipelineRun>, CatalogError>;

    /// What the runs that ended come to together, by pipeline and by the table that they fill. A pipeline may be there
    /// more than once.
    async fn totals(&self, filter: &RunFilter) -> Result<Vec<PipelineTotals>, CatalogError>;

    /// Runs that ended after this place, in the order of their ends, this many at the most.
    async fn ended_after(&self, place: &EndedPlace, limit: u32) -> Result<Vec<PipelineRun>, CatalogError>;
}
