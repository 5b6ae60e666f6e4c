use chrono::TimeDelta;
use rstest::rstest;
use sluice_domain::{
    RunTotals, ServiceLevelTargets, TableEntry, TableFormat, TableId, TableState, ZoneName, judge_service_level,
};
use uuid::Uuid;

use super::{samples::run, *};

fn rule(condition: AlertCondition) -> AlertRule {
    let built_in = BUILT_IN.iter().find(|(_, of, _, _)| *of == condition).unwrap();
    AlertRule {
        name: built_in.0.parse().unwrap(),
        condition,
        threshold: None,
        severity: built_in.2,
        channels: Vec::new(),
        pipeline: None,
        namespace: None,
        tag: None,
        min_rule_severity: None,
        enabled: true,
    }
}

fn failing(processed: u64, failed: u64) -> PipelineRun {
    let written = processed - failed;
    PipelineRun {
        records_processed: processed,
        records_failed: failed,
        records_written: written,
        ..run(RunStatus::Warning)
    }
}

fn lasting(seconds: f64) -> PipelineRun {
    PipelineRun { duration_seconds: Some(seconds), ..run(RunStatus::Success) }
}

fn scoring(score: Option<f64>) -> PipelineRun {
    PipelineRun { quality_score: score, ..run(RunStatus::Success) }
}

#[rstest]
#[case::failed(AlertCondition::PipelineFailed, run(RunStatus::Failed), true)]
#[case::cancelled(AlertCondition::PipelineFailed, run(RunStatus::Cancelled), false)]
#[case::a_tenth_is_bad(AlertCondition::FailureRate, failing(1000, 100), false)]
#[case::more_than_a_tenth_is_bad(AlertCondition::FailureRate, failing(1000, 101), true)]
#[case::without_records(AlertCondition::FailureRate, failing(0, 0), false)]
#[case::score_of_95(AlertCondition::QualityScore, scoring(Some(95.0)), false)]
#[case::score_below_95(AlertCondition::QualityScore, scoring(Some(94.99)), true)]
#[case::no_score(AlertCondition::QualityScore, scoring(None), false)]
#[case::an_hour(AlertCondition::Duration, lasting(3600.0), false)]
#[case::more_than_an_hour(AlertCondition::Duration, lasting(3600.1), true)]
#[case::loss_of_4(AlertCondition::DataLoss, failing(100, 4), false)]
#[case::loss_of_5(AlertCondition::DataLoss, failing(100, 5), false)]
#[case::loss_of_6(AlertCondition::DataLoss, failing(100, 6), true)]
#[case::still_running(AlertCondition::FailureRate, PipelineRun { status: RunStatus::Running, ..failing(10, 9) }, false)]
fn a_run_is_judged_by_the_threshold(#[case] condition: AlertCondition, #[case] run: PipelineRun, #[case] found: bool) {
    let finding = judge_run(&rule(condition), &run);
    assert_eq!(finding.is_some(), found, "{finding:?}");
    if let Some(finding) = finding {
        assert_eq!((finding.subject.as_str(), finding.occurrence), ("daily_etl", run.id.to_string()));
        assert_eq!(finding.alert_type, condition.alert_type());
    }
}

#[test]
fn the_first_four_rules_are_those_that_pipelines_begin_with() {
    let first: Vec<_> = BUILT_IN[..4]
        .iter()
        .map(|(_, condition, severity, kinds)| {
            (condition.alert_type(), condition.default_threshold(), severity.as_str(), kinds.to_vec())
        })
        .collect();
    let expected = [
        ("Pipeline Failure", None, "CRITICAL", vec!["email", "slack"]),
        ("High Failure Rate", Some(10.0), "WARNING", vec!["slack"]),
        ("Low Data Quality", Some(95.0), "WARNING", vec!["email"]),
        ("Long Runtime", Some(3600.0), "WARNING", vec!["slack"]),
    ];
    assert_eq!(first, expected);
}

#[test]
fn a_rule_that_is_off_or_of_another_pipeline_finds_nothing() {
    let failed = run(RunStatus::Failed);
    let rule = rule(AlertCondition::PipelineFailed);
    assert!(judge_run(&AlertRule { enabled: false, ..rule.clone() }, &failed).is_none());
    assert!(judge_run(&AlertRule { pipeline: Some("other".parse().unwrap()), ..rule }, &failed).is_none());
}

#[test]
fn the_error_of_a_run_is_told_up_to_a_length() {
    let failed = PipelineRun { error: Some("é".repeat(2000)), ..run(RunStatus::Failed) };
    let finding = judge_run(&rule(AlertCondition::PipelineFailed), &failed).unwrap();
    assert_eq!(finding.message.chars().filter(|char| *char == 'é').count(), MAX_ERROR_CHARS);
}

fn table(last_update: Option<DateTime<Utc>>, expected_since: DateTime<Utc>) -> TableFreshness {
    let table = TableEntry {
        id: TableId(Uuid::from_u128(1)),
        name: "nyc.flights".parse().unwrap(),
        zone: ZoneName::Raw,
        path: "tables/nyc/flights/1".into(),
        format: TableFormat::Delta,
        partition_by: Vec::new(),
        description: None,
        owner: "ada".into(),
        state: TableState::Active,
        created_at: expected_since,
        updated_at: expected_since,
        deleted_at: None,
    };
    let (expected_every_seconds, expected_since) = (Some(300), Some(expected_since));
    TableFreshness { table, expected_every_seconds, expected_since, last_update }
}

#[rstest]
#[case::fresh(Some(7), false)]
#[case::stale(Some(8), true)]
#[case::very_stale(Some(16), true)]
#[case::never_but_lately_expected(None, false)]
fn a_table_that_is_late_is_found(#[case] age_minutes: Option<i64>, #[case] found: bool) {
    let now = Utc::now();
    let last = age_minutes.map(|minutes| now - TimeDelta::minutes(minutes));
    let judged = judge_table(&rule(AlertCondition::Freshness), &table(last, now), now);
    assert_eq!(judged.is_some(), found, "{judged:?}");
    let unexpected = TableFreshness { expected_every_seconds: None, ..table(last, now) };
    assert!(judge_table(&rule(AlertCondition::Freshness), &unexpected, now).is_none());
}

#[test]
fn a_table_that_never_took_anything_is_late_some_day_and_growing_worse_is_news() {
    let now = Utc::now();
    let rule = rule(AlertCondition::Freshness);
    let never = judge_table(&rule, &table(None, now - TimeDelta::hours(1)), now).unwrap();
    assert!(never.message.contains("NO_DATA"), "{}", never.message);
    let last = Some(now);
    let [stale, later, very_stale] = [8, 9, 20]
        .map(|minutes| judge_table(&rule, &table(last, now), now + TimeDelta::minutes(minutes)).unwrap().occurrence);
    assert_eq!(stale, later);
    assert_ne!(stale, very_stale);
}

#[test]
fn a_missed_service_level_is_found_once_a_day() {
    let runs: Vec<_> = (0..20).map(|at| run(if at == 0 { RunStatus::Failed } else { RunStatus::Success })).collect();
    let daily = ServiceLevelTargets { min_success_rate: 98.0, ..ServiceLevelTargets::default() };
    let (rule, pipeline, now) = (rule(AlertCondition::ServiceLevel), "daily_etl".parse().unwrap(), Utc::now());
    let judge = |targets: &ServiceLevelTargets, at| {
        judge_report(&rule, &pipeline, (&judge_service_level(&RunTotals::of(&runs), targets), None), at)
    };
    assert!(judge(&ServiceLevelTargets::default(), now).is_none());
    let found = judge(&daily, now).unwrap();
    assert!(found.message.contains("success rate is 95.00"), "{}", found.message);
    assert_ne!(found.occurrence, judge(&daily, now + TimeDelta::days(1)).unwrap().occurrence);
}
