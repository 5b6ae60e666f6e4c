//! Service levels: what is asked of a pipeline's runs, and whether they keep to it.

use serde::{Deserialize, Serialize};

use super::{PipelineName, RunTotals};

/// What is asked of the runs of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceLevelTargets {
    /// How many of a hundred runs succeed at the least.
    pub min_success_rate: f64,
    /// How long runs take on average at the most.
    pub max_duration_seconds: f64,
    /// Which quality score the runs have on average at the least.
    pub min_quality_score: f64,
}

impl Default for ServiceLevelTargets {
    fn default() -> Self {
        Self { min_success_rate: 95.0, max_duration_seconds: 3600.0, min_quality_score: 95.0 }
    }
}

/// Targets that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct ServiceLevelError {
    /// Which target.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl ServiceLevelTargets {
    /// Whether they make sense.
    ///
    /// # Errors
    /// [`ServiceLevelError`], naming the field.
    pub fn check(&self) -> Result<(), ServiceLevelError> {
        let percent = |field, value: f64| {
            let fits = (0.0..=100.0).contains(&value);
            fits.then_some(()).ok_or(ServiceLevelError { field, reason: "it is not between 0 and 100" })
        };
        percent("min_success_rate", self.min_success_rate)?;
        percent("min_quality_score", self.min_quality_score)?;
        let fits = self.max_duration_seconds.is_finite() && self.max_duration_seconds > 0.0;
        let reason = "it is not above 0";
        fits.then_some(()).ok_or(ServiceLevelError { field: "max_duration_seconds", reason })
    }
}

/// A pipeline and what is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceLevel {
    /// The pipeline; `default` stands for all that have none of their own.
    pub pipeline: PipelineName,
    /// What is asked.
    pub targets: ServiceLevelTargets,
}

/// One figure beside its target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// The figure; none where no run has it.
    pub actual: Option<f64>,
    /// The target.
    pub target: f64,
    /// Whether the figure keeps to the target; one that is not there does.
    pub compliant: bool,
}

impl Measure {
    fn at_least(actual: Option<f64>, target: f64) -> Self {
        Self { actual, target, compliant: actual.is_none_or(|actual| actual >= target) }
    }

    fn at_most(actual: Option<f64>, target: f64) -> Self {
        Self { actual, target, compliant: actual.is_none_or(|actual| actual <= target) }
    }
}

/// How the runs of a pipeline kept to what is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServiceLevelReport {
    /// How many runs ended.
    pub runs: u64,
    /// How many of a hundred succeeded.
    pub success_rate: Measure,
    /// How long they took on average.
    pub average_duration: Measure,
    /// Their average quality score.
    pub quality_score: Measure,
}

impl ServiceLevelReport {
    /// Whether every figure keeps to its target.
    pub fn overall_compliant(&self) -> bool {
        self.success_rate.compliant && self.average_duration.compliant && self.quality_score.compliant
    }
}

/// Hold what the runs of one pipeline come to against targets.
pub fn judge_service_level(totals: &RunTotals, targets: &ServiceLevelTargets) -> ServiceLevelReport {
    ServiceLevelReport {
        runs: totals.runs,
        success_rate: Measure::at_least(totals.success_rate(), targets.min_success_rate),
        average_duration: Measure::at_most(totals.seconds.mean(), targets.max_duration_seconds),
        quality_score: Measure::at_least(totals.quality.mean(), targets.min_quality_score),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{PipelineRun, RunStatus};

    fn runs(total: usize, succeeded: usize) -> Vec<PipelineRun> {
        let status = |at| if at < succeeded { RunStatus::Success } else { RunStatus::Failed };
        let sample = |at| PipelineRun { duration_seconds: Some(600.0), ..PipelineRun::sample("daily_etl", status(at)) };
        (0..total).map(sample).collect()
    }

    const DAILY_ETL: ServiceLevelTargets =
        ServiceLevelTargets { min_success_rate: 98.0, max_duration_seconds: 1800.0, min_quality_score: 98.0 };

    #[test]
    fn nineteen_of_twenty_keep_to_the_default_and_not_to_98() {
        let runs = runs(20, 19);
        let default = judge_service_level(&RunTotals::of(&runs), &ServiceLevelTargets::default());
        let kept = Measure { actual: Some(95.0), target: 95.0, compliant: true };
        assert_eq!((default.success_rate, default.overall_compliant()), (kept, true));
        let daily = judge_service_level(&RunTotals::of(&runs), &DAILY_ETL);
        let missed = Measure { actual: Some(95.0), target: 98.0, compliant: false };
        assert_eq!((daily.success_rate, daily.overall_compliant()), (missed, false));
        assert!(daily.average_duration.compliant && daily.quality_score.compliant);
    }

    #[rstest]
    #[case::too_slow(1800.5, 100.0, (false, true))]
    #[case::just_in_time(1800.0, 98.0, (true, true))]
    #[case::too_bad(10.0, 97.9, (true, false))]
    fn overall_is_all_of_them(#[case] duration: f64, #[case] quality: f64, #[case] (in_time, good): (bool, bool)) {
        let mut runs = runs(3, 3);
        for run in &mut runs {
            (run.duration_seconds, run.quality_score) = (Some(duration), Some(quality));
        }
        let report = judge_service_level(&RunTotals::of(&runs), &DAILY_ETL);
        assert_eq!((report.average_duration.compliant, report.quality_score.compliant), (in_time, good));
        assert_eq!(report.overall_compliant(), in_time && good);
    }

    #[test]
    fn without_a_run_that_ended_nothing_is_divided() {
        let running = PipelineRun::sample("daily_etl", RunStatus::Running);
        let report = judge_service_level(&RunTotals::of([&running]), &DAILY_ETL);
        assert_eq!((report.runs, report.success_rate.actual), (0, None));
        assert!(report.overall_compliant());
    }

    #[rstest]
    #[case("min_success_rate", ServiceLevelTargets { min_success_rate: 100.1, ..DAILY_ETL })]
    #[case("min_quality_score", ServiceLevelTargets { min_quality_score: f64::NAN, ..DAILY_ETL })]
    #[case("max_duration_seconds", ServiceLevelTargets { max_duration_seconds: 0.0, ..DAILY_ETL })]
    fn a_target_that_cannot_be_is_named(#[case] field: &str, #[case] targets: ServiceLevelTargets) {
        assert_eq!(targets.check().unwrap_err().field, field);
    }
}
