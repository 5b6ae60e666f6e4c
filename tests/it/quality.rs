//! Tables that are held to a suite: what becomes of uploads, what is told of them, and what is kept.

use axum::http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use sluice_domain::Action;
use sluice_tests::{Answer, TestLake, assert_problem, table_path};

async fn set(lake: &TestLake, table: &str, rules: Value) -> Answer {
    let body = json!({"name": "tests", "rules": rules});
    lake.call(Method::PUT, &format!("{}/quality", table_path(table))).json(&body).send().await
}

fn rule(kind: &str, kwargs: Value, action: &str) -> Value {
    json!({"kind": kind, "kwargs": kwargs, "action": action})
}

async fn get(lake: &TestLake, what: &str) -> Value {
    lake.get(&format!("{}/{what}", table_path("a.t"))).await.expect(200)
}

async fn check(lake: &TestLake) -> Value {
    lake.call(Method::POST, &format!("{}/quality/check", table_path("a.t"))).send().await.expect(200)
}

async fn upload(lake: &TestLake, rows: &str) -> Answer {
    lake.upload("a.t", "?format=csv", rows.to_owned()).await
}

/// A table with a row, held to these rules.
async fn held(row: &str, rules: Value) -> TestLake {
    let lake = TestLake::open().await;
    upload(&lake, row).await.expect_status(201);
    set(&lake, "a.t", rules).await.expect_status(200);
    lake
}

/// Vector Q8: 10 rows, 3 of them invalid: 7 in the table, 3 in quarantine with their reasons, and a score of 70.
#[tokio::test]
async fn q8_rows_that_break_rules_are_in_quarantine_and_the_score_says_how_many() {
    let people = "id,age,email\n100,30,z@b.c\n";
    let rules = json!([
        rule("expect_column_values_to_not_be_null", json!({"column": "id"}), "quarantine"),
        rule(
            "expect_column_values_to_be_between",
            json!({"column": "age", "min_value": 0, "max_value": 120}),
            "quarantine"
        ),
        rule("expect_column_values_to_contain", json!({"column": "email", "substring": "@"}), "quarantine"),
    ]);
    let lake = held(people, rules).await;
    let rows = "id,age,email\n1,20,a@b.c\n,21,b@b.c\n3,121,c@b.c\n4,24,nobody\n5,25,\n6,0,f@b.c\n7,120,g@b.c\n8,28,h@b\n\
        9,29,i@b.c\n10,30,j@b.c\n";
    let receipt = upload(&lake, rows).await.expect(201);
    assert_eq!((&receipt["rows_committed"], &receipt["rows_quarantined"]), (&json!(7), &json!(3)));
    let scores = &receipt["quality"]["scores"];
    assert_eq!(scores["data_quality_score"], 70.0);
    assert_eq!((&scores["rows_total"], &scores["rows_valid"]), (&json!(10), &json!(7)));
    assert_eq!(receipt["quality"]["failed_rules"].as_array().unwrap().len(), 3);
    assert_eq!(lake.count("a.t").await, 8);
    let aside =
        lake.rows("SELECT row_number, rule, column_name, record FROM a.t__quarantine ORDER BY row_number").await;
    let of = |at: usize| (aside[at]["row_number"].as_u64().unwrap(), aside[at]["column_name"].as_str().unwrap());
    assert_eq!([of(0), of(1), of(2)], [(2, "id"), (3, "age"), (4, "email")]);
    assert!(aside[2]["record"].as_str().unwrap().contains("nobody"), "{aside:?}");
    let results = get(&lake, "quality/results").await;
    assert_eq!(results["items"].as_array().unwrap().len(), 1);
    let result = &results["items"][0];
    assert_eq!((&result["upload_id"], &result["version"]), (&receipt["upload_id"], &receipt["version"]));
    assert_eq!(result["results"][1]["result"]["unexpected_count"], 1);
    let found = get(&lake, &format!("quality/results?format={}", "checks")).await;
    assert_eq!(found["items"][0]["checks"][0]["check_name"], "id_null");
}

/// Vector Q7: a missing column, a missing value and a value below the minimum: one refusal that tells all three.
#[tokio::test]
async fn q7_an_upload_that_breaks_rules_is_refused_as_a_whole_and_told_all_of_them() {
    let rules = json!([
        rule("expect_column_values_to_not_be_null", json!({"column": "order_date"}), "reject"),
        rule("expect_column_values_to_not_be_null", json!({"column": "customer_id"}), "reject"),
        rule("expect_column_values_to_be_between", json!({"column": "amount", "min_value": 0}), "reject"),
    ]);
    let lake = held("customer_id,amount\n1,5\n", rules).await;
    let answer = upload(&lake, "customer_id,amount\n2,7\n,-1\n").await;
    let problem = assert_problem(&answer, 422, "quality-refused");
    let told = "Data quality validation failed: Missing column: order_date; Null values found in customer_id; \
        Values below minimum in amount";
    assert_eq!(problem["detail"], told);
    assert_eq!(lake.count("a.t").await, 1);
    assert_eq!(lake.describe("a.t").await["version"], 0);
    let kept = get(&lake, "quality/results").await;
    assert_eq!((&kept["items"][0]["upload_id"], &kept["items"][0]["version"]), (&problem["upload_id"], &Value::Null));
}

#[rstest]
#[case("expect_table_row_count_to_be_between", json!({"max_value": 2}))]
#[case("expect_column_mean_to_be_between", json!({"column": "n", "max_value": 1.5}))]
#[case("expect_column_values_to_be_unique", json!({"column": "id"}))]
#[tokio::test]
async fn rules_about_all_rows_refuse_uploads_too(#[case] kind: &str, #[case] kwargs: Value) {
    let lake = held("id,n\n0,0\n", json!([rule(kind, kwargs, "reject")])).await;
    assert_problem(&upload(&lake, "id,n\n1,1\n1,2\n3,3\n").await, 422, "quality-refused");
    assert_eq!(lake.count("a.t").await, 1);
    upload(&lake, "id,n\n1,1\n2,2\n").await.expect_status(201);
}

#[tokio::test]
async fn what_only_warns_is_in_the_receipt_and_what_blocks_is_in_the_verdict_until_a_check_finds_nothing() {
    let rules = json!([
        rule("expect_column_values_to_not_be_null", json!({"column": "id"}), "warn"),
        rule("expect_column_max_to_be_between", json!({"column": "n", "max_value": 9}), "block"),
    ]);
    let lake = held("id,n\n1,1\n", rules).await;
    let receipt = upload(&lake, "id,n\n,2\n").await.expect(201);
    let failed = &receipt["quality"]["failed_rules"];
    assert_eq!((failed.as_array().unwrap().len(), &failed[0]["action"]), (1, &json!("warn")));
    assert_eq!(failed[0]["message"], "Null values found in id");
    assert_eq!(get(&lake, "quality/verdict").await, json!({"publishable": true}));
    let receipt = upload(&lake, "id,n\n3,10\n").await.expect(201);
    assert_eq!(receipt["quality"]["scores"]["publishable"], false);
    let verdict = get(&lake, "quality/verdict").await;
    assert_eq!((&verdict["publishable"], &verdict["because"]["upload_id"]), (&json!(false), &receipt["upload_id"]));
    assert_eq!(check(&lake).await["scores"]["publishable"], false);
    lake.upload("a.t", "?format=csv&mode=overwrite", "id,n\n4,4\n").await.expect_status(201);
    let found = check(&lake).await;
    assert_eq!((&found["success"], &found["version"]), (&json!(true), &json!(3)));
    assert_eq!(get(&lake, "quality/verdict").await["publishable"], true);
}

#[tokio::test]
async fn small_writes_are_held_to_the_suite() {
    let rules = json!([
        rule("expect_column_values_to_be_between", json!({"column": "n", "min_value": 0}), "quarantine"),
        rule("expect_column_values_to_not_be_in_set", json!({"column": "n", "value_set": [7]}), "reject"),
    ]);
    let lake = held("id,n\n1,1\n", rules).await;
    let rows =
        async |rows: Value| lake.call(Method::POST, &format!("{}/rows", table_path("a.t"))).json(&rows).send().await;
    rows(json!([{"id": 2, "n": 2}])).await.expect_status(201);
    assert_problem(&rows(json!([{"id": 3, "n": 7}])).await, 422, "quality-refused");
    let receipt = rows(json!([{"id": 4, "n": -1}, {"id": 5, "n": 5}])).await.expect(201);
    assert_eq!(receipt["rows_quarantined"], 1, "{receipt}");
    let kept = lake.rows("SELECT id FROM a.t ORDER BY id").await;
    assert_eq!(kept, [json!({"id": 1}), json!({"id": 2}), json!({"id": 5})]);
}

#[tokio::test]
async fn merges_are_held_to_the_rules_about_what_they_bring() {
    let rules = json!([
        rule("expect_column_values_to_not_be_null", json!({"column": "name"}), "reject"),
        rule("expect_column_values_to_be_between", json!({"column": "n", "min_value": 0}), "quarantine"),
    ]);
    let lake = held("id,n,name\n1,1,a\n2,2,b\n", rules).await;
    let receipt = lake.upload("a.t", "?format=csv&mode=merge&merge_keys=id", "id,n\n1,10\n2,-5\n").await.expect(201);
    assert_eq!((&receipt["rows_updated"], &receipt["rows_quarantined"]), (&json!(1), &json!(1)));
    assert_eq!(receipt["quality"]["scores"]["data_quality_score"], 50.0);
    let rows = lake.rows("SELECT id, n, name FROM a.t ORDER BY id").await;
    assert_eq!(rows, [json!({"id": 1, "n": 10, "name": "a"}), json!({"id": 2, "n": 2, "name": "b"})]);
}

#[tokio::test]
async fn conditions_in_sql_decide_about_rows() {
    let rules = json!([
        rule("expect_rows_to_satisfy_expression", json!({"expression": "total >= price * 2 OR price IS NULL"}), "quarantine"),
        {"kind": "expect_column_values_to_be_in_set", "kwargs": {"column": "state", "value_set": ["paid"]},
            "row_condition": "total > 100", "action": "quarantine"},
    ]);
    let lake = held("price,total,state\n1,2,new\n", rules).await;
    let rows = "price,total,state\n1,1,new\n,0,new\n5,200,new\n5,300,paid\n";
    let receipt = upload(&lake, rows).await.expect(201);
    assert_eq!((&receipt["rows_committed"], &receipt["rows_quarantined"]), (&json!(2), &json!(2)));
}

/// What Great Expectations calls `UnexpectedRowsExpectation`, and a figure of the whole table.
#[tokio::test]
async fn queries_over_the_whole_table_are_asked_by_checks_and_not_of_uploads() {
    let unexpected =
        json!({"unexpected_rows_query": "SELECT id, n FROM {batch} t WHERE n > (SELECT avg(n) * 2 FROM {batch})"});
    let total = json!({"query": "SELECT sum(n) FROM {batch}", "max_value": 20});
    let rules = json!([
        rule("unexpected_rows_expectation", unexpected, "block"),
        rule("expect_query_result_to_be_between", total, "warn"),
    ]);
    let lake = held("id,n\n1,1\n2,2\n", rules).await;
    let found = check(&lake).await;
    assert_eq!((&found["success"], found.get("not_asked")), (&json!(true), None), "{found}");
    let receipt = upload(&lake, "id,n\n3,90\n").await.expect(201);
    assert_eq!(receipt["quality"]["scores"]["publishable"], true);
    let of_upload = &get(&lake, "quality/results").await["items"][0];
    assert_eq!(of_upload["not_asked"], json!(["unexpected_rows_expectation", "expect_query_result_to_be_between"]));
    let found = check(&lake).await;
    let (rows, total) = (&found["results"][0], &found["results"][1]);
    assert_eq!((&rows["success"], &rows["result"]["observed_value"]), (&json!(false), &json!(1)));
    assert_eq!(rows["result"]["details"]["unexpected_rows"], json!([{"id": 3, "n": 90}]));
    assert_eq!((&total["success"], &total["result"]["observed_value"]), (&json!(false), &json!(93)));
    assert_eq!(get(&lake, "quality/verdict").await["publishable"], false);
}

#[rstest]
#[case("unexpected_rows_query", "SELECT m FROM {batch}", "at Line: 1, Column: 8")]
#[case("unexpected_rows_query", "SELECT n FROM {batch}, a.absent", "a.absent")]
#[case("unexpected_rows_query", "DELETE FROM {batch}", "only one SELECT")]
#[case("unexpected_rows_query", "EXPLAIN SELECT n FROM {batch}", "EXPLAIN")]
#[case("unexpected_rows_query", "SELEC n FROM {batch}", "not a statement")]
#[case("query", "SELECT id, n FROM {batch}", "2 columns")]
#[tokio::test]
async fn a_query_that_cannot_be_planned_is_refused_by_its_place(
    #[case] field: &str,
    #[case] query: &str,
    #[case] told: &str,
) {
    let lake = held("id,n\n1,1\n", json!([])).await;
    let (kind, kwargs) = match field {
        "query" => ("expect_query_result_to_be_between", json!({"query": query, "min_value": 0})),
        _ => ("unexpected_rows_expectation", json!({"unexpected_rows_query": query})),
    };
    let problem = assert_problem(&set(&lake, "a.t", json!([rule(kind, kwargs, "warn")])).await, 422, "bad-suite");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with(&format!("rules[0].kwargs.{field}: ")) && detail.contains(told), "{detail}");
    assert_eq!(get(&lake, "quality").await["rules"], json!([]));
}

#[tokio::test]
async fn queries_of_a_suite_see_what_their_caller_may_see() {
    let both = [Action::Read, Action::Append, Action::Manage];
    let lake = TestLake::builder().key("root", &both, None).key("ada", &both, Some(&["a"])).open().await;
    for table in ["a.t", "b.secret"] {
        let path = format!("{}/uploads?format=csv", table_path(table));
        lake.call(Method::POST, &path).key("root").body("id\n1\n").send().await.expect_status(201);
    }
    let query = json!({"unexpected_rows_query": "SELECT * FROM {batch}, b.secret"});
    let body = json!({"name": "s", "rules": [rule("unexpected_rows_expectation", query, "warn")]});
    let path = format!("{}/quality", table_path("a.t"));
    let put = async |key: &str| lake.call(Method::PUT, &path).key(key).json(&body).send().await;
    assert_problem(&put("ada").await, 422, "bad-suite");
    put("root").await.expect_status(200);
    let found = lake.call(Method::POST, &format!("{path}/check")).key("ada").send().await.expect(200);
    assert_eq!(found["results"][0]["exception_info"]["raised_exception"], true, "{found}");
    assert!(!found.to_string().contains("\"id\":1"), "{found}");
}

#[tokio::test]
async fn values_that_grow_are_asked_in_the_order_of_the_rows() {
    let kwargs = json!({"column": "n", "strictly": true});
    let lake = held("id,n\n1,1\n", json!([rule("expect_column_values_to_be_increasing", kwargs, "reject")])).await;
    assert_problem(&upload(&lake, "id,n\n2,5\n3,5\n").await, 422, "quality-refused");
    upload(&lake, "id,n\n2,5\n3,6\n").await.expect_status(201);
    assert_eq!(check(&lake).await["results"][0]["result"]["unexpected_count"], 0);
}

#[tokio::test]
async fn rows_are_looked_up_in_other_tables() {
    let lake = TestLake::open().await;
    lake.upload("a.customers", "?format=csv", "id,name\n1,x\n2,y\n").await.expect_status(201);
    upload(&lake, "customer\n1\n").await.expect_status(201);
    let kwargs = json!({"column": "customer", "other_table_name": "a.customers", "other_column": "id"});
    set(&lake, "a.t", json!([rule("expect_column_values_to_exist_in_other_table", kwargs, "reject")]))
        .await
        .expect_status(200);
    upload(&lake, "customer\n2\n1\n").await.expect_status(201);
    let problem = assert_problem(&upload(&lake, "customer\n3\n").await, 422, "quality-refused");
    assert!(problem["detail"].as_str().unwrap().contains("a.customers.id"), "{problem}");
    assert_eq!(check(&lake).await["results"][0]["result"]["unexpected_count"], 0);
}

#[tokio::test]
async fn a_profile_is_told_and_a_suite_proposed_that_the_table_keeps() {
    let lake = TestLake::open().await;
    upload(&lake, "id,state,price\n1,new,1.5\n2,paid,0\n3,new,\n").await.expect_status(201);
    let profile = get(&lake, "profile").await;
    assert_eq!((&profile["rows"], &profile["column_count"]), (&json!(3), &json!(3)));
    assert_eq!(profile["dtypes"], json!({"float64": 1, "int64": 1, "object": 1}));
    let price = &profile["columns"][2];
    assert_eq!(price["missing"]["count"], 1);
    assert_eq!((&price["numeric"]["zero"], &price["numeric"]["mean"]), (&json!(1), &json!(0.75)));
    assert_eq!(profile["columns"][1]["categorical"]["most_frequent"], "new");
    let proposed = get(&lake, "profile/suite").await;
    set(&lake, "a.t", proposed["rules"].clone()).await.expect_status(200);
    assert_eq!(check(&lake).await["success"], true);
    let theirs = get(&lake, "quality?format=great_expectations").await;
    lake.call(Method::PUT, &format!("{}/quality", table_path("a.t"))).json(&theirs).send().await.expect_status(200);
    assert_eq!(get(&lake, "quality").await["rules"], proposed["rules"]);
}

#[tokio::test]
async fn metrics_tell_the_score_and_the_missing_values() {
    let rules = json!([rule("expect_column_values_to_not_be_null", json!({"column": "id"}), "warn")]);
    let lake = held("id,n\n1,1\n", rules).await;
    upload(&lake, "id,n\n1,1\n2,2\n3,3\n,4\n").await.expect_status(201);
    let metrics = lake.get("/metrics").await;
    for line in
        ["data_lake_quality_score{table=\"a.t\"} 75.0", "data_lake_null_percentage{table=\"a.t\",column=\"id\"} 25.0"]
    {
        assert!(metrics.text().contains(line), "{line} is not in {}", metrics.text());
    }
}

#[tokio::test]
async fn suites_that_cannot_be_are_refused_by_their_field_and_change_nothing() {
    let lake = held("id,n\n1,1\n", json!([])).await;
    let regex = json!({"column": "n", "regex": "x"});
    for (rules, field) in [
        (json!([rule("expect_nothing", json!({}), "warn")]), "rules[0].kind"),
        (
            json!([rule("expect_column_to_exist", json!({"column": "n", "colour": 1}), "warn")]),
            "rules[0].kwargs.colour",
        ),
        (json!([rule("expect_column_values_to_match_regex", regex, "quarantine")]), "rules[0].kwargs"),
        (
            json!([rule("expect_rows_to_satisfy_expression", json!({"expression": "n +"}), "warn")]),
            "rules[0].kwargs.expression",
        ),
        (
            json!([rule("expect_rows_to_satisfy_expression", json!({"expression": "random() > n"}), "warn")]),
            "rules[0].kwargs.expression",
        ),
    ] {
        let problem = assert_problem(&set(&lake, "a.t", rules).await, 422, "bad-suite");
        assert!(problem["detail"].as_str().unwrap().starts_with(&format!("{field}: ")), "{problem}");
    }
    assert_eq!(get(&lake, "quality").await, json!({"name": "tests", "rules": []}));
    assert_problem(&set(&lake, "a.absent", json!([])).await, 404, "not-found");
    upload(&lake, "id,n\nx,1\n2,2\n").await.expect_status(201);
    assert_problem(&set(&lake, "a.t__quarantine", json!([])).await, 422, "bad-suite");
}
