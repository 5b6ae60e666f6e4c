use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn rule(name: &str, body: Value) -> StoredLifecycleRule {
    let moment = "2026-01-01T00:00:00Z".parse().unwrap();
    StoredLifecycleRule {
        name: name.parse().unwrap(),
        rule: serde_json::from_value(body).unwrap(),
        principal: "ada".into(),
        created_at: moment,
        updated_at: moment,
    }
}

fn to_ia(prefix: &str) -> StoredLifecycleRule {
    let steps = json!([{"after": "30d", "storage_class": "STANDARD_IA"}, {"after": "90d", "storage_class": "GLACIER"},
        {"after": "365d", "storage_class": "DEEP_ARCHIVE"}]);
    let action = json!({"transition": {"steps": steps}});
    rule("transition-to-ia", json!({"scope": {"prefix": prefix}, "action": action, "run_by": "bucket"}))
}

fn expire(days: &str) -> StoredLifecycleRule {
    let action = json!({"expire_objects": {"after": days}});
    rule("expire", json!({"scope": {"zone": "raw"}, "action": action, "run_by": "bucket"}))
}

fn keys() -> Keys {
    Keys {
        zone: "lake/".into(),
        uploads: "lake/uploads/".into(),
        tables: vec!["lake/tables/".into(), "lake/mine/".into()],
    }
}

fn changes(rules: &[StoredLifecycleRule], present: &BucketRules) -> Vec<BucketChange> {
    bucket_changes(rules, present, &keys())
}

#[test]
fn the_rule_of_a_prefix_is_written_as_it_is_said() {
    let found = changes(&[to_ia("raw-data/")], &BucketRules::default());
    let wanted = found[0].wanted.as_ref().unwrap();
    assert_eq!((found.len(), &found[0].refusal, wanted.id.as_str()), (1, &None, "sluice-transition-to-ia"));
    assert_eq!((wanted.prefix.as_str(), wanted.enabled), ("raw-data/", true));
    let classes = [(30, StorageClass::StandardIa), (90, StorageClass::Glacier), (365, StorageClass::DeepArchive)];
    assert_eq!((&wanted.transitions[..], wanted.expiration_days), (&classes[..], None));
}

#[rstest]
#[case("lake/uploads/", false)]
#[case("lake/uploads/nyc/", false)]
#[case("raw-data/", false)]
#[case("lake/", true)]
#[case("la", true)]
#[case("lake/tables/nyc/", true)]
#[case("lake/mine/", true)]
fn s3_never_archives_where_tables_lie(#[case] prefix: &str, #[case] is_refused: bool) {
    let found = changes(&[to_ia(prefix)], &BucketRules::default());
    assert_eq!(found[0].refusal.is_some(), is_refused, "{:?}", found[0]);
}

#[test]
fn s3_gets_no_rule_that_could_break_a_hold_or_a_retention() {
    let hold = rule("case-7", json!({"scope": {"table": "a.b"}, "action": {"legal_hold": {"reason": "case 7"}}}));
    let audit = rule("audit", json!({"scope": {"tag": "audit"}, "action": {"retain": {"for": "10y"}}}));
    let refusal = |rules: &[StoredLifecycleRule]| {
        let found = changes(rules, &BucketRules::default()).into_iter().find(|change| change.rule == "expire");
        found.unwrap().refusal
    };
    assert!(refusal(&[expire("30d"), hold]).unwrap().contains("case-7"));
    assert!(refusal(&[expire("3650d"), audit.clone()]).unwrap().contains("audit"));
    assert_eq!(refusal(&[expire("3700d"), audit]), None);
    assert_eq!(refusal(&[expire("30d")]), None);
}

proptest! {
    #[test]
    fn no_key_of_a_table_is_below_what_s3_may_archive_or_remove(
        prefix in "(l|la|lake|lake/)?(u|uploads/|t|tables/|m|mine/)?[a-z/]{0,6}",
        file in "(lake/tables/|lake/mine/)[a-z/]{0,9}",
        days in 1u32..999,
    ) {
        let expiry = json!({"scope": {"prefix": format!("{prefix}x")}, "action": {"expire_objects": {"after": format!("{days}d")}}, "run_by": "bucket"});
        for stored in [to_ia(&format!("{prefix}x")), rule("expire", expiry)] {
            let found = changes(&[stored], &BucketRules::default());
            if found[0].refusal.is_none() {
                prop_assert!(!file.starts_with(&found[0].wanted.as_ref().unwrap().prefix));
            }
        }
    }
}
