//! How pipelines kept to what is asked of them.

use std::collections::BTreeMap;

use sluice_domain::{
    PipelineName, PipelineTotals, RunTotals, ServiceLevel, ServiceLevelReport, ServiceLevelTargets, judge_service_level,
};

/// The name that stands for every pipeline without targets of its own.
pub(crate) const DEFAULT: &str = "default";

/// A pipeline, what is asked of it, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineServiceLevel {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// What is asked.
    pub targets: ServiceLevelTargets,
    /// What came of it.
    pub report: ServiceLevelReport,
}

/// What is asked of a pipeline.
pub(crate) fn targets_of(levels: &[ServiceLevel], pipeline: &str) -> ServiceLevelTargets {
    let of = |name: &str| levels.iter().find(|level| level.pipeline.as_str() == name).map(|level| level.targets);
    of(pipeline).or_else(|| of(DEFAULT)).unwrap_or_default()
}

/// Hold what runs come to against what is asked of their pipelines, by pipeline.
pub(crate) fn report(totals: &[PipelineTotals], levels: &[ServiceLevel]) -> Vec<PipelineServiceLevel> {
    let mut by_pipeline: BTreeMap<&PipelineName, RunTotals> = BTreeMap::new();
    for one in totals {
        by_pipeline.entry(&one.pipeline).or_default().merge(&one.totals);
    }
    let judge = |(pipeline, totals): (&PipelineName, RunTotals)| {
        let targets = targets_of(levels, pipeline.as_str());
        PipelineServiceLevel { pipeline: pipeline.clone(), targets, report: judge_service_level(&totals, &targets) }
    };
    by_pipeline.into_iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use sluice_domain::{PipelineRun, RunStatus};

    use super::*;
    use crate::rules::samples::run;

    #[test]
    fn of_twenty_runs_with_one_failure_only_who_asks_for_98_is_let_down() {
        let of = |pipeline: &str, at| {
            let status = if at == 0 { RunStatus::Failed } else { RunStatus::Success };
            PipelineRun { pipeline: pipeline.parse().unwrap(), ..run(status) }
        };
        let runs: Vec<_> = (0..20).flat_map(|at| [of("daily_etl", at), of("hourly", at)]).collect();
        let targets =
            ServiceLevelTargets { min_success_rate: 98.0, max_duration_seconds: 1800.0, min_quality_score: 98.0 };
        let levels = [ServiceLevel { pipeline: "daily_etl".parse().unwrap(), targets }];
        // Each run by itself, as if each filled a table of its own.
        let totals = |run: &PipelineRun| PipelineTotals {
            pipeline: run.pipeline.clone(),
            table: None,
            totals: RunTotals::of([run]),
        };
        let reports = report(&runs.iter().map(totals).collect::<Vec<_>>(), &levels);
        let told: Vec<_> = reports.iter().map(|one| (one.pipeline.as_str(), one.report.overall_compliant())).collect();
        assert_eq!(told, [("daily_etl", false), ("hourly", true)]);
        assert_eq!(reports[0].report.success_rate.actual, Some(95.0));
    }

    #[test]
    fn who_has_no_targets_has_the_default_s() {
        let targets = ServiceLevelTargets { min_success_rate: 50.0, ..ServiceLevelTargets::default() };
        let levels = [ServiceLevel { pipeline: DEFAULT.parse().unwrap(), targets }];
        assert_eq!(targets_of(&levels, "etl"), targets);
        assert_eq!(targets_of(&[], "etl"), ServiceLevelTargets::default());
    }
}
