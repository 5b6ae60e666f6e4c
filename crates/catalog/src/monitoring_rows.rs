//! The rows of runs, alerts and what is expected, as they are stored.
//!
//! Invariant: a row that turns into its entry holds nothing but valid values; any other is an error, never a guess.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_domain::{
    Alert, AlertDelivery, DeliveryId, Finding, PipelineName, PipelineRun, RowCounts, RunCounts, RunId, RunKind,
    RunState, RunStatus, ServiceLevel, SourceDefinition, StoredFailure, TableFreshness, TableRef, UploadState,
};
use sqlx::FromRow;

use crate::{
    CatalogError,
    columns::{read, read_json, read_number},
    rows::TableRow,
};

/// A run that another program reported.
#[derive(FromRow)]
pub(crate) struct ExternalRunRow {
    id: String,
    pipeline: String,
    table_name: Option<String>,
    principal: String,
    status: String,
    started_at: String,
    ended_at: Option<String>,
    figures: String,
    error: Option<String>,
    revision: i64,
}

impl TryFrom<ExternalRunRow> for PipelineRun {
    type Error = CatalogError;
    fn try_from(row: ExternalRunRow) -> Result<Self, CatalogError> {
        let figures: RunFigures = read_json("run's figures", &row.figures)?;
        Ok(Self {
            id: RunId(read("run id", &row.id)?),
            kind: RunKind::External,
            pipeline: read("run's pipeline", &row.pipeline)?,
            table: row.table_name.map(|name| read("run's table", &name)).transpose()?,
            principal: row.principal,
            status: read("run's status", &row.status)?,
            started_at: read("run's start", &row.started_at)?,
            ended_at: row.ended_at.map(|at| read("run's end", &at)).transpose()?,
            records_processed: figures.records_processed,
            records_failed: figures.records_failed,
            records_written: figures.records_written,
            quality_score: figures.quality_score,
            duration_seconds: figures.duration_seconds,
            error: row.error,
            revision: row.revision,
            details: None,
        })
    }
}

/// The figures of a run that another program reported.
#[derive(Serialize, Deserialize)]
pub(crate) struct RunFigures {
    records_processed: u64,
    records_failed: u64,
    records_written: u64,
    quality_score: Option<f64>,
    duration_seconds: Option<f64>,
}

impl From<&PipelineRun> for RunFigures {
    fn from(run: &PipelineRun) -> Self {
        Self {
            records_processed: run.records_processed,
            records_failed: run.records_failed,
            records_written: run.records_written,
            quality_score: run.quality_score,
            duration_seconds: run.duration_seconds,
        }
    }
}

/// An upload, as far as it is a run.
#[derive(FromRow)]
pub(crate) struct UploadRunRow {
    id: String,
    table_name: String,
    principal: String,
    state: String,
    started_at: String,
    ended_at: Option<String>,
    row_counts: Option<String>,
    failure: Option<String>,
}

impl TryFrom<UploadRunRow> for PipelineRun {
    type Error = CatalogError;
    fn try_from(row: UploadRunRow) -> Result<Self, CatalogError> {
        let counts: Option<RowCounts> =
            row.row_counts.map(|counts| read_json("upload's row counts", &counts)).transpose()?;
        let rows = counts.unwrap_or_default();
        let status = match read("upload state", &row.state)? {
            UploadState::Landed | UploadState::Committing => RunStatus::Running,
            UploadState::Failed => RunStatus::Failed,
            UploadState::Committed if rows.quarantined > 0 => RunStatus::Warning,
            UploadState::Committed => RunStatus::Success,
        };
        let failure = row.failure.map(|failure| read_json("upload's failure", &failure)).transpose()?;
        let run = LedgerRun {
            id: read("upload id", &row.id)?,
            kind: RunKind::Upload,
            pipeline: read("upload's table name", &row.table_name)?,
            table: read("upload's table name", &row.table_name)?,
            principal: row.principal,
            status,
            started_at: read("upload start time", &row.started_at)?,
            ended_at: row.ended_at.map(|at| read("upload's end", &at)).transpose()?,
            rows: counts,
            failure,
        };
        Ok(run.into())
    }
}

/// A run of a source, with the source.
#[derive(FromRow)]
pub(crate) struct SourceRunRow {
    id: String,
    name: String,
    definition: String,
    principal: String,
    state: String,
    started_at: String,
    ended_at: Option<String>,
    counts: Option<String>,
    failure: Option<String>,
}

impl TryFrom<SourceRunRow> for PipelineRun {
    type Error = CatalogError;
    fn try_from(row: SourceRunRow) -> Result<Self, CatalogError> {
        let counts: Option<RunCounts> = row.counts.map(|counts| read_json("run's counts", &counts)).transpose()?;
        let is_whole = counts.is_none_or(|counts| counts.files_failed == 0 && counts.rows.quarantined == 0);
        let status = match read("run's state", &row.state)? {
            RunState::Running => RunStatus::Running,
            RunState::Failed => RunStatus::Failed,
            RunState::Succeeded if is_whole => RunStatus::Success,
            RunState::Succeeded => RunStatus::Warning,
        };
        let definition: SourceDefinition = read_json("source", &row.definition)?;
        let run = LedgerRun {
            id: read("run id", &row.id)?,
            kind: RunKind::Source,
            pipeline: read("source name", &row.name)?,
            table: definition.table,
            principal: row.principal,
            status,
            started_at: read("run's start", &row.started_at)?,
            ended_at: row.ended_at.map(|at| read("run's end", &at)).transpose()?,
            rows: counts.map(|counts| counts.rows).filter(|_| status != RunStatus::Failed),
            failure: row.failure.map(|failure| read_json("run's failure", &failure)).transpose()?,
        };
        Ok(run.into())
    }
}

/// What the ledger tells of a run.
struct LedgerRun {
    id: RunId,
    kind: RunKind,
    pipeline: PipelineName,
    table: TableRef,
    principal: String,
    status: RunStatus,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    rows: Option<RowCounts>,
    failure: Option<StoredFailure>,
}

impl From<LedgerRun> for PipelineRun {
    fn from(run: LedgerRun) -> Self {
        let counts = run.rows.unwrap_or_default();
        let (received, bad) = (counts.received(), counts.quarantined);
        let share = if received == 0 { 100.0 } else { (received - bad) as f64 * 100.0 / received as f64 };
        let seconds = |end: DateTime<Utc>| (end - run.started_at).num_milliseconds().max(0) as f64 / 1000.0;
        Self {
            id: run.id,
            kind: run.kind,
            pipeline: run.pipeline,
            table: Some(run.table),
            principal: run.principal,
            status: run.status,
            started_at: run.started_at,
            ended_at: run.ended_at,
            records_processed: received,
            records_failed: bad,
            // What was there already is not lost.
            records_written: counts.committed + counts.deduplicated,
            quality_score: run.rows.map(|_| share),
            duration_seconds: run.ended_at.map(seconds),
            error: run.failure.map(|failure| failure.detail),
            revision: 0,
            details: None,
        }
    }
}

/// A table beside what is expected of it.
#[derive(FromRow)]
pub(crate) struct FreshnessRow {
    #[sqlx(flatten)]
    table: TableRow,
    every_seconds: Option<i64>,
    expected_since: Option<String>,
    last_update: Option<String>,
    last_run: Option<String>,
}

impl TryFrom<FreshnessRow> for TableFreshness {
    type Error = CatalogError;
    fn try_from(row: FreshnessRow) -> Result<Self, CatalogError> {
        let every = row.every_seconds.map(|seconds| read_number("table's expected frequency", seconds));
        Ok(Self {
            table: row.table.try_into()?,
            expected_every_seconds: every.transpose()?,
            expected_since: row.expected_since.map(|at| read("expectation's time", &at)).transpose()?,
            // As text they sort like the times they name.
            last_update: row.last_update.max(row.last_run).map(|at| read("table's last change", &at)).transpose()?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct ServiceLevelRow {
    pipeline: String,
    targets: String,
}

impl TryFrom<ServiceLevelRow> for ServiceLevel {
    type Error = CatalogError;
    fn try_from(row: ServiceLevelRow) -> Result<Self, CatalogError> {
        let targets = read_json("service level", &row.targets)?;
        Ok(Self { pipeline: read("service level's pipeline", &row.pipeline)?, targets })
    }
}

#[derive(FromRow)]
pub(crate) struct AlertRow {
    id: String,
    rule: String,
    subject: String,
    namespace: Option<String>,
    occurrence: String,
    alert_type: String,
    severity: String,
    message: String,
    created_at: String,
    resolved_at: Option<String>,
}

impl TryFrom<AlertRow> for Alert {
    type Error = CatalogError;
    fn try_from(row: AlertRow) -> Result<Self, CatalogError> {
        let finding = Finding {
            rule: read("alert's rule", &row.rule)?,
            subject: row.subject,
            namespace: row.namespace.map(|name| read("alert's namespace", &name)).transpose()?,
            occurrence: row.occurrence,
            alert_type: row.alert_type,
            severity: read("alert's severity", &row.severity)?,
            message: row.message,
        };
        Ok(Self {
            id: read("alert id", &row.id)?,
            finding,
            created_at: read("alert's time", &row.created_at)?,
            resolved_at: row.resolved_at.map(|at| read("alert's end", &at)).transpose()?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct DeliveryRow {
    id: String,
    alert_id: String,
    channel: String,
    state: String,
    attempts: i64,
    detail: Option<String>,
    settled_at: Option<String>,
}

impl TryFrom<DeliveryRow> for AlertDelivery {
    type Error = CatalogError;
    fn try_from(row: DeliveryRow) -> Result<Self, CatalogError> {
        let attempts = u32::try_from(row.attempts).map_err(|error| CatalogError::corrupt("delivery's tries", error))?;
        Ok(Self {
            id: DeliveryId(read("delivery id", &row.id)?),
            alert: read("delivery's alert", &row.alert_id)?,
            channel: row.channel,
            state: read("delivery's state", &row.state)?,
            attempts,
            detail: row.detail,
            settled_at: row.settled_at.map(|at| read("delivery's end", &at)).transpose()?,
        })
    }
}
