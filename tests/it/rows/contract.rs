//! Small requests that the table does not take as they are: bad rows, new columns, rules, binary bodies.

use axum::http::Method;
use serde_json::{Value, json};
use sluice_domain::Format;
use sluice_tests::{TestLake, assert_problem, sample_file, sample_rows, table_path};

use super::{assert_committed, channel_path, post, rows_path};

async fn contract(lake: &TestLake, table: &str, body: Value) {
    let path = format!("{}/contract", table_path(table));
    lake.call(Method::PUT, &path).json(&body).send().await.expect_status(200);
}

fn counts(receipt: &Value) -> [u64; 3] {
    ["rows_received", "rows_committed", "rows_quarantined"].map(|name| receipt[name].as_u64().unwrap())
}

#[tokio::test]
async fn bad_rows_go_to_quarantine_and_the_good_ones_of_the_request_into_the_table() {
    let lake = TestLake::open().await;
    post(&lake, "nyc.taps", "{\"id\": 0}").await.expect(201);
    let key = [("idempotency-key", "k")];
    let body = "{\"id\": 1}\n{\"id\": \"x\"}\nnonsense\n";
    let receipt = lake.post(&rows_path("nyc.taps"), &key, body).await.expect(201);
    assert_eq!(counts(&receipt), [3, 1, 2]);
    let again = lake.post(&rows_path("nyc.taps"), &key, body).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(counts(&again.expect(201)), [3, 1, 2]);
    let set_aside = lake.rows("SELECT upload_id, line, record FROM nyc.taps__quarantine ORDER BY line").await;
    let row = |line, record| json!({"upload_id": receipt["upload_id"], "line": line, "record": record});
    assert_eq!(set_aside, [row(2, "{\"id\": \"x\"}"), row(3, "nonsense")]);
    assert_eq!(lake.count("nyc.taps").await, 2);
    let path = format!("{}?max_bad_fraction=0.5", rows_path("nyc.taps"));
    assert_problem(&lake.post(&path, &[], body).await, 422, "too-many-bad-rows");
    assert_problem(&post(&lake, "nyc.taps", "{\"id\": \"x\"}").await, 422, "type-mismatch");
    assert_eq!((lake.count("nyc.taps").await, lake.count("nyc.taps__quarantine").await), (2, 2));
}

#[tokio::test]
async fn the_first_request_may_have_bad_rows_too() {
    let lake = TestLake::open().await;
    let receipt = post(&lake, "nyc.taps", "{\"id\": 1}\nnonsense\n").await.expect(201);
    assert_eq!(counts(&receipt), [2, 1, 1]);
    assert_eq!(lake.count("nyc.taps").await, 1);
}

#[tokio::test]
async fn a_channel_goes_on_behind_bad_rows() {
    let lake = TestLake::open().await;
    lake.call(Method::PUT, &channel_path("nyc.taps", "c")).send().await.expect_status(200);
    let path = |offset: i64| format!("{}?channel=c&offset={offset}", rows_path("nyc.taps"));
    lake.post(&path(1), &[], "{\"id\": 1}").await.expect(201);
    let receipt = lake.post(&path(3), &[], "{\"id\": 2}\n{\"id\": [3]}\n").await.expect(201);
    assert_eq!((counts(&receipt), &receipt["offset"]), ([2, 1, 1], &json!(3)));
    assert_eq!(lake.post(&path(3), &[], "{\"id\": 2}\n{\"id\": [3]}\n").await.status, 200);
    let channel = lake.get(&channel_path("nyc.taps", "c")).await.expect(200);
    assert_eq!((&channel["last_committed_offset"], lake.count("nyc.taps").await), (&json!(3), 2));
}

#[tokio::test]
async fn new_columns_come_with_the_requests_that_have_them() {
    let lake = TestLake::open().await;
    post(&lake, "nyc.taps", "{\"id\": 0}").await.expect(201);
    let path = format!("{}?max_bad_rows=0", rows_path("nyc.taps"));
    let bodies = (1..=8).map(|id| format!("{{\"id\": {id}, \"c{}\": \"x\"}}", id % 2));
    let answers = futures::future::join_all(bodies.map(|body| lake.post(&path, &[], body))).await;
    for answer in &answers {
        assert_committed(&answer.expect(201), 1);
    }
    let sums = lake.rows("SELECT sum(id) AS id, count(c0) AS c0, count(c1) AS c1 FROM nyc.taps").await;
    assert_eq!(sums, [json!({"id": 36, "c0": 4, "c1": 4})]);
}

#[tokio::test]
async fn the_contract_of_the_table_holds_for_small_requests() {
    let lake = TestLake::open().await;
    post(&lake, "nyc.taps", "{\"id\": 0}").await.expect(201);
    let rule = json!({"name": "low", "column": "id", "check": {"maximum": 9}});
    contract(&lake, "nyc.taps", json!({"columns": "freeze", "rules": [rule]})).await;
    assert_problem(&post(&lake, "nyc.taps", "{\"id\": 1, \"new\": 1}").await, 422, "schema-frozen");
    assert_problem(&post(&lake, "nyc.taps", "{\"id\": 10}").await, 422, "broken-rule");
    let receipt = post(&lake, "nyc.taps", "[{\"id\": 10}, {\"id\": 9}]").await.expect(201);
    assert_eq!(counts(&receipt), [2, 1, 1]);
    let rules = lake.rows("SELECT rule, record FROM nyc.taps__quarantine").await;
    assert_eq!(rules, [json!({"rule": "low", "record": "{\"id\":10}"})]);
    contract(&lake, "nyc.taps", json!({"columns": "discard_columns"})).await;
    assert_committed(&post(&lake, "nyc.taps", "{\"id\": 10, \"new\": 1}").await.expect(201), 1);
    assert_eq!(lake.describe("nyc.taps").await["columns"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn texts_are_taken_for_numbers_where_the_table_says_so() {
    let lake = TestLake::open().await;
    let body = json!({"columns": [{"name": "id", "type": "long"}], "coerce": true});
    lake.call(Method::PUT, "/api/v1/tables/nyc/taps/schema").json(&body).send().await.expect_status(201);
    assert_committed(&post(&lake, "nyc.taps", "{\"id\": \"7\"}").await.expect(201), 1);
    assert_eq!(lake.rows("SELECT id FROM nyc.taps").await, [json!({"id": 7})]);
}

#[tokio::test]
async fn arrow_is_taken_as_it_is() {
    let lake = TestLake::open().await;
    let headers = [("content-type", "application/vnd.apache.arrow.stream")];
    let (bytes, rows) = (sample_file(Format::Arrow), sample_rows().len() as u64);
    for _ in 0..2 {
        assert_committed(&lake.post(&rows_path("nyc.taps"), &headers, bytes.clone()).await.expect(201), rows);
    }
    assert_eq!(lake.count("nyc.taps").await, 2 * rows);
    let upload = lake.get("/api/v1/tables/nyc/taps/uploads").await.expect(200)["items"][0].clone();
    let content = format!("/api/v1/uploads/{}/content", upload["upload_id"].as_str().unwrap());
    assert_eq!(lake.get(&content).await.body.as_ref(), bytes.as_slice());
}
