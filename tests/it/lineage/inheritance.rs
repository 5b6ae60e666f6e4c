//! Classifications and tags that derived columns inherit, as callers and lifecycle rules see them.

use axum::http::Method;
use serde_json::{Value, json};
use sluice_domain::Action;
use sluice_tests::{TestLake, assert_problem};

use super::{declare, uploaded};

async fn label(lake: &TestLake, path: &str, labels: Value) {
    let path = format!("/api/v1/tables/{path}");
    lake.call(Method::PATCH, &path).json(&labels).send().await.expect_status(200);
}

/// `shop.orders` with a column that is pii, `mart.contacts` made of it by a statement, and `mart.mails` of that by a job.
async fn shop(lake: &TestLake) {
    uploaded(lake, "shop.orders", "id,email,day\n1,a@b,2001-02-03\n").await;
    uploaded(lake, "mart.contacts", "order_id,mail_hash,day\n1,x,2001-02-03\n").await;
    uploaded(lake, "mart.mails", "contact,day\nx,2001-02-03\n").await;
    label(lake, "shop/orders/columns/email", json!({"classification": "pii", "tags": ["gdpr"]})).await;
}

async fn derive(lake: &TestLake) {
    let sql = "SELECT id AS order_id, md5(email) AS mail_hash, day FROM shop.orders WHERE email <> ''";
    let body = json!({"sql": sql, "target": "mart.contacts", "transformation": "curate"});
    declare(lake, body).await.expect_status(201);
    let input = json!({"namespace": "sluice", "name": "mart.contacts", "field": "mail_hash",
        "transformations": [{"type": "DIRECT", "subtype": "TRANSFORMATION", "masking": true}]});
    let facet = json!({"_producer": "https://example.org", "_schemaURL": "https://example.org/s",
        "fields": {"contact": {"inputFields": [input]}}});
    let output = json!({"namespace": "sluice", "name": "mart.mails", "facets": {"columnLineage": facet}});
    for (second, output) in [(1, output), (2, json!({"namespace": "sluice", "name": "mart.mails"}))] {
        let mut event = super::event(if second == 1 { "COMPLETE" } else { "START" }, second, output);
        event["run"]["runId"] = json!(format!("01941f29-7c00-7000-8000-00000000000{second}"));
        event["inputs"] = json!([{"namespace": "sluice", "name": "mart.contacts"}]);
        lake.call(Method::POST, "/api/v1/lineage").json(&event).send().await.expect_status(201);
    }
}

async fn classified(lake: &TestLake, classification: &str) -> (Vec<String>, Value) {
    let found = lake.get(&format!("/api/v1/search?classification={classification}")).await.expect(200);
    let names = found["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned());
    (names.collect(), found["facets"]["classification"].clone())
}

#[tokio::test]
async fn a_column_shows_what_it_inherits_beside_its_own() {
    let lake = TestLake::open().await;
    shop(&lake).await;
    derive(&lake).await;
    let from = |label: &str| json!([{"label": label, "from": "shop.orders.email"}]);
    for (table, column) in [("contacts", "mail_hash"), ("mails", "contact")] {
        let path = format!("/api/v1/tables/mart/{table}/columns");
        let one = lake.get(&format!("{path}/{column}")).await.expect(200);
        assert_eq!(one["inherited"], json!({"classifications": from("pii"), "tags": from("gdpr")}), "{one}");
        assert_eq!((&one["classification"], &one["effective_classification"]), (&Value::Null, &json!("pii")));
        let all = lake.get(&path).await.expect(200);
        assert!(all["columns"].as_array().unwrap().contains(&one), "{all}");
        let plain = all["columns"].as_array().unwrap().iter().find(|column| column["name"] == "day").unwrap();
        assert_eq!(
            plain["inherited"],
            json!({"classifications": [], "tags": []}),
            "what filters rows passes nothing on"
        );
        assert_eq!((&all["strictest_classification"], &all["inheritance_truncated"]), (&json!("pii"), &json!(false)));
        let view = lake.describe(&format!("mart.{table}")).await;
        assert_eq!((&view["classification"], &view["strictest_classification"]), (&Value::Null, &json!("pii")));
    }
    assert_problem(&lake.get("/api/v1/tables/mart/mails/columns/nope").await, 404, "not-found");
    let facet = json!([{"value": "pii", "count": 3}]);
    let all = ["mart.contacts", "mart.mails", "shop.orders"].map(str::to_owned).to_vec();
    assert_eq!(classified(&lake, "pii").await, (all, facet));

    label(&lake, "mart/contacts/columns/mail_hash", json!({"classification": "public"})).await;
    let own = lake.get("/api/v1/tables/mart/contacts/columns/mail_hash").await.expect(200);
    assert_eq!(
        (&own["effective_classification"], &own["inherited"]["classifications"]),
        (&json!("public"), &from("pii"))
    );
    let behind = lake.get("/api/v1/tables/mart/mails/columns/contact").await.expect(200);
    let said = json!([{"label": "public", "from": "mart.contacts.mail_hash"}]);
    assert_eq!((&behind["inherited"]["classifications"], &behind["inherited"]["tags"]), (&said, &from("gdpr")));
    assert_eq!(classified(&lake, "pii").await.0, ["shop.orders"]);
}

#[tokio::test]
async fn a_caller_is_not_told_of_tables_that_it_does_not_see() {
    let all = [Action::Read, Action::Append, Action::Manage];
    let builder = TestLake::builder().key("owner", &all, None).key("guest", &all, Some(&["mart"]));
    let lake = builder.open().await;
    let send =
        async |method: Method, path: &str, body: Value| lake.call(method, path).key("owner").json(&body).send().await;
    for table in ["shop/orders", "mart/contacts"] {
        let call = lake.call(Method::POST, &format!("/api/v1/tables/{table}/uploads?format=csv")).key("owner");
        call.body("email\na@b\n").send().await.expect_status(201);
    }
    let edge = json!({"sql": "SELECT email FROM shop.orders", "target": "mart.contacts", "transformation": "copy"});
    send(Method::POST, super::EDGES, edge).await.expect_status(201);
    let pii = json!({"classification": "pii"});
    send(Method::PATCH, "/api/v1/tables/shop/orders/columns/email", pii).await.expect_status(200);
    let path = "/api/v1/tables/mart/contacts/columns/email";
    let seen = lake.call(Method::GET, path).key("guest").send().await.expect(200);
    assert_eq!(seen["inherited"]["classifications"], json!([{"label": "pii"}]));
    let seen = lake.call(Method::GET, path).key("owner").send().await.expect(200);
    assert_eq!(seen["inherited"]["classifications"][0]["from"], "shop.orders.email");
}

/// The tables with rows that a plan would expire, and those that it refuses to.
async fn planned(lake: &TestLake) -> (Vec<String>, Vec<String>) {
    let made = lake.post("/api/v1/lifecycle/plan", &[], "").await.expect(201);
    let plan = lake.get(&format!("/api/v1/lifecycle/plans/{}", made["plan_id"].as_str().unwrap())).await.expect(200);
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for item in plan["items"].as_array().unwrap() {
        let side = if item["refusal"].is_null() { &mut done } else { &mut refused };
        side.push(item["table"].as_str().unwrap().to_owned());
    }
    done.sort();
    refused.sort();
    (done, refused)
}

#[tokio::test]
async fn a_table_made_of_pii_falls_under_the_rules_for_pii() {
    let lake = TestLake::builder().set(|settings| settings.lifecycle.every_seconds = 0).open().await;
    shop(&lake).await;
    let define = async |name: &str, scope: Value, action: Value| {
        let body = json!({"scope": scope, "action": action});
        lake.call(Method::PUT, &format!("/api/v1/lifecycle/rules/{name}")).json(&body).send().await.expect_status(201);
    };
    let pii = || json!({"classification": "pii"});
    define("old-pii", pii(), json!({"expire_rows": {"column": "day", "after": "7y"}})).await;
    assert_eq!(planned(&lake).await.0, ["shop.orders"], "nobody has told where the others come from");
    derive(&lake).await;
    let all = ["mart.contacts", "mart.mails", "shop.orders"];
    assert_eq!(planned(&lake).await.0, all);

    define("case-7", pii(), json!({"legal_hold": {"reason": "case 7"}})).await;
    let (done, refused) = planned(&lake).await;
    assert_eq!(
        (done.as_slice(), refused.as_slice()),
        (&[][..], &all.map(str::to_owned)[..]),
        "a hold of pii holds them"
    );
    label(&lake, "mart/contacts/columns/mail_hash", json!({"classification": "public"})).await;
    assert_eq!(planned(&lake).await, (vec![], vec!["shop.orders".to_owned()]), "what somebody says of a column wins");
    label(&lake, "mart/contacts/columns/mail_hash", json!({"classification": null})).await;
    assert_eq!(planned(&lake).await.1, all);
    lake.call(Method::DELETE, "/api/v1/tables/shop/orders").send().await.expect_status(204);
    assert_eq!(planned(&lake).await, (vec![], vec![]), "a deleted table says nothing");
}
