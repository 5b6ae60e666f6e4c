//! Backfills: runs of a pipeline for the parts of a range.
//!
//! Invariant: a pipeline has one backfill that goes on, and the newest one is known.
//! Invariant: a part is done in the transaction that says that its run has ended.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_domain::{Backfill, BackfillRange, PipelineId};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{
    CatalogError,
    columns::{read, read_json},
};

/// A backfill to enter.
#[derive(Debug, Clone)]
pub struct NewBackfill {
    /// Of which pipeline.
    pub pipeline: PipelineId,
    /// The range.
    pub range: BackfillRange,
    /// For whom.
    pub principal: String,
}

/// What came of the wish for a backfill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackfillBegun {
    /// It is entered.
    Started(Backfill),
    /// Another one goes on.
    Busy(Backfill),
    /// The pipeline is gone.
    Gone,
}

/// The backfills of pipelines.
#[async_trait]
pub trait Backfills: Send + Sync {
    /// Enter a backfill in the place of an earlier one of its pipeline.
    async fn begin_backfill(&self, new: &NewBackfill) -> Result<BackfillBegun, CatalogError>;

    /// The newest backfill of a pipeline.
    async fn find_backfill(&self, pipeline: PipelineId) -> Result<Option<Backfill>, CatalogError>;

    /// Those that go on and whose pipelines do not run, the oldest first, this many at the most.
    async fn idle_backfills(&self, limit: u32) -> Result<Vec<Backfill>, CatalogError>;

    /// Say that a backfill is cancelled; gives it as it is then. One that has ended stays as it is.
    async fn cancel_backfill(&self, pipeline: PipelineId) -> Result<Option<Backfill>, CatalogError>;
}

/// A backfill as it is stored.
#[derive(FromRow)]
pub(crate) struct BackfillRow {
    id: String,
    pipeline_id: String,
    pipeline: String,
    told: String,
    next_start: String,
    status: String,
    created_at: String,
    ended_at: Option<String>,
}

/// What is told of a backfill, and never asked for.
#[derive(Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) range: BackfillRange,
    pub(crate) principal: String,
}

impl TryFrom<BackfillRow> for Backfill {
    type Error = CatalogError;
    fn try_from(row: BackfillRow) -> Result<Self, CatalogError> {
        let Told { range, principal } = read_json("backfill", &row.told)?;
        let next: DateTime<Utc> = read("backfill's place", &row.next_start)?;
        let id: Uuid = read("backfill id", &row.id)?;
        Ok(Self {
            id,
            pipeline: PipelineId(read("backfill's pipeline", &row.pipeline_id)?),
            name: read("backfill's pipeline", &row.pipeline)?,
            range,
            next,
            principal,
            status: read("backfill's status", &row.status)?,
            created_at: read("backfill's start", &row.created_at)?,
            ended_at: row.ended_at.map(|at| read("backfill's end", &at)).transpose()?,
        })
    }
}
