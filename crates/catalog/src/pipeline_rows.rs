//! The rows of pipelines and their runs, as they are stored.
//!
//! Invariant: a row that turns into its entry holds nothing but valid values; any other is an error, never a guess.

use sluice_domain::{
    CuratedFigures, CuratedRun, Pipeline, PipelineId, PipelineRun, PreparedRun, RunDetails, RunId, RunKind, RunStatus,
    StoredFailure,
};
use sqlx::FromRow;

use crate::{
    CatalogError,
    columns::{read, read_json},
};

#[derive(FromRow)]
pub(crate) struct PipelineRow {
    id: String,
    name: String,
    definition: String,
    principal: String,
    created_at: String,
    updated_at: String,
    next_run_at: Option<String>,
    seen: String,
}

impl TryFrom<PipelineRow> for Pipeline {
    type Error = CatalogError;
    fn try_from(row: PipelineRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: PipelineId(read("pipeline id", &row.id)?),
            name: read("pipeline name", &row.name)?,
            definition: read_json("pipeline", &row.definition)?,
            principal: row.principal,
            created_at: read("pipeline creation time", &row.created_at)?,
            updated_at: read("pipeline change time", &row.updated_at)?,
            next_run_at: row.next_run_at.map(|at| read("pipeline's next time", &at)).transpose()?,
            seen: read_json("pipeline's inputs", &row.seen)?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct CuratedRunRow {
    id: String,
    pipeline_id: String,
    pipeline: String,
    definition: String,
    principal: String,
    cause: String,
    wish: String,
    sequence: i64,
    status: String,
    started_at: String,
    ended_at: Option<String>,
    attempts: i64,
    prepared: Option<String>,
    figures: Option<String>,
    failure: Option<String>,
    cancel_asked: i64,
}

impl TryFrom<CuratedRunRow> for CuratedRun {
    type Error = CatalogError;
    fn try_from(row: CuratedRunRow) -> Result<Self, CatalogError> {
        let attempts = u32::try_from(row.attempts);
        Ok(Self {
            id: RunId(read("run id", &row.id)?),
            pipeline: PipelineId(read("run's pipeline", &row.pipeline_id)?),
            name: read("run's pipeline", &row.pipeline)?,
            definition: read_json("run's pipeline", &row.definition)?,
            principal: row.principal,
            cause: read("run's cause", &row.cause)?,
            wish: read_json("run's wish", &row.wish)?,
            sequence: row.sequence,
            status: read("run's status", &row.status)?,
            started_at: read("run's start", &row.started_at)?,
            ended_at: row.ended_at.map(|at| read("run's end", &at)).transpose()?,
            attempts: attempts.map_err(|error| CatalogError::corrupt("run's tries", error))?,
            prepared: row.prepared.map(|prepared| read_json("run's commit", &prepared)).transpose()?,
            figures: row.figures.map(|figures| read_json("run's figures", &figures)).transpose()?,
            failure: row.failure.map(|failure| read_json("run's failure", &failure)).transpose()?,
            cancel_asked: row.cancel_asked != 0,
        })
    }
}

/// The run of a pipeline, as far as it is one among all runs.
impl TryFrom<CuratedRunRow> for PipelineRun {
    type Error = CatalogError;
    fn try_from(row: CuratedRunRow) -> Result<Self, CatalogError> {
        let run = CuratedRun::try_from(row)?;
        let figures: CuratedFigures =
            run.figures.or(run.prepared.map(|prepared: PreparedRun| prepared.figures)).unwrap_or_default();
        let seconds = run.ended_at.map(|end| (end - run.started_at).num_milliseconds().max(0) as f64 / 1000.0);
        let interval = run.wish.interval;
        let error_code = run.failure.as_ref().map(|failure| failure.code.clone());
        let went_through = matches!(run.status, RunStatus::Success | RunStatus::Warning);
        Ok(Self {
            id: run.id,
            kind: RunKind::Pipeline,
            pipeline: run.name,
            table: Some(run.definition.target),
            principal: run.principal,
            status: run.status,
            started_at: run.started_at,
            ended_at: run.ended_at,
            records_processed: figures.rows_in,
            records_failed: 0,
            // What a statement leaves out or sums up is not lost.
            records_written: if went_through { figures.rows_in } else { 0 },
            quality_score: match &figures.quality {
                Some(quality) if quality.rules > 0 => quality.rows.percent(),
                _ => went_through.then_some(100.0),
            },
            duration_seconds: seconds,
            error: run.failure.map(|failure: StoredFailure| failure.detail),
            revision: 0,
            details: Some(Box::new(RunDetails {
                cause: run.cause,
                attempts: run.attempts,
                figures,
                error_code,
                interval,
            })),
        })
    }
}
