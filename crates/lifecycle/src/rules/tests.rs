use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use sluice_domain::{LakeZone, PlanAction, StorageClass, StoredLifecycleRule, TableRef, UploadState};

use super::*;
use crate::Labels;

fn now() -> DateTime<Utc> {
    "2026-06-30T12:00:00Z".parse().unwrap()
}

fn rule(name: &str, scope: Value, action: Value) -> StoredLifecycleRule {
    let rule = serde_json::from_value(json!({"scope": scope, "action": action})).unwrap();
    StoredLifecycleRule {
        name: name.parse().unwrap(),
        rule,
        principal: "ada".into(),
        created_at: now(),
        updated_at: now(),
    }
}

fn table() -> TableRef {
    "nyc.flights".parse().unwrap()
}

fn labels() -> Labels {
    Labels { tags: ["hot".into()].into(), classifications: ["pii".into()].into() }
}

fn with_target<T>(check: impl Fn(&Target<'_>) -> T) -> T {
    let (table, labels) = (table(), labels());
    check(&Target { key: "raw-data/uploads/nyc/1.csv", zone: LakeZone::Raw, table: &table, labels: &labels })
}

fn object(days: i64, class: StorageClass, state: UploadState) -> ObjectFacts {
    ObjectFacts { landed_at: now() - TimeDelta::days(days), class, state }
}

fn decide(rules: &[StoredLifecycleRule], days: i64) -> Option<Proposal> {
    let facts = object(days, StorageClass::Standard, UploadState::Committed);
    with_target(|target| decide_object(rules, target, facts, now()))
}

fn colder() -> Value {
    json!({"transition": {"steps": [
        {"after": "30d", "storage_class": "STANDARD_IA"},
        {"after": "90d", "storage_class": "GLACIER"},
        {"after": "365d", "storage_class": "DEEP_ARCHIVE"},
    ]}})
}

#[rstest]
#[case("raw-data/", 29, None)]
#[case("raw-data/", 30, Some(StorageClass::StandardIa))]
#[case("raw-data/", 89, Some(StorageClass::StandardIa))]
#[case("raw-data/", 90, Some(StorageClass::Glacier))]
#[case("raw-data/", 364, Some(StorageClass::Glacier))]
#[case("raw-data/", 365, Some(StorageClass::DeepArchive))]
#[case("processed-data/", 365, None)]
fn the_bytes_below_a_prefix_get_colder_with_age(
    #[case] prefix: &str,
    #[case] days: i64,
    #[case] to: Option<StorageClass>,
) {
    let rules = [rule("transition-to-ia", json!({"prefix": prefix}), colder())];
    let action = decide(&rules, days).map(|proposal| proposal.action);
    assert_eq!(action, to.map(|to| PlanAction::Transition { from: StorageClass::Standard, to }));
}

#[rstest]
#[case(json!("lake"), true)]
#[case(json!({"zone": "raw"}), true)]
#[case(json!({"zone": "curated"}), false)]
#[case(json!({"namespace": "nyc"}), true)]
#[case(json!({"namespace": "hr"}), false)]
#[case(json!({"table": "nyc.flights"}), true)]
#[case(json!({"table": "nyc.taxis"}), false)]
#[case(json!({"tag": "hot"}), true)]
#[case(json!({"tag": "pii"}), false)]
#[case(json!({"classification": "pii"}), true)]
#[case(json!({"classification": "hot"}), false)]
#[case(json!({"prefix": "raw-data/uploads/nyc"}), true)]
#[case(json!({"prefix": "data/uploads"}), false)]
fn a_scope_holds_what_it_names(#[case] scope: Value, #[case] holds: bool) {
    let rules = [rule("r", scope, json!({"expire_objects": {"after": "1d"}}))];
    assert_eq!(decide(&rules, 2).is_some(), holds);
}

#[test]
fn the_quarantine_of_a_table_is_under_its_rules() {
    let (table, labels) = ("nyc.flights__quarantine".parse().unwrap(), Labels::default());
    let target = Target { key: "k", zone: LakeZone::Standardized, table: &table, labels: &labels };
    assert!(target.is_in(&sluice_domain::LifecycleScope::Table("nyc.flights".parse().unwrap())));
}

#[test]
fn a_narrower_rule_goes_before_a_wider_one_and_says_so() {
    let expire = |after: &str| json!({"expire_objects": {"after": after}});
    let rules = [
        rule("everything", json!("lake"), expire("1d")),
        rule("of-zone", json!({"zone": "raw"}), expire("2d")),
        rule("of-pii", json!({"classification": "pii"}), expire("3d")),
        rule("of-table", json!({"table": "nyc.flights"}), expire("30d")),
    ];
    assert_eq!(decide(&rules, 29), None, "the table's own rule keeps it");
    let proposal = decide(&rules, 30).unwrap();
    assert_eq!(
        (proposal.rule.as_str(), proposal.overridden),
        ("of-table", vec!["of-pii".into(), "of-zone".into(), "everything".into()])
    );
}

#[test]
fn of_equal_scopes_the_one_that_keeps_longer_goes_first() {
    let rules = [
        rule("a", json!("lake"), json!({"expire_objects": {"after": "1d"}})),
        rule("b", json!("lake"), json!({"expire_objects": {"after": "10d"}})),
    ];
    assert_eq!(decide(&rules, 5), None);
    assert_eq!(decide(&rules, 10).unwrap().rule, "b");
}

#[test]
fn what_is_never_to_go_stays_whatever_wider_rules_say() {
    let rules = [
        rule("keep", json!({"table": "nyc.flights"}), json!({"expire_objects": {"after": "infinite"}})),
        rule("expire", json!("lake"), json!({"expire_objects": {"after": "1d"}})),
    ];
    assert_eq!(decide(&rules, 40_000), None);
}

#[test]
fn the_longest_retention_goes_before_an_expiry_however_narrow() {
    let rules = [
        rule("pii", json!({"classification": "pii"}), json!({"retain": {"for": "7y"}})),
        rule("trading", json!("lake"), json!({"retain": {"for": "5y"}})),
        rule("short", json!({"table": "nyc.flights"}), json!({"expire_objects": {"after": "30d"}})),
    ];
    assert_eq!(decide(&rules, 29), None);
    let proposal = decide(&rules, 6 * 365).unwrap();
    assert_eq!((proposal.rule.as_str(), &proposal.overridden[..]), ("pii", &["short".to_owned()][..]));
    assert!(proposal.refusal.unwrap().contains("7y"));
    assert_eq!(decide(&rules, 7 * 366).unwrap().refusal, None);
    let archived = [&rules[..], &[rule("cold", json!("lake"), colder())]].concat();
    let proposal = decide(&archived, 400).unwrap();
    assert_eq!((proposal.rule.as_str(), proposal.refusal), ("cold", None), "what is kept may be kept cold");
    assert_eq!(proposal.overridden, ["short"]);
}

#[test]
fn a_legal_hold_goes_before_everything() {
    let hold = rule("case-7", json!({"namespace": "nyc"}), json!({"legal_hold": {"reason": "case 7"}}));
    let rules = [
        rule("short", json!({"table": "nyc.flights"}), json!({"expire_objects": {"after": "30d"}})),
        rule("cold", json!("lake"), colder()),
        hold.clone(),
    ];
    let proposal = decide(&rules, 400).unwrap();
    assert_eq!((proposal.rule.as_str(), proposal.overridden), ("case-7", vec!["short".into(), "cold".into()]));
    assert_eq!(proposal.refusal.as_deref(), Some("legal hold case-7: case 7"));
    let table_rules = [
        rule("rows", json!("lake"), json!({"expire_rows": {"after": "1d"}})),
        rule("versions", json!("lake"), json!({"versions": {"vacuum_after": "8d", "log_after": "9d"}})),
        rule("purge", json!("lake"), json!({"purge_deleted": {"after": "1d"}})),
        rule("compact", json!("lake"), json!({"compact": {"below_bytes": 9, "target_bytes": 1_048_576}})),
        hold,
    ];
    with_target(|target| {
        let mut said = vec![decide_rows(&table_rules, target, now()).unwrap()];
        said.extend(decide_versions(&table_rules, target));
        said.extend(decide_purge(&table_rules, target, now() - TimeDelta::days(2), now()));
        said.extend(decide_compaction(&table_rules, target).map(|(proposal, _)| proposal));
        assert_eq!(said.len(), 5);
        assert!(said.iter().all(|proposal| proposal.refusal.is_some() && proposal.rule == "case-7"), "{said:?}");
    });
}

#[rstest]
#[case(UploadState::Landed, false)]
#[case(UploadState::Committing, false)]
#[case(UploadState::Committed, true)]
#[case(UploadState::Failed, true)]
fn the_bytes_of_an_upload_without_outcome_are_left_alone(#[case] state: UploadState, #[case] acts: bool) {
    let rules = [rule("cold", json!("lake"), colder())];
    let facts = object(400, StorageClass::Standard, state);
    let proposal = with_target(|target| decide_object(&rules, target, facts, now())).unwrap();
    assert_eq!(proposal.refusal.is_none(), acts);
}

#[test]
fn an_object_never_gets_warmer() {
    let rules = [rule("cold", json!("lake"), colder())];
    let facts = object(100, StorageClass::DeepArchive, UploadState::Committed);
    assert_eq!(with_target(|target| decide_object(&rules, target, facts, now())), None);
}

#[test]
fn rows_are_kept_as_long_as_the_longest_retention() {
    let rules = [
        rule("iot", json!({"namespace": "nyc"}), json!({"expire_rows": {"column": "day", "after": "30d"}})),
        rule("audit", json!("lake"), json!({"retain": {"for": "10y"}})),
    ];
    with_target(|target| {
        let alone = decide_rows(&rules[..1], target, now()).unwrap();
        let before = "2026-05-31T12:00:00Z".parse().unwrap();
        assert_eq!(alone.action, PlanAction::ExpireRows { column: Some("day".into()), before });
        let both = decide_rows(&rules, target, now()).unwrap();
        let before = "2016-06-30T12:00:00Z".parse().unwrap();
        assert_eq!(both.action, PlanAction::ExpireRows { column: Some("day".into()), before });
        assert_eq!((both.rule.as_str(), both.overridden), ("audit", vec!["iot".into()]));
    });
}

#[test]
fn a_deleted_table_is_purged_after_its_window() {
    let rules = [rule("window", json!("lake"), json!({"purge_deleted": {"after": "30d"}}))];
    let decide = |rules: &[StoredLifecycleRule], days| {
        with_target(|target| decide_purge(rules, target, now() - TimeDelta::days(days), now()))
    };
    assert_eq!(decide(&rules, 29), None);
    assert_eq!(decide(&rules, 30).unwrap().refusal, None);
    let retained = [&rules[..], &[rule("pii", json!("lake"), json!({"retain": {"for": "7y"}}))]].concat();
    assert_eq!(decide(&retained, 30).unwrap().rule, "pii");
    assert!(decide(&retained, 30).unwrap().refusal.is_some());
}

#[test]
fn a_rule_that_is_off_or_for_the_bucket_decides_nothing_here() {
    let mut off = rule("off", json!("lake"), colder());
    off.rule.enabled = false;
    let mut bucket = rule("bucket", json!({"zone": "raw"}), colder());
    bucket.rule.run_by = sluice_domain::RunBy::Bucket;
    assert_eq!(decide(&[off, bucket], 400), None);
}

fn any_rule() -> impl Strategy<Value = (Value, Value)> {
    let scope = prop_oneof![
        Just(json!("lake")),
        Just(json!({"zone": "raw"})),
        Just(json!({"namespace": "nyc"})),
        Just(json!({"classification": "pii"})),
        Just(json!({"tag": "hot"})),
        Just(json!({"prefix": "raw-data/"})),
        Just(json!({"prefix": "raw-data/uploads"})),
        Just(json!({"table": "nyc.flights"})),
    ];
    let age = prop_oneof![(1u32..500).prop_map(|days| format!("{days}d")), Just("infinite".to_owned())];
    let action = (age, 0..5).prop_map(|(age, kind)| match kind {
        0 => json!({"expire_objects": {"after": age}}),
        1 => json!({"retain": {"for": age}}),
        2 => json!({"expire_rows": {"after": age}}),
        3 => json!({"legal_hold": {"reason": "held"}}),
        _ => colder(),
    });
    (scope, action)
}

fn rules_of(said: Vec<(Value, Value)>) -> Vec<StoredLifecycleRule> {
    said.into_iter().enumerate().map(|(at, (scope, action))| rule(&format!("r{at}"), scope, action)).collect()
}

proptest! {
    #[test]
    fn the_outcome_does_not_depend_on_the_order_of_the_rules(
        said in prop::collection::vec(any_rule(), 0..8),
        days in 0i64..600,
        turn in 0usize..8,
    ) {
        let rules = rules_of(said);
        let mut turned = rules.clone();
        turned.rotate_left(turn.min(rules.len()));
        let mut reversed = rules.clone();
        reversed.reverse();
        for other in [turned, reversed] {
            prop_assert_eq!(decide(&rules, days), decide(&other, days));
            with_target(|target| {
                prop_assert_eq!(decide_rows(&rules, target, now()), decide_rows(&other, target, now()));
                Ok(())
            })?;
        }
    }

    #[test]
    fn nothing_goes_that_is_held_or_younger_than_any_retention(
        said in prop::collection::vec(any_rule(), 0..8),
        days in 0i64..600,
    ) {
        let rules = rules_of(said);
        let acts = decide(&rules, days).filter(|proposal| proposal.refusal.is_none());
        let held = rules.iter().any(|rule| matches!(rule.rule.action, sluice_domain::LifecycleAction::LegalHold(_)));
        prop_assert!(!held || acts.is_none());
        if let Some(PlanAction::ExpireObject) = acts.map(|proposal| proposal.action) {
            let longest = longest_retention(&rules).map_or(0, |(_, age)| age.seconds());
            prop_assert!(longest <= days as u64 * 86_400);
        }
    }
}

#[test]
fn what_the_settings_say_of_a_zone_comes_after_every_rule() {
    let rules = [
        rule("settings.zones.raw", json!({"zone": "raw"}), json!({"expire_objects": {"after": "infinite"}})),
        rule("wide", json!("lake"), json!({"expire_objects": {"after": "1d"}})),
    ];
    assert_eq!(decide(&rules, 2).unwrap().rule, "wide");
    assert_eq!(decide(&rules[..1], 2), None);
}
