//! Views over HTTP: saved, read like tables, with the rights of who defined them.

use axum::http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use sluice_domain::Action;
use sluice_tests::{Answer, TestLake, assert_problem};

const ORDERS: &str = "id,amount,region\n1,10,north\n2,-5,north\n3,7,south\n";

async fn lake() -> TestLake {
    let lake = TestLake::open().await;
    lake.upload("raw.orders", "?format=csv", ORDERS).await.expect_status(201);
    lake
}

async fn put(lake: &TestLake, name: &str, sql: &str) -> Answer {
    lake.call(Method::PUT, &format!("/api/v1/views/{name}")).json(&json!({"sql": sql})).send().await
}

async fn define(lake: &TestLake, name: &str, sql: &str) -> Value {
    let answer = put(lake, name, sql).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn a_view_is_made_read_changed_and_deleted() {
    let lake = lake().await;
    let body =
        json!({"sql": "SELECT id, amount * 2 AS twice FROM raw.orders WHERE amount > 0;", "description": "paid"});
    let made = lake.call(Method::PUT, "/api/v1/views/curated.Paid").json(&body).send().await.expect(201);
    assert_eq!(
        (&made["name"], &made["reads"], &made["description"]),
        (&json!("curated.paid"), &json!(["raw.orders"]), &json!("paid"))
    );
    assert_eq!(made["columns"], json!([{"name": "id", "type": "long"}, {"name": "twice", "type": "long"}]));
    let sql = "SELECT p.id, twice FROM curated.paid AS p JOIN raw.orders USING (id) ORDER BY p.id";
    assert_eq!(json!(lake.rows(sql).await), json!([{"id": 1, "twice": 20}, {"id": 3, "twice": 14}]));
    lake.upload("raw.orders", "?format=csv", "id,amount,region\n4,1,west\n").await.expect_status(201);
    assert_eq!(lake.count("curated.paid").await, 3, "it shows what is there when it is read");
    define(&lake, "curated.big", "SELECT * FROM curated.paid WHERE twice > 15").await;
    assert_eq!(lake.count("curated.big").await, 1);
    put(&lake, "curated.paid", "SELECT id, amount AS twice FROM raw.orders").await.expect_status(200);
    assert_eq!(lake.count("curated.big").await, 0);
    let listed = lake.get("/api/v1/views").await.expect(200);
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]["name"]), (2, &json!("curated.big")));
    lake.call(Method::DELETE, "/api/v1/views/curated.paid").send().await.expect_status(204);
    assert_problem(&lake.get("/api/v1/views/curated.paid").await, 404, "not-found");
    let gone = lake
        .post("/api/v1/queries", &[("content-type", "application/json")], r#"{"sql": "SELECT * FROM curated.big"}"#)
        .await;
    assert_problem(&gone, 404, "not-found");
}

#[rstest]
#[case::column("SELECT id,\n  amont FROM raw.orders", "bad-statement", "sql, line 2, column 3")]
#[case::table("SELECT id FROM raw.nothing", "bad-statement", "sql, line 1, column 16")]
#[case::not_a_query("DROP TABLE raw.orders", "bad-statement", "DROP")]
#[case::explain("EXPLAIN SELECT id FROM raw.orders", "bad-statement", "EXPLAIN")]
#[case::two_of_a_name("SELECT 1 AS x, 2 AS \"X\"", "bad-view", "two columns")]
#[case::empty("  ", "bad-view", "sql")]
#[case::itself("SELECT id FROM curated.v", "bad-statement", "curated.v")]
#[tokio::test]
async fn what_cannot_be_read_is_refused_with_its_place(#[case] sql: &str, #[case] code: &str, #[case] word: &str) {
    let lake = lake().await;
    let answer = put(&lake, "curated.v", sql).await;
    assert_problem(&answer, 422, code);
    assert!(answer.json()["detail"].as_str().unwrap().contains(word), "{}", answer.text());
    assert_problem(&lake.get("/api/v1/views/curated.v").await, 404, "not-found");
}

#[tokio::test]
async fn views_do_not_read_themselves_and_names_are_had_once() {
    let lake = lake().await;
    define(&lake, "v.a", "SELECT id FROM raw.orders").await;
    define(&lake, "v.b", "SELECT id FROM v.a").await;
    let cycle = put(&lake, "v.a", "SELECT id FROM v.b").await;
    assert_problem(&cycle, 422, "bad-view");
    assert!(cycle.text().contains("v.a -> v.b -> v.a"), "{}", cycle.text());
    assert_problem(&put(&lake, "raw.orders", "SELECT 1 AS x").await, 409, "table-exists");
    assert_problem(&lake.upload("v.a", "?format=csv", "id\n1\n").await, 409, "view-exists");
    assert_eq!(lake.count("v.b").await, 3);
    let into = json!({"sql": "SELECT id FROM raw.orders", "target": "v.a"});
    let answer = lake.call(Method::PUT, "/api/v1/pipelines/p").json(&into).send().await;
    assert_problem(&answer, 422, "bad-pipeline");
}

#[tokio::test]
async fn a_view_reads_with_the_rights_of_who_defined_it() {
    let all = [Action::Read, Action::Append, Action::Manage];
    let builder = TestLake::builder().key("owner", &all, None).key("guest", &all, Some(&["shared"]));
    let lake = builder.open().await;
    let upload = lake.call(Method::POST, "/api/v1/tables/hr/salaries/uploads").key("owner");
    upload.header("content-type", "text/csv").body("name,pay\nann,10\nbob,20\n").send().await.expect_status(201);
    let body = json!({"sql": "SELECT sum(pay) AS pay FROM hr.salaries"});
    let define = |key| lake.call(Method::PUT, "/api/v1/views/shared.pay").key(key).json(&body).send();
    assert_problem(&define("guest").await, 422, "bad-statement");
    define("owner").await.expect_status(201);
    let query = |key, sql: &str| lake.call(Method::POST, "/api/v1/queries").key(key).json(&json!({"sql": sql})).send();
    let answer = query("guest", "SELECT pay FROM shared.pay").await.expect(200);
    assert_eq!((&answer["rows"], &answer["tables"]), (&json!([{"pay": 30}]), &json!({})), "{answer}");
    assert_problem(&query("guest", "SELECT name FROM hr.salaries").await, 404, "not-found");
    assert_problem(&query("guest", "SELECT name FROM shared.pay, hr.salaries").await, 404, "not-found");
    let traced = lake.call(Method::POST, "/api/v1/queries/lineage").key("guest");
    let traced = traced.json(&json!({"sql": "SELECT pay FROM shared.pay"})).send().await;
    assert!(!traced.text().contains("salaries"), "{}", traced.text());
}

#[tokio::test]
async fn the_lineage_of_a_view_is_told_when_it_is_saved() {
    let lake = lake().await;
    define(&lake, "curated.paid", "SELECT id, amount * 2 AS twice FROM raw.orders").await;
    let flows = lake.get("/api/v1/lineage?asset=raw.orders").await.expect(200);
    let text = flows.to_string();
    assert!(text.contains("view curated.paid") && text.contains("amount * 2 AS twice"), "{text}");
    let columns = lake.get("/api/v1/tables/raw/orders/lineage?column=amount").await;
    assert!(columns.text().contains("twice"), "{}", columns.text());
}

#[tokio::test]
async fn a_pipeline_reads_a_view_and_knows_the_tables_below_it() {
    let lake = lake().await;
    define(&lake, "shared.paid", "SELECT id, amount FROM raw.orders WHERE amount > 0").await;
    let body = json!({"inputs": ["shared.paid"], "expressions": ["id", "amount"], "target": "curated.orders"});
    let defined = lake.call(Method::PUT, "/api/v1/pipelines/p").json(&body).send().await.expect(201);
    assert_eq!(defined["inputs"], json!(["shared.paid"]));
    let run = lake.post("/api/v1/pipelines/p/runs", &[("prefer", "wait=60")], "").await.expect(202);
    assert_eq!((&run["status"], &run["rows_out"]), (&json!("SUCCESS"), &json!(2)), "{run}");
    assert_eq!(run["versions_in"], json!({"raw.orders": 0}));
    let again = lake.call(Method::PUT, "/api/v1/pipelines/p").json(&body).send().await;
    again.expect_status(200);
    let back = json!({"sql": "SELECT id, amount FROM shared.paid", "target": "raw.orders"});
    let answer = lake.call(Method::PUT, "/api/v1/pipelines/back").json(&back).send().await;
    assert_problem(&answer, 422, "bad-pipeline");
}

#[tokio::test]
async fn sql_makes_views_and_drops_them() {
    let lake = lake().await;
    let run = |sql: &'static str| lake.call(Method::POST, "/api/v1/queries").json(&json!({"sql": sql})).send();
    let made = run("CREATE VIEW curated.paid AS\n  SELECT id FROM raw.orders WHERE amount > 0;").await.expect(200);
    assert_eq!((&made["columns"], &made["rows"]), (&json!([]), &json!([])));
    assert_eq!(lake.count("curated.paid").await, 2);
    assert_problem(&run("CREATE VIEW curated.paid AS SELECT id FROM raw.orders").await, 409, "view-exists");
    run("CREATE OR REPLACE VIEW curated.paid AS SELECT id FROM raw.orders").await.expect_status(200);
    let shown = lake.get("/api/v1/views/curated.paid").await.expect(200);
    assert_eq!(shown["sql"], "SELECT id FROM raw.orders");
    let wrong = run("CREATE VIEW curated.wrong AS\n  SELECT amont FROM raw.orders").await;
    assert_problem(&wrong, 422, "bad-statement");
    assert!(wrong.text().contains("line 2, column 10"), "{}", wrong.text());
    assert_problem(&run("CREATE VIEW paid AS SELECT 1").await, 400, "invalid-sql");
    run("DROP VIEW curated.paid").await.expect_status(200);
    assert_problem(&run("DROP VIEW curated.paid").await, 404, "not-found");
    run("DROP VIEW IF EXISTS curated.paid").await.expect_status(200);
    assert_problem(&run("DROP TABLE raw.orders").await, 403, "not-read-only");
}
