//! JSON APIs: pages, retries, tokens, watermarks, and what is out of bounds.

use axum::{http::Method, response::IntoResponse as _};
use rstest::rstest;
use serde_json::{Value, json};
use sluice_tests::{TestLake, assert_problem};

use super::{
    define,
    fake_api::{Asked, FakeApi, orders, page, status},
    merge, run, run_badly, run_well,
};

/// A source of the orders of an API, in a hurry.
fn source(api: &FakeApi, more: &Value) -> Value {
    let url = api.url("/orders");
    let mut source = json!({
        "table": "a.orders",
        "http": {"url": url, "backoff_ms": 1, "pause_ms": 0, "paging": {"page": {}}},
        "options": {"record_path": "data"},
    });
    merge(&mut source, more);
    source
}

async fn two_failures_on_the_second_page(asked: Asked, again: usize) -> axum::response::Response {
    match asked.param("page") {
        "2" if again <= 2 => status(503),
        _ => page(&json!({"data": orders(250, &asked)})),
    }
}

#[tokio::test]
async fn pages_that_fail_twice_are_fetched_and_land_once() {
    let api = FakeApi::start(two_failures_on_the_second_page).await;
    let lake = api.lake().open().await;
    define(&lake, "orders", &source(&api, &json!({"http": {"query": {"status": "all"}}}))).await;
    let run = run_well(&lake, "orders").await;
    assert_eq!((&run["pages"], &run["rows_committed"]), (&json!(3), &json!(250)));
    assert_eq!(run["upload_ids"].as_array().unwrap().len(), 1);
    let row = json!({"n": 250, "ids": 250, "top": 249});
    let sql = "SELECT count(*) AS n, count(DISTINCT id) AS ids, max(id) AS top FROM a.orders";
    assert_eq!(lake.rows(sql).await, [row]);
    let asked: Vec<String> = api.asked().iter().map(|asked| asked.param("page").to_owned()).collect();
    assert_eq!(asked, ["1", "2", "2", "2", "3"]);
    assert!(api.asked().iter().all(|asked| asked.param("limit") == "100" && asked.param("status") == "all"));
}

#[tokio::test]
async fn a_page_that_fails_as_often_as_it_may_fails_the_run_and_nothing_is_committed() {
    let api = FakeApi::start(async |asked: Asked, again| match asked.param("page") {
        "2" if again <= 3 => status(503),
        _ => page(&json!({"data": orders(250, &asked)})),
    })
    .await;
    let lake = api.lake().open().await;
    define(&lake, "orders", &source(&api, &json!({}))).await;
    let failed = run_badly(&lake, "orders", "source-api-failed").await;
    let detail = failed["failure"]["detail"].as_str().unwrap();
    assert!(detail.contains("page 2") && detail.contains("503") && detail.contains("3 tries"), "{detail}");
    assert_eq!((&failed["upload_ids"], &failed["rows_received"]), (&json!([]), &json!(0)));
    assert_problem(&lake.get("/api/v1/tables/a/orders").await, 404, "not-found");
    run_well(&lake, "orders").await;
    assert_eq!(lake.count("a.orders").await, 250);
}

#[tokio::test]
async fn a_run_goes_on_where_the_one_before_it_ended() {
    let api = FakeApi::start(async |asked: Asked, _| {
        let all = if asked.param("start_date").contains("04%3A09") { 0 } else { 250 };
        page(&json!({"data": orders(all, &asked)}))
    })
    .await;
    let lake = api.lake().open().await;
    let watermark = json!({"column": "updated_at", "param": "start_date", "initial": "2023-01-01"});
    define(&lake, "orders", &source(&api, &json!({"http": {"watermark": watermark}}))).await;
    let first = run_well(&lake, "orders").await;
    assert_eq!(first["watermark_before"], Value::Null);
    assert_eq!(first["watermark_after"], "2024-01-01T00:04:09Z");
    assert!(api.asked().iter().all(|asked| asked.param("start_date") == "2023-01-01"));
    let second = run_well(&lake.reopen().await, "orders").await;
    assert_eq!((&second["watermark_before"], &second["pages"]), (&first["watermark_after"], &json!(1)));
    assert_eq!((&second["watermark_after"], &second["rows_received"]), (&first["watermark_after"], &json!(0)));
    assert_eq!(second["upload_ids"], json!([]));
}

#[tokio::test]
async fn a_failed_upload_leaves_the_watermark_where_it_was() {
    let api = FakeApi::start(async |_: Asked, again| {
        let id = if again == 1 { json!("x") } else { json!(7) };
        page(&json!([{"id": id, "at": again}]))
    })
    .await;
    let lake = api.lake().open().await;
    lake.upload("a.orders", "?format=ndjson", "{\"id\": 1, \"at\": 0}\n").await.expect_status(201);
    let more = json!({"http": {"paging": null, "watermark": {"column": "at", "param": "since"}}, "options": null});
    let mut body = source(&api, &more);
    body["options"] = json!({});
    define(&lake, "orders", &body).await;
    let failed = run_badly(&lake, "orders", "type-mismatch").await;
    assert_eq!(failed["watermark_after"], Value::Null);
    let run = run_well(&lake, "orders").await;
    assert_eq!((&run["watermark_after"], lake.count("a.orders").await), (&json!("2"), 2));
}

#[tokio::test]
async fn cursors_and_links_lead_from_page_to_page() {
    let api = FakeApi::start(async |asked: Asked, _| {
        let body = |id: u64, next: Value| json!({"rows": [{"id": id}], "next": next});
        match (asked.path.as_str(), asked.param("cursor"), asked.param("p")) {
            ("/cursor", "", _) => page(&body(1, json!("c-2"))),
            ("/cursor", "c-2", _) => page(&body(2, json!(3))),
            ("/cursor", "3", _) => page(&body(3, Value::Null)),
            ("/field", _, "") => page(&body(4, json!("/field?p=2"))),
            ("/field", _, "2") => page(&body(5, Value::Null)),
            ("/header", _, "") => {
                ([("link", "</header?p=2>; rel=\"next\"")], page(&body(6, Value::Null))).into_response()
            }
            _ => page(&body(7, Value::Null)),
        }
    })
    .await;
    let lake = api.lake().open().await;
    let pagings = [
        ("cursor", json!({"cursor": {"field": "next", "param": "cursor"}}), 3),
        ("field", json!({"link": {"field": "next"}}), 2),
        ("header", json!({"link": {}}), 2),
    ];
    for (name, paging, pages) in pagings {
        let mut body = source(&api, &json!({"http": {"url": api.url(&format!("/{name}"))}}));
        (body["http"]["paging"], body["options"]["record_path"]) = (paging, json!("rows"));
        define(&lake, name, &body).await;
        assert_eq!(run_well(&lake, name).await["pages"], pages, "{name}");
    }
    assert_eq!(lake.rows("SELECT sum(id) AS ids, count(*) AS n FROM a.orders").await, [json!({"ids": 28, "n": 7})]);
}

#[rstest]
#[case("/elsewhere", json!({"link": {"field": "next"}}), "another origin")]
#[case("/itself", json!({"link": {"field": "next"}}), "leads to itself")]
#[case("/same", json!({"cursor": {"field": "next", "param": "c"}}), "leads to itself")]
#[case("/endless", json!({"page": {"limit": 1}}), "max_pages=5")]
#[case("/redirect", json!(null), "another origin")]
#[case("/large", json!(null), "max_page_bytes=1000")]
#[case("/forbidden", json!(null), "403")]
#[case("/patience", json!(null), "3600 s")]
#[case("/html", json!(null), "not JSON")]
#[case("/object", json!(null), "there is nothing at /data")]
#[tokio::test]
async fn an_api_that_leads_astray_fails_the_run(#[case] path: &str, #[case] paging: Value, #[case] words: &str) {
    let stranger = FakeApi::start(async |_: Asked, _| page(&json!({"data": [{"id": 666}]}))).await;
    let outside = stranger.url("/data");
    let api = FakeApi::start(move |asked: Asked, _| {
        let outside = outside.clone();
        async move {
            let body = |next: &str| page(&json!({"data": [{"id": 1}], "next": next}));
            match asked.path.as_str() {
                "/elsewhere" => body(&outside),
                "/itself" => body("/itself"),
                "/same" => body("c"),
                "/redirect" => (axum::http::StatusCode::FOUND, [("location", outside.as_str())]).into_response(),
                "/large" => page(&json!({"data": [{"id": "x".repeat(1000)}]})),
                "/forbidden" => status(403),
                "/patience" => (axum::http::StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3600")]).into_response(),
                "/html" => "<html>".into_response(),
                "/object" => page(&json!({})),
                _ => body("x"),
            }
        }
    })
    .await;
    let lake = api.lake().open().await;
    let mut body = source(&api, &json!({"http": {"url": api.url(path), "max_pages": 5, "max_page_bytes": 1000}}));
    body["http"]["paging"] = paging;
    define(&lake, "orders", &body).await;
    let failed = run_badly(&lake, "orders", "source-api-failed").await;
    assert!(failed["failure"]["detail"].as_str().unwrap().contains(words), "{failed}");
    assert!(stranger.asked().is_empty(), "nobody else is asked");
    assert_problem(&lake.get("/api/v1/tables/a/orders").await, 404, "not-found");
}

#[tokio::test]
async fn a_token_is_sent_and_never_shown() {
    const TOKEN: &str = "s3cret-of-the-orders";
    let api = FakeApi::start(async |asked: Asked, _| match asked.authorization.as_deref() {
        Some("Bearer s3cret-of-the-orders") => page(&json!({"data": [{"id": 1}]})),
        _ => status(401),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("orders"), TOKEN).unwrap();
    std::fs::write(folder.path().join("wrong"), "another").unwrap();
    let token_dir = folder.path().to_owned();
    let lake = api.lake().set(|settings| settings.sources.http.token_dir = Some(token_dir)).open().await;
    for (name, file) in [("right", "orders"), ("wrong", "wrong")] {
        let mut body = source(&api, &json!({"http": {"token": {"file": file}}}));
        body["http"]["paging"] = Value::Null;
        define(&lake, name, &body).await;
    }
    run_well(&lake, "right").await;
    let failed = run_badly(&lake, "wrong", "source-api-failed").await;
    assert!(failed["failure"]["detail"].as_str().unwrap().contains("401"), "{failed}");
    for path in ["/api/v1/sources", "/api/v1/sources/right", "/api/v1/sources/right/runs"] {
        let answer = lake.get(path).await;
        answer.expect_status(200);
        assert!(!answer.text().contains(TOKEN), "{path} shows the token");
    }
    let catalog = std::fs::read(lake.data_dir().join("catalog.db")).unwrap();
    assert!(!catalog.windows(TOKEN.len()).any(|bytes| bytes == TOKEN.as_bytes()), "the token is stored");
}

#[tokio::test]
async fn the_original_lines_are_the_records_as_they_came() {
    let text = "{\"data\":\n [{\"id\": 1.50,\n  \"t\": \"ü\\n\"}, {\"id\":2}]}";
    let api = FakeApi::start(move |_: Asked, _| async move { text.into_response() }).await;
    let lake = api.lake().open().await;
    define(&lake, "orders", &source(&api, &json!({}))).await;
    let run = run_well(&lake, "orders").await;
    let id = run["upload_ids"][0].as_str().unwrap();
    let content = lake.get(&format!("/api/v1/uploads/{id}/content")).await;
    assert_eq!(content.text(), "{\"id\": 1.50,   \"t\": \"ü\\n\"}\n{\"id\":2}\n");
}

#[tokio::test]
async fn upload_options_apply_to_what_is_pulled() {
    let api = FakeApi::start(async |_: Asked, again| {
        page(&json!([{"id": 1, "n": {"v": again}}, {"id": 2, "n": {"v": again}}]))
    })
    .await;
    let lake = api.lake().open().await;
    let mut body = source(&api, &json!({}));
    body["http"]["paging"] = Value::Null;
    body["options"] = json!({"mode": "merge", "merge_keys": "id", "flatten": true});
    define(&lake, "orders", &body).await;
    run_well(&lake, "orders").await;
    run_well(&lake, "orders").await;
    assert_eq!(lake.rows("SELECT count(*) AS n, min(n_v) AS v FROM a.orders").await, [json!({"n": 2, "v": 2})]);
}

#[tokio::test]
async fn an_api_that_does_not_listen_fails_the_run() {
    let api = FakeApi::start(async |_: Asked, _| status(500)).await;
    let lake = api.lake().open().await;
    define(&lake, "orders", &source(&api, &json!({"http": {"tries": 2}}))).await;
    drop(api);
    let failed = run(&lake, "orders").await;
    assert_eq!(failed["state"], "failed", "{failed}");
    assert!(failed["failure"]["detail"].as_str().unwrap().contains("page 1"), "{failed}");
}

#[tokio::test]
async fn a_host_that_is_allowed_no_more_is_not_asked() {
    let api = FakeApi::start(async |_: Asked, _| page(&json!({"data": []}))).await;
    let lake: TestLake = api.lake().open().await;
    let answer = lake.call(Method::PUT, "/api/v1/sources/orders").json(&source(&api, &json!({}))).send().await;
    answer.expect_status(201);
    let closed = lake.close().await.changed(|settings| settings.sources.http.hosts.clear());
    run_badly(&closed.open().await, "orders", "source-not-allowed").await;
    assert!(api.asked().is_empty());
}
