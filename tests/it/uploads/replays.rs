//! `Idempotency-Key`: a repeated request is answered as the first one was, and nothing is committed twice.

use axum::body::Body;
use rstest::rstest;
use serde_json::Value;
use sluice_domain::Action;
use sluice_tests::{Answer, TestLake, assert_problem, held_body, uploads_path};

const ROWS: &str = "id\n1\n2\n";

async fn send(lake: &TestLake, key: &str, query: &str, body: impl Into<Body>) -> Answer {
    let path = format!("{}{query}", uploads_path("a.t"));
    lake.post(&path, &[("idempotency-key", key)], body).await
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

#[tokio::test]
async fn a_repeated_upload_is_committed_once_and_answered_alike() {
    let lake = TestLake::open().await;
    let first = send(&lake, "k", "?format=csv", ROWS).await;
    let again = send(&lake, "k", "?format=csv", ROWS).await;
    assert_eq!(again.expect(201), first.expect(201));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!((is_replay(&first), is_replay(&again)), (false, true));

    let lake = lake.reopen().await;
    let later = send(&lake, "k", "?format=csv", ROWS).await;
    assert_eq!(later.expect(201), first.expect(201), "another process answers alike");
    assert!(is_replay(&later));
    assert_eq!((lake.count("a.t").await, &lake.describe("a.t").await["version"]), (2, &Value::from(0)));
}

#[tokio::test]
async fn a_key_is_for_the_table_however_its_name_is_written() {
    let lake = TestLake::open().await;
    for (path, replay) in [("NYC/Flights", false), ("nyc/flights", true), ("nyc/%66lights", true)] {
        let path = format!("/api/v1/tables/{path}/uploads?format=csv");
        let answer = lake.post(&path, &[("idempotency-key", "k")], ROWS).await;
        answer.expect_status(201);
        assert_eq!(is_replay(&answer), replay, "{path}");
    }
    assert_eq!(lake.count("nyc.flights").await, 2);
}

#[tokio::test]
async fn without_a_key_and_with_another_key_the_rows_are_added_again() {
    let lake = TestLake::open().await;
    for _ in 0..2 {
        lake.upload("a.t", "?format=csv", ROWS).await.expect_status(201);
    }
    for key in ["a", "b"] {
        assert!(!is_replay(&send(&lake, key, "?format=csv", ROWS).await));
    }
    assert_eq!(lake.count("a.t").await, 8);
}

#[rstest]
#[case("?format=csv", "id\n1\n3\n")]
#[case("?format=csv", "id\n1\n2\n\n")]
#[case("?format=csv&null_values=2", ROWS)]
#[case("?format=csv&header=false", ROWS)]
#[case("?format=tsv", ROWS)]
#[case("?format=ndjson", ROWS)]
#[tokio::test]
async fn a_key_is_for_one_body_and_its_options(#[case] query: &str, #[case] body: &'static str) {
    let lake = TestLake::open().await;
    let first = send(&lake, "k", "?format=csv", ROWS).await.expect(201);
    assert_problem(&send(&lake, "k", query, body).await, 422, "idempotency-key-reused");
    let again = send(&lake, "k", "?format=csv", ROWS).await;
    assert_eq!(again.expect(201), first);
    assert_eq!(lake.count("a.t").await, 2);
}

#[tokio::test]
async fn a_failed_upload_fails_the_same_way_again() {
    let lake = TestLake::open().await;
    let bad = "id,name\n1\n";
    let first = assert_problem(&send(&lake, "k", "?format=csv", bad).await, 400, "malformed-file");
    let lake = lake.reopen().await;
    let again = assert_problem(&send(&lake, "k", "?format=csv", bad).await, 400, "malformed-file");
    assert_eq!((&again["detail"], &again["upload_id"]), (&first["detail"], &first["upload_id"]));
    assert_problem(&send(&lake, "k", "?format=csv", ROWS).await, 422, "idempotency-key-reused");

    let upload = lake.get(&format!("/api/v1/uploads/{}", first["upload_id"].as_str().unwrap())).await.expect(200);
    assert_eq!((&upload["status"], &upload["failure"]["type"]), (&Value::from("failed"), &first["type"]));
    assert_eq!(upload["failure"]["detail"], first["detail"]);
    assert_problem(&lake.get("/api/v1/tables/a/t").await, 404, "not-found");
}

#[tokio::test]
async fn a_key_that_is_in_use_is_told_to_come_again() {
    let lake = TestLake::open().await;
    let (body, mut holder) = held_body(b"id\n1\n", b"2\n");
    let request = lake.call(axum::http::Method::POST, "/api/v1/tables/a/t/uploads?format=csv");
    let held = tokio::spawn(request.header("idempotency-key", "k").body(body).send());
    holder.reached().await;
    let answer = send(&lake, "k", "?format=csv", ROWS).await;
    assert_problem(&answer, 409, "idempotency-key-in-flight");
    assert!(answer.header("retry-after").is_some());

    holder.release();
    let first = held.await.unwrap().expect(201);
    let again = send(&lake, "k", "?format=csv", ROWS).await;
    assert_eq!(again.expect(201), first);
    assert!(is_replay(&again));
}

#[tokio::test]
async fn a_body_that_broke_off_leaves_its_key_free() {
    let lake = TestLake::open().await;
    let (body, mut holder) = held_body(b"id\n1\n", b"2\n");
    let request = lake.call(axum::http::Method::POST, "/api/v1/tables/a/t/uploads?format=csv");
    let held = tokio::spawn(request.header("idempotency-key", "k").body(body).send());
    holder.reached().await;
    drop(holder);
    assert_problem(&held.await.unwrap(), 400, "body-broken");
    let whole = send(&lake, "k", "?format=csv", ROWS).await;
    whole.expect_status(201);
    assert!(!is_replay(&whole));
    assert_eq!(lake.count("a.t").await, 2);
}

#[rstest]
#[case("")]
#[case("two words")]
#[case(&"k".repeat(256))]
#[tokio::test]
async fn a_key_that_cannot_be_is_refused(#[case] key: &str) {
    let lake = TestLake::open().await;
    assert_problem(&send(&lake, key, "?format=csv", ROWS).await, 400, "bad-idempotency-key");
    send(&lake, &"k".repeat(255), "?format=csv", ROWS).await.expect_status(201);
}

#[tokio::test]
async fn callers_and_tables_have_keys_of_their_own() {
    let builder = TestLake::builder().key("one", &[Action::Read, Action::Append], None);
    let lake = builder.key("two", &[Action::Append], None).open().await;
    for (caller, table) in [("one", "t"), ("two", "t"), ("one", "u")] {
        let path = format!("/api/v1/tables/a/{table}/uploads?format=csv");
        let call = lake.call(axum::http::Method::POST, &path).key(caller).header("idempotency-key", "k");
        let answer = call.body(ROWS).send().await;
        answer.expect_status(201);
        assert!(!is_replay(&answer), "{caller} {table}");
    }
}
