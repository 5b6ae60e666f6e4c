//! The operations of lineage.

use axum::http::Method;
use sluice_domain::Action;

use super::{Access, Content, Row, bad, get};

const EVENT: &str = r#"{"eventType": "COMPLETE", "eventTime": "2026-01-02T03:04:05Z", "producer": "https://example.org",
    "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json", "job": {"namespace": "jobs", "name": "load"},
    "run": {"runId": "01941f29-7c00-7000-8000-000000000001"}, "inputs": [{"namespace": "files", "name": "a.csv"}],
    "outputs": [{"namespace": "sluice", "name": "nyc.flights"}]}"#;

pub(super) fn reads() -> Vec<Row> {
    let read = Access::Hidden(Action::Read);
    let of_table = "/api/v1/tables/{namespace}/{table}/lineage";
    let events = "/api/v1/lineage/runs/01941f29-7c00-7000-8000-000000000001/events";
    vec![
        get(
            of_table,
            read,
            "/api/v1/tables/nyc/flights/lineage?direction=both&depth=3&columns=true",
            "/api/v1/tables/nyc/flights/lineage?depth=51",
            "bad-parameter",
        ),
        get("/api/v1/lineage", Access::Listing, "/api/v1/lineage", "/api/v1/lineage?page_token=zz", "bad-page-token"),
        Row {
            bad: bad(Method::GET, "/api/v1/lineage/export?format=xml", Content::Nothing, 422, "unsupported-format"),
            ..get(
                "/api/v1/lineage/export",
                read,
                "/api/v1/lineage/export?format=dot&asset=nyc.flights",
                "/api/v1/lineage/export?depth=0",
                "bad-parameter",
            )
        },
        get(
            "/api/v1/lineage/runs/{run_id}/events",
            Access::Unconfined,
            events,
            "/api/v1/lineage/runs/7/events",
            "illegal-id",
        ),
    ]
}

pub(super) fn writes() -> Vec<Row> {
    let row = |path, action, content, status, bad_content, code| Row {
        method: Method::POST,
        path,
        access: Access::Hidden(action),
        call: path,
        content: Content::Json(content),
        status,
        bad: bad(Method::POST, path, Content::Json(bad_content), 422, code),
    };
    vec![
        row("/api/v1/lineage", Action::Append, EVENT, 201, r#"{"eventTime": "now"}"#, "bad-lineage-event"),
        row(
            "/api/v1/lineage/edges",
            Action::Append,
            r#"{"source": "raw_orders", "target": "nyc.flights", "transformation": "load"}"#,
            201,
            r#"{"source": "nyc.flights", "target": "nyc.flights", "transformation": "load"}"#,
            "lineage-cycle",
        ),
        row(
            "/api/v1/queries/lineage",
            Action::Read,
            r#"{"sql": "SELECT id FROM nyc.flights"}"#,
            200,
            r#"{"sql": "SELECT nothing FROM nyc.flights"}"#,
            "invalid-query",
        ),
    ]
}
