//! Two servers on one lake.

use std::collections::BTreeSet;

use axum::http::Method;
use futures::future::join_all;
use sluice_tests::{TestLake, assert_problem};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn uploads_to_two_servers_at_once_are_all_committed_once() {
    let first = TestLake::open().await;
    let second = first.open_another().await;
    let calls = (0..40).map(|number| {
        let lake = if number % 2 == 0 { &first } else { &second };
        let call = lake.call(Method::POST, "/api/v1/tables/a/t/uploads?format=csv");
        tokio::spawn(call.body(format!("id\n{number}\n")).send())
    });
    for answer in join_all(calls).await {
        answer.unwrap().expect_status(201);
    }
    for lake in [&first, &second] {
        let row = serde_json::json!({"n": 40, "ids": 40});
        assert_eq!(lake.rows("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM a.t").await, [row]);
    }
    let versions = first.describe("a.t").await["version"].as_u64().unwrap();
    let mut writers = BTreeSet::new();
    for version in 0..=versions {
        for line in first.log("a.t", version).await {
            if let Some(writer) = line["txn"]["appId"].as_str() {
                writers.insert(writer.to_owned());
            }
        }
    }
    assert_eq!(writers.len(), 2, "each server commits under a name of its own: {writers:?}");
}

#[tokio::test]
async fn what_one_server_committed_is_replayed_by_the_other() {
    let first = TestLake::open().await;
    let second = first.open_another().await;
    let path = "/api/v1/tables/a/t/uploads?format=csv";
    let receipt = first.post(path, &[("idempotency-key", "k")], "id\n1\n").await.expect(201);
    let answer = second.post(path, &[("idempotency-key", "k")], "id\n1\n").await;
    assert_eq!(answer.expect(201)["upload_id"], receipt["upload_id"]);
    assert_eq!(answer.header("idempotent-replayed"), Some("true"));
    let other_body = second.post(path, &[("idempotency-key", "k")], "id\n2\n").await;
    assert_problem(&other_body, 422, "idempotency-key-reused");
    assert_eq!(second.count("a.t").await, 1);
}

#[tokio::test]
async fn a_server_goes_on_when_the_other_ends() {
    let first = TestLake::open().await;
    let second = first.open_another().await;
    first.upload("a.t", "?format=csv", "id\n1\n").await.expect_status(201);
    drop(first.close().await);
    second.upload("a.t", "?format=csv", "id\n2\n").await.expect_status(201);
    let third = second.open_another().await;
    third.upload("a.t", "?format=csv", "id\n3\n").await.expect_status(201);
    assert_eq!((second.count("a.t").await, third.count("a.t").await), (3, 3));
}
