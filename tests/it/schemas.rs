//! Declared schemas and contracts, over HTTP.

use axum::http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use sluice_tests::{Answer, TestLake, assert_problem, table_path};

async fn declare(lake: &TestLake, table: &str, body: Value) -> Answer {
    lake.call(Method::PUT, &format!("{}/schema", table_path(table))).json(&body).send().await
}

async fn schema(lake: &TestLake, table: &str) -> Value {
    lake.get(&format!("{}/schema", table_path(table))).await.expect(200)
}

async fn history(lake: &TestLake, table: &str, query: &str) -> Value {
    lake.get(&format!("{}/schema/history{query}", table_path(table))).await.expect(200)
}

async fn set_contract(lake: &TestLake, table: &str, body: Value) -> Answer {
    lake.call(Method::PUT, &format!("{}/contract", table_path(table))).json(&body).send().await
}

async fn contract(lake: &TestLake, table: &str) -> Value {
    lake.get(&format!("{}/contract", table_path(table))).await.expect(200)
}

fn column(name: &str, type_name: &str) -> Value {
    json!({"name": name, "type": type_name})
}

fn columns(columns: &[(&str, &str)]) -> Value {
    json!({"columns": columns.iter().map(|(name, type_name)| column(name, type_name)).collect::<Vec<_>>()})
}

#[tokio::test]
async fn a_declared_table_is_there_before_its_rows() {
    let lake = TestLake::open().await;
    let body = json!({
        "columns": [
            {"name": "id", "type": "int64", "nullable": false, "comment": "Die Nummer"},
            {"name": "Day", "type": "date"},
            {"name": "price", "type": "decimal(10,2)"},
            {"name": "tags", "type": "array<struct<name:str>>"},
        ],
        "partition_by": ["day"],
        "coerce": true,
    });
    let made = declare(&lake, "nyc.sales", body.clone()).await.expect(201);
    let expected = json!({
        "columns": [
            {"name": "id", "type": "long", "nullable": false, "comment": "Die Nummer"},
            {"name": "Day", "type": "date", "nullable": true},
            {"name": "price", "type": "decimal(10,2)", "nullable": true},
            {"name": "tags", "type": "array<struct<name:string>>", "nullable": true},
        ],
        "partition_by": ["Day"],
        "coerce": true,
        "schema_version": 1,
        "table_version": 0,
    });
    assert_eq!(made, expected);
    assert_eq!(declare(&lake, "nyc.sales", body).await.expect(200), expected);
    assert_eq!(lake.describe("nyc.sales").await["rows"], 0);
    assert_eq!(lake.count("nyc.sales").await, 0);
    let lake = lake.reopen().await;
    assert_eq!(schema(&lake, "nyc.sales").await, expected);
    let rows = r#"{"id": 1, "day": "2024-01-31", "price": 1.5, "tags": [{"name": "x"}]}"#;
    lake.upload("nyc.sales", "?format=ndjson", rows).await.expect_status(201);
    assert_eq!(lake.describe("nyc.sales").await["columns"][2]["delta_type"], "decimal(10,2)");
    let missing = lake.upload("nyc.sales", "?format=ndjson", r#"{"price": 1}"#).await;
    assert!(assert_problem(&missing, 422, "type-mismatch")["detail"].as_str().unwrap().contains("id"));
    assert_eq!(lake.count("nyc.sales").await, 1);
}

#[tokio::test]
async fn what_is_declared_returns_to_the_next_declaration() {
    let lake = TestLake::open().await;
    lake.upload("nyc.t", "?format=ndjson", r#"{"a": 1, "b": {"c": [1.5]}, "d": "2024-01-01"}"#)
        .await
        .expect_status(201);
    let mut shown = schema(&lake, "nyc.t").await;
    let before = shown.clone();
    for read_only in ["schema_version", "table_version"] {
        shown.as_object_mut().unwrap().remove(read_only);
    }
    assert_eq!(declare(&lake, "nyc.t", shown).await.expect(200), before);
}

#[tokio::test]
async fn columns_are_added_and_types_widened_with_the_rows_kept() {
    let lake = TestLake::open().await;
    lake.upload("nyc.t", "?format=csv&partition_by=p", "id,p,at\n1,x,2024-01-31\n,,\n").await.expect_status(201);
    let wider = columns(&[("at", "timestamp_ntz"), ("note", "string"), ("ID", "decimal(20,0)"), ("p", "string")]);
    let shown = declare(&lake, "nyc.t", wider).await.expect(200);
    assert_eq!((&shown["schema_version"], &shown["table_version"]), (&json!(2), &json!(1)));
    assert_eq!(shown["columns"][0], json!({"name": "id", "type": "decimal(20,0)", "nullable": true}));
    lake.upload("nyc.t", "?format=csv", "id,p,at,note\n99999999999999999999,x,2024-02-01T10:00:00,n\n")
        .await
        .expect_status(201);
    let rows =
        lake.rows("SELECT CAST(id AS VARCHAR) AS id, p, CAST(at AS VARCHAR) AS at, note FROM nyc.t ORDER BY id").await;
    let row = |id: Value, p: Value, at: Value, note: Value| json!({"id": id, "p": p, "at": at, "note": note});
    let expected = [
        row(json!("1"), json!("x"), json!("2024-01-31T00:00:00"), Value::Null),
        row(json!("99999999999999999999"), json!("x"), json!("2024-02-01T10:00:00"), json!("n")),
        row(Value::Null, Value::Null, Value::Null, Value::Null),
    ];
    assert_eq!(rows, expected);
    let versions = history(&lake, "nyc.t", "").await;
    let changes = json!({
        "added": [{"column": "note", "type": "string"}],
        "widened": [
            {"column": "id", "from": "long", "to": "decimal(20,0)"},
            {"column": "at", "from": "date", "to": "timestamp_ntz"},
        ],
    });
    assert_eq!((&versions["items"][0]["changes"], &versions["items"][0]["principal"]), (&changes, &json!("anonymous")));
    assert_eq!(versions["items"][0]["upload_id"], Value::Null);
    assert_eq!(versions["items"][1]["changes"], json!({"added": [], "widened": []}));
    assert!(versions["items"][1]["upload_id"].is_string());
    let first = history(&lake, "nyc.t", "?page_size=1").await;
    assert_eq!(first["items"][0]["changes"], changes);
    let next = first["next_page_token"].as_str().unwrap();
    let second = history(&lake, "nyc.t", &format!("?page_size=1&page_token={next}")).await;
    assert_eq!(second["items"][0], versions["items"][1]);
}

#[rstest]
#[case(json!({"columns": [column("id", "long")]}), 409, "schema-conflict", "column name ")]
#[case(columns(&[("id", "long"), ("title", "string")]), 409, "schema-conflict", "(title may be")]
#[case(columns(&[("id", "integer"), ("name", "string")]), 409, "schema-conflict", "column id ")]
#[case(columns(&[("id", "double"), ("name", "string")]), 409, "schema-conflict", "from long to double")]
#[case(columns(&[("id", "long"), ("name", "long")]), 409, "schema-conflict", "column name ")]
#[case(
    json!({"columns": [column("id", "long"), column("name", "string")], "partition_by": ["name"]}),
    409, "other-partitioning", "[name]"
)]
#[case(
    json!({"columns": [{"name": "id", "type": "long", "nullable": false}, column("name", "string")]}),
    409, "schema-conflict", "column id "
)]
#[case(
    json!({"columns": [column("id", "long"), column("name", "string"), {"name": "x", "type": "long", "nullable": false}]}),
    422, "bad-column", "column x "
)]
#[case(columns(&[("id", "long"), ("name", "string"), ("ID", "long")]), 422, "duplicate-column", "column ID ")]
#[case(columns(&[("id", "long"), ("name", "string"), ("x", "longer")]), 422, "bad-column", "column x:")]
#[case(columns(&[("id", "long"), ("name", "string"), ("x\ny", "long")]), 422, "bad-column", "control characters")]
#[case(json!({"columns": []}), 422, "bad-column", "1 to ")]
#[case(json!({"columns": [], "colunms": []}), 422, "bad-body", "colunms")]
#[tokio::test]
async fn a_declaration_that_would_take_something_away_changes_nothing(
    #[case] body: Value,
    #[case] status: u16,
    #[case] code: &str,
    #[case] told: &str,
) {
    let lake = TestLake::open().await;
    lake.upload("nyc.t", "?format=csv", "id,name\n1,a\n").await.expect_status(201);
    let before = (schema(&lake, "nyc.t").await, lake.describe("nyc.t").await);
    let problem = assert_problem(&declare(&lake, "nyc.t", body).await, status, code);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(told), "{detail}");
    assert_eq!((schema(&lake, "nyc.t").await, lake.describe("nyc.t").await), before);
}

#[rstest]
#[case(json!({"columns": [column("id", "long")], "partition_by": ["id"]}), "bad-partitioning")]
#[case(json!({"columns": [column("id", "long"), column("b", "binary")], "partition_by": ["b"]}), "bad-partitioning")]
#[case(json!({"columns": [column("id", "long"), column("b", "long")], "partition_by": ["c"]}), "bad-partitioning")]
#[case(columns(&[("id", "long"), ("ID", "long")]), "duplicate-column")]
#[tokio::test]
async fn a_table_that_cannot_be_is_not_made(#[case] body: Value, #[case] code: &str) {
    let lake = TestLake::open().await;
    assert_problem(&declare(&lake, "nyc.t", body).await, 422, code);
    assert_eq!(lake.get("/api/v1/tables").await.expect(200), json!({"items": []}));
    assert_problem(&lake.get("/api/v1/tables/nyc/t/schema").await, 404, "not-found");
    declare(&lake, "nyc.t", columns(&[("id", "long")])).await.expect_status(201);
}

#[tokio::test]
async fn columns_that_two_servers_declare_at_once_do_not_get_lost() {
    let one = TestLake::open().await;
    let other = one.open_another().await;
    let base = columns(&[("id", "long")]);
    let (made, also) = tokio::join!(declare(&one, "nyc.t", base.clone()), declare(&other, "nyc.t", base));
    let mut statuses = [made.status.as_u16(), also.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201]);
    let (with_a, with_b) = (columns(&[("id", "long"), ("a", "long")]), columns(&[("id", "long"), ("b", "long")]));
    let (a, b) = tokio::join!(declare(&one, "nyc.t", with_a), declare(&other, "nyc.t", with_b));
    let shown = schema(&one, "nyc.t").await;
    let named = |name: &str| shown["columns"].as_array().unwrap().iter().any(|column| column["name"] == name);
    for (answer, name) in [(&a, "a"), (&b, "b")] {
        // The later one would drop what it did not know of, and says so.
        if answer.status.as_u16() == 200 {
            assert!(named(name), "{shown}");
        } else {
            assert_problem(answer, 409, "schema-conflict");
        }
    }
    assert!(a.status.as_u16() == 200 || b.status.as_u16() == 200);
}

#[tokio::test]
async fn a_contract_is_kept_with_its_table() {
    let lake = TestLake::open().await;
    lake.upload("nyc.t", "?format=csv", "id,balance\n1,2.5\n").await.expect_status(201);
    let nothing = json!({
        "columns": "evolve", "types": "evolve", "max_bad_rows": null, "max_bad_fraction": null, "rules": [],
    });
    assert_eq!(contract(&lake, "nyc.t").await, nothing);
    let asked = json!({
        "columns": "freeze",
        "types": "quarantine_rows",
        "max_bad_rows": 10,
        "max_bad_fraction": 0.5,
        "rules": [{
            "name": "sane", "column": "balance", "check": {"minimum": 0},
            "message": "balance must be non-negative", "action": "reject",
        }],
    });
    assert_eq!(set_contract(&lake, "nyc.t", asked.clone()).await.expect(200), asked);
    let lake = lake.reopen().await;
    assert_eq!(contract(&lake, "nyc.t").await, asked);
    lake.call(Method::DELETE, "/api/v1/tables/nyc/t").send().await.expect_status(204);
    assert_problem(&lake.get("/api/v1/tables/nyc/t/contract").await, 404, "not-found");
    lake.upload("nyc.u", "?format=csv", "id\n1\n").await.expect_status(201);
    lake.post("/api/v1/tables/nyc/t/restore", &[], "").await.expect_status(200);
    assert_eq!(contract(&lake, "nyc.t").await, asked);
    assert_eq!(contract(&lake, "nyc.u").await, nothing);
    assert_eq!(set_contract(&lake, "nyc.t", json!({})).await.expect(200), nothing);
}

#[rstest]
#[case(json!({"types": "thaw"}), "bad-body", "thaw")]
#[case(json!({"max_bad_fraction": 2}), "bad-body", "max_bad_fraction")]
#[case(json!({"rules": [{"name": "r", "column": "id", "check": {"matches": "("}}]}), "bad-body", "\"r\"")]
#[case(json!({"rules": [{"name": "r", "column": "id", "check": {"matches": "x"}}]}), "bad-contract", "\"r\"")]
#[case(json!({"rules": [{"name": "r", "column": "id", "check": {"minimum": "x"}}]}), "bad-contract", "\"r\"")]
#[tokio::test]
async fn a_contract_that_cannot_be_is_refused(#[case] body: Value, #[case] code: &str, #[case] told: &str) {
    let lake = TestLake::open().await;
    lake.upload("nyc.t", "?format=csv", "id\n1\n").await.expect_status(201);
    let before = contract(&lake, "nyc.t").await;
    let problem = assert_problem(&set_contract(&lake, "nyc.t", body).await, 422, code);
    assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
    assert_eq!(contract(&lake, "nyc.t").await, before);
    assert_problem(&set_contract(&lake, "nyc.never", json!({})).await, 404, "not-found");
}

#[tokio::test]
async fn a_table_without_a_log_keeps_its_columns() {
    let lake = TestLake::open().await;
    lake.upload("nyc.p", "?format=csv&table_format=parquet", "id\n1\n").await.expect_status(201);
    assert_problem(&declare(&lake, "nyc.p", columns(&[("id", "long"), ("x", "long")])).await, 422, "plain-table");
    assert_problem(&set_contract(&lake, "nyc.p", json!({})).await, 422, "plain-table");
    assert_problem(&lake.upload("nyc.p", "?format=csv", "id,x\n2,3\n").await, 422, "unknown-column");
    assert_eq!(lake.count("nyc.p").await, 1);
}
