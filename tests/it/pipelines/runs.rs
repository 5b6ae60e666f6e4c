//! Runs: what they make, tell, repeat and leave.

use axum::http::Method;
use serde_json::{Value, json};
use sluice_tests::{TestLake, assert_problem};

use super::{define, into_orders, lake, put, run, run_well};

/// A statement that goes on until it is ended: it counts more pairs than anybody waits for.
const ENDLESS: &str = "SELECT count(*) AS n FROM generate_series(1, 200000) AS a(x), generate_series(1, 200000) AS b(y) \
                       WHERE a.x * b.y % 7 = 3";

fn endless() -> Value {
    json!({"sql": ENDLESS, "target": "curated.pairs"})
}

#[tokio::test]
async fn expressions_make_a_curated_table_that_tells_where_it_comes_from() {
    let lake = lake().await;
    let body = json!({"inputs": ["raw.orders"], "expressions": ["id", "amount", "amount*2 AS double_amount"],
        "filter": "amount > 0", "target": "curated.orders", "owner": "ann", "description": "what was paid"});
    define(&lake, "orders", &body).await;
    let ended = run_well(&lake, "orders").await;
    assert_eq!(
        (&ended["kind"], &ended["cause"], &ended["attempts"]),
        (&json!("pipeline"), &json!("request"), &json!(1))
    );
    assert_eq!((&ended["rows_in"], &ended["rows_out"], &ended["version_out"]), (&json!(3), &json!(2), &json!(0)));
    assert_eq!(ended["versions_in"], json!({"raw.orders": 0}));
    assert!(ended["bytes_out"].as_u64().unwrap() > 0 && ended["execution_time"].is_number(), "{ended}");
    let rows = json!([{"id": 1, "amount": 10, "double_amount": 20}, {"id": 3, "amount": 7, "double_amount": 14}]);
    assert_eq!(json!(lake.rows("SELECT * FROM curated.orders ORDER BY id").await), rows);
    let table = lake.describe("curated.orders").await;
    assert!(table["location"].as_str().unwrap().contains("/curated/"), "{table}");
    assert_eq!((&table["owner"], &table["description"]), (&json!("ann"), &json!("what was paid")));
    let schemas = lake.get("/api/v1/tables/curated/orders/schema/history").await.expect(200);
    assert_eq!((&schemas["items"][0]["cause"], &schemas["items"][0]["run_id"]), (&json!("pipeline"), &ended["run_id"]));

    let flows = lake.get("/api/v1/lineage?asset=curated.orders").await.expect(200);
    let flow = &flows["items"][0];
    assert_eq!((&flow["source_version"], &flow["target_version"]), (&json!(0), &json!(0)), "{flow}");
    let text = flow.to_string();
    assert!(text.contains("amount*2 AS double_amount") && text.contains("\"sql\""), "{text}");
    let columns = lake.get("/api/v1/tables/curated/orders/lineage?columns=true").await;
    assert!(columns.text().contains("double_amount"), "{}", columns.text());
}

#[tokio::test]
async fn a_run_again_makes_a_new_version_and_the_old_one_stays() {
    let lake = lake().await;
    define(&lake, "orders", &into_orders("SELECT id FROM raw.orders", "overwrite")).await;
    assert_eq!(run_well(&lake, "orders").await["version_out"], 0);
    lake.upload("raw.orders", "?format=csv", "id,amount,region\n4,1,west\n").await.expect_status(201);
    let second = run_well(&lake, "orders").await;
    assert_eq!((&second["version_out"], &second["versions_in"]), (&json!(1), &json!({"raw.orders": 1})));
    assert_eq!(lake.count("curated.orders").await, 4);
    assert_eq!(lake.count("curated.orders VERSION AS OF 0").await, 3);
    let runs = lake.get("/api/v1/pipelines/orders/runs?page_size=1").await.expect(200);
    assert_eq!(runs["items"][0]["run_id"], second["run_id"]);
    assert!(runs["next_page_token"].is_string());
    let health = lake.get("/api/v1/runs/health?pipeline=orders").await.expect(200);
    assert_eq!((&health["total_runs"], &health["success_rate"]), (&json!(2), &json!(100.0)));
}

#[tokio::test]
async fn the_same_key_gives_the_same_run() {
    let lake = lake().await;
    define(&lake, "orders", &into_orders("SELECT id FROM raw.orders", "append")).await;
    let begin = || lake.post("/api/v1/pipelines/orders/runs", &[("idempotency-key", "k-1"), ("prefer", "wait=60")], "");
    let first = begin().await;
    assert_eq!(first.headers["preference-applied"], "wait=60");
    let run = first.json();
    assert_eq!(first.headers["location"], format!("/api/v1/runs/{}", run["run_id"].as_str().unwrap()).as_str());
    let again = begin().await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.json()["run_id"], run["run_id"]);
    assert_eq!(lake.count("curated.orders").await, 3, "the rows are there once");
    run_well(&lake, "orders").await;
    assert_eq!(lake.count("curated.orders").await, 6);
}

#[tokio::test]
async fn runs_do_not_overlap_and_a_cancelled_one_leaves_nothing() {
    let lake = lake().await;
    define(&lake, "pairs", &endless()).await;
    let begun = lake.post("/api/v1/pipelines/pairs/runs", &[], "").await.expect(202);
    let busy = lake.post("/api/v1/pipelines/pairs/runs", &[], "").await;
    assert_problem(&busy, 409, "run-in-progress");
    assert!(busy.text().contains(begun["run_id"].as_str().unwrap()));
    let delete = lake.call(Method::DELETE, "/api/v1/pipelines/pairs").send().await;
    assert_problem(&delete, 409, "run-in-progress");
    let path = format!("/api/v1/runs/{}", begun["run_id"].as_str().unwrap());
    let cancelled = lake.post(&format!("{path}/cancel"), &[("prefer", "wait=60")], "").await.expect(202);
    assert_eq!(cancelled["status"], "CANCELLED", "{cancelled}");
    assert_problem(&lake.get("/api/v1/tables/curated/pairs").await, 404, "not-found");
    // Asked again, it is as it is.
    lake.post(&format!("{path}/cancel"), &[], "").await.expect_status(202);
    define(&lake, "pairs", &json!({"sql": "SELECT 7 AS n", "target": "curated.pairs"})).await;
    let ended = run_well(&lake, "pairs").await;
    assert_eq!(lake.count("curated.pairs").await, 1);
    let late = lake.post(&format!("/api/v1/runs/{}/cancel", ended["run_id"].as_str().unwrap()), &[], "").await;
    assert_problem(&late, 409, "run-ended");
}

#[tokio::test]
async fn a_run_that_takes_too_long_fails_and_leaves_the_target_as_it_was() {
    let lake = lake().await;
    define(&lake, "pairs", &json!({"sql": "SELECT CAST(7 AS BIGINT) AS n", "target": "curated.pairs"})).await;
    run_well(&lake, "pairs").await;
    let mut slow = endless();
    slow["timeout_seconds"] = json!(1);
    define(&lake, "pairs", &slow).await;
    let failed = run(&lake, "pairs").await;
    assert_eq!(failed["status"], "FAILED", "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("1 s"), "{failed}");
    assert_eq!(lake.rows("SELECT n FROM curated.pairs").await, [json!({"n": 7})]);
    assert_eq!(lake.describe("curated.pairs").await["version"], 0);
}

#[tokio::test]
async fn an_input_that_lost_a_column_fails_the_run_by_its_name() {
    let lake = lake().await;
    define(
        &lake,
        "totals",
        &json!({"sql": "SELECT region, sum(amount) AS total FROM raw.orders GROUP BY region",
        "target": "curated.totals"}),
    )
    .await;
    run_well(&lake, "totals").await;
    lake.call(Method::DELETE, "/api/v1/tables/raw/orders").send().await.expect_status(204);
    lake.upload("raw.orders", "?format=csv", "id,region\n1,north\n").await.expect_status(201);
    let failed = run(&lake, "totals").await;
    assert_eq!((&failed["status"], &failed["attempts"]), (&json!("FAILED"), &json!(1)), "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("amount"), "{failed}");
    assert_eq!(lake.count("curated.totals").await, 2, "what was made stays");
    lake.call(Method::DELETE, "/api/v1/tables/raw/orders").send().await.expect_status(204);
    let failed = run(&lake, "totals").await;
    assert!(failed["error"].as_str().unwrap().contains("raw.orders"), "{failed}");
}

#[tokio::test]
async fn a_pipeline_that_is_not_enabled_does_not_run() {
    let lake = lake().await;
    let mut body = into_orders("SELECT id FROM raw.orders", "append");
    body["enabled"] = json!(false);
    define(&lake, "orders", &body).await;
    let refused = lake.post("/api/v1/pipelines/orders/runs", &[], "").await;
    assert_problem(&refused, 409, "pipeline-disabled");
}

/// Wait until a pipeline has this many runs that have ended.
async fn wait_for_runs(lake: &TestLake, name: &str, count: usize) -> Vec<Value> {
    let mut looks = 0;
    loop {
        looks += 1;
        assert!(looks < 600, "{name} does not have {count} runs");
        let runs = lake.get(&format!("/api/v1/pipelines/{name}/runs")).await.expect(200);
        let items = runs["items"].as_array().unwrap();
        if items.len() >= count && items.iter().all(|run| run["status"] != "RUNNING") {
            return items.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn pipelines_follow_one_another_when_data_comes() {
    let lake = lake().await;
    lake.upload("curated.orders", "?format=csv", "id\n0\n").await.expect_status(201);
    let mut first = into_orders("SELECT id FROM raw.orders", "overwrite");
    first["schedule"] = json!({"on_new_data": true});
    define(&lake, "orders", &first).await;
    let second = json!({"sql": "SELECT count(*) AS n FROM curated.orders", "target": "curated.counts",
        "schedule": {"on_new_data": true}});
    define(&lake, "counts", &second).await;
    let runs = wait_for_runs(&lake, "orders", 1).await;
    assert_eq!(runs[0]["cause"], "new_data", "{runs:?}");
    lake.upload("raw.orders", "?format=csv", "id,amount,region\n4,1,west\n").await.expect_status(201);
    wait_for_runs(&lake, "orders", 2).await;
    for _ in 0..600 {
        wait_for_runs(&lake, "counts", 1).await;
        if lake.rows("SELECT n FROM curated.counts").await == [json!({"n": 4})] {
            return;
        }
    }
    panic!("the second pipeline did not follow the first");
}

#[tokio::test]
async fn a_pipeline_by_the_clock_runs_at_once_and_again() {
    let lake = lake().await;
    let mut body = into_orders("SELECT id FROM raw.orders", "append");
    body["schedule"] = json!({"every_seconds": 1});
    define(&lake, "orders", &body).await;
    let runs = wait_for_runs(&lake, "orders", 2).await;
    assert!(runs.iter().all(|run| run["cause"] == "schedule" && run["status"] == "SUCCESS"), "{runs:?}");
    body["enabled"] = json!(false);
    put(&lake, "orders", &body).await.expect_status(200);
}

/// Wait until a run is in its try of this number.
async fn wait_for_try(lake: &TestLake, path: &str, number: u64) {
    let mut looks = 0;
    loop {
        looks += 1;
        assert!(looks < 600, "the run does not come to its try {number}");
        if lake.get(path).await.expect(200)["attempts"] == number {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_run_that_the_server_left_is_taken_up_by_the_next_one() {
    let lake = lake().await;
    define(&lake, "pairs", &endless()).await;
    let begun = lake.post("/api/v1/pipelines/pairs/runs", &[], "").await.expect(202);
    let path = format!("/api/v1/runs/{}", begun["run_id"].as_str().unwrap());
    wait_for_try(&lake, &path, 1).await;
    let lake = lake.reopen().await;
    assert_eq!(lake.get(&path).await.expect(200)["status"], "RUNNING");
    wait_for_try(&lake, &path, 2).await;
    let cancelled = lake.post(&format!("{path}/cancel"), &[("prefer", "wait=60")], "").await.expect(202);
    assert_eq!((&cancelled["status"], &cancelled["attempts"]), (&json!("CANCELLED"), &json!(2)), "{cancelled}");
}

#[tokio::test]
async fn two_servers_do_not_run_a_pipeline_at_once_and_either_cancels() {
    let lake = lake().await;
    define(&lake, "pairs", &endless()).await;
    let begun = lake.post("/api/v1/pipelines/pairs/runs", &[], "").await.expect(202);
    let other = lake.open_another().await;
    assert_problem(&other.post("/api/v1/pipelines/pairs/runs", &[], "").await, 409, "run-in-progress");
    let path = format!("/api/v1/runs/{}/cancel", begun["run_id"].as_str().unwrap());
    let cancelled = other.post(&path, &[("prefer", "wait=60")], "").await.expect(202);
    assert_eq!(cancelled["status"], "CANCELLED", "{cancelled}");
}

#[tokio::test]
async fn runs_of_others_are_not_cancelled_here() {
    let lake = lake().await;
    let runs = lake.get("/api/v1/runs").await.expect(200);
    let id = runs["items"][0]["run_id"].as_str().unwrap();
    assert_problem(&lake.post(&format!("/api/v1/runs/{id}/cancel"), &[], "").await, 409, "run-not-cancellable");
}
