//! Pipelines that make curated tables, and their runs.
//!
//! Invariant: no two pipelines fill the same table, and no data comes back through pipelines to where it came from.
//! Invariant: a pipeline has one run at a time, which one server works on until that has ended.
//! Invariant: the files of a run are entered before a commit names them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{
    CuratedOutcome, CuratedRun, FileRecord, NamespaceName, Page, PageRequest, Pipeline, PipelineCause,
    PipelineDefinition, PipelineId, PipelineName, PreparedRun, RunId, RunWish, TableId, TableRef,
};

use crate::{Backfills, CatalogError};

/// A pipeline as it is to be.
#[derive(Debug, Clone)]
pub struct NewPipeline {
    /// The name.
    pub name: PipelineName,
    /// What it is, with every table that it reads among its inputs.
    pub definition: PipelineDefinition,
    /// Who says so.
    pub principal: String,
    /// Whether it is only told what would come of it.
    pub is_trial: bool,
}

/// What came of defining a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipelineDefined {
    /// It is new.
    Made(Pipeline),
    /// It was there.
    Changed(Pipeline),
    /// There are as many as there can be.
    TooMany,
    /// Another pipeline fills its target.
    TargetTaken(PipelineName),
    /// Data would come back to it through these.
    Cycle(Vec<PipelineName>),
}

/// A run to begin.
#[derive(Debug, Clone)]
pub struct NewCuratedRun {
    /// Of which pipeline.
    pub pipeline: PipelineId,
    /// Why.
    pub cause: PipelineCause,
    /// What is asked of it.
    pub wish: RunWish,
    /// For whom.
    pub principal: String,
    /// What makes the wish repeatable.
    pub key: Option<String>,
    /// The versions that the inputs have.
    pub seen: BTreeMap<TableRef, u64>,
}

/// What came of the wish for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CuratedBegun {
    /// It began, as one that this server works on.
    Started(CuratedRun),
    /// It began by an earlier request with the same key.
    Known(CuratedRun),
    /// Another one is under way.
    Busy(CuratedRun),
    /// The pipeline is gone, or the part of a backfill is not its next one.
    Gone,
}

/// What came of the wish to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preparation {
    /// The files are entered: the run may commit, and is not cancelled any more.
    Entered,
    /// Somebody asked to end it.
    Cancelled,
    /// It is not this server's, or has ended.
    Lost,
}

/// The pipelines.
#[async_trait]
pub trait Pipelines: CuratedRuns + Backfills {
    /// Make a pipeline, unless there are as many as the limit, or say anew what the one of this name is.
    async fn define(&self, new: &NewPipeline, limit: u32) -> Result<PipelineDefined, CatalogError>;

    /// The pipeline of this name.
    async fn find(&self, name: &PipelineName) -> Result<Option<Pipeline>, CatalogError>;

    /// The pipeline that fills this table.
    async fn find_by_target(&self, target: &TableRef) -> Result<Option<Pipeline>, CatalogError>;

    /// Those whose targets are in one of these namespaces (none: all), by name. The token is the last name.
    async fn list(&self, visible: Option<&[NamespaceName]>, page: &PageRequest)
    -> Result<Page<Pipeline>, CatalogError>;

    /// Those whose time has come and that do not run, the longest due first, this many at the most.
    async fn due(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<Pipeline>, CatalogError>;

    /// Those that wait for new data and do not run, by name, this many at the most.
    async fn watching(&self, limit: u32) -> Result<Vec<Pipeline>, CatalogError>;

    /// Forget a pipeline and its backfill, unless a run of it is under way; says whether it is forgotten. Its runs stay.
    async fn forget(&self, id: PipelineId) -> Result<bool, CatalogError>;
}

/// The runs of pipelines.
#[async_trait]
pub trait CuratedRuns: Send + Sync {
    /// Begin a run for the time that is wished, or for that since the last one that went through, and put the time of the
    /// next one off.
    async fn begin_run(&self, new: &NewCuratedRun) -> Result<CuratedBegun, CatalogError>;

    /// The run of a pipeline that is under way.
    async fn running(&self, pipeline: PipelineId) -> Result<Option<CuratedRun>, CatalogError>;

    /// One run.
    async fn find_run(&self, id: RunId) -> Result<Option<CuratedRun>, CatalogError>;

    /// Those that this server is to work on, the oldest first, this many at the most.
    async fn unfinished_runs(&self, limit: u32) -> Result<Vec<CuratedRun>, CatalogError>;

    /// Count another try of a run that goes on; gives how many they are, none where the run is not this server's.
    async fn count_attempt(&self, id: RunId) -> Result<Option<u32>, CatalogError>;

    /// Say that a run is about to commit, and enter its files, beside those of earlier tries.
    async fn prepare_run(
        &self,
        id: RunId,
        table: TableId,
        prepared: &PreparedRun,
        files: &[FileRecord],
    ) -> Result<Preparation, CatalogError>;

    /// Give a run a place behind this one, which the log of its target has already.
    async fn skip_run_sequence(&self, id: RunId, newest: i64) -> Result<i64, CatalogError>;

    /// Ask to end a run; gives the run as it is then. One that has ended stays as it is.
    async fn cancel_run(&self, id: RunId) -> Result<Option<CuratedRun>, CatalogError>;

    /// Say that a run has ended, and how; doing it again changes nothing. The files that it prepared and no commit names,
    /// which are all but `live`, are struck out. Of ended runs the newest `keep` are kept.
    async fn finish_run(
        &self,
        id: RunId,
        outcome: &CuratedOutcome,
        live: &BTreeSet<String>,
        keep: u32,
    ) -> Result<(), CatalogError>;
}
