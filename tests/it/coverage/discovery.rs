//! The operations that find and describe tables.

use axum::http::Method;
use sluice_domain::Action;

use super::{Access, Content, Row, bad, get};

pub(super) fn finding() -> Vec<Row> {
    vec![
        get(
            "/api/v1/search",
            Access::Listing,
            "/api/v1/search?q=flights",
            "/api/v1/search?page_size=0",
            "bad-parameter",
        ),
        get(
            "/api/v1/search/popular",
            Access::Listing,
            "/api/v1/search/popular",
            "/api/v1/search/popular?days=0",
            "bad-parameter",
        ),
        get("/api/v1/changes", Access::Listing, "/api/v1/changes?since=0", "/api/v1/changes?since=x", "bad-parameter"),
    ]
}

pub(super) fn describing() -> Vec<Row> {
    let (read, manage) = (Access::Hidden(Action::Read), Access::Hidden(Action::Manage));
    let (check, column) =
        ("/api/v1/tables/{namespace}/{table}/schema/check", "/api/v1/tables/{namespace}/{table}/columns/{column}");
    let of_flights =
        |path: &'static str, call: &'static str, wrong: &'static str| get(path, read, call, wrong, "illegal-name");
    vec![
        of_flights(
            "/api/v1/tables/{namespace}/{table}/columns",
            "/api/v1/tables/nyc/flights/columns",
            "/api/v1/tables/nyc/a%20b/columns",
        ),
        of_flights(column, "/api/v1/tables/nyc/flights/columns/id", "/api/v1/tables/nyc/a%20b/columns/id"),
        Row {
            bad: bad(
                Method::GET,
                "/api/v1/tables/nyc/flights/ddl?dialect=oracle",
                Content::Nothing,
                422,
                "bad-dialect",
            ),
            ..of_flights("/api/v1/tables/{namespace}/{table}/ddl", "/api/v1/tables/nyc/flights/ddl", "")
        },
        of_flights(
            "/api/v1/tables/{namespace}/{table}/schema/json-schema",
            "/api/v1/tables/nyc/flights/schema/json-schema",
            "/api/v1/tables/nyc/a%20b/schema/json-schema",
        ),
        of_flights(
            "/api/v1/tables/{namespace}/{table}/schema/arrow",
            "/api/v1/tables/nyc/flights/schema/arrow",
            "/api/v1/tables/nyc/a%20b/schema/arrow",
        ),
        Row {
            method: Method::POST,
            path: check,
            access: read,
            call: "/api/v1/tables/nyc/flights/schema/check",
            content: Content::Json(r#"{"columns": [{"name": "id", "type": "long"}]}"#),
            status: 200,
            bad: bad(
                Method::POST,
                "/api/v1/tables/nyc/flights/schema/check",
                Content::Json(r#"{"columns": [{"name": "id", "type": "number of flights"}]}"#),
                422,
                "bad-column",
            ),
        },
        Row {
            method: Method::PATCH,
            path: column,
            access: manage,
            call: "/api/v1/tables/nyc/flights/columns/id",
            content: Content::Json(r#"{"classification": "public"}"#),
            status: 200,
            bad: bad(
                Method::PATCH,
                "/api/v1/tables/nyc/flights/columns/id",
                Content::Json(r#"{"tags": ["a b"]}"#),
                422,
                "bad-label",
            ),
        },
    ]
}
