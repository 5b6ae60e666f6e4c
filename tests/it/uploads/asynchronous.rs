//! `Prefer: respond-async`: the answer comes when the bytes are durable, and the rows follow whatever happens.

use serde_json::Value;
use sluice_tests::{Answer, TestLake, assert_problem, uploads_path};

async fn send(lake: &TestLake, prefer: &str, key: Option<&str>, body: &'static str) -> Answer {
    let mut headers = vec![("prefer", prefer)];
    headers.extend(key.map(|key| ("idempotency-key", key)));
    lake.post(&format!("{}?format=csv", uploads_path("a.t")), &headers, body).await
}

#[tokio::test]
async fn an_accepted_upload_is_durable_and_its_rows_follow() {
    let lake = TestLake::open().await;
    let answer = send(&lake, "wait=10, Respond-Async", None, "id\n1\n2\n").await;
    let accepted = answer.expect(202);
    assert_eq!(answer.header("preference-applied"), Some("respond-async"));
    assert_eq!(
        answer.header("location").unwrap(),
        format!("/api/v1/uploads/{}", accepted["upload_id"].as_str().unwrap())
    );
    assert_eq!(accepted["bytes_received"], Value::from(7));

    let location = answer.header("location").unwrap().to_owned();
    let lake = lake.reopen().await;
    let upload = lake.get(&location).await.expect(200);
    assert_eq!((&upload["status"], &upload["receipt"]["rows_committed"]), (&"committed".into(), &2.into()));
    assert_eq!(lake.count("a.t").await, 2);
}

#[tokio::test]
async fn an_accepted_upload_that_does_not_fit_says_so_in_the_ledger() {
    let lake = TestLake::open().await;
    let answer = send(&lake, "respond-async", Some("k"), "id\n1,2\n").await;
    answer.expect_status(202);
    let location = answer.header("location").unwrap().to_owned();
    let lake = lake.reopen().await;
    let upload = lake.get(&location).await.expect(200);
    assert_eq!(
        (&upload["status"], &upload["failure"]["type"]),
        (&"failed".into(), &"urn:sluice:problem:malformed-file".into())
    );
    let again = send(&lake, "respond-async", Some("k"), "id\n1,2\n").await;
    assert_problem(&again, 400, "malformed-file");
}

#[tokio::test]
async fn an_accepted_upload_is_repeatable() {
    let lake = TestLake::open().await;
    send(&lake, "respond-async", Some("k"), "id\n1\n").await.expect_status(202);
    let lake = lake.reopen().await;
    let again = send(&lake, "respond-async", Some("k"), "id\n1\n").await;
    assert_eq!(again.expect(201)["rows_committed"], Value::from(1), "it is settled, so the receipt is given");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(lake.count("a.t").await, 1);
}

#[tokio::test]
async fn other_preferences_change_nothing() {
    let lake = TestLake::open().await;
    send(&lake, "handling=strict, respond-asynchronously", None, "id\n1\n").await.expect_status(201);
}
