//! Plain tables that are held to a suite.

use axum::http::Method;
use serde_json::{Value, json};
use sluice_tests::{TestLake, assert_problem, table_path};

const PLAIN: &str = "?format=csv&table_format=parquet&partition_by=p";

fn rule(kind: &str, kwargs: Value, action: &str) -> Value {
    json!({"kind": kind, "kwargs": kwargs, "action": action})
}

/// A plain table with two rows, held to these rules.
async fn held(rules: Value) -> TestLake {
    let lake = TestLake::open().await;
    lake.upload("a.t", PLAIN, "p,n\n1,1\n2,2\n").await.expect_status(201);
    let body = json!({"name": "tests", "rules": rules});
    lake.call(Method::PUT, &format!("{}/quality", table_path("a.t"))).json(&body).send().await.expect_status(200);
    lake
}

async fn get(lake: &TestLake, what: &str) -> Value {
    lake.get(&format!("{}/{what}", table_path("a.t"))).await.expect(200)
}

async fn check(lake: &TestLake) -> Value {
    lake.call(Method::POST, &format!("{}/quality/check", table_path("a.t"))).send().await.expect(200)
}

#[tokio::test]
async fn all_four_actions_mean_the_same_in_a_plain_table() {
    let between = |most: i64| json!({"column": "n", "max_value": most});
    let lake = held(json!([
        rule("expect_column_values_to_be_between", between(100), "quarantine"),
        rule("expect_column_max_to_be_between", between(50), "reject"),
        rule("expect_column_max_to_be_between", between(20), "block"),
        rule("expect_column_values_to_be_between", between(10), "warn"),
    ]))
    .await;
    let receipt = lake.upload("a.t", "?format=csv", "p,n\n3,3\n3,101\n").await.expect(201);
    assert_eq!((&receipt["rows_committed"], &receipt["rows_quarantined"]), (&json!(1), &json!(1)));
    assert_eq!(receipt["quality"]["scores"]["data_quality_score"], 50.0);
    assert_eq!(lake.rows("SELECT rule FROM a.t__quarantine").await[0]["rule"], "expect_column_values_to_be_between");

    let refused = assert_problem(&lake.upload("a.t", "?format=csv", "p,n\n4,60\n").await, 422, "quality-refused");
    assert_eq!((lake.count("a.t").await, &get(&lake, "quality/verdict").await["publishable"]), (3, &json!(true)));
    assert_eq!(get(&lake, "quality/results").await["items"][0]["upload_id"], refused["upload_id"]);

    let receipt = lake.upload("a.t", "?format=csv", "p,n\n5,30\n").await.expect(201);
    assert_eq!(receipt["quality"]["failed_rules"].as_array().unwrap().len(), 2, "{receipt}");
    let verdict = get(&lake, "quality/verdict").await;
    assert_eq!((&verdict["publishable"], &verdict["because"]["upload_id"]), (&json!(false), &receipt["upload_id"]));
}

#[tokio::test]
async fn a_plain_table_is_checked_and_profiled_in_the_types_that_it_was_written_in() {
    let lake = held(json!([
        rule("expect_column_values_to_be_in_set", json!({"column": "p", "value_set": [1, 2]}), "warn"),
        rule("expect_column_values_to_be_increasing", json!({"column": "n", "strictly": true}), "warn"),
        rule("expect_table_row_count_to_equal", json!({"value": 2}), "warn"),
        rule(
            "unexpected_rows_expectation",
            json!({"unexpected_rows_query": "SELECT * FROM {batch} WHERE n > 2"}),
            "block"
        ),
    ]))
    .await;
    let found = check(&lake).await;
    assert_eq!((&found["success"], &found["version"]), (&json!(true), &json!(0)), "{found}");
    lake.upload("a.t", "?format=csv", "p,n\n1,3\n").await.expect_status(201);
    let found = check(&lake).await;
    let kept: Vec<&Value> = found["results"].as_array().unwrap().iter().map(|result| &result["success"]).collect();
    assert_eq!(kept, [true, true, false, false], "{found}");
    assert_eq!(get(&lake, "quality/verdict").await["publishable"], false);
    let profile = get(&lake, "profile").await;
    assert_eq!((&profile["rows"], &profile["version"]), (&json!(3), &json!(1)));
}

#[tokio::test]
async fn a_plain_table_is_looked_up_in() {
    let lake = held(json!([])).await;
    lake.upload("a.orders", "?format=csv", "n\n1\n").await.expect_status(201);
    let kwargs = json!({"column": "n", "other_table_name": "a.t", "other_column": "n"});
    let body = json!({"name": "s", "rules": [rule("expect_column_values_to_exist_in_other_table", kwargs, "reject")]});
    let path = format!("{}/quality", table_path("a.orders"));
    lake.call(Method::PUT, &path).json(&body).send().await.expect_status(200);
    lake.upload("a.orders", "?format=csv", "n\n2\n").await.expect_status(201);
    assert_problem(&lake.upload("a.orders", "?format=csv", "n\n3\n").await, 422, "quality-refused");
}
