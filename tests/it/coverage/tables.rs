//! The operations of a table's schema, contract and quarantine, and of small writes.

use axum::http::Method;
use sluice_domain::Action;

use super::{Access, Content, Row, bad, get};

/// What a table should look like.
pub(super) fn schemas() -> Vec<Row> {
    let (schema, contract) =
        ("/api/v1/tables/{namespace}/{table}/schema", "/api/v1/tables/{namespace}/{table}/contract");
    let (read, manage) = (Access::Hidden(Action::Read), Access::Hidden(Action::Manage));
    let put = |path, call, content, bad_content, code| Row {
        method: Method::PUT,
        path,
        access: manage,
        call,
        content: Content::Json(content),
        status: 200,
        bad: bad(Method::PUT, call, Content::Json(bad_content), 422, code),
    };
    let (its_schema, its_contract) = ("/api/v1/tables/nyc/flights/schema", "/api/v1/tables/nyc/flights/contract");
    vec![
        get(schema, read, its_schema, "/api/v1/tables/nyc/%00/schema", "illegal-name"),
        get(contract, read, its_contract, "/api/v1/tables/nyc/%00/contract", "illegal-name"),
        put(
            schema,
            its_schema,
            r#"{"columns": [{"name": "id", "type": "long"}]}"#,
            r#"{"columns": [{"name": "id", "type": "longer"}]}"#,
            "bad-column",
        ),
        put(contract, its_contract, r#"{"max_bad_rows": 5}"#, r#"{"columns": "ignore"}"#, "bad-body"),
    ]
}

/// Rows in small requests, and their channels.
pub(super) fn small_writes() -> Vec<Row> {
    let row = |method: Method, call, status| Row {
        bad: bad(method.clone(), "/api/v1/tables/nyc/flights/channels/a%20b", Content::Nothing, 400, "illegal-name"),
        method,
        path: "/api/v1/tables/{namespace}/{table}/channels/{channel}",
        access: Access::Hidden(Action::Append),
        call,
        content: Content::Nothing,
        status,
    };
    let rows = "/api/v1/tables/nyc/flights/rows";
    vec![
        Row {
            path: "/api/v1/tables/{namespace}/{table}/rows",
            content: Content::Json(r#"[{"id": 3}]"#),
            bad: bad(Method::POST, rows, Content::Json(r#"[{"id": "x"}]"#), 422, "type-mismatch"),
            ..row(Method::POST, rows, 201)
        },
        row(Method::PUT, "/api/v1/tables/nyc/flights/channels/new", 200),
        row(Method::GET, "/api/v1/tables/nyc/flights/channels/open", 200),
        row(Method::DELETE, "/api/v1/tables/nyc/flights/channels/doomed", 204),
    ]
}

/// What tables are held to, and what they hold.
pub(super) fn quality() -> Vec<Row> {
    const SUITE: &str = r#"{"name": "flights", "rules": [
        {"kind": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}}]}"#;
    const UNKNOWN_KIND: &str = r#"{"name": "flights", "rules": [{"kind": "expect_nothing", "kwargs": {}}]}"#;
    let read = Access::Hidden(Action::Read);
    let (suite, its_suite) = ("/api/v1/tables/{namespace}/{table}/quality", "/api/v1/tables/nyc/flights/quality");
    let check = "/api/v1/tables/nyc/flights/quality/check";
    let put = Row {
        method: Method::PUT,
        path: suite,
        access: Access::Hidden(Action::Manage),
        call: its_suite,
        content: Content::Json(SUITE),
        status: 200,
        bad: bad(Method::PUT, its_suite, Content::Json(UNKNOWN_KIND), 422, "bad-suite"),
    };
    let wrong = "/api/v1/tables/nyc/flights/quality/check?format=xml";
    let listing = |path, call, bad_call, code| get(path, read, call, bad_call, code);
    vec![
        put,
        Row {
            method: Method::POST,
            path: "/api/v1/tables/{namespace}/{table}/quality/check",
            access: Access::Hidden(Action::Manage),
            call: check,
            content: Content::Nothing,
            status: 200,
            bad: bad(Method::POST, wrong, Content::Nothing, 400, "bad-parameter"),
        },
        listing(suite, its_suite, "/api/v1/tables/nyc/flights/quality?format=csv", "bad-parameter"),
        listing(
            "/api/v1/tables/{namespace}/{table}/quality/results",
            "/api/v1/tables/nyc/flights/quality/results",
            "/api/v1/tables/nyc/flights/quality/results?page_size=0",
            "bad-parameter",
        ),
        listing(
            "/api/v1/tables/{namespace}/{table}/quality/verdict",
            "/api/v1/tables/nyc/flights/quality/verdict",
            "/api/v1/tables/nyc/%00/quality/verdict",
            "illegal-name",
        ),
        listing(
            "/api/v1/tables/{namespace}/{table}/profile",
            "/api/v1/tables/nyc/flights/profile",
            "/api/v1/tables/nyc/%00/profile",
            "illegal-name",
        ),
        listing(
            "/api/v1/tables/{namespace}/{table}/profile/suite",
            "/api/v1/tables/nyc/flights/profile/suite",
            "/api/v1/tables/nyc/flights/profile/suite?format=csv",
            "bad-parameter",
        ),
    ]
}

/// Rows that were set aside.
pub(super) fn quarantine() -> Vec<Row> {
    let manage = Access::Hidden(Action::Manage);
    vec![
        Row {
            method: Method::POST,
            path: "/api/v1/tables/{namespace}/{table}/quarantine/replay",
            access: Access::Hidden(Action::Append),
            call: "/api/v1/tables/nyc/flights/quarantine/replay",
            content: Content::Json(
                r#"{"upload_id": "{upload_id}", "records": [{"row_number": 2, "record": {"id": 5}}]}"#,
            ),
            status: 200,
            bad: bad(
                Method::POST,
                "/api/v1/tables/nyc/flights/quarantine/replay",
                Content::Json(r#"{"upload_id": "{upload_id}", "rows": [9]}"#),
                404,
                "nothing-to-replay",
            ),
        },
        Row {
            method: Method::DELETE,
            path: "/api/v1/tables/{namespace}/{table}/quarantine",
            access: manage,
            call: "/api/v1/tables/nyc/flights/quarantine",
            content: Content::Nothing,
            status: 200,
            bad: bad(
                Method::DELETE,
                "/api/v1/tables/nyc/flights/quarantine?upload_id=7",
                Content::Nothing,
                400,
                "bad-parameter",
            ),
        },
    ]
}
