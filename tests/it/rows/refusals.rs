//! What is wrong with a request is told to it alone, naming the place.

use futures::future::join_all;
use rstest::rstest;
use sluice_tests::{TestLake, assert_problem};

use super::{post, rows_path};

#[rstest]
#[case(&[], "{\"id\": 1}\n{\"id\": \"x\"}", 422, "type-mismatch", "row 2, line 2, column \"id\"")]
#[case(&[], "[{\"id\": 1}, 7]", 400, "malformed-file", "element 2")]
#[case(&[], "[{\"id\": 1}", 400, "malformed-file", "not closed")]
#[case(&[], "{\"id\": 1}\n{\"id\": 1, \"id\": 2}", 400, "malformed-file", "twice")]
#[case(&[], "", 400, "empty-body", "is empty")]
#[case(&[], " \n", 422, "empty-file", "")]
#[case(&[], "[]", 422, "empty-file", "")]
#[case(&[("content-type", "text/csv")], "id\n1\n", 415, "unsupported-media-type", "text/csv")]
#[case(&[("content-type", "application/vnd.apache.arrow.stream")], "x", 400, "malformed-file", "arrow")]
#[case(&[("content-encoding", "gzip")], "{\"id\": 1}", 415, "unsupported-encoding", "uploads")]
#[case(&[("content-type", "application/json")], "{\"id\": 1}\n{\"id\": 2}", 400, "malformed-file", "ndjson")]
#[case(&[("idempotency-key", "a b")], "{\"id\": 1}", 400, "bad-idempotency-key", "")]
#[tokio::test]
async fn what_is_wrong_is_said(
    #[case] headers: &[(&str, &str)],
    #[case] body: &'static str,
    #[case] status: u16,
    #[case] code: &str,
    #[case] detail: &str,
) {
    let lake = TestLake::open().await;
    post(&lake, "nyc.taps", "{\"id\": 0}").await.expect(201);
    let path = format!("{}?max_bad_rows=0", rows_path("nyc.taps"));
    let problem = assert_problem(&lake.post(&path, headers, body).await, status, code);
    assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    assert_eq!(lake.count("nyc.taps").await, 1);
}

#[rstest]
#[case("channel=a", "offset")]
#[case("offset=1", "channel")]
#[case("epoch=1", "channel")]
#[case("channel=a/b&offset=1", "a/b")]
#[case("channel=a&offset=x", "offset")]
#[case("channel=a&offset=9223372036854775808", "offset")]
#[case("chanel=a&offset=1", "chanel")]
#[tokio::test]
async fn a_place_in_a_channel_is_whole(#[case] query: &str, #[case] detail: &str) {
    let lake = TestLake::open().await;
    let path = format!("{}?{query}", rows_path("nyc.taps"));
    let problem = assert_problem(&lake.post(&path, &[], "{\"id\": 1}").await, 400, "bad-parameter");
    assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
}

#[tokio::test]
async fn a_larger_body_is_told_where_uploads_go() {
    let lake = TestLake::builder().set(|settings| settings.ingest.rows.max_body_bytes = 100).open().await;
    let body = format!("{{\"text\": \"{}\"}}", "x".repeat(100));
    let problem = assert_problem(&post(&lake, "nyc.taps", body).await, 413, "body-too-large");
    assert!(problem["detail"].as_str().unwrap().contains("/api/v1/tables/nyc/taps/uploads"), "{problem}");
}

#[tokio::test]
async fn a_bad_request_leaves_its_neighbours_alone() {
    let lake = TestLake::builder().set(|settings| settings.ingest.rows.max_wait_ms = 200).open().await;
    post(&lake, "nyc.taps", "{\"id\": 0}").await.expect(201);
    let bodies = ["{\"id\": 1}", "{\"id\": \"x\"}", "{\"id\": 2}", "{", "[{\"id\": 3}, {\"no\": 1}]", "{\"id\": 4}"];
    let answers = join_all(bodies.map(|body| post(&lake, "nyc.taps", body))).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [201, 422, 201, 400, 201, 201]);
    let sums = lake.rows("SELECT sum(id) AS s, sum(no) AS no FROM nyc.taps").await;
    assert_eq!(sums, [serde_json::json!({ "s": 10, "no": 1 })]);
}

#[tokio::test]
async fn columns_that_came_meanwhile_are_known_to_the_rows_that_use_them() {
    let lake = TestLake::open().await;
    post(&lake, "nyc.taps", "{\"id\": 1}").await.expect(201);
    let other = lake.open_another().await;
    other.call(axum::http::Method::DELETE, &sluice_tests::table_path("nyc.taps")).send().await.expect_status(204);
    post(&other, "nyc.taps", "{\"id\": 1, \"name\": \"x\"}").await.expect(201);
    post(&lake, "nyc.taps", "{\"id\": 2, \"name\": \"y\"}").await.expect(201);
    assert_eq!(lake.count("nyc.taps").await, 2);
}
