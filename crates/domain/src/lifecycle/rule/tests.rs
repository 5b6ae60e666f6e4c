use rstest::rstest;

use super::*;

fn rule(text: &str) -> Result<LifecycleRule, String> {
    let rule: LifecycleRule = serde_json::from_str(text).map_err(|error| error.to_string())?;
    rule.check().map_err(|error| error.to_string())?;
    Ok(rule)
}

const DAY: u64 = 86_400;

#[rstest]
#[case(29, StorageClass::Standard)]
#[case(30, StorageClass::StandardIa)]
#[case(89, StorageClass::StandardIa)]
#[case(90, StorageClass::Glacier)]
#[case(364, StorageClass::Glacier)]
#[case(365, StorageClass::DeepArchive)]
fn objects_get_colder_as_they_grow_older(#[case] days: u64, #[case] class: StorageClass) {
    let text = r#"{"scope": {"prefix": "raw-data/"}, "action": {"transition": {"steps": [
        {"after": "30d", "storage_class": "STANDARD_IA"}, {"after": "90d", "storage_class": "GLACIER"},
        {"after": "365d", "storage_class": "DEEP_ARCHIVE"}]}}, "run_by": "bucket"}"#;
    let LifecycleAction::Transition(transition) = rule(text).unwrap().action else { panic!("another kind") };
    assert_eq!(transition.class_at(days * DAY), class);
}

#[rstest]
#[case(r#"{"scope": "lake", "action": {"retain": {"for": "infinite"}}}"#)]
#[case(r#"{"scope": {"classification": "pii"}, "action": {"retain": {"for": "7y"}}}"#)]
#[case(r#"{"scope": {"zone": "standardized"}, "action": {"expire_rows": {"after": "7y"}}}"#)]
#[case(r#"{"scope": {"table": "a.b"}, "action": {"expire_rows": {"column": "day", "after": "30d"}}}"#)]
#[case(r#"{"scope": {"tag": "cache"}, "action": {"expire_objects": {"after": "3600s"}}}"#)]
#[case(r#"{"scope": "lake", "action": {"versions": {"vacuum_after": "168h", "log_after": "30d"}}}"#)]
#[case(r#"{"scope": {"namespace": "iot"}, "action": {"purge_deleted": {"after": "30d"}}}"#)]
#[case(r#"{"scope": "lake", "action": {"legal_hold": {"reason": "case 7"}}, "enabled": false}"#)]
fn every_retention_that_is_stated_can_be_said(#[case] text: &str) {
    let rule = rule(text).unwrap();
    let again: LifecycleRule = serde_json::from_str(&serde_json::to_string(&rule).unwrap()).unwrap();
    assert_eq!(again, rule);
}

#[rstest]
#[case(r#"{"scope": "lake", "action": {"expire_objects": {"after": "0d"}}}"#, "0d")]
#[case(r#"{"scope": "lake", "action": {"shred": {"after": "1d"}}}"#, "shred")]
#[case(r#"{"scope": "galaxy", "action": {"purge_deleted": {"after": "1d"}}}"#, "galaxy")]
#[case(r#"{"scope": {"zone": "gold"}, "action": {"purge_deleted": {"after": "1d"}}}"#, "gold")]
#[case(r#"{"scope": {"tag": ""}, "action": {"purge_deleted": {"after": "1d"}}}"#, "scope.tag")]
#[case(r#"{"scope": "lake", "action": {"purge_deleted": {"after": "1d", "before": "2d"}}}"#, "before")]
#[case(r#"{"scope": "lake", "action": {"versions": {}}}"#, "action.versions")]
#[case(r#"{"scope": "lake", "action": {"versions": {"vacuum_after": "167h"}}}"#, "action.versions.vacuum_after")]
#[case(r#"{"scope": "lake", "action": {"versions": {"log_after": "6d"}}}"#, "action.versions.log_after")]
#[case(r#"{"scope": "lake", "action": {"transition": {"steps": []}}}"#, "action.transition.steps")]
#[case(
    r#"{"scope": "lake", "action": {"transition": {"steps": [{"after": "1d", "storage_class": "STANDARD"}]}}}"#,
    "action.transition.steps"
)]
#[case(
    r#"{"scope": "lake", "action": {"transition": {"steps": [{"after": "infinite", "storage_class": "GLACIER"}]}}}"#,
    "action.transition.steps"
)]
#[case(r#"{"scope": "lake", "action": {"transition": {"steps": [{"after": "2d", "storage_class": "GLACIER"}, {"after": "1d", "storage_class": "DEEP_ARCHIVE"}]}}}"#, "action.transition.steps")]
#[case(r#"{"scope": "lake", "action": {"transition": {"steps": [{"after": "1d", "storage_class": "GLACIER"}, {"after": "2d", "storage_class": "STANDARD_IA"}]}}}"#, "action.transition.steps")]
#[case(
    r#"{"scope": "lake", "action": {"compact": {"below_bytes": 0, "target_bytes": 1048576}}}"#,
    "action.compact.below_bytes"
)]
#[case(
    r#"{"scope": "lake", "action": {"compact": {"below_bytes": 1, "target_bytes": 1}}}"#,
    "action.compact.target_bytes"
)]
#[case(
    r#"{"scope": "lake", "action": {"compact": {"below_bytes": 1, "target_bytes": 1048576, "min_files": 1}}}"#,
    "action.compact.min_files"
)]
#[case(r#"{"scope": "lake", "action": {"legal_hold": {"reason": ""}}}"#, "action.legal_hold.reason")]
#[case(r#"{"scope": {"table": "a.b"}, "action": {"expire_objects": {"after": "1d"}}, "run_by": "bucket"}"#, "run_by")]
#[case(r#"{"scope": {"zone": "raw"}, "action": {"purge_deleted": {"after": "1d"}}, "run_by": "bucket"}"#, "run_by")]
#[case(
    r#"{"scope": {"prefix": "a "}, "action": {"expire_objects": {"after": "1d"}}, "run_by": "bucket"}"#,
    "scope.prefix"
)]
#[case(r#"{"scope": {"zone": "raw"}, "action": {"expire_objects": {"after": "12h"}}, "run_by": "bucket"}"#, "run_by")]
fn what_makes_no_sense_is_refused_by_name(#[case] text: &str, #[case] name: &str) {
    let error = rule(text).unwrap_err();
    assert!(error.contains(name), "{error}");
}

#[test]
fn hostile_names_are_refused() {
    for name in ["", ".", "-a", "a/b", "a b", "ü", &"a".repeat(129)] {
        assert!(name.parse::<LifecycleName>().is_err(), "{name:?} was accepted");
    }
    assert_eq!("transition-to-ia".parse::<LifecycleName>().unwrap().as_str(), "transition-to-ia");
}
