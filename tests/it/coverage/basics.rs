//! The operations of tables, uploads and queries that were there first.

use axum::http::Method;
use sluice_domain::Action;

use super::{Access, Content, Row, SELECT, bad, get, open};

pub(super) fn reads() -> Vec<Row> {
    let read = Access::Hidden(Action::Read);
    vec![
        open("/healthz"),
        open("/readyz"),
        Row { access: Access::Unconfined, ..open("/metrics") },
        get(
            "/api/v1/namespaces",
            Access::Listing,
            "/api/v1/namespaces",
            "/api/v1/namespaces?page_size=0",
            "bad-parameter",
        ),
        get("/api/v1/namespaces/{namespace}", read, "/api/v1/namespaces/nyc", "/api/v1/namespaces/1a", "illegal-name"),
        get("/api/v1/tables", Access::Listing, "/api/v1/tables", "/api/v1/tables?page_token=zz", "bad-page-token"),
        get(
            "/api/v1/tables/{namespace}/{table}",
            read,
            "/api/v1/tables/nyc/flights",
            "/api/v1/tables/nyc/%00",
            "illegal-name",
        ),
        get(
            "/api/v1/tables/{namespace}/{table}/preview",
            read,
            "/api/v1/tables/nyc/flights/preview",
            "/api/v1/tables/nyc/flights/preview?limit=1001",
            "bad-parameter",
        ),
        get(
            "/api/v1/tables/{namespace}/{table}/schema/history",
            read,
            "/api/v1/tables/nyc/flights/schema/history",
            "/api/v1/tables/nyc/flights/schema/history?page_size=x",
            "bad-parameter",
        ),
        get(
            "/api/v1/tables/{namespace}/{table}/versions",
            read,
            "/api/v1/tables/nyc/flights/versions",
            "/api/v1/tables/nyc/flights/versions?page_token=7a",
            "bad-page-token",
        ),
        get(
            "/api/v1/tables/{namespace}/{table}/uploads",
            read,
            "/api/v1/tables/nyc/flights/uploads",
            "/api/v1/tables/nyc/flights/uploads?page=2",
            "bad-parameter",
        ),
        get(
            "/api/v1/tables/{namespace}/{table}/quarantine",
            read,
            "/api/v1/tables/nyc/flights/quarantine",
            "/api/v1/tables/nyc/flights/quarantine?page_token=7a",
            "bad-page-token",
        ),
        get("/api/v1/uploads/{upload_id}", read, "/api/v1/uploads/{upload_id}", "/api/v1/uploads/7", "illegal-id"),
        get(
            "/api/v1/uploads/{upload_id}/content",
            read,
            "/api/v1/uploads/{upload_id}/content",
            "/api/v1/uploads/7/content",
            "illegal-id",
        ),
    ]
}

pub(super) fn writes() -> Vec<Row> {
    let manage = Access::Hidden(Action::Manage);
    let (table, restore) = ("/api/v1/tables/{namespace}/{table}", "/api/v1/tables/{namespace}/{table}/restore");
    let uploads = "/api/v1/tables/{namespace}/{table}/uploads";
    vec![
        Row {
            method: Method::POST,
            path: "/api/v1/queries",
            access: Access::Hidden(Action::Read),
            call: "/api/v1/queries",
            content: SELECT,
            status: 200,
            bad: bad(Method::POST, "/api/v1/queries", Content::Json(r#"{"sql": "SELEC 1"}"#), 400, "invalid-sql"),
        },
        Row {
            method: Method::POST,
            path: uploads,
            access: Access::Hidden(Action::Append),
            call: "/api/v1/tables/nyc/flights/uploads",
            content: Content::Csv("id\n2\n"),
            status: 201,
            bad: bad(Method::POST, "/api/v1/tables/nyc/flights/uploads", Content::Csv("id\nx\n"), 422, "type-mismatch"),
        },
        Row {
            method: Method::PATCH,
            path: table,
            access: manage,
            call: "/api/v1/tables/nyc/flights",
            content: Content::Json(r#"{"description": "Departures"}"#),
            status: 200,
            bad: bad(
                Method::PATCH,
                "/api/v1/tables/nyc/flights",
                Content::Json(r#"{"descriptoin": ""}"#),
                422,
                "bad-body",
            ),
        },
        Row {
            method: Method::DELETE,
            path: table,
            access: manage,
            call: "/api/v1/tables/nyc/doomed",
            content: Content::Nothing,
            status: 204,
            bad: bad(Method::DELETE, "/api/v1/tables/nyc/%2e%2e", Content::Nothing, 400, "illegal-name"),
        },
        Row {
            method: Method::POST,
            path: restore,
            access: manage,
            call: "/api/v1/tables/nyc/gone/restore",
            content: Content::Nothing,
            status: 200,
            bad: bad(Method::POST, "/api/v1/tables/nyc/a%20b/restore", Content::Nothing, 400, "illegal-name"),
        },
    ]
}
