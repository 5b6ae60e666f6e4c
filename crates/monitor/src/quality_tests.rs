use rstest::rstest;
use serde_json::json;
use sluice_domain::{AlertSeverity, Label, QualityAction, QualityResult, RowScore, Rule, UploadId};
use uuid::Uuid;

use super::*;

fn rule(condition: AlertCondition) -> AlertRule {
    AlertRule {
        name: "quality".parse().unwrap(),
        condition,
        threshold: None,
        severity: AlertSeverity::Warning,
        channels: Vec::new(),
        pipeline: None,
        namespace: None,
        tag: None,
        min_rule_severity: None,
        enabled: true,
    }
}

fn result(severity: Severity, success: bool) -> RuleResult {
    let rule = Rule {
        kind: "expect_column_to_exist".into(),
        kwargs: json!({"column": "id"}).as_object().unwrap().clone(),
        severity,
        action: QualityAction::Warn,
        row_condition: None,
        description: None,
    };
    let complaints = if success { vec![] } else { vec!["Missing column: id".to_owned()] };
    RuleResult { rule, success, observed: Default::default(), exception: None, complaints }
}

fn judged(results: Vec<RuleResult>, (total, valid): (u64, u64)) -> JudgedResult {
    let rows = RowScore { total, valid };
    let validation = Validation { suite: "s".into(), rows, publishable: true, results, not_asked: Vec::new() };
    let (recorded_at, subject) = ("2026-01-31T12:00:00Z".parse().unwrap(), QualitySubject::Table(Uuid::from_u128(7)));
    JudgedResult {
        recorded_at,
        table: "nyc.flights".parse().unwrap(),
        tags: vec!["gold".parse().unwrap()],
        result: QualityResult { subject, version: Some(3), checked_at: recorded_at, validation },
    }
}

#[rstest]
#[case(None, true)]
#[case(Some(Severity::High), true)]
#[case(Some(Severity::Critical), false)]
fn broken_rules_are_found_that_matter_enough(#[case] least: Option<Severity>, #[case] is_found: bool) {
    let rule = AlertRule { min_rule_severity: least, ..rule(AlertCondition::QualityCheck) };
    let judged = judged(vec![result(Severity::High, false), result(Severity::Critical, true)], (10, 10));
    let found = judge(&rule, &judged);
    assert_eq!(found.is_some(), is_found);
    let told =
        "version 3 of nyc.flights: 1 of 2 rules of s are broken: expect_column_to_exist (high): Missing column: id";
    assert!(found.is_none_or(|found| found.message == told && found.subject == "nyc.flights"));
}

#[rstest]
#[case((100, 94), None, true)]
#[case((100, 95), None, false)]
#[case((100, 95), Some(96.0), true)]
#[case((0, 0), Some(96.0), false)]
fn a_score_below_the_threshold_is_found(
    #[case] rows: (u64, u64),
    #[case] threshold: Option<f64>,
    #[case] is_found: bool,
) {
    let rule = AlertRule { threshold, ..rule(AlertCondition::CheckScore) };
    assert_eq!(judge(&rule, &judged(Vec::new(), rows)).is_some(), is_found);
}

#[test]
fn a_message_tells_some_rules_and_how_many_more_there_are() {
    let many = judged(vec![result(Severity::Low, false); 200], (1, 1));
    let message = judge(&rule(AlertCondition::QualityCheck), &many).unwrap().message;
    assert!(message.ends_with("; and 195 more") && message.len() < 1500, "{message}");
}

#[test]
fn rules_look_at_their_tables_and_no_rule_of_another_condition_looks_at_results() {
    let judged = judged(Vec::new(), (1, 0));
    let gold: Label = "gold".parse().unwrap();
    let of = |rule: AlertRule| is_about(&rule, &judged);
    assert!(of(AlertRule { tag: Some(gold), ..rule(AlertCondition::CheckScore) }));
    assert!(of(AlertRule { namespace: Some("nyc".parse().unwrap()), ..rule(AlertCondition::QualityCheck) }));
    assert!(!of(AlertRule { namespace: Some("hr".parse().unwrap()), ..rule(AlertCondition::QualityCheck) }));
    assert!(!of(AlertRule { pipeline: Some("nyc.taxis".parse().unwrap()), ..rule(AlertCondition::QualityCheck) }));
    assert!(!of(AlertRule { enabled: false, ..rule(AlertCondition::QualityCheck) }));
    assert!(!of(rule(AlertCondition::QualityScore)));
}

#[test]
fn later_results_have_occurrences_that_sort_behind() {
    let early = judged(Vec::new(), (1, 1));
    let mut late = early.clone();
    late.recorded_at += TimeDelta::microseconds(1);
    late.result.subject = QualitySubject::Upload(UploadId(Uuid::from_u128(1)));
    assert!(occurrence(&early) < occurrence(&late));
}
