//! A suite over rows: what is set aside, what is thrown, what is remembered.

use rstest::rstest;
use serde_json::json;
use sluice_domain::{RowScore, Suite};
use sluice_quality::{Conditions, Evaluation, Scope, parse_suite};

use crate::samples::{ask, ask_with, ints, positive, rows, setting, some, suite, texts};

#[test]
fn rows_that_are_set_aside_do_not_come_to_the_other_rules() {
    let batch = rows(vec![("n", ints([Some(1), None, Some(-5), Some(3)]))]);
    let suite = suite(&[
        ("expect_column_values_to_not_be_null", json!({"column": "n"}), "quarantine"),
        ("expect_column_values_to_be_between", json!({"column": "n", "min_value": 0}), "quarantine"),
        ("expect_column_mean_to_be_between", json!({"column": "n", "min_value": 2, "max_value": 2}), "reject"),
        ("expect_table_row_count_to_equal", json!({"value": 2}), "reject"),
    ]);
    let mut evaluation = Evaluation::new(&suite, &setting(&batch), Scope::Upload);
    let aside = evaluation.look(&batch);
    let told: Vec<_> = aside.iter().map(|aside| (aside.row, aside.message.as_str())).collect();
    assert_eq!(told, [(1, "Null values found in n"), (2, "n must lie between 0 and …")]);
    evaluation.add_unreadable(6);
    let validation = evaluation.finish();
    assert_eq!(validation.rows, RowScore { total: 10, valid: 2 });
    assert_eq!(validation.passed(), 2, "{validation:?}");
    assert_eq!(validation.refusals().count(), 0);
    let of_table = ask_with(&suite, &batch, Conditions::new(), Default::default(), Scope::Table);
    assert_eq!((of_table.passed(), of_table.rows), (0, RowScore { total: 4, valid: 2 }));
}

#[rstest]
#[case(4, true)]
#[case(6, false)]
fn rows_that_are_lost_are_counted(#[case] lost: i64, #[case] success: bool) {
    let batch = rows(vec![("n", ints((0..100).map(|row| Some(row - lost))))]);
    let suite = suite(&[
        ("expect_column_values_to_be_between", json!({"column": "n", "min_value": 0}), "quarantine"),
        ("expect_table_row_loss_to_be_at_most", json!({}), "reject"),
    ]);
    let validation = ask_with(&suite, &batch, Conditions::new(), Default::default(), Scope::Upload);
    assert_eq!(validation.results[1].success, success);
    let pct = validation.results[1].observed.value.as_ref().unwrap()["data_loss_pct"].as_f64().unwrap();
    assert!((pct - lost as f64).abs() < 1e-9, "{pct}");
}

#[test]
fn a_rule_that_cannot_be_asked_is_recorded_and_the_others_go_on() {
    let batch = rows(vec![("n", ints(some(&[1, 2]))), ("t", texts(some(&["a", "b"])))]);
    let validation = ask(
        &suite(&[
            ("expect_column_values_to_not_be_null", json!({"column": "gone"}), "reject"),
            ("expect_column_mean_to_be_between", json!({"column": "t", "min_value": 0}), "warn"),
            ("expect_rows_to_satisfy_expression", json!({"expression": "n > 0"}), "warn"),
            ("expect_table_row_count_to_equal_other_table", json!({"other_table_name": "a.b"}), "warn"),
            ("expect_column_values_to_not_be_null", json!({"column": "n"}), "warn"),
        ]),
        &batch,
    );
    let thrown: Vec<bool> = validation.results.iter().map(|result| result.exception.is_some()).collect();
    assert_eq!(thrown, [true, true, true, true, false]);
    assert_eq!((validation.passed(), validation.check_score()), (1, 20.0));
    assert_eq!(validation.results[0].complaints, ["Missing column: gone"]);
    assert_eq!(validation.refusals().count(), 1);
}

#[test]
fn what_would_have_to_remember_too_much_says_so() {
    let batch = rows(vec![("n", ints((0..1000).map(Some)))]);
    let suite = suite(&[
        ("expect_column_values_to_be_unique", json!({"column": "n"}), "warn"),
        ("expect_column_median_to_be_between", json!({"column": "n", "min_value": 0}), "warn"),
        ("expect_column_max_to_be_between", json!({"column": "n", "max_value": 999}), "warn"),
    ]);
    let with = |bytes: usize| {
        let mut evaluation = Evaluation::within(&suite, &setting(&batch), Scope::Table, bytes);
        evaluation.look(&batch);
        evaluation.finish()
    };
    assert!(with(1000 * (48 + 16)).success());
    let validation = with(1000 * 48 - 1);
    let thrown: Vec<bool> = validation.results.iter().map(|result| result.exception.is_some()).collect();
    assert_eq!(thrown, [true, true, false]);
    assert!(validation.results[0].complaints[0].contains("remember"), "{validation:?}");
}

#[test]
fn a_condition_confines_a_rule_to_some_rows() {
    let batch = rows(vec![("n", ints(some(&[-1, 0, 1, 2]))), ("t", texts([None, None, Some("a"), None]))]);
    let suite: Suite = parse_suite(&json!({"name": "s", "rules": [
        {"kind": "expect_column_values_to_not_be_null", "kwargs": {"column": "t"}, "row_condition": "n > 0"},
        {"kind": "expect_table_row_count_to_equal", "kwargs": {"value": 2}, "row_condition": "n > 0"},
    ]}))
    .unwrap();
    let validation = ask_with(&suite, &batch, positive("n > 0", "n"), Default::default(), Scope::Table);
    let observed = &validation.results[0].observed;
    assert_eq!((observed.element_count, observed.unexpected_count), (Some(2), Some(1)));
    assert!(validation.results[1].success);
    assert_eq!(validation.rows, RowScore { total: 4, valid: 3 });
}

#[rstest]
#[case(json!({"criticality": "critical"}), 989, false)]
#[case(json!({"criticality": "critical"}), 990, true)]
#[case(json!({"minimum_score": 95}), 949, false)]
#[case(json!({"minimum_score": 0.95}), 950, true)]
#[case(json!({}), 0, true)]
fn a_table_with_too_few_valid_rows_is_not_published(
    #[case] gate: serde_json::Value,
    #[case] valid: i64,
    #[case] publishable: bool,
) {
    let mut body = json!({"name": "s", "rules": [
        {"kind": "expect_column_values_to_be_between", "kwargs": {"column": "n", "max_value": valid}}]});
    body.as_object_mut().unwrap().extend(gate.as_object().unwrap().clone());
    let batch = rows(vec![("n", ints((1..=1000).map(Some)))]);
    assert_eq!(ask(&parse_suite(&body).unwrap(), &batch).publishable, publishable);
}

#[test]
fn a_broken_rule_that_blocks_keeps_a_table_from_being_published() {
    let batch = rows(vec![("n", ints(some(&[1])))]);
    for (action, publishable) in [("block", false), ("warn", true)] {
        let rule = ("expect_table_row_count_to_equal", json!({"value": 2}), action);
        assert_eq!(ask(&suite(&[rule]), &batch).publishable, publishable, "{action}");
    }
}

#[test]
fn no_checks_have_the_score_0() {
    let validation = ask(&suite(&[]), &rows(vec![("n", ints(some(&[1])))]));
    assert_eq!((validation.check_score(), validation.success()), (0.0, true));
}
