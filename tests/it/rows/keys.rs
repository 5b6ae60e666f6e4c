//! A request with a key is repeatable: across requests, servers and restarts.

use futures::future::join_all;
use serde_json::{Value, json};
use sluice_tests::{Answer, TestLake, assert_problem};

use super::rows_path;

async fn keyed(lake: &TestLake, key: &str, body: &str) -> Answer {
    lake.post(&rows_path("nyc.taps"), &[("idempotency-key", key)], body.to_owned()).await
}

fn without_duration(mut receipt: Value) -> Value {
    receipt["duration_ms"] = Value::Null;
    receipt
}

#[tokio::test]
async fn a_repeated_request_gets_its_receipt_again_and_adds_nothing() {
    let lake = TestLake::builder().set(|settings| settings.ingest.rows.max_wait_ms = 100).open().await;
    // The first ones make the table, the others find it.
    for round in 0..2 {
        let keys: Vec<String> = (0..5).map(|number| format!("key-{round}-{number}")).collect();
        let first = join_all(keys.iter().map(|key| keyed(&lake, key, "{\"id\": 1}"))).await;
        let again = join_all(keys.iter().map(|key| keyed(&lake, key, "{\"id\": 1}"))).await;
        for (first, again) in first.iter().zip(&again) {
            assert_eq!(first.header("idempotent-replayed"), None);
            assert_eq!(again.header("idempotent-replayed"), Some("true"));
            assert_eq!(without_duration(again.expect(201)), without_duration(first.expect(201)));
        }
    }
    assert_eq!(lake.count("nyc.taps").await, 10);
    let lake = lake.reopen().await;
    assert_eq!(keyed(&lake, "key-0-1", "{\"id\": 1}").await.header("idempotent-replayed"), Some("true"));
    assert_eq!(lake.count("nyc.taps").await, 10);
}

#[tokio::test]
async fn a_key_is_for_one_body() {
    let lake = TestLake::open().await;
    keyed(&lake, "k", "{\"id\": 1}").await.expect(201);
    assert_problem(&keyed(&lake, "k", "{\"id\": 2}").await, 422, "idempotency-key-reused");
    let path = format!("{}?channel=c&offset=1", rows_path("nyc.taps"));
    let other = lake.post(&path, &[("idempotency-key", "k")], "{\"id\": 1}").await;
    assert_problem(&other, 422, "idempotency-key-reused");
    // Another table, and another caller's path: other keys.
    lake.post(&rows_path("nyc.others"), &[("idempotency-key", "k")], "{\"id\": 2}").await.expect(201);
    assert_eq!(lake.count("nyc.taps").await, 1);
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free() {
    let lake = TestLake::open().await;
    keyed(&lake, "k0", "{\"id\": 0}").await.expect(201);
    assert_problem(&keyed(&lake, "k", "{\"id\": \"x\"}").await, 422, "type-mismatch");
    let answer = keyed(&lake, "k", "{\"id\": 1}").await;
    assert_eq!((answer.status.as_u16(), answer.header("idempotent-replayed")), (201, None));
}

#[tokio::test]
async fn the_same_request_at_once_is_done_once() {
    let lake = TestLake::builder().set(|settings| settings.ingest.rows.max_wait_ms = 100).open().await;
    let answers = join_all((0..8).map(|_| keyed(&lake, "k", "{\"id\": 1}"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_problem(answer, 409, "idempotency-key-in-flight");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(lake.count("nyc.taps").await, 1);
}

#[tokio::test]
async fn the_same_request_to_two_servers_at_once_is_done_once_and_its_neighbours_too() {
    let one = TestLake::builder().set(|settings| settings.ingest.rows.max_wait_ms = 50).open().await;
    let two = one.open_another().await;
    for (round, first) in ["made", "there"].iter().enumerate() {
        let keys: Vec<String> = (0..20).map(|number| format!("{first}-{number}")).collect();
        let send = |lake| {
            let keys = &keys;
            async move { join_all(keys.iter().map(|key| keyed(lake, key, "{\"id\": 1}"))).await }
        };
        let (left, right) = futures::join!(send(&one), send(&two));
        for (left, right) in left.iter().zip(&right) {
            let statuses = [left.status.as_u16(), right.status.as_u16()];
            assert!(
                statuses.contains(&201) && statuses.iter().all(|status| [201, 409].contains(status)),
                "{statuses:?}"
            );
        }
        for key in &keys {
            assert_eq!(keyed(&two, key, "{\"id\": 1}").await.header("idempotent-replayed"), Some("true"));
        }
        assert_eq!(one.count("nyc.taps").await, 20 * (round as u64 + 1));
    }
    let rows = one.rows("SELECT count(*) AS n FROM nyc.taps").await;
    assert_eq!(rows, [json!({ "n": 40 })]);
}
