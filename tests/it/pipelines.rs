//! Pipelines over HTTP: what may be saved, what a run makes, and that it makes it once.

mod definitions;
mod gates;
mod histories;
mod incremental;
mod intervals;
mod runs;
mod targets;
mod transforms;

use axum::http::Method;
use serde_json::{Value, json};
use sluice_tests::{Answer, TestLake};

const ORDERS: &str = "id,amount,region\n1,10,north\n2,-5,north\n3,7,south\n";

/// A lake with `raw.orders`.
async fn lake() -> TestLake {
    let lake = TestLake::open().await;
    lake.upload("raw.orders", "?format=csv", ORDERS).await.expect_status(201);
    lake
}

async fn put(lake: &TestLake, name: &str, body: &Value) -> Answer {
    lake.call(Method::PUT, &format!("/api/v1/pipelines/{name}")).json(body).send().await
}

/// Define a pipeline that must be taken.
async fn define(lake: &TestLake, name: &str, body: &Value) -> Value {
    let answer = put(lake, name, body).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    answer.json()
}

/// A pipeline from `raw.orders` into `curated.orders`.
fn into_orders(sql: &str, mode: &str) -> Value {
    json!({"inputs": ["raw.orders"], "sql": sql, "target": "curated.orders", "mode": mode})
}

/// Begin a run and wait for its end.
async fn run(lake: &TestLake, name: &str) -> Value {
    let path = format!("/api/v1/pipelines/{name}/runs");
    let run = lake.post(&path, &[("prefer", "wait=60")], "").await.expect(202);
    assert_ne!(run["status"], "RUNNING", "it has no end: {run}");
    run
}

/// A run that must go through.
async fn run_well(lake: &TestLake, name: &str) -> Value {
    let run = run(lake, name).await;
    assert_eq!(run["status"], "SUCCESS", "{run}");
    run
}
