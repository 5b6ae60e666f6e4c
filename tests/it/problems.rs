//! What is wrong with a request is told as a problem, whatever it is.

use axum::http::Method;
use rstest::rstest;
use serde_json::json;
use sluice_tests::{TestLake, assert_problem};

#[tokio::test]
async fn a_problem_looks_like_this() {
    let lake = TestLake::open().await;
    let call = lake.call(Method::GET, "/api/v1/tables/nyc/flights").header("x-request-id", "the-id-of-the-client");
    let problem = assert_problem(&call.send().await, 404, "not-found");
    insta::with_settings!({ sort_maps => true }, { insta::assert_json_snapshot!(problem, @r#"
    {
      "detail": "there is no table nyc.flights",
      "instance": "/api/v1/tables/nyc/flights",
      "request_id": "the-id-of-the-client",
      "status": 404,
      "title": "Not found",
      "type": "urn:sluice:problem:not-found"
    }
    "#) });
}

#[rstest]
#[case("/nothing-here")]
#[case("/api/v1")]
#[case("/api/v1/tables/")]
#[case("/api/v2/tables")]
#[case("/api/v1/tables/a/b/c")]
#[case("//")]
#[tokio::test]
async fn what_is_nowhere_is_a_problem(#[case] path: &str) {
    assert_problem(&TestLake::open().await.get(path).await, 404, "no-route");
}

#[tokio::test]
async fn a_method_that_is_not_taken_is_told_with_those_that_are() {
    let lake = TestLake::open().await;
    for (method, path, allowed) in [
        (Method::PUT, "/api/v1/tables", "GET"),
        (Method::GET, "/api/v1/queries", "POST"),
        (Method::PUT, "/api/v1/tables/nyc/flights", "DELETE"),
        (Method::DELETE, "/api/v1/tables/nyc/flights/uploads", "POST"),
        (Method::POST, "/api/v1/uploads/7", "GET"),
        (Method::POST, "/healthz", "GET"),
    ] {
        let answer = lake.call(method, path).send().await;
        assert_problem(&answer, 405, "method-not-allowed");
        let told = answer.header("allow").unwrap();
        assert!(told.split(',').any(|method| method.trim() == allowed), "{path} tells {told}");
    }
}

#[rstest]
#[case(None, r#"{"sql": "SELECT 1"}"#, 415, "unsupported-media-type")]
#[case(Some("text/plain"), r#"{"sql": "SELECT 1"}"#, 415, "unsupported-media-type")]
#[case(Some("application/json"), "", 400, "bad-body")]
#[case(Some("application/json"), r#"{"sql": "SELECT 1""#, 400, "bad-body")]
#[case(Some("application/json"), "[1]", 422, "bad-body")]
#[case(Some("application/json"), r#"{"sql": 1}"#, 422, "bad-body")]
#[case(Some("application/json"), r#"{"sql": "SELECT 1", "limit": 1}"#, 422, "bad-body")]
#[case(Some("application/json"), r#"{"sql": "SELECT 1", "versions": {"a.b": -1}}"#, 422, "bad-body")]
#[case(Some("application/json"), r#"{"sql": "SELECT 1", "versions": {"../x": 1}}"#, 422, "illegal-name")]
#[case(Some("application/json"), r#"{"sql": "DROP TABLE a.b"}"#, 403, "not-read-only")]
#[tokio::test]
async fn a_json_body_that_cannot_be_is_refused(
    #[case] media_type: Option<&str>,
    #[case] body: &'static str,
    #[case] status: u16,
    #[case] code: &str,
) {
    let lake = TestLake::open().await;
    let headers: Vec<_> = media_type.map(|media_type| ("content-type", media_type)).into_iter().collect();
    assert_problem(&lake.post("/api/v1/queries", &headers, body).await, status, code);
}

#[tokio::test]
async fn a_json_body_beyond_the_limit_is_refused() {
    let lake = TestLake::open().await;
    let body = json!({ "sql": "x".repeat(3 << 20) });
    let answer = lake.call(Method::POST, "/api/v1/queries").json(&body).send().await;
    assert_problem(&answer, 413, "body-too-large");
}

#[rstest]
#[case("/api/v1/tables?nonsense=1", "bad-parameter")]
#[case("/api/v1/tables?page_size=0", "bad-parameter")]
#[case("/api/v1/tables?page_size=1001", "bad-parameter")]
#[case("/api/v1/tables?page_size=-1", "bad-parameter")]
#[case("/api/v1/tables?page_size=1&page_size=2", "bad-parameter")]
#[case("/api/v1/tables?page_token=", "bad-page-token")]
#[case("/api/v1/tables?page_token=xyz", "bad-page-token")]
#[case("/api/v1/tables?page_token=ff", "bad-page-token")]
#[case("/api/v1/tables?namespace=..", "illegal-name")]
#[case("/api/v1/namespaces?page_token=%00", "bad-page-token")]
#[case("/api/v1/uploads/01890000-0000-7000-8000-00000000000g", "illegal-id")]
#[case("/api/v1/uploads/..%2F..%2Fetc%2Fpasswd/content", "illegal-id")]
#[tokio::test]
async fn a_parameter_that_cannot_be_is_refused(#[case] path: &str, #[case] code: &str) {
    assert_problem(&TestLake::open().await.get(path).await, 400, code);
}

#[tokio::test]
async fn an_illegal_name_is_refused_and_makes_nothing() {
    let lake = TestLake::open().await;
    let long = "a".repeat(300);
    for name in
        ["..", ".", "%2e%2e", "%2e%2e%2f%2e%2e", "a%2Fb", "a%5Cb", "a%00b", "a%20b", "a.b", "-a", "1a", "%FF", &long]
    {
        for path in [format!("{name}/t"), format!("n/{name}")] {
            let table = format!("/api/v1/tables/{path}");
            assert_problem(&lake.get(&table).await, 400, "illegal-name");
            let answer = lake.post(&format!("{table}/uploads?format=csv"), &[], "id\n1\n").await;
            assert_problem(&answer, 400, "illegal-name");
        }
        assert_problem(&lake.get(&format!("/api/v1/namespaces/{name}")).await, 400, "illegal-name");
    }
    assert_eq!(lake.get("/api/v1/tables").await.expect(200), json!({ "items": [] }));
    assert_eq!(lake.get("/api/v1/namespaces").await.expect(200), json!({ "items": [] }));
}

#[tokio::test]
async fn a_plain_request_id_is_given_back_and_another_is_replaced() {
    let lake = TestLake::open().await;
    let longest = "i".repeat(128);
    for id in ["7", "trace-01/a=b;c", &longest] {
        let answer = lake.call(Method::GET, "/healthz").header("x-request-id", id).send().await;
        assert_eq!(answer.header("x-request-id"), Some(id));
    }
    let too_long = "i".repeat(129);
    for id in ["", "two words", &too_long] {
        let answer = lake.call(Method::GET, "/nothing-here").header("x-request-id", id).send().await;
        let given = assert_problem(&answer, 404, "no-route")["request_id"].as_str().unwrap().to_owned();
        assert!(given != id && given.parse::<uuid::Uuid>().is_ok(), "{id:?} became {given:?}");
    }
    let first = lake.get("/healthz").await;
    assert_ne!(first.header("x-request-id"), lake.get("/healthz").await.header("x-request-id"));
}
