//! Finding tables, what is said of them, and what happens to them.

use axum::http::Method;
use futures::StreamExt as _;
use serde_json::{Value, json};
use sluice_domain::Action;
use sluice_tests::{Answer, TestLake, assert_problem};

async fn patch(lake: &TestLake, path: &str, body: Value) -> Answer {
    let call = lake.call(Method::PATCH, path).header("content-type", "application/json");
    call.body(body.to_string()).send().await
}

fn names(found: &Value) -> Vec<&str> {
    found["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

async fn shop() -> TestLake {
    let lake = TestLake::open().await;
    lake.upload("shop.orders", "?format=csv", "id,customer_email\n1,a@b\n").await.expect_status(201);
    lake.upload("shop.customers", "?format=csv", "id,name\n1,Ada\n").await.expect_status(201);
    lake
}

#[tokio::test]
async fn tables_are_found_by_what_is_said_of_them() {
    let lake = shop().await;
    let said = json!({"description": "What people bought", "owner": "grace", "tags": ["Gold", "eu"], "classification": "confidential"});
    patch(&lake, "/api/v1/tables/shop/orders", said).await.expect_status(200);
    let column = json!({"classification": "pii", "description": "Where to write to"});
    let columns = patch(&lake, "/api/v1/tables/shop/orders/columns/customer_email", column).await.expect(200);
    assert_eq!(columns["strictest_classification"], "pii");
    assert_eq!(columns["tags"], json!(["eu", "gold"]));
    assert_eq!(columns["columns"][1]["classification"], "pii");
    assert_eq!(lake.get("/api/v1/tables/shop/orders/columns").await.expect(200), columns);

    for (query, expected) in [
        ("q=custmers", vec!["shop.customers"]),
        ("q=customer", vec!["shop.customers", "shop.orders"]),
        ("q=bought", vec!["shop.orders"]),
        ("q=gold&namespace=shop", vec!["shop.orders"]),
        ("classification=pii", vec!["shop.orders"]),
        ("q=gold&namespace=hr", vec![]),
    ] {
        let found = lake.get(&format!("/api/v1/search?{query}")).await.expect(200);
        assert_eq!(names(&found), expected, "{query}");
    }
    let found = lake.get("/api/v1/search?q=shop&page_size=1").await.expect(200);
    assert_eq!((found["total"].as_u64(), found["truncated"].as_bool()), (Some(2), Some(false)));
    assert_eq!(found["facets"]["owner"], json!([{"value": "anonymous", "count": 1}, {"value": "grace", "count": 1}]));
    let next = format!("/api/v1/search?q=shop&page_size=1&page_token={}", found["next_page_token"].as_str().unwrap());
    let rest = lake.get(&next).await.expect(200);
    assert_eq!(names(&found), ["shop.customers"]);
    assert_eq!((names(&rest), rest.get("next_page_token")), (vec!["shop.orders"], None));
}

#[tokio::test]
async fn what_is_said_wrongly_is_refused_by_its_field() {
    let lake = shop().await;
    for (path, body, field) in [
        ("/api/v1/tables/shop/orders", json!({"tags": ["a b"]}), "tags"),
        ("/api/v1/tables/shop/orders", json!({"classification": "\u{e4}"}), "classification"),
        ("/api/v1/tables/shop/orders", json!({"owner": " "}), "owner"),
        ("/api/v1/tables/shop/orders/columns/id", json!({"description": "x".repeat(10_001)}), "description"),
        ("/api/v1/tables/shop/orders/columns/id", json!({"tags": vec!["a"; 51]}), "tags"),
    ] {
        let answer = patch(&lake, path, body).await;
        let problem = answer.expect(422);
        assert!(problem["detail"].as_str().unwrap().starts_with(field), "{problem}");
    }
    assert_problem(&patch(&lake, "/api/v1/tables/shop/orders/columns/nope", json!({})).await, 404, "not-found");
    for query in ["q=%21%21", "zone=lake", "tag=a%20b", "namespace=1", "q=a+b+c+d+e+f+g+h+i"] {
        assert_problem(&lake.get(&format!("/api/v1/search?{query}")).await, 422, "bad-search");
    }
}

#[tokio::test]
async fn a_caller_finds_and_hears_only_what_it_may_see() {
    let all = [Action::Read, Action::Append, Action::Manage];
    let builder = TestLake::builder().key("owner", &all, None).key("guest", &all, Some(&["hr"]));
    let lake = builder.open().await;
    for table in ["shop/orders", "hr/salaries"] {
        let call = lake.call(Method::POST, &format!("/api/v1/tables/{table}/uploads?format=csv"));
        call.key("owner").body("id\n1\n").send().await.expect_status(201);
    }
    let found = lake.call(Method::GET, "/api/v1/search?q=id").key("guest").send().await.expect(200);
    assert_eq!(names(&found), ["hr.salaries"]);
    assert_eq!(found["facets"]["namespace"], json!([{"value": "hr", "count": 1}]));
    let heard = lake.call(Method::GET, "/api/v1/changes?since=0").key("guest").send().await.expect(200);
    let subjects: Vec<&str> =
        heard["items"].as_array().unwrap().iter().map(|e| e["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["hr.salaries", "hr.salaries", "hr.salaries"]);
    assert_eq!(heard["next"], "6");
}

#[tokio::test]
async fn what_happens_is_told_as_cloud_events() {
    let lake = shop().await;
    let told = lake.get("/api/v1/changes?since=0").await.expect(200);
    let kinds: Vec<&str> =
        told["items"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    let of_one = ["io.sluice.table.created", "io.sluice.schema.changed", "io.sluice.upload.committed"];
    assert_eq!(kinds, [of_one, of_one].concat());
    let first = &told["items"][0];
    assert_eq!((first["specversion"].as_str(), first["id"].as_str()), (Some("1.0"), Some("1")));
    assert_eq!(told["items"][2]["data"]["rows"]["committed"], 1, "{told}");

    let path = format!("/api/v1/changes?since={}", told["next"].as_str().unwrap());
    assert_eq!(lake.get(&path).await.expect(200)["items"], json!([]));
    lake.upload("shop.orders", "?format=csv", "id,customer_email\n2,c@d\n").await.expect_status(201);
    let since = lake.get(&path).await.expect(200);
    assert_eq!((since["items"].as_array().unwrap().len(), &since["items"][0]["type"]), (1, &json!(of_one[2])));
}

#[tokio::test]
async fn whoever_listens_hears_what_happens_as_it_does() {
    let lake = shop().await;
    let call = lake.call(Method::GET, "/api/v1/changes").header("accept", "text/event-stream");
    let mut events = call.header("last-event-id", "5").stream().await;
    let text = String::from_utf8(events.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(text.contains("id: 6\n") && text.contains("event: upload.committed\n"), "{text}");
    let next = events.next();
    let (said, heard) = tokio::join!(patch(&lake, "/api/v1/tables/shop/orders", json!({"owner": "grace"})), next);
    said.expect_status(200);
    let text = String::from_utf8(heard.unwrap().unwrap().to_vec()).unwrap();
    assert!(text.contains("event: table.changed\n") && text.contains("shop.orders"), "{text}");
}

#[tokio::test]
async fn the_tables_that_are_queried_are_popular_after_a_restart_too() {
    let lake = shop().await;
    for _ in 0..3 {
        lake.rows("SELECT id FROM shop.orders").await;
    }
    lake.get("/api/v1/tables/shop/customers/preview").await.expect_status(200);
    let lake = lake.reopen().await;
    let popular = lake.get("/api/v1/search/popular").await.expect(200);
    assert_eq!(names(&popular), ["shop.orders", "shop.customers"]);
    assert_eq!(popular["items"][0]["reads"], 3);
}

#[tokio::test]
async fn other_engines_are_told_of_a_table() {
    let lake = shop().await;
    let ddl = lake.get("/api/v1/tables/shop/orders/ddl?if_not_exists=true").await;
    ddl.expect_status(200);
    assert!(
        ddl.text().starts_with("CREATE EXTERNAL TABLE IF NOT EXISTS `orders`\nLOCATION 'file://"),
        "{}",
        ddl.text()
    );
    let schema = lake.get("/api/v1/tables/shop/orders/schema/json-schema").await.expect(200);
    assert_eq!(schema["properties"]["id"]["type"], json!(["integer", "null"]));
    let arrow = lake.get("/api/v1/tables/shop/orders/schema/arrow").await;
    arrow.expect_status(200);
    assert_eq!(arrow.header("content-type"), Some("application/vnd.apache.arrow.stream"));
    assert!(!arrow.body.is_empty());
}

#[tokio::test]
async fn a_schema_is_held_against_a_table_before_anybody_sends_it() {
    let lake = shop().await;
    let check = async |columns: Value| {
        let body = json!({"columns": columns}).to_string();
        let call = lake.call(Method::POST, "/api/v1/tables/shop/orders/schema/check");
        call.header("content-type", "application/json").body(body).send().await.expect(200)
    };
    let column = |name: &str, kind: &str| json!({"name": name, "type": kind});
    let same = check(json!([column("id", "long"), column("customer_email", "string")])).await;
    assert_eq!((same["compatible"].as_bool(), &same["effect"]["missing_columns"]), (Some(true), &json!([])));
    let more = check(json!([column("ID", "int"), column("day", "date")])).await;
    assert_eq!(more["compatible"], true);
    assert_eq!(more["effect"]["changes"]["added"], json!([{"column": "day", "type": "date"}]));
    assert_eq!(more["effect"]["missing_columns"], json!(["customer_email"]));
    let other = check(json!([column("id", "boolean")])).await;
    assert_eq!(other["compatible"], false);
    assert_eq!(other["doubtful_columns"], json!([{"column": "id", "table_type": "long", "asked_type": "boolean"}]));
    let frozen = json!({"columns": "freeze"}).to_string();
    let call = lake.call(Method::PUT, "/api/v1/tables/shop/orders/contract").header("content-type", "application/json");
    call.body(frozen).send().await.expect_status(200);
    let refused = check(json!([column("day", "date")])).await;
    assert_eq!(refused["compatible"], false);
    assert!(refused["refusal"].as_str().unwrap().contains("no column day"), "{refused}");
    assert_eq!(lake.describe("shop.orders").await["columns"].as_array().unwrap().len(), 2, "nothing was changed");
}
