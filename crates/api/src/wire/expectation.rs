//! Freshness and service levels on the wire.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_domain::{Freshness, FreshnessStatus, Measure, ServiceLevel, ServiceLevelTargets, TableFreshness};
use sluice_monitor::PipelineServiceLevel;
use utoipa::ToSchema;

const SECONDS_PER_MINUTE: f64 = 60.0;

/// How often a table is expected to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FreshnessBody {
    /// A number and `s`, `m`, `h` or `d`.
    #[schema(example = "60m", pattern = "^[0-9]{1,9}[smhd]$")]
    pub(crate) expected_every: String,
}

/// How fresh a table is.
#[derive(Serialize, ToSchema)]
pub(crate) struct FreshnessView {
    /// The table, `namespace.table`.
    table: String,
    /// `FRESH` up to 1.5 times what is expected, `STALE` up to 3 times, else `VERY_STALE`; `NO_DATA` where nothing ever
    /// came; `UNKNOWN` where nothing is expected, and right after something was.
    #[schema(example = "FRESH")]
    status: &'static str,
    /// When its newest upload was committed.
    last_update: Option<DateTime<Utc>>,
    /// How long ago that was.
    staleness_minutes: Option<f64>,
    /// How often it is expected to change.
    expected_frequency_minutes: Option<f64>,
}

impl From<(TableFreshness, Freshness)> for FreshnessView {
    fn from((table, judged): (TableFreshness, Freshness)) -> Self {
        let expected = table.expected_every_seconds.map(|seconds| seconds as f64 / SECONDS_PER_MINUTE);
        Self {
            table: table.table.name.to_string(),
            status: judged.status.as_str(),
            last_update: table.last_update,
            staleness_minutes: judged.staleness_minutes,
            expected_frequency_minutes: expected,
        }
    }
}

impl FreshnessView {
    /// As it stands right after something is expected for the first time: not judged yet.
    pub(crate) fn unjudged(self) -> Self {
        Self { status: FreshnessStatus::Unknown.as_str(), ..self }
    }
}

/// A page of tables.
#[derive(Serialize, ToSchema)]
pub(crate) struct FreshnessPage {
    /// The tables, by name.
    pub(crate) items: Vec<FreshnessView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// What is asked of the runs of a pipeline. What is absent has its default.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceLevelBody {
    /// How many of a hundred runs succeed at the least. Default: 95.
    #[schema(minimum = 0, maximum = 100)]
    min_success_rate: Option<f64>,
    /// How long runs take on average at the most. Default: 3600.
    #[schema(minimum = 0)]
    max_duration_seconds: Option<f64>,
    /// Which quality score the runs have on average at the least. Default: 95.
    #[schema(minimum = 0, maximum = 100)]
    min_quality_score: Option<f64>,
}

impl From<ServiceLevelBody> for ServiceLevelTargets {
    fn from(body: ServiceLevelBody) -> Self {
        let default = Self::default();
        Self {
            min_success_rate: body.min_success_rate.unwrap_or(default.min_success_rate),
            max_duration_seconds: body.max_duration_seconds.unwrap_or(default.max_duration_seconds),
            min_quality_score: body.min_quality_score.unwrap_or(default.min_quality_score),
        }
    }
}

/// What is asked of the runs of a pipeline.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceLevelView {
    /// The pipeline; `default` stands for all that have no targets of their own.
    pipeline_name: String,
    /// What is asked.
    #[serde(flatten)]
    targets: TargetsView,
}

impl From<ServiceLevel> for ServiceLevelView {
    fn from(level: ServiceLevel) -> Self {
        Self { pipeline_name: level.pipeline.into(), targets: level.targets.into() }
    }
}

/// Targets.
#[derive(Serialize, ToSchema)]
pub(crate) struct TargetsView {
    /// How many of a hundred runs succeed at the least.
    min_success_rate: f64,
    /// How long runs take on average at the most.
    max_duration_seconds: f64,
    /// Which quality score the runs have on average at the least.
    min_quality_score: f64,
}

impl From<ServiceLevelTargets> for TargetsView {
    fn from(targets: ServiceLevelTargets) -> Self {
        Self {
            min_success_rate: targets.min_success_rate,
            max_duration_seconds: targets.max_duration_seconds,
            min_quality_score: targets.min_quality_score,
        }
    }
}

/// What is asked of pipelines.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceLevelPage {
    /// By pipeline.
    pub(crate) items: Vec<ServiceLevelView>,
}

/// How pipelines kept to their service levels.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceLevelReportView {
    /// When it was made.
    report_date: DateTime<Utc>,
    /// What was asked, by pipeline; `default` of all others.
    sla_config: BTreeMap<String, TargetsView>,
    /// What came of it, by pipeline.
    pipeline_sla_status: BTreeMap<String, ServiceLevelStatusView>,
}

/// How a pipeline kept to its service level.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceLevelStatusView {
    /// How many runs ended.
    total_runs: u64,
    /// How many of a hundred have the status `SUCCESS`.
    success_rate: MeasureView,
    /// How long they took on average, in seconds.
    avg_duration: MeasureView,
    /// Their average quality score.
    data_quality: MeasureView,
    /// Whether all three keep to their targets.
    overall_compliant: bool,
}

/// A figure beside its target.
#[derive(Serialize, ToSchema)]
pub(crate) struct MeasureView {
    /// The figure; null where no run has it.
    actual: Option<f64>,
    /// The target.
    target: f64,
    /// Whether the figure keeps to it.
    compliant: bool,
}

impl From<Measure> for MeasureView {
    fn from(measure: Measure) -> Self {
        Self { actual: measure.actual, target: measure.target, compliant: measure.compliant }
    }
}

impl ServiceLevelReportView {
    pub(crate) fn new(reports: Vec<PipelineServiceLevel>, levels: Vec<ServiceLevel>) -> Self {
        let defaults = ("default".to_owned(), TargetsView::from(ServiceLevelTargets::default()));
        let asked = levels.into_iter().map(|level| (level.pipeline.into(), level.targets.into()));
        let status = |one: PipelineServiceLevel| {
            let view = ServiceLevelStatusView {
                total_runs: one.report.runs,
                success_rate: one.report.success_rate.into(),
                avg_duration: one.report.average_duration.into(),
                data_quality: one.report.quality_score.into(),
                overall_compliant: one.report.overall_compliant(),
            };
            (one.pipeline.into(), view)
        };
        Self {
            report_date: Utc::now(),
            sla_config: std::iter::once(defaults).chain(asked).collect(),
            pipeline_sla_status: reports.into_iter().map(status).collect(),
        }
    }
}
