//! Many requests, few commits.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;
use sluice_tests::TestLake;

use super::{assert_committed, post, rows_path};

#[tokio::test]
async fn an_object_an_array_and_lines_are_rows_and_the_first_ones_make_the_table() {
    let lake = TestLake::open().await;
    let receipt = post(&lake, "nyc.taps", "{\"id\": 1,\n \"at\": \"2026-01-31T10:00:00Z\"}").await.expect(201);
    assert_committed(&receipt, 1);
    assert_eq!(receipt["version"], 0);
    assert_committed(&post(&lake, "nyc.taps", "[{\"id\": 2},\n\n {\"id\":\n3}]").await.expect(201), 2);
    let receipt = post(&lake, "nyc.taps", "{\"id\": 4}\r\n\n{\"id\": 5}").await.expect(201);
    assert_committed(&receipt, 2);
    let types = lake.describe("nyc.taps").await["columns"].clone();
    assert_eq!(types[0]["delta_type"], "long", "{types}");
    let ids = lake.rows("SELECT id FROM nyc.taps ORDER BY id").await;
    assert_eq!(ids, (1..=5).map(|id| json!({ "id": id })).collect::<Vec<_>>());
    // The original text is kept, one record a line.
    let upload = receipt["upload_id"].as_str().unwrap();
    let content = lake.get(&format!("/api/v1/uploads/{upload}/content")).await;
    assert_eq!(content.text(), "{\"id\": 4}\r\n\n{\"id\": 5}\n");
    assert_eq!(lake.get(&format!("/api/v1/uploads/{upload}")).await.expect(200)["status"], "committed");
}

#[tokio::test]
async fn requests_that_come_together_share_an_upload_and_a_version() {
    let lake = TestLake::builder().set(|settings| settings.ingest.rows.max_wait_ms = 200).open().await;
    post(&lake, "nyc.taps", "{\"id\": 0}").await.expect(201);
    let calls = (1..=40).map(|id| post_id(&lake, id));
    let receipts = join_all(calls).await;
    let uploads: BTreeSet<String> = receipts.iter().map(|receipt| receipt["upload_id"].to_string()).collect();
    assert!(uploads.len() < 10, "{} uploads for 40 requests", uploads.len());
    assert_eq!(lake.count("nyc.taps").await, 41);
    let version = lake.describe("nyc.taps").await["version"].as_u64().unwrap();
    assert!(version < 10, "{version} commits for 40 requests");
    for receipt in &receipts {
        assert_committed(receipt, 1);
        assert!(receipt["version"].as_u64().unwrap() <= version);
    }
}

async fn post_id(lake: &TestLake, id: u64) -> serde_json::Value {
    post(lake, "nyc.taps", json!({ "id": id }).to_string()).await.expect(201)
}

#[tokio::test]
async fn the_first_requests_of_a_table_agree_on_its_columns() {
    let lake = TestLake::builder().set(|settings| settings.ingest.rows.max_wait_ms = 300).open().await;
    let bodies = ["{\"a\": 1}", "{\"a\": 1.5, \"b\": \"x\"}", "[{\"c\": true}]", "{\"a\": [1]"];
    let answers = join_all(bodies.map(|body| post(&lake, "nyc.taps", body))).await;
    for answer in &answers[..3] {
        answer.expect_status(201);
    }
    sluice_tests::assert_problem(&answers[3], 400, "malformed-file");
    assert_eq!(lake.count("nyc.taps").await, 3);
    let rows = lake.rows("SELECT a, b, c FROM nyc.taps ORDER BY a NULLS LAST").await;
    assert_eq!(rows[1], json!({ "a": 1.5, "b": "x", "c": null }), "{rows:?}");
}

#[tokio::test]
async fn a_group_ends_where_its_limits_are() {
    let lake = TestLake::builder()
        .set(|settings| {
            settings.ingest.rows.max_wait_ms = 200;
            settings.ingest.rows.max_rows = 4;
        })
        .open()
        .await;
    post(&lake, "nyc.taps", "{\"id\": 0}").await.expect(201);
    let receipts = join_all((1..=9).map(|id| post_id(&lake, id))).await;
    for upload in receipts.iter().map(|receipt| &receipt["upload_id"]) {
        assert!(receipts.iter().filter(|other| other["upload_id"] == *upload).count() <= 4);
    }
    // One request alone may have more.
    let body: String = (10..30).map(|id| format!("{{\"id\": {id}}}\n")).collect();
    assert_committed(&post(&lake, "nyc.taps", body).await.expect(201), 20);
    assert_eq!(lake.count("nyc.taps").await, 30);
}

#[tokio::test]
async fn rows_that_come_late_and_out_of_order_are_taken() {
    let lake = TestLake::open().await;
    for day in ["2026-03-01", "1999-12-31", "2026-02-01", "0001-01-01"] {
        post(&lake, "nyc.taps", json!({ "day": day }).to_string()).await.expect(201);
    }
    assert_eq!(lake.rows("SELECT day FROM nyc.taps ORDER BY day").await.len(), 4);
}

#[tokio::test]
async fn a_table_that_is_deleted_and_made_anew_takes_the_rows_that_come_then() {
    let lake = TestLake::open().await;
    post(&lake, "nyc.taps", "{\"id\": 1}").await.expect(201);
    lake.call(axum::http::Method::DELETE, &sluice_tests::table_path("nyc.taps")).send().await.expect_status(204);
    let receipt = post(&lake, "nyc.taps", "{\"id\": 1.5}").await.expect(201);
    assert_eq!(receipt["version"], 0);
    assert_eq!(lake.rows("SELECT id FROM nyc.taps").await, [json!({ "id": 1.5 })]);
}

#[tokio::test]
async fn partitioned_tables_take_rows_too() {
    let lake = TestLake::open().await;
    lake.upload("nyc.taps", "?format=csv&partition_by=day", "id,day\n1,a b\n").await.expect(201);
    post(&lake, "nyc.taps", "[{\"id\": 2, \"day\": \"a b\"}, {\"id\": 3, \"day\": \"ü/x\"}]").await.expect(201);
    let rows = lake.rows("SELECT id FROM nyc.taps WHERE day = 'a b' ORDER BY id").await;
    assert_eq!(rows, [json!({ "id": 1 }), json!({ "id": 2 })]);
}

#[tokio::test]
async fn rows_and_uploads_go_into_one_table_together() {
    let lake = TestLake::open().await;
    post(&lake, "nyc.taps", "{\"id\": 0}").await.expect(201);
    let rows = join_all((1..=10).map(|id| post_id(&lake, id)));
    let uploads = join_all((11..=20).map(|id| lake.upload("nyc.taps", "?format=csv", format!("id\n{id}\n"))));
    let (_, uploads) = futures::join!(rows, uploads);
    uploads.iter().for_each(|answer| answer.expect_status(201));
    let rows = lake.rows("SELECT count(*) AS n, sum(id) AS s FROM nyc.taps").await;
    assert_eq!(rows, [json!({ "n": 21, "s": 210 })]);
}

#[tokio::test]
async fn more_requests_than_are_taken_at_once_are_asked_to_come_again() {
    let lake = TestLake::builder()
        .set(|settings| {
            settings.ingest.rows.max_wait_ms = 500;
            settings.ingest.rows.waiting_requests = 4;
        })
        .open()
        .await;
    let answers = join_all((0..10).map(|id| post(&lake, "nyc.taps", json!({ "id": id }).to_string()))).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(taken.len(), 4);
    for answer in refused {
        sluice_tests::assert_problem(answer, 429, "too-many-requests");
    }
    assert_eq!(lake.count("nyc.taps").await, 4);
}

#[tokio::test]
async fn more_bytes_than_are_taken_at_once_are_asked_to_come_again() {
    let lake = TestLake::builder()
        .set(|settings| {
            settings.ingest.rows.max_wait_ms = 500;
            settings.ingest.rows.waiting_bytes = 10 << 10;
        })
        .open()
        .await;
    let body = |id: usize| json!({ "id": id, "text": "x".repeat(3000) }).to_string();
    let answers = join_all((0..6).map(|id| post(&lake, "nyc.taps", body(id)))).await;
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(taken, 3);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        sluice_tests::assert_problem(answer, 429, "too-many-requests");
    }
    post(&lake, "nyc.taps", body(7)).await.expect(201);
    assert_eq!(lake.count("nyc.taps").await, 4);
}

#[tokio::test]
async fn more_tables_than_are_gathered_for_are_asked_to_come_again() {
    let lake = TestLake::builder()
        .set(|settings| {
            settings.ingest.rows.max_wait_ms = 500;
            settings.ingest.rows.tables = 2;
        })
        .open()
        .await;
    let answers = join_all((0..5).map(|table| post_to(&lake, table))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 2);
    // Whoever comes later finds room again.
    for table in 0..5 {
        post_to(&lake, table).await.expect(201);
    }
}

async fn post_to(lake: &TestLake, table: u32) -> sluice_tests::Answer {
    lake.post(&rows_path(&format!("nyc.taps{table}")), &[], "{\"id\": 1}").await
}

#[tokio::test]
async fn a_request_whose_client_hung_up_is_committed_all_the_same() {
    let lake = TestLake::builder().set(|settings| settings.ingest.rows.max_wait_ms = 3000).open().await;
    let headers = [("idempotency-key", "k1")];
    let path = rows_path("nyc.taps");
    let mut call = Box::pin(lake.post(&path, &headers, "{\"id\": 1}"));
    // These go the same way up to the queue; by their answers, the request is in it and waits for its group.
    let refused = async {
        for _ in 0..12 {
            post(&lake, "nyc.taps", "{").await.expect_status(400);
        }
    };
    tokio::select! {
        answer = &mut call => answer.expect_status(201),
        () = refused => {}
    }
    drop(call);
    let lake = lake.reopen().await;
    let receipt = lake.post(&path, &headers, "{\"id\": 1}").await;
    assert_eq!(receipt.header("idempotent-replayed"), Some("true"));
    assert_eq!(lake.count("nyc.taps").await, 1);
}

#[tokio::test]
async fn metrics_tell_of_groups() {
    let lake = TestLake::open().await;
    for id in 0..3 {
        post(&lake, "nyc.taps", json!({ "id": id }).to_string()).await.expect(201);
    }
    let metrics = lake.get("/metrics").await;
    assert!(metrics.text().contains("data_lake_rows_group_requests_count 2"), "{}", metrics.text());
    assert!(metrics.text().contains("data_lake_rows_answer_seconds_count 3"), "{}", metrics.text());
}
