//! The operations of runs, freshness, service levels and alerts.

use axum::http::Method;
use serde_json::json;
use sluice::Settings;
use sluice_domain::Action;
use sluice_tests::TestLake;

use super::{Access, Content, Row, bad, get};

const RUN: &str = "/api/v1/runs/{run_id}";
const FRESHNESS: &str = "/api/v1/tables/{namespace}/{table}/freshness";
const DEFINITION: &str = "/api/v1/sla/definitions/{pipeline}";
const RULE: &str = "/api/v1/alerts/rules/{rule}";
const CHANNEL_TEST: &str = "/api/v1/alerts/channels/{channel}/test";

/// A channel at an address where nobody listens: that it cannot be reached is an outcome too.
pub(super) fn add_channel(settings: &mut Settings) {
    let hook = json!({"type": "webhook", "url": "http://127.0.0.1:9/hook"});
    settings.monitor.channels.insert("hook".to_owned(), serde_json::from_value(hook).unwrap());
    settings.monitor.webhooks.hosts = vec!["127.0.0.1:9".to_owned()];
}

/// A reported run into `nyc.flights`, and things to delete. Gives the id of the run.
pub(super) async fn define(lake: &TestLake, caller: &str) -> String {
    let body = json!({"pipeline_name": "flights_etl", "table": "nyc.flights"});
    let run = lake.call(Method::POST, "/api/v1/runs").key(caller).json(&body).send().await.expect(201);
    for (path, body) in [
        ("/api/v1/tables/nyc/flights/freshness", json!({"expected_every": "60m"})),
        ("/api/v1/sla/definitions/doomed", json!({})),
        ("/api/v1/alerts/rules/doomed", json!({"condition": "sla", "channels": []})),
        ("/api/v1/changes/webhooks/doomed", json!({"url": "http://127.0.0.1:9/doomed"})),
        ("/api/v1/changes/webhooks/deaf", json!({"url": "http://127.0.0.1:9/deaf"})),
    ] {
        lake.call(Method::PUT, path).key(caller).json(&body).send().await.expect_status(201);
    }
    run["run_id"].as_str().unwrap().to_owned()
}

pub(super) fn reads() -> Vec<Row> {
    let read = Access::Hidden(Action::Read);
    let (freshness, empty) = ("/api/v1/tables/nyc/flights/freshness", "/api/v1/tables/nyc/1a/freshness");
    let (run, health) = ("/api/v1/runs/{reported_run_id}", "/api/v1/runs/health?pipeline=flights_etl");
    let (bad_hours, bad_pipeline) = ("/api/v1/runs/health?pipeline=x&hours=0", "/api/v1/sla?pipeline=a%20b");
    let everywhere = |path: &'static str| Row {
        bad: bad(Method::POST, path, Content::Nothing, 405, "method-not-allowed"),
        ..get(path, Access::Unconfined, path, path, "")
    };
    vec![
        get("/api/v1/runs", Access::Listing, "/api/v1/runs", "/api/v1/runs?status=DONE", "bad-parameter"),
        get("/api/v1/runs/health", read, health, bad_hours, "bad-parameter"),
        get(RUN, read, run, "/api/v1/runs/7", "illegal-id"),
        get(
            "/api/v1/freshness",
            Access::Listing,
            "/api/v1/freshness",
            "/api/v1/freshness?page_size=0",
            "bad-parameter",
        ),
        get(FRESHNESS, read, freshness, empty, "illegal-name"),
        get("/api/v1/sla", read, "/api/v1/sla?pipeline=flights_etl", bad_pipeline, "bad-parameter"),
        get("/api/v1/alerts", Access::Listing, "/api/v1/alerts", "/api/v1/alerts?page_token=zz", "bad-page-token"),
        everywhere("/api/v1/sla/definitions"),
        everywhere("/api/v1/alerts/rules"),
        everywhere("/api/v1/alerts/channels"),
        get(RULE, Access::Unconfined, "/api/v1/alerts/rules/data-loss", "/api/v1/alerts/rules/a%20b", "illegal-name"),
    ]
}

/// What changes things of a namespace.
pub(super) fn writes() -> Vec<Row> {
    let run = "/api/v1/runs/{reported_run_id}";
    let freshness = "/api/v1/tables/nyc/flights/freshness";
    let (hourly, never) = (Content::Json(r#"{"expected_every": "1h"}"#), Content::Json(r#"{"expected_every": "0m"}"#));
    let good = Content::Json(r#"{"pipeline_name": "flights_etl", "table": "nyc.flights", "status": "SUCCESS"}"#);
    let nameless = Content::Json(r#"{"pipeline_name": "a b", "table": "nyc.flights"}"#);
    let (part, too_bad) = (Content::Json(r#"{"records_processed": 7}"#), Content::Json(r#"{"records_failed": 8}"#));
    vec![
        Row {
            bad: bad(Method::POST, "/api/v1/runs", nameless, 422, "bad-run"),
            ..row((Method::POST, "/api/v1/runs"), Action::Append, "/api/v1/runs", good, 201)
        },
        Row {
            bad: bad(Method::PATCH, run, too_bad, 422, "bad-run"),
            ..row((Method::PATCH, RUN), Action::Append, run, part, 200)
        },
        Row {
            bad: bad(Method::PUT, freshness, never, 422, "bad-freshness"),
            ..row((Method::PUT, FRESHNESS), Action::Manage, freshness, hourly, 200)
        },
        Row {
            bad: bad(Method::DELETE, "/api/v1/tables/nyc/1a/freshness", Content::Nothing, 400, "illegal-name"),
            ..row((Method::DELETE, FRESHNESS), Action::Manage, freshness, Content::Nothing, 204)
        },
    ]
}

/// What changes things that belong to no namespace.
pub(super) fn settings() -> Vec<Row> {
    let level = "/api/v1/sla/definitions/flights_etl";
    let (asked, too_much) =
        (Content::Json(r#"{"min_success_rate": 98}"#), Content::Json(r#"{"min_success_rate": 101}"#));
    let rule = "/api/v1/alerts/rules/slow";
    let slow = Content::Json(r#"{"condition": "duration_seconds", "threshold": 60, "channels": []}"#);
    let lost = Content::Json(r#"{"condition": "duration_seconds", "channels": ["carrier-pigeon"]}"#);
    let unconfined = |path, call, content, status, bad| Row {
        access: Access::Unconfined,
        bad,
        ..row(path, Action::Manage, call, content, status)
    };
    let (doomed_level, doomed_rule) = ("/api/v1/sla/definitions/doomed", "/api/v1/alerts/rules/doomed");
    let no_level = bad(Method::DELETE, "/api/v1/sla/definitions/a%20b", Content::Nothing, 400, "illegal-name");
    let no_rule = bad(Method::DELETE, "/api/v1/alerts/rules/a%20b", Content::Nothing, 400, "illegal-name");
    let test = "/api/v1/alerts/channels/hook/test";
    let no_channel =
        bad(Method::POST, "/api/v1/alerts/channels/carrier-pigeon/test", Content::Nothing, 404, "not-found");
    vec![
        unconfined(
            (Method::PUT, DEFINITION),
            level,
            asked,
            201,
            bad(Method::PUT, level, too_much, 422, "bad-service-level"),
        ),
        unconfined((Method::DELETE, DEFINITION), doomed_level, Content::Nothing, 204, no_level),
        unconfined((Method::PUT, RULE), rule, slow, 201, bad(Method::PUT, rule, lost, 422, "bad-alert-rule")),
        unconfined((Method::DELETE, RULE), doomed_rule, Content::Nothing, 204, no_rule),
        unconfined((Method::POST, CHANNEL_TEST), test, Content::Nothing, 200, no_channel),
    ]
}

fn row(
    (method, path): (Method, &'static str),
    action: Action,
    call: &'static str,
    content: Content,
    status: u16,
) -> Row {
    let wrong = bad(method.clone(), call, Content::Nothing, 422, "");
    Row { method, path, access: Access::Hidden(action), call, content, status, bad: wrong }
}
