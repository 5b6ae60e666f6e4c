//! The operations of pipelines that make curated tables, and of views.

use axum::http::Method;
use serde_json::json;
use sluice_domain::Action;
use sluice_tests::TestLake;

use super::{Access, Content, Row, bad, get};

const PIPELINE: &str = "/api/v1/pipelines/{name}";
const BACKFILL: &str = "/api/v1/pipelines/{name}/backfill";
const VIEWS: &str = "/api/v1/views";
const VIEW: &str = "/api/v1/views/{name}";
const RUNS: &str = "/api/v1/pipelines/{name}/runs";

/// Pipelines of `nyc.flights` to read, to delete, and one whose run goes on until it is cancelled. Gives the id of that.
pub(super) async fn define(lake: &TestLake, caller: &str) -> String {
    let endless = "SELECT count(*) AS n FROM generate_series(1, 200000) AS a(x), generate_series(1, 200000) AS b(y) \
                   WHERE a.x * b.y % 7 = 3";
    for (name, sql) in
        [("ids", "SELECT id FROM nyc.flights"), ("dead", "SELECT id FROM nyc.flights"), ("endless", endless)]
    {
        let body = json!({"sql": sql, "target": format!("nyc.{name}_curated")});
        let call = lake.call(Method::PUT, &format!("/api/v1/pipelines/{name}")).key(caller).json(&body);
        call.send().await.expect_status(201);
    }
    for name in ["days", "filled"] {
        let sql = "SELECT id FROM nyc.flights WHERE $interval_start IS NULL";
        let body = json!({"sql": sql, "target": format!("nyc.{name}_curated"), "mode": "append"});
        let call = lake.call(Method::PUT, &format!("/api/v1/pipelines/{name}")).key(caller).json(&body);
        call.send().await.expect_status(201);
    }
    let range = json!({"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"});
    let call = lake.call(Method::POST, "/api/v1/pipelines/days/backfill").key(caller).json(&range);
    call.send().await.expect_status(202);
    // What it makes must be there before anybody looks.
    let status = async || {
        let seen = lake.call(Method::GET, "/api/v1/pipelines/days/backfill").key(caller).send().await;
        seen.expect(200)["status"].clone()
    };
    while status().await == "RUNNING" {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for name in ["seen", "dead"] {
        let call = lake.call(Method::PUT, &format!("/api/v1/views/nyc.{name}_view")).key(caller);
        call.json(&json!({"sql": "SELECT id FROM nyc.flights"})).send().await.expect_status(201);
    }
    let begun = lake.call(Method::POST, "/api/v1/pipelines/endless/runs").key(caller).send().await.expect(202);
    begun["run_id"].as_str().unwrap().to_owned()
}

pub(super) fn reads() -> Vec<Row> {
    let read = Access::Hidden(Action::Read);
    let (all, bad_page) = ("/api/v1/pipelines", "/api/v1/pipelines?page_size=0");
    vec![
        get(all, Access::Listing, all, bad_page, "bad-parameter"),
        get(VIEWS, Access::Listing, VIEWS, "/api/v1/views?page_size=0", "bad-parameter"),
        get(VIEW, read, "/api/v1/views/nyc.seen_view", "/api/v1/views/nyc", "illegal-name"),
        get(PIPELINE, read, "/api/v1/pipelines/ids", "/api/v1/pipelines/a%20b", "illegal-name"),
        get(BACKFILL, read, "/api/v1/pipelines/days/backfill", "/api/v1/pipelines/a%20b/backfill", "illegal-name"),
        get(RUNS, read, "/api/v1/pipelines/ids/runs", "/api/v1/pipelines/ids/runs?page_token=zz", "bad-page-token"),
    ]
}

pub(super) fn writes() -> Vec<Row> {
    let row = |(method, path): (Method, &'static str), action, call, status| Row {
        bad: bad(method.clone(), "/api/v1/pipelines/a%20b", Content::Nothing, 400, "illegal-name"),
        method,
        path,
        access: Access::Hidden(action),
        call,
        content: Content::Nothing,
        status,
    };
    let (new, cancel) = ("/api/v1/pipelines/new", "/api/v1/runs/{run_id}/cancel");
    let nothing = Content::Json(r#"{"target": "nyc.new_curated"}"#);
    let no_range = Content::Json(r#"{"from": "2026-01-02T00:00:00Z", "to": "2026-01-02T00:00:00Z"}"#);
    let new_view = "/api/v1/views/nyc.new_view";
    vec![
        Row {
            content: Content::Json(r#"{"sql": "SELECT id FROM nyc.flights"}"#),
            bad: bad(Method::PUT, new_view, Content::Json(r#"{"sql": " "}"#), 422, "bad-view"),
            ..row((Method::PUT, VIEW), Action::Manage, new_view, 201)
        },
        Row {
            bad: bad(Method::DELETE, "/api/v1/views/nyc", Content::Nothing, 400, "illegal-name"),
            ..row((Method::DELETE, VIEW), Action::Manage, "/api/v1/views/nyc.dead_view", 204)
        },
        Row {
            content: Content::Json(r#"{"sql": "SELECT id FROM nyc.flights", "target": "nyc.new_curated"}"#),
            bad: bad(Method::PUT, new, nothing, 422, "bad-pipeline"),
            ..row((Method::PUT, PIPELINE), Action::Manage, new, 201)
        },
        Row {
            content: Content::Json(r#"{"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}"#),
            bad: bad(Method::POST, "/api/v1/pipelines/days/backfill", no_range, 422, "bad-pipeline"),
            ..row((Method::POST, BACKFILL), Action::Append, "/api/v1/pipelines/filled/backfill", 202)
        },
        Row {
            bad: bad(Method::DELETE, "/api/v1/pipelines/a%20b/backfill", Content::Nothing, 400, "illegal-name"),
            ..row((Method::DELETE, BACKFILL), Action::Append, "/api/v1/pipelines/days/backfill", 200)
        },
        row((Method::DELETE, PIPELINE), Action::Manage, "/api/v1/pipelines/dead", 204),
        Row {
            bad: bad(Method::POST, "/api/v1/pipelines/a%20b/runs", Content::Nothing, 400, "illegal-name"),
            ..row((Method::POST, RUNS), Action::Append, "/api/v1/pipelines/ids/runs", 202)
        },
        Row {
            bad: bad(Method::POST, "/api/v1/runs/7/cancel", Content::Nothing, 400, "illegal-id"),
            ..row((Method::POST, cancel), Action::Append, "/api/v1/runs/{endless_run_id}/cancel", 202)
        },
    ]
}
