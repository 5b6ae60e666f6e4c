//! How a pipeline did lately, in one answer.

use chrono::{DateTime, Utc};
use sluice_catalog::SentAlert;
use sluice_domain::{PipelineRun, RunStatus, RunTotals};

/// How the runs of a pipeline turned out.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// How many ended.
    pub total_runs: u64,
    /// How many went through, every record of them.
    pub successful_runs: u64,
    /// How many did not go through.
    pub failed_runs: u64,
    /// How many of a hundred went through; none without runs.
    pub success_rate: Option<f64>,
    /// How long they took on average.
    pub average_duration_seconds: Option<f64>,
    /// How many records they had on average.
    pub average_records_processed: Option<f64>,
    /// Their average quality score.
    pub average_quality_score: Option<f64>,
    /// The status of the run that began last, in these hours or before.
    pub last_run_status: Option<RunStatus>,
    /// When that began.
    pub last_run_time: Option<DateTime<Utc>>,
    /// The alerts of these hours, the newest first.
    pub alerts: Vec<SentAlert>,
}

impl Health {
    /// Of what the runs that ended come to; one that goes on is told as the last run only.
    pub(crate) fn of(totals: &RunTotals, last: Option<&PipelineRun>, alerts: Vec<SentAlert>) -> Self {
        Self {
            total_runs: totals.runs,
            successful_runs: totals.succeeded,
            failed_runs: totals.failed,
            success_rate: totals.success_rate(),
            average_duration_seconds: totals.seconds.mean(),
            average_records_processed: totals.records.mean(),
            average_quality_score: totals.quality.mean(),
            last_run_status: last.map(|run| run.status),
            last_run_time: last.map(|run| run.started_at),
            alerts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::samples::run;

    #[test]
    fn ten_of_twelve_runs_are_a_success_rate_of_83_33() {
        let mut runs: Vec<_> =
            (0..12).map(|at| run(if at < 10 { RunStatus::Success } else { RunStatus::Failed })).collect();
        for (at, run) in runs.iter_mut().enumerate() {
            run.records_processed = 1000 * (at as u64 + 1);
            run.duration_seconds = Some(if at < 6 { 100.0 } else { 200.0 });
            run.quality_score = if at == 11 { None } else { Some(97.5) };
        }
        let going_on = run(RunStatus::Running);
        runs.push(going_on.clone());
        let health = Health::of(&RunTotals::of(&runs), Some(&going_on), Vec::new());
        assert_eq!((health.total_runs, health.successful_runs, health.failed_runs), (12, 10, 2));
        assert_eq!(health.success_rate.map(|rate| (rate * 100.0).round() / 100.0), Some(83.33));
        assert_eq!((health.average_duration_seconds, health.average_records_processed), (Some(150.0), Some(6500.0)));
        assert_eq!((health.average_quality_score, health.last_run_status), (Some(97.5), Some(RunStatus::Running)));
    }

    #[test]
    fn without_runs_nothing_is_divided() {
        let health = Health::of(&RunTotals::default(), None, Vec::new());
        assert_eq!((health.total_runs, health.success_rate, health.average_duration_seconds), (0, None, None));
    }
}
