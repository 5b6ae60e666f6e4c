//! Sources that pull: their definitions, their runs, and that nothing is taken twice.

mod api;
mod definitions;
mod fake_api;
mod folder;
mod recovery;
mod runs;

use std::path::Path;

use axum::http::Method;
use serde_json::{Value, json};
use sluice_tests::{LakeBuilder, TestLake};

/// Define a source that must be taken.
async fn define(lake: &TestLake, name: &str, body: &Value) -> Value {
    let answer = lake.call(Method::PUT, &format!("/api/v1/sources/{name}")).json(body).send().await;
    assert!(answer.status.is_success(), "{}", answer.text());
    answer.json()
}

/// Begin a run and wait for its end.
async fn run(lake: &TestLake, name: &str) -> Value {
    let begun = lake.post(&format!("/api/v1/sources/{name}/runs"), &[], "").await.expect(202);
    wait(lake, name, &begun).await
}

/// The run as it ended.
async fn wait(lake: &TestLake, name: &str, begun: &Value) -> Value {
    let id = begun["run_id"].as_str().unwrap();
    let run = lake.get(&format!("/api/v1/sources/{name}/runs/{id}?wait_seconds=60")).await.expect(200);
    assert_ne!(run["state"], "running", "it has no end: {run}");
    run
}

/// A run that must go through.
async fn run_well(lake: &TestLake, name: &str) -> Value {
    let run = run(lake, name).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    run
}

/// A run that must fail with this code.
async fn run_badly(lake: &TestLake, name: &str, code: &str) -> Value {
    let run = run(lake, name).await;
    assert_eq!(run["state"], "failed", "{run}");
    assert_eq!(run["failure"]["type"], format!("urn:sluice:problem:{code}"), "{run}");
    run
}

/// What a run pulled: positions and states.
async fn pulls(lake: &TestLake, name: &str, run: &Value) -> Vec<(String, String)> {
    let path = format!("/api/v1/sources/{name}/runs/{}/pulls", run["run_id"].as_str().unwrap());
    let page = lake.get(&path).await.expect(200);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    page["items"].as_array().unwrap().iter().map(|item| (text(&item["position"]), text(&item["state"]))).collect()
}

/// A lake whose sources may read this folder.
fn lake_over(folder: &Path) -> LakeBuilder {
    let folder = folder.to_owned();
    TestLake::builder().set(|settings| settings.sources.folders = vec![folder])
}

/// A source of the files of a folder, those just written among them.
fn folder_source(folder: &Path, more: &Value) -> Value {
    let mut source = json!({"table": "a.t", "folder": {"location": folder, "settle_seconds": 0}});
    merge(&mut source, more);
    source
}

/// Put fields into an object, and into those within it.
fn merge(into: &mut Value, more: &Value) {
    match more {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| merge(&mut into[name], value)),
        value => *into = value.clone(),
    }
}
