//! What rules find wrong with runs, tables and service levels.
//!
//! Invariant: a rule says the same of the same run, whenever it is asked.

use chrono::{DateTime, Utc};
use sluice_domain::{
    AlertCondition, AlertRule, AlertSeverity, Finding, NamespaceName, PipelineName, PipelineRun, RunStatus,
    ServiceLevelReport, TableFreshness, judge_freshness,
};

/// The longest part of a run's error that an alert tells, in characters.
const MAX_ERROR_CHARS: usize = 500;
const SECONDS_PER_MINUTE: f64 = 60.0;

/// The rules that are there until somebody says otherwise: name, condition, severity, and the kinds of channel that the
/// alert goes to.
pub(crate) const BUILT_IN: &[(&str, AlertCondition, AlertSeverity, &[&str])] = &[
    ("pipeline-failure", AlertCondition::PipelineFailed, AlertSeverity::Critical, &["email", "slack"]),
    ("high-failure-rate", AlertCondition::FailureRate, AlertSeverity::Warning, &["slack"]),
    ("low-data-quality", AlertCondition::QualityScore, AlertSeverity::Warning, &["email"]),
    ("long-runtime", AlertCondition::Duration, AlertSeverity::Warning, &["slack"]),
    ("data-loss", AlertCondition::DataLoss, AlertSeverity::Warning, &["slack"]),
    ("stale-data", AlertCondition::Freshness, AlertSeverity::Warning, &["slack"]),
    ("quality-check-failure", AlertCondition::QualityCheck, AlertSeverity::Warning, &["email"]),
    ("sla-breach", AlertCondition::ServiceLevel, AlertSeverity::Warning, &["email"]),
];

/// What a rule finds wrong with a run that has ended.
pub(crate) fn judge_run(rule: &AlertRule, run: &PipelineRun) -> Option<Finding> {
    if !rule.covers(run.pipeline.as_str()) || !run.status.has_ended() {
        return None;
    }
    let (limit, pipeline) = (rule.effective_threshold(), &run.pipeline);
    let message = match rule.condition {
        AlertCondition::PipelineFailed => (run.status == RunStatus::Failed).then(|| failure(run)),
        AlertCondition::FailureRate => above(run.error_rate(), limit)
            .map(|rate| format!("{rate:.2} % of the records of {pipeline} were bad, more than {limit} %")),
        AlertCondition::QualityScore => run
            .quality_score
            .filter(|score| *score < limit)
            .map(|score| format!("the data quality score of {pipeline} is {score:.2}, less than {limit}")),
        AlertCondition::Duration => run
            .duration_seconds
            .and_then(|seconds| above(seconds, limit))
            .map(|seconds| format!("{pipeline} ran for {seconds:.1} seconds, more than {limit}")),
        AlertCondition::DataLoss => above(run.data_loss(), limit)
            .map(|loss| format!("{loss:.2} % of the records of {pipeline} did not come out, more than {limit} %")),
        AlertCondition::Freshness
        | AlertCondition::ServiceLevel
        | AlertCondition::QualityCheck
        | AlertCondition::CheckScore => None,
    };
    let namespace = run.table.as_ref().map(|table| table.namespace.clone());
    message.map(|message| finding(rule, (pipeline.as_str(), namespace), run.id.to_string(), message))
}

fn failure(run: &PipelineRun) -> String {
    let error: String = run.error.as_deref().unwrap_or_default().chars().take(MAX_ERROR_CHARS).collect();
    match error.as_str() {
        "" => format!("the {} pipeline failed", run.pipeline),
        error => format!("the {} pipeline failed: {error}", run.pipeline),
    }
}

fn above(value: f64, limit: f64) -> Option<f64> {
    (value > limit).then_some(value)
}

/// What a rule finds wrong with a table at this moment. One that never took anything is judged by the time since
/// something is expected of it.
pub(crate) fn judge_table(rule: &AlertRule, table: &TableFreshness, now: DateTime<Utc>) -> Option<Finding> {
    let name = table.table.name.to_string();
    if rule.condition != AlertCondition::Freshness || !rule.covers_table(&table.table.name, &[]) {
        return None;
    }
    let expected = table.expected_every_seconds? as f64;
    let since = table.last_update.or(table.expected_since)?;
    let late = (now - since).num_milliseconds() as f64 / 1000.0 / expected;
    above(late, rule.effective_threshold())?;
    let judged = judge_freshness(table.expected_every_seconds, table.last_update, now);
    let minutes = expected / SECONDS_PER_MINUTE;
    let message = match judged.staleness_minutes {
        Some(age) => {
            format!("{name} is {}: its last data is {age:.1} minutes old, {minutes:.1} are expected", judged.status)
        }
        None => {
            format!("{name} is {}: nothing came yet, something is expected every {minutes:.1} minutes", judged.status)
        }
    };
    // Growing worse is news.
    let occurrence = format!("{} {}", judged.status, since.to_rfc3339());
    Some(finding(rule, (&name, Some(table.table.name.namespace.clone())), occurrence, message))
}

/// What a rule finds wrong with how the runs of a pipeline kept to what is asked; an alert a day.
pub(crate) fn judge_report(
    rule: &AlertRule,
    pipeline: &PipelineName,
    (report, namespace): (&ServiceLevelReport, Option<NamespaceName>),
    now: DateTime<Utc>,
) -> Option<Finding> {
    if rule.condition != AlertCondition::ServiceLevel || !rule.covers(pipeline.as_str()) {
        return None;
    }
    let measures = [
        ("success rate", report.success_rate, "at least"),
        ("average duration", report.average_duration, "at most"),
        ("data quality score", report.quality_score, "at least"),
    ];
    let missed = measures.iter().filter(|(_, measure, _)| !measure.compliant).map(|(name, measure, bound)| {
        format!("its {name} is {:.2}, and is to be {bound} {}", measure.actual.unwrap_or_default(), measure.target)
    });
    let missed: Vec<String> = missed.collect();
    if missed.is_empty() {
        return None;
    }
    let message = format!("{pipeline} does not keep to its service level: {}", missed.join("; "));
    Some(finding(rule, (pipeline.as_str(), namespace), now.date_naive().to_string(), message))
}

pub(crate) fn finding(
    rule: &AlertRule,
    (subject, namespace): (&str, Option<NamespaceName>),
    occurrence: String,
    message: String,
) -> Finding {
    Finding {
        rule: rule.name.clone(),
        subject: subject.to_owned(),
        namespace,
        occurrence,
        alert_type: rule.condition.alert_type().to_owned(),
        severity: rule.severity,
        message,
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;

#[cfg(test)]
pub(crate) mod samples {
    use sluice_domain::{NewPipelineRun, PipelineRun, RunId, RunReport, RunStatus};
    use uuid::Uuid;

    /// A run of a hundred good records.
    pub(crate) fn run(status: RunStatus) -> PipelineRun {
        let report = RunReport { status: Some(status), records_processed: Some(100), ..RunReport::default() };
        let pipeline = "daily_etl".parse().unwrap();
        let new = NewPipelineRun { pipeline, table: None, started_at: None, report };
        new.begin(RunId(Uuid::now_v7()), "ada", chrono::Utc::now()).unwrap()
    }
}
