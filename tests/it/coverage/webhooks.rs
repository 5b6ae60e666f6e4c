//! The operations of webhooks for changes.

use axum::http::Method;

use super::{Access, Content, Row, bad, get};

const WEBHOOK: &str = "/api/v1/changes/webhooks/{webhook}";
const TEST: &str = "/api/v1/changes/webhooks/{webhook}/test";

pub(super) fn operations() -> Vec<Row> {
    let all = "/api/v1/changes/webhooks";
    let (deaf, doomed, test) =
        ("/api/v1/changes/webhooks/deaf", "/api/v1/changes/webhooks/doomed", "/api/v1/changes/webhooks/deaf/test");
    let unknown = "/api/v1/changes/webhooks/carrier-pigeon/test";
    let nameless = "/api/v1/changes/webhooks/a.b";
    let other = Content::Json(r#"{"url": "http://127.0.0.1:9/deaf", "types": ["table.created"], "mode": "batched"}"#);
    let elsewhere = Content::Json(r#"{"url": "http://127.0.0.1:10/deaf"}"#);
    let row = |method: Method, path, call, content, status, bad| Row {
        method,
        path,
        access: Access::Unconfined,
        call,
        content,
        status,
        bad,
    };
    let nothing = Content::Nothing;
    vec![
        get(all, Access::Unconfined, all, "/api/v1/changes/webhooks?page_size=0", "bad-parameter"),
        get(WEBHOOK, Access::Unconfined, deaf, nameless, "illegal-name"),
        row(Method::PUT, WEBHOOK, deaf, other, 200, bad(Method::PUT, deaf, elsewhere, 422, "bad-webhook")),
        row(Method::POST, TEST, test, nothing, 200, bad(Method::POST, unknown, nothing, 404, "not-found")),
        row(Method::DELETE, WEBHOOK, doomed, nothing, 204, bad(Method::DELETE, nameless, nothing, 400, "illegal-name")),
    ]
}
