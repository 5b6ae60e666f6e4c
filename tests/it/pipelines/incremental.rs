//! Runs that read only what is new, and those that read all again.

use axum::http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use sluice_tests::{TestLake, assert_problem};

use super::{define, into_orders, lake, put, run, run_well};
use crate::lifecycle;

const SQL: &str = "SELECT id, amount FROM raw.orders";

/// A pipeline from new rows of `raw.orders` into `curated.orders`.
fn of_new_orders(sql: &str, mode: &str) -> Value {
    let mut body = into_orders(sql, mode);
    body["incremental"] = json!(["raw.orders"]);
    if mode == "merge" {
        body["keys"] = json!(["id"]);
    }
    body
}

async fn add(lake: &TestLake, rows: &str) {
    lake.upload("raw.orders", "?format=csv", format!("id,amount,region\n{rows}")).await.expect_status(201);
}

/// Run with a wish.
async fn run_as(lake: &TestLake, name: &str, wish: Value) -> Value {
    let headers = [("prefer", "wait=60"), ("content-type", "application/json")];
    lake.post(&format!("/api/v1/pipelines/{name}/runs"), &headers, wish.to_string()).await.expect(202)
}

async fn ids(lake: &TestLake) -> Vec<i64> {
    let rows = lake.rows("SELECT id FROM curated.orders ORDER BY id").await;
    rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

/// The last transactions of each writer that a version of the target records.
async fn transactions(lake: &TestLake, version: u64) -> Vec<Value> {
    let lines = lake.log("curated.orders", version).await;
    lines.into_iter().filter(|line| line["txn"].is_object()).map(|line| line["txn"].clone()).collect()
}

#[tokio::test]
async fn the_same_file_is_not_processed_twice() {
    let lake = lake().await;
    let shown = define(&lake, "orders", &of_new_orders(SQL, "append")).await;
    assert_eq!((&shown["incremental"], &shown["on_rewrite"]), (&json!(["raw.orders"]), &json!("fail")));
    let first = run_well(&lake, "orders").await;
    assert_eq!((&first["rows_in"], &first["rows_out"], &first["version_out"]), (&json!(3), &json!(3), &json!(0)));
    assert_eq!((&first["versions_since"], &first["full_refresh"]), (&json!({}), &json!(false)));

    let idle = run_well(&lake, "orders").await;
    assert_eq!((&idle["rows_in"], &idle["rows_out"], &idle["version_out"]), (&json!(0), &json!(0), &Value::Null));
    assert_eq!(lake.describe("curated.orders").await["version"], 0, "nothing new makes no version");

    add(&lake, "4,1,west\n5,2,west\n").await;
    add(&lake, "6,3,west\n").await;
    let second = run_well(&lake, "orders").await;
    assert_eq!((&second["rows_in"], &second["rows_out"], &second["version_out"]), (&json!(3), &json!(3), &json!(1)));
    assert_eq!(
        (&second["versions_since"], &second["versions_in"]),
        (&json!({"raw.orders": 0}), &json!({"raw.orders": 2}))
    );
    assert_eq!(ids(&lake).await, [1, 2, 3, 4, 5, 6]);
    let bookmarks = transactions(&lake, 1).await;
    assert!(bookmarks.iter().any(|txn| txn["version"] == 2), "how far it has read is in the commit: {bookmarks:?}");
    let flows = lake.get("/api/v1/lineage?asset=curated.orders").await.expect(200);
    assert_eq!(flows["items"].as_array().unwrap().len(), 2, "a run that found nothing tells no flow: {flows}");
}

#[tokio::test]
async fn new_rows_that_the_statement_leaves_out_are_read_once() {
    let lake = lake().await;
    define(&lake, "orders", &of_new_orders("SELECT id FROM raw.orders WHERE amount > 0", "append")).await;
    run_well(&lake, "orders").await;
    add(&lake, "4,-1,west\n").await;
    let read = run_well(&lake, "orders").await;
    assert_eq!((&read["rows_in"], &read["rows_out"], &read["version_out"]), (&json!(1), &json!(0), &json!(1)));
    assert_eq!(run_well(&lake, "orders").await["version_out"], Value::Null);
}

#[tokio::test]
async fn new_rows_are_merged_and_meet_all_of_a_dimension() {
    let lake = lake().await;
    lake.upload("raw.regions", "?format=csv", "region,name\nnorth,N\nsouth,S\n").await.expect_status(201);
    let sql = "SELECT o.id, o.amount, r.name FROM raw.orders o LEFT JOIN raw.regions r ON o.region = r.region";
    let mut body = of_new_orders(sql, "merge");
    body["inputs"] = json!(["raw.orders", "raw.regions"]);
    define(&lake, "orders", &body).await;
    assert_eq!(run_well(&lake, "orders").await["rows_in"], 5);
    lake.upload("raw.regions", "?format=csv", "region,name\nwest,W\n").await.expect_status(201);
    assert_eq!(run_well(&lake, "orders").await["version_out"], Value::Null, "no orders are new");
    add(&lake, "3,70,south\n4,1,west\n").await;
    let merged = run_well(&lake, "orders").await;
    assert_eq!((&merged["rows_in"], &merged["rows_out"]), (&json!(5), &json!(2)), "two new, three of the dimension");
    assert_eq!(merged["versions_in"], json!({"raw.orders": 1, "raw.regions": 1}));
    let rows = json!([{"id": 1, "amount": 10, "name": "N"}, {"id": 2, "amount": -5, "name": "N"},
        {"id": 3, "amount": 70, "name": "S"}, {"id": 4, "amount": 1, "name": "W"}]);
    assert_eq!(json!(lake.rows("SELECT id, amount, name FROM curated.orders ORDER BY id").await), rows);
}

#[tokio::test]
async fn several_inputs_are_followed_each_by_its_own_bookmark() {
    let lake = lake().await;
    lake.upload("raw.returns", "?format=csv", "id,amount\n100,1\n").await.expect_status(201);
    let mut body = of_new_orders(&format!("{SQL} UNION ALL SELECT id, amount FROM raw.returns"), "append");
    body["inputs"] = json!(["raw.orders", "raw.returns"]);
    body["incremental"] = json!(["raw.orders", "raw.returns"]);
    define(&lake, "orders", &body).await;
    run_well(&lake, "orders").await;
    lake.upload("raw.returns", "?format=csv", "id,amount\n101,1\n").await.expect_status(201);
    assert_eq!(run_well(&lake, "orders").await["rows_out"], 1);
    add(&lake, "4,1,west\n").await;
    assert_eq!(run_well(&lake, "orders").await["rows_out"], 1);
    assert_eq!(ids(&lake).await, [1, 2, 3, 4, 100, 101]);
}

#[tokio::test]
async fn a_compaction_of_the_input_brings_nothing_and_hides_nothing() {
    let lake = lake().await;
    define(&lake, "orders", &of_new_orders(SQL, "append")).await;
    run_well(&lake, "orders").await;
    add(&lake, "4,1,west\n").await;
    let compact = json!({"compact": {"below_bytes": 1_048_576, "target_bytes": 8_388_608, "min_files": 2}});
    lifecycle::define(&lake, "small", json!({"table": "raw.orders"}), compact).await;
    let done = lifecycle::apply(&lake, &lifecycle::plan(&lake).await).await;
    assert_eq!((&done["done"], &lake.describe("raw.orders").await["files"]), (&json!(1), &json!(1)), "{done}");
    assert_eq!(run_well(&lake, "orders").await["rows_out"], 1);
    assert_eq!(ids(&lake).await, [1, 2, 3, 4]);
    add(&lake, "5,1,west\n").await;
    run_well(&lake, "orders").await;
    lifecycle::apply(&lake, &lifecycle::plan(&lake).await).await;
    assert_eq!(run_well(&lake, "orders").await["version_out"], Value::Null, "a compaction has no new rows");
    assert_eq!(ids(&lake).await, [1, 2, 3, 4, 5]);
}

/// Change a row of the input that was read.
async fn change_input(lake: &TestLake) {
    let query = "?format=csv&mode=merge&merge_keys=id";
    let answer = lake.upload("raw.orders", query, "id,amount,region\n2,99,north\n").await;
    answer.expect_status(201);
}

#[rstest]
#[case::append("append")]
#[case::merge("merge")]
#[tokio::test]
async fn changed_rows_of_the_input_ask_for_a_full_refresh_which_mends_it(#[case] mode: &str) {
    let lake = lake().await;
    define(&lake, "orders", &of_new_orders(SQL, mode)).await;
    run_well(&lake, "orders").await;
    change_input(&lake).await;
    add(&lake, "4,1,west\n").await;
    let failed = run(&lake, "orders").await;
    assert_eq!(
        (&failed["status"], &failed["error_code"]),
        (&json!("FAILED"), &json!("needs-full-refresh")),
        "{failed}"
    );
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("raw.orders") && error.contains("version 1"), "{error}");
    assert_eq!(failed["attempts"], 1, "another try would not go better");
    assert_eq!(ids(&lake).await, [1, 2, 3]);

    let refreshed = run_as(&lake, "orders", json!({"full_refresh": true})).await;
    assert_eq!((&refreshed["status"], &refreshed["full_refresh"]), (&json!("SUCCESS"), &json!(true)), "{refreshed}");
    assert_eq!(
        (&refreshed["rows_in"], &refreshed["rows_out"], &refreshed["version_out"]),
        (&json!(4), &json!(4), &json!(1))
    );
    assert_eq!(ids(&lake).await, [1, 2, 3, 4]);
    assert_eq!(lake.rows("SELECT amount FROM curated.orders WHERE id = 2").await, [json!({"amount": 99})]);
    add(&lake, "5,1,west\n").await;
    let next = run_well(&lake, "orders").await;
    assert_eq!((&next["rows_in"], &next["full_refresh"]), (&json!(1), &json!(false)), "the refresh moved the bookmark");
    assert_eq!(ids(&lake).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_pipeline_that_says_so_refreshes_by_itself() {
    let lake = lake().await;
    let mut body = of_new_orders(SQL, "append");
    body["on_rewrite"] = json!("full_refresh");
    define(&lake, "orders", &body).await;
    run_well(&lake, "orders").await;
    lake.upload("raw.orders", "?format=csv&mode=overwrite", "id,amount,region\n7,1,west\n").await.expect_status(201);
    let refreshed = run_well(&lake, "orders").await;
    assert_eq!(refreshed["full_refresh"], true);
    assert_eq!(ids(&lake).await, [7]);
    assert_eq!(run_well(&lake, "orders").await["version_out"], Value::Null);
    // Another table of the name.
    lake.call(Method::DELETE, "/api/v1/tables/raw/orders").send().await.expect_status(204);
    add(&lake, "8,1,west\n").await;
    assert_eq!(run_well(&lake, "orders").await["full_refresh"], true);
    assert_eq!(ids(&lake).await, [8]);
}

#[tokio::test]
async fn an_input_that_was_made_anew_asks_for_a_full_refresh() {
    let lake = lake().await;
    define(&lake, "orders", &of_new_orders(SQL, "append")).await;
    run_well(&lake, "orders").await;
    lake.call(Method::DELETE, "/api/v1/tables/raw/orders").send().await.expect_status(204);
    add(&lake, "8,1,west\n").await;
    let failed = run(&lake, "orders").await;
    assert_eq!(failed["error_code"], "needs-full-refresh", "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("not the table that earlier runs read"), "{failed}");
    assert_eq!(ids(&lake).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_full_refresh_of_any_pipeline_replaces_its_rows() {
    let lake = lake().await;
    define(&lake, "orders", &into_orders("SELECT id FROM raw.orders", "append")).await;
    run_well(&lake, "orders").await;
    run_well(&lake, "orders").await;
    assert_eq!(lake.count("curated.orders").await, 6);
    assert_eq!(run_as(&lake, "orders", json!({"full_refresh": true})).await["status"], "SUCCESS");
    assert_eq!(ids(&lake).await, [1, 2, 3]);
    // What was read in whole is known, too.
    define(&lake, "orders", &of_new_orders("SELECT id FROM raw.orders", "append")).await;
    assert_eq!(run_well(&lake, "orders").await["rows_in"], 0);
    add(&lake, "4,1,west\n").await;
    assert_eq!(run_well(&lake, "orders").await["rows_in"], 1);
    assert_eq!(ids(&lake).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_full_refresh_of_a_merge_keeps_one_row_of_each_key() {
    let lake = lake().await;
    let mut body = of_new_orders("SELECT id, amount FROM raw.orders", "merge");
    body["partition_by"] = json!(["id"]);
    define(&lake, "orders", &body).await;
    run_well(&lake, "orders").await;
    add(&lake, "3,70,south\n").await;
    run_well(&lake, "orders").await;
    let refreshed = run_as(&lake, "orders", json!({"full_refresh": true})).await;
    assert_eq!((&refreshed["status"], &refreshed["rows_out"]), (&json!("SUCCESS"), &json!(3)), "{refreshed}");
    assert_eq!(ids(&lake).await, [1, 2, 3]);
}

#[rstest]
#[case::sum("SELECT region, sum(amount) AS s\nFROM raw.orders GROUP BY region", "sql, line 2, column 26", "summed up")]
#[case::distinct("SELECT DISTINCT region FROM raw.orders", "sql, line 1", "distinct")]
#[case::window("SELECT id, rank() OVER (ORDER BY amount) AS r FROM raw.orders", "sql, line 1, column 34", "window")]
#[case::limit("SELECT id FROM raw.orders ORDER BY id LIMIT 1", "sql, line 1", "LIMIT")]
#[case::union("SELECT id FROM raw.orders UNION SELECT id FROM raw.orders", "sql, line 1", "distinct")]
#[case::null_side("SELECT r.id FROM raw.other r LEFT JOIN raw.orders o ON o.id = r.id", "sql, line 1", "outer join")]
#[case::itself("SELECT a.id FROM raw.orders a JOIN raw.orders b ON a.id = b.id", "sql, line 1", "joined")]
#[case::inner("SELECT id FROM raw.other WHERE id NOT IN (SELECT id FROM raw.orders)", "sql, line 1", "subquery")]
#[tokio::test]
async fn a_statement_that_new_rows_alone_do_not_answer_is_refused_when_it_is_saved(
    #[case] sql: &str,
    #[case] place: &str,
    #[case] reason: &str,
) {
    let lake = lake().await;
    lake.upload("raw.other", "?format=csv", "id\n1\n").await.expect_status(201);
    let mut body = of_new_orders(sql, "append");
    body["inputs"] = json!(["raw.orders", "raw.other"]);
    let answer = put(&lake, "orders", &body).await;
    assert_problem(&answer, 422, "bad-statement");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with(place) && detail.contains(reason) && detail.contains("raw.orders"), "{detail}");
    body["incremental"] = json!([]);
    put(&lake, "orders", &body).await.expect_status(201);
}

#[rstest]
#[case::mode(json!({"mode": "overwrite"}), "overwrite")]
#[case::stranger(json!({"incremental": ["raw.other"]}), "raw.other")]
#[case::twice(json!({"incremental": ["raw.orders", "raw.orders"]}), "twice")]
#[case::nothing_to_rewrite(json!({"incremental": [], "on_rewrite": "full_refresh"}), "on_rewrite")]
#[tokio::test]
async fn what_cannot_be_incremental_is_refused_by_its_field(#[case] change: Value, #[case] word: &str) {
    let lake = lake().await;
    let mut body = of_new_orders(SQL, "append");
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let answer = put(&lake, "orders", &body).await;
    assert_problem(&answer, 422, "bad-pipeline");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("incremental") && detail.contains(word), "{detail}");
}

#[tokio::test]
async fn a_plain_table_does_not_tell_what_is_new() {
    let lake = lake().await;
    let query = "?format=csv&table_format=parquet";
    lake.upload("raw.plain", query, "id,amount\n1,1\n").await.expect_status(201);
    let body = json!({"sql": "SELECT id FROM raw.plain", "target": "curated.orders", "mode": "append",
        "incremental": ["raw.plain"]});
    let answer = put(&lake, "orders", &body).await;
    assert_problem(&answer, 422, "bad-pipeline");
    assert!(answer.text().contains("plain Parquet"), "{}", answer.text());
}

#[tokio::test]
async fn a_wish_that_is_none_is_refused() {
    let lake = lake().await;
    define(&lake, "orders", &of_new_orders(SQL, "append")).await;
    let headers = [("content-type", "application/json")];
    for body in [r#"{"full_refesh": true}"#, "[true]", "true", "{"] {
        let answer = lake.post("/api/v1/pipelines/orders/runs", &headers, body).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{body}: {}", answer.text());
    }
    assert_eq!(run_as(&lake, "orders", json!({})).await["status"], "SUCCESS");
}

#[tokio::test]
async fn a_catalog_that_was_restored_repeats_nothing_and_loses_nothing() {
    let lake = lake().await;
    define(&lake, "orders", &of_new_orders(SQL, "append")).await;
    run_well(&lake, "orders").await;
    let closed = lake.close().await;
    let (live, copy) = (closed.data_dir().join("catalog.db"), closed.data_dir().join("catalog.copy"));
    std::fs::copy(&live, &copy).unwrap();
    let lake = closed.open().await;
    for id in [4, 5] {
        add(&lake, &format!("{id},1,west\n")).await;
        run_well(&lake, "orders").await;
    }
    add(&lake, "6,1,west\n").await;
    let closed = lake.close().await;
    for behind in ["catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::remove_file(closed.data_dir().join(behind));
    }
    std::fs::copy(&copy, &live).unwrap();
    let lake = closed.open().await;
    let first = run_well(&lake, "orders").await;
    assert_eq!((&first["rows_in"], &first["version_out"]), (&json!(1), &json!(3)), "{first}");
    assert_eq!(ids(&lake).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(run_well(&lake, "orders").await["version_out"], Value::Null);
    add(&lake, "7,1,west\n").await;
    run_well(&lake, "orders").await;
    assert_eq!(ids(&lake).await, [1, 2, 3, 4, 5, 6, 7]);
}
