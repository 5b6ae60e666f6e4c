//! What becomes of data as it grows old, on a real server over local folders.

mod holds;
mod objects;
mod rows;
mod runs;
mod upkeep;

use std::{path::PathBuf, time::Duration};

use axum::http::Method;
use serde_json::{Value, json};
use sluice_tests::TestLake;

/// How long the server may take for what it does beside its requests.
const SOON: Duration = Duration::from_secs(60);

pub(crate) async fn define(lake: &TestLake, name: &str, scope: Value, action: Value) {
    let body = json!({"scope": scope, "action": action});
    let answer = lake.call(Method::PUT, &format!("/api/v1/lifecycle/rules/{name}")).json(&body).send().await;
    answer.expect_status(201);
}

pub(crate) async fn plan(lake: &TestLake) -> Value {
    let plan = lake.post("/api/v1/lifecycle/plan", &[], "").await.expect(201);
    shown(lake, plan["plan_id"].as_str().unwrap()).await
}

async fn shown(lake: &TestLake, id: &str) -> Value {
    lake.get(&format!("/api/v1/lifecycle/plans/{id}?page_size=1000")).await.expect(200)
}

/// A plan with items that are done, made again until there are some: a rule may have to wait for its second.
async fn plan_with_items(lake: &TestLake) -> Value {
    let waiting = async {
        loop {
            let plan = plan(lake).await;
            if plan["pending"] != 0 {
                return plan;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap()
}

/// Apply a plan, and give it with its results.
pub(crate) async fn apply(lake: &TestLake, plan: &Value) -> Value {
    let id = plan["plan_id"].as_str().unwrap();
    lake.post(&format!("/api/v1/lifecycle/plans/{id}/apply"), &[], "").await.expect_status(202);
    applied(lake, id).await
}

async fn applied(lake: &TestLake, id: &str) -> Value {
    let waiting = async {
        loop {
            let plan = shown(lake, id).await;
            if plan["state"] == "applied" {
                return plan;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap()
}

fn items(plan: &Value) -> &Vec<Value> {
    plan["items"].as_array().unwrap()
}

/// Every file below a folder, without those of leases.
fn files(folder: &PathBuf) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true if path.ends_with("leases") => {}
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

async fn folder_of(lake: &TestLake, table: &str) -> PathBuf {
    let location = lake.describe(table).await["location"].as_str().unwrap().to_owned();
    PathBuf::from(location.strip_prefix("file://").unwrap())
}
