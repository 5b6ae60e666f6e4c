//! Runs: one at a time, repeatable, by themselves, and by two servers.

use std::{collections::BTreeSet, time::Duration};

use axum::http::Method;
use futures::future::join_all;
use serde_json::{Value, json};
use sluice_tests::{TestLake, assert_problem};
use tokio::sync::watch;

use super::{
    define,
    fake_api::{Asked, FakeApi, page},
    folder_source, lake_over, run_well, wait,
};

/// An API whose only page comes when it is let go.
async fn held_api() -> (FakeApi, watch::Sender<bool>) {
    let (release, released) = watch::channel(false);
    let api = FakeApi::start(move |_: Asked, _| {
        let mut released = released.clone();
        async move {
            released.wait_for(|free| *free).await.unwrap();
            page(&json!([{"id": 1}]))
        }
    })
    .await;
    (api, release)
}

fn source(api: &FakeApi) -> Value {
    json!({"table": "a.t", "http": {"url": api.url("/rows"), "backoff_ms": 1}})
}

#[tokio::test]
async fn a_source_has_one_run_at_a_time_on_all_servers() {
    let (api, release) = held_api().await;
    let first = api.lake().open().await;
    let second = first.open_another().await;
    define(&first, "rows", &source(&api)).await;
    let begun = first.post("/api/v1/sources/rows/runs", &[], "").await.expect(202);
    assert_eq!(begun["state"], "running");
    for lake in [&first, &second] {
        let busy = lake.post("/api/v1/sources/rows/runs", &[], "").await;
        let problem = assert_problem(&busy, 409, "run-in-progress");
        assert!(problem["detail"].as_str().unwrap().contains(begun["run_id"].as_str().unwrap()));
        assert!(busy.header("retry-after").is_some());
        let deleted = lake.call(Method::DELETE, "/api/v1/sources/rows").send().await;
        assert_problem(&deleted, 409, "run-in-progress");
    }
    release.send(true).unwrap();
    let ended = wait(&second, "rows", &begun).await;
    assert_eq!((&ended["state"], second.count("a.t").await), (&json!("succeeded"), 1));
    run_well(&second, "rows").await;
}

#[tokio::test]
async fn a_request_with_a_key_begins_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_over(folder.path()).open().await;
    define(&lake, "drop", &folder_source(folder.path(), &json!({}))).await;
    let path = "/api/v1/sources/drop/runs";
    let first = lake.post(path, &[("idempotency-key", "dag-7")], "").await;
    let begun = first.expect(202);
    assert_eq!(first.header("location"), Some(format!("{path}/{}", begun["run_id"].as_str().unwrap()).as_str()));
    wait(&lake, "drop", &begun).await;
    let again = lake.post(path, &[("idempotency-key", "dag-7")], "").await;
    assert_eq!((&again.expect(202)["run_id"], again.header("idempotent-replayed")), (&begun["run_id"], Some("true")));
    let other = lake.post(path, &[("idempotency-key", "dag-8")], "").await.expect(202);
    assert_ne!(other["run_id"], begun["run_id"]);
    wait(&lake, "drop", &other).await;
    assert_eq!(lake.get(path).await.expect(200)["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_that_run_one_source_again_and_again_take_every_file_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = lake_over(folder.path()).open().await;
    let second = first.open_another().await;
    define(&first, "drop", &folder_source(folder.path(), &json!({"folder": {"max_files": 7}}))).await;
    for number in 0..40 {
        std::fs::write(folder.path().join(format!("{number}.csv")), format!("id\n{number}\n")).unwrap();
    }
    let mut states = BTreeSet::new();
    for _ in 0..10 {
        let begin = |lake: &TestLake| lake.call(Method::POST, "/api/v1/sources/drop/runs").send();
        for answer in join_all([begin(&first), begin(&second)]).await {
            states.insert(answer.status.as_u16());
            if answer.status.is_success() {
                wait(&first, "drop", &answer.json()).await;
            }
        }
    }
    assert!(states.contains(&202) && states.is_subset(&BTreeSet::from([202, 409])), "{states:?}");
    let row = json!({"n": 40, "ids": 40});
    assert_eq!(second.rows("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM a.t").await, [row]);
}

#[tokio::test]
async fn a_source_with_a_schedule_runs_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "id\n1\n").unwrap();
    let lake = lake_over(folder.path()).open().await;
    define(&lake, "drop", &folder_source(folder.path(), &json!({"every_seconds": 1}))).await;
    let two_runs = async {
        loop {
            let page = lake.get("/api/v1/sources/drop/runs").await.expect(200);
            let runs = page["items"].as_array().unwrap().clone();
            if runs.iter().filter(|run| run["state"] == "succeeded").count() >= 2 {
                return runs;
            }
            tokio::task::yield_now().await;
        }
    };
    let runs = tokio::time::timeout(Duration::from_secs(30), two_runs).await.expect("it runs by itself");
    assert!(runs.iter().all(|run| run["cause"] == "schedule"), "{runs:?}");
    assert_eq!(lake.count("a.t").await, 1);
    assert!(lake.get("/api/v1/sources/drop").await.expect(200)["next_run_at"].is_string());
}

#[tokio::test]
async fn old_runs_are_forgotten_and_what_they_saw_is_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "id\n1\n").unwrap();
    let lake = lake_over(folder.path()).set(|settings| settings.sources.keep_runs = 2).open().await;
    define(&lake, "drop", &folder_source(folder.path(), &json!({}))).await;
    for _ in 0..4 {
        run_well(&lake, "drop").await;
    }
    let runs = lake.get("/api/v1/sources/drop/runs").await.expect(200);
    assert_eq!(runs["items"].as_array().unwrap().len(), 2);
    assert_eq!(lake.count("a.t").await, 1);
}
