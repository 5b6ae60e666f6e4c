//! Runs of pipelines on the wire.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sluice_catalog::SentAlert;
use sluice_domain::{NewPipelineRun, PipelineName, PipelineRun, RunReport, RunStatus, TableRef};
use sluice_monitor::Health;
use utoipa::ToSchema;

use super::pipeline_gate::RunQualityView;
use crate::problem::Problem;

/// A run, whatever it comes from.
#[derive(Serialize, ToSchema)]
pub(crate) struct PipelineRunView {
    /// The id; of an upload, that of the upload.
    run_id: String,
    /// The pipeline's name and the moment of its start.
    #[schema(example = "daily_sales_etl_20260131_120000_123456")]
    run_name: String,
    /// `upload`, `source`, `pipeline` or `external`.
    #[schema(example = "external")]
    kind: &'static str,
    /// The pipeline; of an upload the table's name, of a run of a source the source's.
    #[schema(example = "daily_sales_etl")]
    pipeline_name: String,
    /// The table that it fills.
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    /// Who began it.
    principal: String,
    /// The day of its start, UTC.
    run_date: NaiveDate,
    /// `RUNNING`, `SUCCESS`, `FAILED`, `WARNING` (it went through, with something set aside) or `CANCELLED`.
    #[schema(example = "SUCCESS")]
    status: &'static str,
    /// When it began.
    started_at: DateTime<Utc>,
    /// When it ended, or was said to have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<DateTime<Utc>>,
    /// How many records came in.
    records_processed: u64,
    /// How many of them were bad.
    records_failed: u64,
    /// How many of them came out.
    records_written: u64,
    /// How many of a hundred records were good; absent without records.
    #[serde(skip_serializing_if = "Option::is_none")]
    success_rate: Option<f64>,
    /// How many of a hundred records were bad.
    error_rate: f64,
    /// From 0 to 100; absent where nothing tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    quality_score: Option<f64>,
    /// How long it took, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_time: Option<f64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Of a run of a pipeline of the lake: `request`, `schedule`, `new_data` or `backfill`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    /// Of such a run: how often it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    /// Of such a run: the rows of its inputs, at the versions that were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_in: Option<u64>,
    /// Of such a run: the rows that took effect in its target.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_out: Option<u64>,
    /// Of such a run: the bytes that were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_in: Option<u64>,
    /// Of such a run: the bytes of the files that were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_out: Option<u64>,
    /// Of such a run: the version of each input that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    versions_in: Option<BTreeMap<String, u64>>,
    /// Of such a run, of each input of which only new rows were read: the version after which they came.
    #[serde(skip_serializing_if = "Option::is_none")]
    versions_since: Option<BTreeMap<String, u64>>,
    /// Of such a run: whether its rows took the place of all that its target had, though its mode is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    full_refresh: Option<bool>,
    /// Of such a run: the stable name of why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    /// Of such a run: the first moment of the time that it is for, `$interval_start` in its statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_start: Option<DateTime<Utc>>,
    /// Of such a run: the first moment behind that time, `$interval_end` in its statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_end: Option<DateTime<Utc>>,
    /// Of such a run: the version of its target that it made; absent where nothing was new.
    #[serde(skip_serializing_if = "Option::is_none")]
    version_out: Option<u64>,
    /// Of such a run with a gate: what that found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<RunQualityView>,
}

impl From<PipelineRun> for PipelineRunView {
    fn from(run: PipelineRun) -> Self {
        let details = run.details.as_deref();
        let figures = details.map(|details| &details.figures);
        let interval = details.and_then(|details| details.interval);
        let named = |versions: &BTreeMap<TableRef, u64>| {
            versions.iter().map(|(table, version)| (table.to_string(), *version)).collect()
        };
        Self {
            cause: details.map(|details| details.cause.as_str()),
            attempts: details.map(|details| details.attempts),
            rows_in: figures.map(|figures| figures.rows_in),
            rows_out: figures.map(|figures| figures.rows_out),
            bytes_in: figures.map(|figures| figures.bytes_in),
            bytes_out: figures.map(|figures| figures.bytes_out),
            versions_in: figures.map(|figures| named(&figures.versions_in)),
            versions_since: figures.map(|figures| named(&figures.versions_since)),
            full_refresh: figures.map(|figures| figures.full_refresh),
            interval_start: interval.map(|interval| interval.start),
            interval_end: interval.map(|interval| interval.end),
            error_code: details.and_then(|details| details.error_code.clone()),
            version_out: figures.and_then(|figures| figures.version_out),
            quality: figures
                .and_then(|figures| figures.quality.as_ref())
                .map(|quality| RunQualityView::of(run.id, quality)),
            run_id: run.id.to_string(),
            run_name: run.label(),
            kind: run.kind.as_str(),
            success_rate: run.success_rate(),
            error_rate: run.error_rate(),
            pipeline_name: run.pipeline.into(),
            table: run.table.map(Into::into),
            principal: run.principal,
            run_date: run.started_at.date_naive(),
            status: run.status.as_str(),
            started_at: run.started_at,
            ended_at: run.ended_at,
            records_processed: run.records_processed,
            records_failed: run.records_failed,
            records_written: run.records_written,
            quality_score: run.quality_score,
            execution_time: run.duration_seconds,
            error: run.error,
        }
    }
}

/// A page of runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct PipelineRunPage {
    /// The runs, the last begun first.
    pub(crate) items: Vec<PipelineRunView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// A run that another program begins, or that it tells of afterwards.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PipelineRunBody {
    /// The pipeline.
    #[schema(example = "daily_sales_etl", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,256}$")]
    pipeline_name: String,
    /// The table that it fills, `namespace.table`. A key that is confined to namespaces must name one.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "sales.orders")]
    table: Option<TableRef>,
    /// When it began. Default: now.
    #[serde(default)]
    started_at: Option<DateTime<Utc>>,
    /// How far it has come. Default: `RUNNING`.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(RUNNING|SUCCESS|FAILED|WARNING|CANCELLED)$")]
    status: Option<RunStatus>,
    /// How many records came in.
    #[serde(default)]
    records_processed: Option<u64>,
    /// How many of them were bad.
    #[serde(default)]
    records_failed: Option<u64>,
    /// How many of them came out. Default: those that were not bad.
    #[serde(default)]
    records_written: Option<u64>,
    /// From 0 to 100. Default: 100.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100)]
    quality_score: Option<f64>,
    /// How long it took. Default: from its start to its end.
    #[serde(default)]
    #[schema(minimum = 0)]
    duration_seconds: Option<f64>,
    /// Why it failed.
    #[serde(default)]
    error: Option<String>,
}

impl PipelineRunBody {
    /// What it says.
    pub(crate) fn run(self) -> Result<NewPipelineRun, Problem> {
        let report = RunReport {
            status: self.status,
            records_processed: self.records_processed,
            records_failed: self.records_failed,
            records_written: self.records_written,
            quality_score: self.quality_score,
            duration_seconds: self.duration_seconds,
            error: self.error,
        };
        let pipeline: PipelineName = self.pipeline_name.parse()?;
        Ok(NewPipelineRun { pipeline, table: self.table, started_at: self.started_at, report })
    }
}

/// What another program reports of its run. What is absent stays as it was.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunReportBody {
    /// How far it has come.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(RUNNING|SUCCESS|FAILED|WARNING|CANCELLED)$")]
    status: Option<RunStatus>,
    /// How many records came in.
    #[serde(default)]
    records_processed: Option<u64>,
    /// How many of them were bad.
    #[serde(default)]
    records_failed: Option<u64>,
    /// How many of them came out.
    #[serde(default)]
    records_written: Option<u64>,
    /// From 0 to 100.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100)]
    quality_score: Option<f64>,
    /// How long it took.
    #[serde(default)]
    #[schema(minimum = 0)]
    duration_seconds: Option<f64>,
    /// Why it failed.
    #[serde(default)]
    error: Option<String>,
}

impl From<RunReportBody> for RunReport {
    fn from(body: RunReportBody) -> Self {
        Self {
            status: body.status,
            records_processed: body.records_processed,
            records_failed: body.records_failed,
            records_written: body.records_written,
            quality_score: body.quality_score,
            duration_seconds: body.duration_seconds,
            error: body.error,
        }
    }
}

/// How the runs of a pipeline turned out.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthView {
    /// The pipeline.
    pipeline_name: String,
    /// How far back it looks.
    time_period_hours: u32,
    /// How many runs ended.
    total_runs: u64,
    /// How many of them have the status `SUCCESS`.
    successful_runs: u64,
    /// How many of them have the status `FAILED`.
    failed_runs: u64,
    /// How many of a hundred were successful, to two decimals; null without runs.
    #[schema(example = 83.33)]
    success_rate: Option<f64>,
    /// How long they took on average.
    avg_duration_seconds: Option<f64>,
    /// How many records they had on average.
    avg_records_processed: Option<f64>,
    /// Their average quality score.
    avg_data_quality_score: Option<f64>,
    /// The status of the run that began last, in these hours or before.
    last_run_status: Option<&'static str>,
    /// When that began.
    last_run_time: Option<DateTime<Utc>>,
    /// The alerts of these hours, the newest first, a hundred at the most.
    alerts: Vec<HealthAlert>,
}

/// An alert in short.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthAlert {
    /// `INFO`, `WARNING` or `CRITICAL`.
    severity: &'static str,
    /// What happened.
    message: String,
    /// When it was raised.
    timestamp: DateTime<Utc>,
}

impl From<SentAlert> for HealthAlert {
    fn from(sent: SentAlert) -> Self {
        let finding = sent.alert.finding;
        Self { severity: finding.severity.as_str(), message: finding.message, timestamp: sent.alert.created_at }
    }
}

impl HealthView {
    pub(crate) fn new(pipeline: PipelineName, hours: u32, health: Health) -> Self {
        Self {
            pipeline_name: pipeline.into(),
            time_period_hours: hours,
            total_runs: health.total_runs,
            successful_runs: health.successful_runs,
            failed_runs: health.failed_runs,
            success_rate: health.success_rate.map(|rate| (rate * 100.0).round() / 100.0),
            avg_duration_seconds: health.average_duration_seconds,
            avg_records_processed: health.average_records_processed,
            avg_data_quality_score: health.average_quality_score,
            last_run_status: health.last_run_status.map(RunStatus::as_str),
            last_run_time: health.last_run_time,
            alerts: health.alerts.into_iter().map(Into::into).collect(),
        }
    }
}
