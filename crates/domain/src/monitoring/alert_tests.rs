use rstest::rstest;

use super::*;

fn rule(condition: AlertCondition) -> AlertRule {
    AlertRule {
        name: "rule".parse().unwrap(),
        condition,
        threshold: None,
        severity: AlertSeverity::Warning,
        channels: vec!["slack".into()],
        pipeline: None,
        namespace: None,
        tag: None,
        min_rule_severity: None,
        enabled: true,
    }
}

fn check(rule: &AlertRule) -> Result<(), AlertRuleError> {
    rule.check(|channel| ["slack", "email"].contains(&channel))
}

#[rstest]
#[case(AlertCondition::FailureRate, 10.0)]
#[case(AlertCondition::QualityScore, 95.0)]
#[case(AlertCondition::Duration, 3600.0)]
#[case(AlertCondition::DataLoss, 5.0)]
fn a_rule_has_its_condition_s_threshold_until_it_says_another(#[case] condition: AlertCondition, #[case] own: f64) {
    let rule = rule(condition);
    assert_eq!(rule.effective_threshold(), own);
    assert_eq!(AlertRule { threshold: Some(1.0), ..rule }.effective_threshold(), 1.0);
}

#[rstest]
#[case(AlertCondition::FailureRate, 100.1)]
#[case(AlertCondition::Duration, -1.0)]
#[case(AlertCondition::Duration, f64::NAN)]
#[case(AlertCondition::PipelineFailed, 1.0)]
fn a_threshold_that_cannot_be_is_refused(#[case] condition: AlertCondition, #[case] threshold: f64) {
    let rule = AlertRule { threshold: Some(threshold), ..rule(condition) };
    assert_eq!(check(&rule).unwrap_err().field, "threshold");
}

#[rstest]
#[case(&["slack", "carrier-pigeon"])]
#[case(&["slack", "slack"])]
#[case(&["slack"; MAX_CHANNELS + 1])]
fn channels_are_known_and_there_once(#[case] channels: &[&str]) {
    let channels = channels.iter().map(|&channel| channel.to_owned()).collect();
    let rule = AlertRule { channels, ..rule(AlertCondition::PipelineFailed) };
    assert_eq!(check(&rule).unwrap_err().field, "channels");
}

#[test]
fn a_rule_of_one_pipeline_looks_at_no_other() {
    let rule = AlertRule { pipeline: Some("etl".parse().unwrap()), ..rule(AlertCondition::PipelineFailed) };
    assert!(rule.covers("etl") && !rule.covers("etl2"));
    assert!(!AlertRule { enabled: false, ..rule }.covers("etl"));
}

#[test]
fn a_rule_about_tables_looks_at_those_of_its_namespace_and_tag() {
    let table = "nyc.flights".parse().unwrap();
    let (gold, namespace) = ("gold".parse::<Label>().unwrap(), Some("nyc".parse().unwrap()));
    let rule = AlertRule { namespace, tag: Some(gold.clone()), ..rule(AlertCondition::QualityCheck) };
    assert_eq!(check(&rule), Ok(()));
    assert!(rule.covers_table(&table, std::slice::from_ref(&gold)) && !rule.covers_table(&table, &[]));
    assert!(!rule.covers_table(&"hr.staff".parse().unwrap(), &[gold]));
}

#[rstest]
#[case(AlertCondition::PipelineFailed, "namespace")]
#[case(AlertCondition::Freshness, "tag")]
#[case(AlertCondition::CheckScore, "min_rule_severity")]
fn what_a_condition_does_not_know_is_refused(#[case] condition: AlertCondition, #[case] field: &str) {
    let mut rule = rule(condition);
    match field {
        "namespace" => rule.namespace = Some("nyc".parse().unwrap()),
        "tag" => rule.tag = Some("gold".parse().unwrap()),
        _ => rule.min_rule_severity = Some(Severity::High),
    }
    assert_eq!(check(&rule).unwrap_err().field, field);
}
