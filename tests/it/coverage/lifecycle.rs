//! The operations of lifecycle rules, plans and runs.

use axum::http::Method;
use serde_json::json;
use sluice_domain::Action;
use sluice_tests::TestLake;

use super::{Access, Content, Row, bad, get};

const RULES: &str = "/api/v1/lifecycle/rules";
const RULE: &str = "/api/v1/lifecycle/rules/{name}";
const PLAN: &str = "/api/v1/lifecycle/plans/{plan_id}";
const APPLY: &str = "/api/v1/lifecycle/plans/{plan_id}/apply";

/// Rules to read and to delete, and a plan.
pub(super) async fn plan(lake: &TestLake, caller: &str) -> String {
    for name in ["kept", "doomed"] {
        let body = json!({"scope": {"namespace": "nobody"}, "action": {"retain": {"for": "7y"}}});
        let call = lake.call(Method::PUT, &format!("{RULES}/{name}")).key(caller).json(&body);
        call.send().await.expect_status(201);
    }
    let plan = lake.call(Method::POST, "/api/v1/lifecycle/plan").key(caller).send().await.expect(201);
    plan["plan_id"].as_str().unwrap().to_owned()
}

pub(super) fn reads() -> Vec<Row> {
    let read = Access::Hidden(Action::Read);
    let zones = "/api/v1/zones";
    let wrong_method = bad(Method::PUT, zones, Content::Nothing, 405, "method-not-allowed");
    vec![
        Row { bad: wrong_method, ..get(zones, Access::Anyone, zones, zones, "") },
        get(RULES, read, RULES, "/api/v1/lifecycle/rules?page_size=0", "bad-parameter"),
        get(RULE, read, "/api/v1/lifecycle/rules/kept", "/api/v1/lifecycle/rules/a%20b", "illegal-name"),
        get(PLAN, read, PLAN, "/api/v1/lifecycle/plans/7", "illegal-id"),
        get(
            "/api/v1/lifecycle/runs",
            read,
            "/api/v1/lifecycle/runs",
            "/api/v1/lifecycle/runs?page_token=zz",
            "bad-page-token",
        ),
    ]
}

pub(super) fn writes() -> Vec<Row> {
    let row = |(method, path): (Method, &'static str), call, status, bad| Row {
        method,
        path,
        access: Access::Hidden(Action::Manage),
        call,
        content: Content::Nothing,
        status,
        bad,
    };
    let new = "/api/v1/lifecycle/rules/new";
    let zero = Content::Json(r#"{"scope": "lake", "action": {"expire_objects": {"after": "0d"}}}"#);
    let doomed = "/api/v1/lifecycle/rules/doomed";
    let illegal = |method| bad(method, "/api/v1/lifecycle/rules/a%20b", Content::Nothing, 400, "illegal-name");
    let no_instant = "/api/v1/lifecycle/plan?as_of=tomorrow";
    vec![
        Row {
            content: Content::Json(r#"{"scope": "lake", "action": {"purge_deleted": {"after": "30d"}}}"#),
            ..row((Method::PUT, RULE), new, 201, bad(Method::PUT, new, zero, 422, "bad-body"))
        },
        row((Method::DELETE, RULE), doomed, 204, illegal(Method::DELETE)),
        row(
            (Method::POST, "/api/v1/lifecycle/plan"),
            "/api/v1/lifecycle/plan",
            201,
            bad(Method::POST, no_instant, Content::Nothing, 400, "bad-parameter"),
        ),
        row(
            (Method::POST, APPLY),
            APPLY,
            202,
            bad(Method::POST, "/api/v1/lifecycle/plans/7/apply", Content::Nothing, 400, "illegal-id"),
        ),
    ]
}
