//! Suites as they are written: what is refused, and where; ours and those of Great Expectations.

use rstest::rstest;
use serde_json::{Value, json};
use sluice_domain::{QualityAction, Severity};
use sluice_quality::{Conditions, check_against, export, parse_suite, queries};

use crate::samples::{ints, rows, some, suite, texts};

fn of_rule(rule: Value) -> Value {
    json!({"name": "s", "rules": [rule]})
}

#[rstest]
#[case(json!([]), "body")]
#[case(json!({"rules": []}), "name")]
#[case(json!({"name": "s"}), "rules")]
#[case(json!({"name": "", "rules": []}), "name")]
#[case(json!({"name": "s", "rules": [], "extra": 1}), "extra")]
#[case(json!({"name": "s", "rules": [7]}), "rules[0]")]
#[case(json!({"name": "s", "rules": [], "criticality": "vital"}), "criticality")]
#[case(json!({"name": "s", "rules": [], "minimum_score": 101}), "minimum_score")]
#[case(of_rule(json!({})), "rules[0].kind")]
#[case(of_rule(json!({"kind": "expect_the_unexpected"})), "rules[0].kind")]
#[case(of_rule(json!({"kind": "expect_table_row_count_to_equal", "severity": "bad"})), "rules[0].severity")]
#[case(of_rule(json!({"kind": "expect_table_row_count_to_equal", "action": "ignore"})), "rules[0].action")]
#[case(of_rule(json!({"kind": "expect_table_row_count_to_equal", "colour": 1})), "rules[0].colour")]
#[case(of_rule(json!({"kind": "expect_table_row_count_to_equal"})), "rules[0].kwargs.value")]
#[case(of_rule(json!({"kind": "expect_table_row_count_to_equal", "kwargs": {"value": -1}})), "rules[0].kwargs.value")]
#[case(of_rule(json!({"kind": "expect_table_row_count_to_equal", "kwargs": {"value": 1, "mostly": 1}})),
    "rules[0].kwargs.mostly")]
#[case(of_rule(json!({"kind": "expect_column_values_to_not_be_null", "kwargs": {"column": "a", "mostly": 1.1}})),
    "rules[0].kwargs.mostly")]
#[case(of_rule(json!({"kind": "expect_column_values_to_match_regex", "kwargs": {"column": "a", "regex": "("}})),
    "rules[0].kwargs.regex")]
#[case(of_rule(json!({"kind": "expect_column_values_to_be_between", "kwargs": {"column": "a"}})),
    "rules[0].kwargs.min_value")]
#[case(of_rule(json!({"kind": "expect_column_values_to_be_between",
    "kwargs": {"column": "a", "min_value": 2, "max_value": 1}})), "rules[0].kwargs.min_value")]
#[case(of_rule(json!({"kind": "expect_column_values_to_be_in_set", "kwargs": {"column": "a", "value_set": []}})),
    "rules[0].kwargs.value_set")]
#[case(of_rule(json!({"kind": "expect_column_values_to_be_of_type", "kwargs": {"column": "a", "type_": "nosuch"}})),
    "rules[0].kwargs.type_")]
#[case(of_rule(json!({"kind": "expect_column_values_to_be_recent", "kwargs": {"column": "a", "max_delay": "5x"}})),
    "rules[0].kwargs.max_delay")]
#[case(of_rule(json!({"kind": "expect_column_values_to_be_unique", "kwargs": {"column": "a"},
    "action": "quarantine"})), "rules[0].action")]
#[case(of_rule(json!({"kind": "expect_column_pair_values_to_be_equal",
    "kwargs": {"column_A": "a", "column_B": "b", "ignore_row_if": "sometimes"}})), "rules[0].kwargs.ignore_row_if")]
#[case(of_rule(json!({"kind": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": "SELECT 1"}})),
    "rules[0].kwargs.unexpected_rows_query")]
#[case(of_rule(json!({"kind": "unexpected_rows_expectation", "action": "quarantine",
    "kwargs": {"unexpected_rows_query": "SELECT 1 FROM {batch}"}})), "rules[0].action")]
#[case(of_rule(json!({"kind": "unexpected_rows_expectation", "action": "reject",
    "kwargs": {"unexpected_rows_query": "SELECT 1 FROM {batch}"}})), "rules[0].action")]
#[case(of_rule(json!({"kind": "unexpected_rows_expectation", "row_condition": "a > 1",
    "kwargs": {"unexpected_rows_query": "SELECT 1 FROM {batch}"}})), "rules[0].row_condition")]
#[case(of_rule(json!({"kind": "expect_query_result_to_be_between", "kwargs": {"query": "SELECT 1 FROM {batch}"}})),
    "rules[0].kwargs.min_value")]
#[case(of_rule(json!({"kind": "expect_column_values_to_be_increasing",
    "kwargs": {"column": "a", "parse_strings_as_datetimes": true}})), "rules[0].kwargs.parse_strings_as_datetimes")]
#[case(json!({"name": "s", "expectations": [{"kwargs": {}}]}), "expectations[0].expectation_type")]
#[case(json!({"expectations": []}), "expectation_suite_name")]
#[case(json!({"name": "s", "expectations": [{"type": "expect_column_to_exist", "kwargs": {}}]}),
    "rules[0].kwargs.column")]
fn a_suite_that_cannot_be_is_refused_by_its_field(#[case] body: Value, #[case] field: &str) {
    let error = parse_suite(&body).unwrap_err();
    assert_eq!(error.field, field, "{error}");
}

#[test]
fn a_suite_has_no_more_rules_than_it_may_have() {
    let rule = json!({"kind": "expect_column_to_exist", "kwargs": {"column": "a"}});
    let of = |count: usize| parse_suite(&json!({"name": "s", "rules": vec![rule.clone(); count]}));
    assert_eq!(of(200).unwrap().rules.len(), 200);
    assert_eq!(of(201).unwrap_err().field, "rules");
    let table = |number: usize| {
        let kwargs = json!({"other_table_name": format!("a.t{number}")});
        json!({"kind": "expect_table_row_count_to_equal_other_table", "kwargs": kwargs})
    };
    let tables = |count: usize| json!({"name": "s", "rules": (0..count).map(table).collect::<Vec<_>>()});
    assert!(parse_suite(&tables(5)).is_ok());
    assert_eq!(parse_suite(&tables(6)).unwrap_err().field, "rules");
    let values = |count: usize| {
        let kwargs = json!({"column": "a", "value_set": (0..count).collect::<Vec<_>>()});
        parse_suite(&of_rule(json!({"kind": "expect_column_values_to_be_in_set", "kwargs": kwargs})))
    };
    assert!(values(1000).is_ok());
    let long = |length: usize| json!({"kind": "expect_column_to_exist", "kwargs": {"column": "x".repeat(length)}});
    let long = |rules: usize| parse_suite(&json!({"name": "s", "rules": vec![long(1000); rules]}));
    assert!(long(200).is_ok());
    let set = json!({"kind": "expect_column_values_to_be_in_set", "kwargs": {"column": "a",
        "value_set": vec!["x".repeat(1000); 263]}});
    assert_eq!(parse_suite(&of_rule(set)).unwrap_err().field, "rules");
    assert_eq!(values(1001).unwrap_err().field, "rules[0].kwargs.value_set");
}

#[test]
fn a_suite_asks_no_more_queries_than_it_may_and_tells_their_places() {
    let rule = |at: usize| {
        let query = format!("SELECT {at} FROM {{batch}}");
        json!({"kind": "expect_query_result_to_be_between", "kwargs": {"query": query, "min_value": 0}})
    };
    let of = |count: usize| parse_suite(&json!({"name": "s", "rules": (0..count).map(rule).collect::<Vec<_>>()}));
    assert_eq!(of(21).unwrap_err().field, "rules");
    let found = queries(&of(20).unwrap());
    assert_eq!((found.len(), found[1].field.as_str(), found[1].gives_value), (20, "rules[1].kwargs.query", true));
    assert_eq!(found[1].over(&"a.t".parse().unwrap()), "SELECT 1 FROM \"a\".\"t\"");
}

#[test]
fn suites_of_great_expectations_of_both_versions_are_read() {
    let old = json!({
        "expectation_suite_name": "orders", "ge_cloud_id": null, "data_asset_type": "Dataset",
        "meta": {"great_expectations_version": "0.18.8"},
        "expectations": [{"expectation_type": "expect_column_values_to_not_be_null",
            "kwargs": {"column": "id", "mostly": 0.95, "result_format": "BASIC", "batch_id": "x"}, "meta": {}}],
    });
    let new = json!({
        "name": "orders", "id": "1b2", "notes": null, "meta": {"great_expectations_version": "1.3.0"},
        "expectations": [{"type": "expect_column_values_to_not_be_null", "id": "2", "severity": "critical",
            "kwargs": {"column": "id", "mostly": 0.95, "row_condition": "id > 0",
                "condition_parser": "great_expectations"}, "meta": {}}],
    });
    let (old, new) = (parse_suite(&old).unwrap(), parse_suite(&new).unwrap());
    assert_eq!((old.name.as_str(), new.name.as_str()), ("orders", "orders"));
    assert_eq!(old.rules[0].kwargs, new.rules[0].kwargs);
    assert_eq!((old.rules[0].severity, new.rules[0].severity), (Severity::Medium, Severity::Critical));
    assert_eq!(new.rules[0].row_condition.as_deref(), Some("id > 0"));
    assert_eq!(new.rules[0].action, QualityAction::Warn);
}

#[test]
fn a_suite_that_was_exported_is_read_back_as_itself() {
    let suite = parse_suite(&json!({"name": "s", "criticality": "high", "minimum_score": 97, "rules": [
        {"kind": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}, "severity": "high",
            "action": "quarantine", "row_condition": "id > 0", "description": "ids are there"},
        {"kind": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}, "action": "reject"},
    ]}))
    .unwrap();
    let exported = export(&suite);
    assert_eq!(exported["expectations"][0]["type"], "expect_column_values_to_not_be_null");
    assert_eq!(parse_suite(&exported).unwrap(), suite);
}

#[test]
fn rules_that_decide_about_rows_must_fit_the_columns() {
    let schema = rows(vec![("n", ints(some(&[1]))), ("t", texts(some(&["a"])))]).schema();
    let field = |kind: &str, kwargs: Value, action: &str| {
        check_against(&suite(&[(kind, kwargs, action)]), &schema, &Conditions::new()).err().map(|error| error.field)
    };
    let pattern = json!({"column": "n", "regex": "x"});
    assert_eq!(
        field("expect_column_values_to_match_regex", pattern.clone(), "quarantine").as_deref(),
        Some("rules[0].kwargs")
    );
    assert_eq!(field("expect_column_values_to_match_regex", pattern, "warn"), None);
    let text = json!({"column": "t", "regex": "x"});
    assert_eq!(field("expect_column_values_to_match_regex", text, "quarantine"), None);
    let sql = json!({"expression": "nonsense ("});
    assert_eq!(field("expect_rows_to_satisfy_expression", sql, "warn").as_deref(), Some("rules[0].kwargs.expression"));
}
