//! The worked examples of the requirements, by their numbers.

use arrow::array::RecordBatch;
use chrono::DateTime;
use rstest::rstest;
use serde_json::{Value, json};
use sluice_domain::{QualityResult, QualitySubject, RowScore, Validation};
use sluice_quality::{Conditions, Scope, ViewFormat, parse_suite, view};

use crate::samples::{ask, ask_with, days, floats, ints, rows, some, suite, texts};

const NOT_NULL: &str = "expect_column_values_to_not_be_null";
const BETWEEN: &str = "expect_column_values_to_be_between";
const OF_TYPE: &str = "expect_column_values_to_be_of_type";

fn shaped(validation: &Validation, format: &str) -> Value {
    let result = QualityResult {
        subject: QualitySubject::Table(Default::default()),
        version: Some(1),
        checked_at: DateTime::UNIX_EPOCH,
        validation: validation.clone(),
    };
    view(&result, "shop.orders", format.parse::<ViewFormat>().unwrap())
}

/// The 20 expectations of the sales suite.
fn sales_suite() -> Value {
    let column = |kind: &str, column: &str, more: Value| {
        let mut kwargs = more;
        kwargs["column"] = json!(column);
        json!({"expectation_type": kind, "kwargs": kwargs, "meta": {}})
    };
    let mut expectations = vec![json!({"expectation_type": "expect_table_columns_to_match_ordered_list", "kwargs": {
        "column_list": ["order_id", "customer_id", "product_id", "quantity", "unit_price", "total_amount", "order_date",
            "status"]}})];
    for (name, type_) in [
        ("order_id", "str"),
        ("customer_id", "str"),
        ("quantity", "int"),
        ("unit_price", "float"),
        ("total_amount", "float"),
    ] {
        expectations.push(column(OF_TYPE, name, json!({"type_": type_})));
    }
    for name in ["order_id", "customer_id", "product_id", "total_amount"] {
        expectations.push(column(NOT_NULL, name, json!({})));
    }
    expectations.push(column("expect_column_values_to_be_unique", "order_id", json!({})));
    for (name, least, most) in
        [("quantity", 1.0, 1000.0), ("unit_price", 0.01, 10000.0), ("total_amount", 0.01, 100_000.0)]
    {
        expectations.push(column(BETWEEN, name, json!({"min_value": least, "max_value": most})));
    }
    let states = json!({"value_set": ["pending", "confirmed", "shipped", "delivered", "cancelled"]});
    expectations.push(column("expect_column_values_to_be_in_set", "status", states));
    let pattern = json!({"regex": r"^ORD-\d{8}-\d{6}$"});
    expectations.push(column("expect_column_values_to_match_regex", "order_id", pattern));
    expectations.push(json!({"expectation_type": "expect_column_pair_values_A_to_be_greater_than_B",
        "kwargs": {"column_A": "total_amount", "column_B": "unit_price", "or_equal": true}}));
    expectations.push(column(BETWEEN, "order_date", json!({"min_value": "2020-01-01", "max_value": "2026-11-22"})));
    let mean = json!({"min_value": 10, "max_value": 500});
    expectations.push(column("expect_column_mean_to_be_between", "total_amount", mean));
    let stdev = json!({"min_value": 1, "max_value": 200});
    expectations.push(column("expect_column_stdev_to_be_between", "total_amount", stdev));
    json!({"expectation_suite_name": "sales_data_quality", "expectations": expectations})
}

fn sales(first_order: &str) -> RecordBatch {
    rows(vec![
        ("order_id", texts([Some(first_order), Some("ORD-20240101-120001"), Some("ORD-20240101-120002")])),
        ("customer_id", texts(some(&["CUST001", "CUST002", "CUST001"]))),
        ("product_id", texts(some(&["PROD001", "PROD002", "PROD003"]))),
        ("quantity", ints(some(&[2, 1, 3]))),
        ("unit_price", floats(some(&[25.50, 15.99, 30.00]))),
        ("total_amount", floats(some(&[51.00, 15.99, 90.00]))),
        ("order_date", days([Some("2024-01-01"); 3])),
        ("status", texts(some(&["confirmed", "shipped", "confirmed"]))),
    ])
}

#[test]
fn q1_the_sales_suite_of_20_expectations_is_kept_by_its_sample() {
    let suite = parse_suite(&sales_suite()).unwrap();
    assert_eq!(suite.rules.len(), 20);
    let found = shaped(&ask(&suite, &sales("ORD-20240101-120000")), "great_expectations");
    assert_eq!(found["success"], true);
    let statistics = json!({"evaluated_expectations": 20, "successful_expectations": 20,
        "unsuccessful_expectations": 0, "success_percent": 100.0});
    assert_eq!(found["statistics"], statistics);
    let observed = |at: usize| found["results"][at]["result"]["observed_value"].as_f64().unwrap();
    assert_eq!(format!("{:.2} {:.2}", observed(18), observed(19)), "52.33 37.02");
}

#[test]
fn q1_one_wrong_order_id_breaks_one_expectation() {
    let suite = parse_suite(&sales_suite()).unwrap();
    let found = shaped(&ask(&suite, &sales("X")), "great_expectations");
    assert_eq!(found["success"], false);
    let statistics = &found["statistics"];
    assert_eq!(
        (&statistics["successful_expectations"], &statistics["unsuccessful_expectations"]),
        (&json!(19), &json!(1))
    );
    let broken = found["results"].as_array().unwrap().iter().find(|result| result["success"] == false).unwrap();
    assert_eq!(broken["expectation_config"]["expectation_type"], "expect_column_values_to_match_regex");
    let result = &broken["result"];
    assert_eq!(
        (&result["unexpected_count"], &result["element_count"], &result["missing_count"]),
        (&json!(1), &json!(3), &json!(0))
    );
    assert_eq!(result["partial_unexpected_list"], json!(["X"]));
    assert_eq!(broken["exception_info"]["raised_exception"], false);
}

#[test]
fn q4_nine_of_ten_checks_have_the_score_90() {
    let column = |column: &str| json!({"column": column});
    let between = |column: &str, most: i64| json!({"column": column, "min_value": 0, "max_value": most});
    let typed = |column: &str| json!({"column": column, "type_": "int64"});
    let list = json!({"column_list": ["user_id", "page_views", "session_duration", "timestamp"]});
    let suite = suite(&[
        ("expect_table_columns_to_match_ordered_list", list, "warn"),
        (OF_TYPE, typed("user_id"), "warn"),
        (OF_TYPE, typed("page_views"), "warn"),
        (OF_TYPE, typed("session_duration"), "warn"),
        (NOT_NULL, column("user_id"), "warn"),
        (NOT_NULL, column("timestamp"), "warn"),
        (BETWEEN, between("page_views", 1000), "warn"),
        (BETWEEN, between("session_duration", 7200), "warn"),
        ("expect_compound_columns_to_be_unique", json!({"column_list": ["user_id", "timestamp"]}), "warn"),
        ("expect_column_values_to_match_regex", json!({"column": "timestamp", "regex": r"\d{4}-\d{2}-\d{2}"}), "warn"),
    ]);
    let users = rows(vec![
        ("user_id", ints(some(&[1, 2]))),
        ("page_views", ints(some(&[10, 1001]))),
        ("session_duration", ints(some(&[30, 7200]))),
        ("timestamp", texts(some(&["2025-01-01 00:00", "2025-01-01 01:00"]))),
    ]);
    let found = shaped(&ask(&suite, &users), "monitor");
    assert_eq!((&found["passed"], &found["quality_score"]), (&json!(false), &json!(90.0)));
    let summary = json!({"total_checks": 10, "passed_checks": 9, "failed_checks": 1, "quality_score": 90.0});
    assert_eq!(found["summary"], summary);
    assert_eq!(found["details"].as_array().unwrap().len(), 10);
}

#[test]
fn q5_one_missing_transaction_id_of_four_fails_critically_and_a_check_that_throws_is_recorded() {
    let suite = parse_suite(&json!({"name": "transactions", "rules": [
        {"kind": NOT_NULL, "kwargs": {"column": "transaction_id"}, "severity": "critical"},
        {"kind": NOT_NULL, "kwargs": {"column": "amount", "mostly": 0.75}, "severity": "high"},
        {"kind": NOT_NULL, "kwargs": {"column": "absent"}, "severity": "high"},
        {"kind": "expect_column_values_to_match_regex", "kwargs": {"column": "amount", "regex": "x"}},
    ]}))
    .unwrap();
    let frame = rows(vec![
        ("transaction_id", ints([Some(1), Some(2), None, Some(4)])),
        ("amount", floats([Some(1.0), None, Some(2.0), Some(3.0)])),
    ]);
    let checks = shaped(&ask(&suite, &frame), "checks")["checks"].clone();
    let first = &checks[0];
    assert_eq!((&first["check_name"], &first["severity"]), (&json!("transaction_id_null"), &json!("critical")));
    assert_eq!(first["details"], json!({"transaction_id": {"null_percentage": 0.25, "success": false}}));
    assert_eq!(first["timestamp"], "1970-01-01T00:00:00+00:00");
    // As many as may be missing are no failure.
    assert_eq!(checks[1]["success"], true);
    assert_eq!((&checks[2]["success"], &checks[2]["details"]), (&json!(false), &json!({"absent": {"present": false}})));
    assert_eq!(checks[3]["success"], false);
    assert!(checks[3]["details"]["error"].as_str().unwrap().contains("texts"), "{checks}");
}

#[test]
fn q6_a_validator_tells_missing_values_other_types_and_negative_amounts() {
    let suite = suite(&[
        (NOT_NULL, json!({"column": "customer_id"}), "warn"),
        (NOT_NULL, json!({"column": "amount"}), "warn"),
        (OF_TYPE, json!({"column": "customer_id", "type_": "int64"}), "warn"),
        (OF_TYPE, json!({"column": "order_date", "type_": "datetime64[ns]"}), "warn"),
        (OF_TYPE, json!({"column": "amount", "type_": "float64"}), "warn"),
        (BETWEEN, json!({"column": "amount", "min_value": 0}), "warn"),
        ("expect_column_values_to_not_be_in_the_future", json!({"column": "order_date"}), "warn"),
    ]);
    let frame = rows(vec![
        ("customer_id", floats([Some(1.0), Some(2.0), Some(3.0), None, Some(5.0)])),
        ("amount", ints(some(&[100, 200, -50, 300, 150]))),
        ("order_date", texts(some(&["2023-01-01", "2023-01-02", "2023-01-03", "2023-01-04", "2023-01-05"]))),
    ]);
    let issue = |expected: &str, actual: &str| json!({"expected": expected, "actual": actual});
    assert_eq!(
        shaped(&ask(&suite, &frame), "validator"),
        json!({
            "null_values": {"customer_id": 1},
            "type_issues": {
                "customer_id": issue("int64", "float64"),
                "amount": issue("float64", "int64"),
                "order_date": issue("datetime64[ns]", "object"),
            },
            "business_rule_violations": {"negative_amounts": 1},
        })
    );
}

#[test]
fn q7_all_errors_are_told_together() {
    let suite = suite(&[
        (NOT_NULL, json!({"column": "order_date"}), "reject"),
        (NOT_NULL, json!({"column": "customer_id"}), "reject"),
        (BETWEEN, json!({"column": "amount", "min_value": 0}), "reject"),
    ]);
    let frame = rows(vec![("customer_id", ints([Some(1), None])), ("amount", ints(some(&[5, -1])))]);
    let validation = ask_with(&suite, &frame, Conditions::new(), Default::default(), Scope::Upload);
    let told: Vec<String> = validation.refusals().flat_map(|refused| refused.complaints.clone()).collect();
    let expected = ["Missing column: order_date", "Null values found in customer_id", "Values below minimum in amount"];
    assert_eq!(told, expected);
}

#[test]
fn q8_three_of_ten_rows_are_set_aside_and_the_score_is_70() {
    let suite = suite(&[
        (NOT_NULL, json!({"column": "id"}), "quarantine"),
        (BETWEEN, json!({"column": "age", "min_value": 0, "max_value": 120}), "quarantine"),
        ("expect_column_values_to_contain", json!({"column": "email", "substring": "@"}), "quarantine"),
    ]);
    let email = |row: usize| match row {
        3 => Some("nobody"),
        5 => None,
        _ => Some("a@b.c"),
    };
    let frame = rows(vec![
        ("id", ints((0..10).map(|row| (row != 1).then_some(row)))),
        ("age", ints((0..10).map(|row| Some(if row == 2 { 121 } else { row * 12 })))),
        ("email", texts((0..10).map(email))),
    ]);
    let validation = ask_with(&suite, &frame, Conditions::new(), Default::default(), Scope::Upload);
    assert_eq!(validation.rows, RowScore { total: 10, valid: 7 });
    assert_eq!(validation.rows.percent(), Some(70.0));
}

#[rstest]
#[case(499, "PASS", 4.99)]
#[case(500, "FAIL", 5.0)]
fn q9_less_than_5_percent_missing_pass_and_5_percent_fail(
    #[case] missing: i64,
    #[case] status: &str,
    #[case] percent: f64,
) {
    let suite = spark_checks();
    let numbers = (0..10_000).map(|row| (row >= missing).then_some(row));
    let report = shaped(&ask(&suite, &rows(vec![("v", ints(numbers))])), "report");
    let expected = json!({"null_count": missing, "null_percentage": percent, "status": status});
    assert_eq!(report["checks"]["v_null_check"], expected);
    let duplicates = missing - 1;
    assert_eq!(report["checks"]["duplicate_check"]["duplicate_count"], duplicates);
    assert_eq!(report["checks"]["duplicate_check"]["status"], "WARN");
    assert_eq!(report["checks"]["v_outlier_check"]["status"], "PASS");
    assert_eq!((&report["table_name"], &report["total_records"]), (&json!("shop.orders"), &json!(10_000)));
}

#[rstest]
#[case(9, "PASS")]
#[case(10, "WARN")]
fn q9_less_than_1_percent_beyond_3_sigma_pass(#[case] outliers: i64, #[case] status: &str) {
    let numbers = (0..1000).map(|row| Some(if row < outliers { 1_000_000 + row } else { row % 10 }));
    let report = shaped(&ask(&spark_checks(), &rows(vec![("v", ints(numbers))])), "report");
    assert_eq!(report["checks"]["v_outlier_check"]["outlier_count"], outliers);
    assert_eq!(report["checks"]["v_outlier_check"]["status"], status);
}

#[test]
fn q9_no_rows_are_not_divided() {
    let report = shaped(&ask(&spark_checks(), &rows(vec![("v", ints([]))])), "report");
    assert_eq!(report["total_records"], 0);
    for check in ["v_null_check", "duplicate_check", "v_outlier_check"] {
        assert_eq!(report["checks"][check]["status"], "PASS", "{report}");
    }
}

fn spark_checks() -> sluice_domain::Suite {
    let share = json!({"column": "v", "min_value": 0.95, "strict_min": true});
    suite(&[
        ("expect_column_proportion_of_non_null_values_to_be_between", share, "warn"),
        ("expect_table_rows_to_be_unique", json!({}), "warn"),
        ("expect_column_outlier_share_to_be_less_than", json!({"column": "v"}), "warn"),
    ])
}

#[test]
fn q11_a_late_event_and_a_quantity_of_0_break_their_rules_and_a_stock_of_0_keeps_its_own() {
    let transactions = suite(&[
        (NOT_NULL, json!({"column": "user_id"}), "quarantine"),
        (BETWEEN, json!({"column": "amount", "min_value": 0, "strict_min": true}), "quarantine"),
        (BETWEEN, json!({"column": "quantity", "min_value": 0, "strict_min": true}), "quarantine"),
        ("expect_column_values_to_be_recent", json!({"column": "timestamp", "max_delay": "5m"}), "quarantine"),
    ]);
    let frame = rows(vec![
        ("user_id", ints(some(&[1, 2, 3]))),
        ("amount", floats(some(&[1.0, 0.5, 2.0]))),
        ("quantity", ints(some(&[1, 0, 2]))),
        ("timestamp", texts(some(&["2024-06-01T11:55:00Z", "2024-06-01T12:00:00Z", "2024-06-01T11:54:00Z"]))),
    ]);
    let validation = ask_with(&transactions, &frame, Conditions::new(), Default::default(), Scope::Upload);
    let unexpected: Vec<_> = validation.results.iter().map(|result| result.observed.unexpected_count).collect();
    assert_eq!(unexpected, [Some(0), Some(0), Some(1), Some(1)]);
    let stock = suite(&[(BETWEEN, json!({"column": "stock_level", "min_value": 0}), "reject")]);
    assert!(ask(&stock, &rows(vec![("stock_level", ints(some(&[0])))])).success());
    assert!(!ask(&stock, &rows(vec![("stock_level", ints(some(&[-1])))])).success());
}
