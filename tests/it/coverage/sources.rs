//! The operations of sources that pull.

use axum::http::Method;
use serde_json::json;
use sluice_domain::Action;
use sluice_tests::TestLake;
use tempfile::TempDir;

use super::{Access, Content, Row, bad, get};

const SOURCE: &str = "/api/v1/sources/{source}";
const RUNS: &str = "/api/v1/sources/{source}/runs";

/// Sources of an empty folder into `nyc.flights`, to read and to delete, and a run that has ended.
pub(super) async fn define(lake: &TestLake, drop: &TempDir, caller: &str) -> String {
    for name in ["drop", "doomed"] {
        let body = json!({"table": "nyc.flights", "folder": {"location": drop.path()}});
        let call = lake.call(Method::PUT, &format!("/api/v1/sources/{name}")).key(caller).json(&body);
        call.send().await.expect_status(201);
    }
    let begun = lake.call(Method::POST, "/api/v1/sources/drop/runs").key(caller).send().await.expect(202);
    let id = begun["run_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/sources/drop/runs/{id}?wait_seconds=60");
    let ended = lake.call(Method::GET, &path).key(caller).send().await.expect(200);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    id
}

pub(super) fn reads() -> Vec<Row> {
    let read = Access::Hidden(Action::Read);
    let (run, pulls) = ("/api/v1/sources/{source}/runs/{run_id}", "/api/v1/sources/{source}/runs/{run_id}/pulls");
    let (its_run, its_pulls) = ("/api/v1/sources/drop/runs/{run_id}", "/api/v1/sources/drop/runs/{run_id}/pulls");
    vec![
        get("/api/v1/sources", Access::Listing, "/api/v1/sources", "/api/v1/sources?page_size=0", "bad-parameter"),
        get(SOURCE, read, "/api/v1/sources/drop", "/api/v1/sources/a%20b", "illegal-name"),
        get(RUNS, read, "/api/v1/sources/drop/runs", "/api/v1/sources/drop/runs?page_token=zz", "bad-page-token"),
        get(run, read, its_run, "/api/v1/sources/drop/runs/{run_id}?wait_seconds=61", "bad-parameter"),
        get(pulls, read, its_pulls, "/api/v1/sources/drop/runs/7/pulls", "illegal-id"),
    ]
}

pub(super) fn writes() -> Vec<Row> {
    let row = |(method, path): (Method, &'static str), action, call, status| Row {
        bad: bad(method.clone(), "/api/v1/sources/a%20b", Content::Nothing, 400, "illegal-name"),
        method,
        path,
        access: Access::Hidden(action),
        call,
        content: Content::Nothing,
        status,
    };
    let (new, runs) = ("/api/v1/sources/new", "/api/v1/sources/a%20b/runs");
    vec![
        Row {
            content: Content::Json(r#"{"table": "nyc.flights", "folder": {"location": "{drop}"}}"#),
            bad: bad(Method::PUT, new, Content::Json(r#"{"table": "nyc.flights"}"#), 422, "bad-source"),
            ..row((Method::PUT, SOURCE), Action::Manage, new, 201)
        },
        row((Method::DELETE, SOURCE), Action::Manage, "/api/v1/sources/doomed", 204),
        Row {
            bad: bad(Method::POST, runs, Content::Nothing, 400, "illegal-name"),
            ..row((Method::POST, RUNS), Action::Append, "/api/v1/sources/drop/runs", 202)
        },
    ]
}
