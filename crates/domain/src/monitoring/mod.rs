//! What is watched: runs of pipelines, how fresh tables are, service levels, and the alerts that come of them.
//!
//! Invariant: every judgement here is a pure function; the clock is an argument.

mod alert;
mod duration;
mod freshness;
mod pipeline_run;
mod run_totals;
mod service_level;

pub use alert::{
    Alert, AlertCondition, AlertDelivery, AlertRule, AlertRuleError, AlertSeverity, DeliveryId, DeliveryState, Finding,
    RuleName,
};
pub use duration::{DurationError, parse_duration};
pub use freshness::{Freshness, FreshnessStatus, TableFreshness, judge_freshness};
pub use pipeline_run::{
    MAX_ERROR_BYTES, NewPipelineRun, PipelineName, PipelineRun, RunError, RunKind, RunReport, RunStatus,
};
pub use run_totals::{PipelineTotals, RunTotals, Tally};
pub use service_level::{
    Measure, ServiceLevel, ServiceLevelError, ServiceLevelReport, ServiceLevelTargets, judge_service_level,
};
