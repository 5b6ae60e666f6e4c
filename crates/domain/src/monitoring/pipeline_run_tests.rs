use rstest::rstest;
use uuid::Uuid;

use super::*;

impl PipelineRun {
    /// A run of no records, for tests.
    pub(crate) fn sample(pipeline: &str, status: RunStatus) -> Self {
        let new = NewPipelineRun {
            pipeline: pipeline.parse().unwrap(),
            table: None,
            started_at: None,
            report: RunReport::default(),
        };
        let run = new.begin(RunId(Uuid::from_u128(1)), "ada", now()).unwrap();
        run.report(&RunReport { status: Some(status), ..RunReport::default() }, now()).unwrap()
    }
}

fn now() -> DateTime<Utc> {
    "2026-01-31T12:00:00.123456Z".parse().unwrap()
}

fn reported(processed: u64, failed: u64) -> RunReport {
    RunReport { records_processed: Some(processed), records_failed: Some(failed), ..RunReport::default() }
}

#[test]
fn a_run_that_is_reported_step_by_step_has_the_figures_of_its_last_step() {
    let mut run = PipelineRun::sample("daily_sales_etl", RunStatus::Running);
    for step in 1..=5 {
        let score = 99.5 - step as f64 * 0.1;
        let report = RunReport { quality_score: Some(score), ..reported(step * 1000, step * 2) };
        run = run.report(&report, now()).unwrap();
    }
    let end = RunReport { status: Some(RunStatus::Success), ..RunReport::default() };
    let run = run.report(&end, now() + TimeDelta::seconds(5)).unwrap();
    assert_eq!((run.records_processed, run.records_failed, run.quality_score), (5000, 10, Some(99.0)));
    assert_eq!((run.success_rate(), run.error_rate()), (Some(99.8), 0.2));
    assert_eq!((run.duration_seconds, run.ended_at), (Some(5.0), Some(now() + TimeDelta::seconds(5))));
    assert_eq!(run.label(), "daily_sales_etl_20260131_120000_123456");
}

#[test]
fn without_records_nothing_is_divided() {
    let run = PipelineRun::sample("empty", RunStatus::Success);
    assert_eq!((run.success_rate(), run.error_rate(), run.data_loss()), (None, 0.0, 0.0));
}

#[rstest]
#[case(100, 96, 4.0)]
#[case(100, 94, 6.0)]
#[case(3, 3, 0.0)]
fn what_does_not_come_out_is_lost(#[case] processed: u64, #[case] written: u64, #[case] lost: f64) {
    let report = RunReport { records_written: Some(written), ..reported(processed, 0) };
    let run = PipelineRun::sample("etl", RunStatus::Running).report(&report, now()).unwrap();
    assert_eq!(run.data_loss(), lost);
}

#[test]
fn an_ended_run_takes_the_same_end_again_and_no_other() {
    let end = RunReport { status: Some(RunStatus::Failed), error: Some("no database".into()), ..reported(7, 1) };
    let run = PipelineRun::sample("etl", RunStatus::Running).report(&end, now()).unwrap();
    assert_eq!(run.report(&end, now() + TimeDelta::hours(1)).unwrap(), run);
    for other in [reported(8, 1), RunReport { status: Some(RunStatus::Success), ..RunReport::default() }] {
        let refused = run.report(&other, now()).unwrap_err();
        assert_eq!(refused, RunError::Ended { status: RunStatus::Failed });
    }
}

#[rstest]
#[case("records_failed", reported(1, 2))]
#[case("records_processed", reported(MAX_RECORDS + 1, 0))]
#[case("quality_score", RunReport { quality_score: Some(100.5), ..RunReport::default() })]
#[case("quality_score", RunReport { quality_score: Some(f64::NAN), ..RunReport::default() })]
#[case("duration_seconds", RunReport { duration_seconds: Some(-1.0), ..RunReport::default() })]
#[case("duration_seconds", RunReport { duration_seconds: Some(f64::INFINITY), ..RunReport::default() })]
#[case("error", RunReport { error: Some("x".repeat(MAX_ERROR_BYTES + 1)), ..RunReport::default() })]
fn a_value_that_cannot_be_is_named(#[case] field: &'static str, #[case] report: RunReport) {
    let refused = PipelineRun::sample("etl", RunStatus::Running).report(&report, now()).unwrap_err();
    assert!(matches!(refused, RunError::Bad { field: named, .. } if named == field), "{refused}");
}

#[rstest]
#[case(TimeDelta::minutes(4), true)]
#[case(TimeDelta::minutes(6), false)]
#[case(TimeDelta::days(-365), true)]
#[case(TimeDelta::days(-367), false)]
fn a_run_begins_about_now_or_before(#[case] away: TimeDelta, #[case] taken: bool) {
    let new = NewPipelineRun {
        pipeline: "etl".parse().unwrap(),
        table: None,
        started_at: Some(now() + away),
        report: RunReport::default(),
    };
    assert_eq!(new.begin(RunId(Uuid::from_u128(1)), "ada", now()).is_ok(), taken);
}

#[rstest]
fn hostile_names_of_pipelines_are_refused(
    #[values("", ".", "-a", "a b", "a/b", "a\n", "ü", "a{b=\"c\"}")] name: &str
) {
    assert!(name.parse::<PipelineName>().is_err(), "{name:?} was taken");
}

#[test]
fn a_pipeline_is_named_as_long_as_a_table_and_no_longer() {
    assert!("a".repeat(MAX_NAME_CHARS).parse::<PipelineName>().is_ok());
    assert!("a".repeat(MAX_NAME_CHARS + 1).parse::<PipelineName>().is_err());
}
