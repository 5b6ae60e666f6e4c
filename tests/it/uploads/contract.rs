//! Uploads that bring other columns than their table has: what the contract lets happen, and what the receipt tells.

use axum::http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use sluice_tests::{TestLake, assert_problem, table_path};

use super::{counts, row};

async fn contract(lake: &TestLake, table: &str, body: Value) {
    let path = format!("{}/contract", table_path(table));
    lake.call(Method::PUT, &path).json(&body).send().await.expect_status(200);
}

async fn history(lake: &TestLake, table: &str) -> Vec<Value> {
    let path = format!("{}/schema/history", table_path(table));
    lake.get(&path).await.expect(200)["items"].as_array().unwrap().clone()
}

async fn names(lake: &TestLake, table: &str) -> Vec<String> {
    let view = lake.describe(table).await;
    view["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap().to_owned()).collect()
}

async fn lake_with(columns: &str, row: &str) -> TestLake {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", format!("{columns}\n{row}\n")).await.expect_status(201);
    lake
}

#[tokio::test]
async fn new_columns_come_to_the_table_with_the_upload_that_brings_them() {
    let lake = lake_with("id,name", "1,a").await;
    let receipt = lake.upload("a.t", "?format=csv", "id,name,age\n2,b,30\n").await.expect(201);
    assert_eq!(receipt["version"], 1, "columns and rows are one commit");
    let added = json!([{"column": "age", "type": "long"}]);
    assert_eq!(receipt["schema"]["changes"], json!({"added": added, "widened": []}));
    assert_eq!(
        lake.rows("SELECT * FROM a.t ORDER BY id").await,
        [json!({"id": 1, "name": "a", "age": null}), json!({"id": 2, "name": "b", "age": 30})]
    );
    let newest = &history(&lake, "a.t").await[0];
    assert_eq!((&newest["upload_id"], &newest["changes"]["added"]), (&receipt["upload_id"], &added));
    let without = lake.upload("a.t", "?format=csv", "id\n3\n").await.expect(201);
    assert_eq!(without["schema"], Value::Null);
    let upload = lake.get(&format!("/api/v1/uploads/{}", receipt["upload_id"].as_str().unwrap())).await.expect(200);
    assert_eq!(upload["receipt"], receipt);
}

#[tokio::test]
async fn a_partitioned_table_gets_columns_too() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv&partition_by=day", "day,id\n2024-01-01,1\n").await.expect_status(201);
    lake.upload("a.t", "?format=csv", "day,id,note\n2024-01-02,2,x\n2024-01-01,3,\n").await.expect_status(201);
    let receipt =
        lake.upload("a.t", "?format=ndjson", r#"{"day": "2024-01-03", "id": 4, "o": {"k": 1}}"#).await.expect(201);
    assert_eq!(receipt["schema"]["missing_columns"], json!(["note"]));
    let rows = lake.rows("SELECT id, CAST(day AS VARCHAR) AS day, note, o['k'] AS k FROM a.t ORDER BY id").await;
    let of = |id, day, note: Value, k: Value| json!({"id": id, "day": day, "note": note, "k": k});
    let expected = [
        of(1, "2024-01-01", Value::Null, Value::Null),
        of(2, "2024-01-02", json!("x"), Value::Null),
        of(3, "2024-01-01", Value::Null, Value::Null),
        of(4, "2024-01-03", Value::Null, json!(1)),
    ];
    assert_eq!(rows, expected);
    assert_eq!(lake.describe("a.t").await["partition_by"], json!(["day"]));
}

#[tokio::test]
async fn fields_come_to_objects_within_lists() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=ndjson", r#"{"id": 1, "items": [{"k": 1}]}"#).await.expect_status(201);
    let body = r#"{"id": 2, "items": [{"k": 2, "n": "x"}, {"n": "y"}]}"#;
    let receipt = lake.upload("a.t", "?format=ndjson", body).await.expect(201);
    assert_eq!(receipt["schema"]["changes"]["added"][0]["column"], "items.element.n");
    let rows = lake.rows("SELECT items FROM a.t ORDER BY id").await;
    assert_eq!(rows[0], json!({"items": [{"k": 1, "n": null}]}));
    assert_eq!(rows[1], json!({"items": [{"k": 2, "n": "x"}, {"k": null, "n": "y"}]}));
}

#[tokio::test]
async fn a_type_gets_wider_where_nothing_is_lost_and_stays_where_something_would_be() {
    let lake = lake_with("id,day,n", "1,2024-01-31,1").await;
    let narrow = lake.upload("a.t", "?format=csv", "id,day,n\n2,2024-02-01,2\n3,never,3\n4,2024-02-02,x\n").await;
    assert_eq!(counts(&narrow.expect(201)), [3, 1, 2]);
    let wider = lake.upload("a.t", "?format=csv", "id,day,n\n5,2024-02-01T10:00:00,2\n").await.expect(201);
    assert_eq!(
        wider["schema"]["changes"]["widened"],
        json!([{"column": "day", "from": "date", "to": "timestamp_ntz"}])
    );
    let first = row(&lake, "SELECT CAST(day AS VARCHAR) AS day FROM a.t WHERE id = 1").await;
    assert_eq!(first["day"], "2024-01-31T00:00:00");
    let decimal = lake.upload("a.t", "?format=csv", "id,day,n\n6,2024-02-01,99999999999999999999\n").await.expect(201);
    assert_eq!(
        decimal["schema"]["changes"]["widened"],
        json!([{"column": "n", "from": "long", "to": "decimal(38,0)"}])
    );
    let history = history(&lake, "a.t").await;
    assert_eq!(history[0]["upload_id"], decimal["upload_id"]);
    assert_eq!(history[1]["upload_id"], wider["upload_id"]);
    assert_eq!(lake.count("a.t").await, 4);
}

#[tokio::test]
async fn a_column_of_another_name_is_a_new_one_and_the_receipt_says_so() {
    let lake = lake_with("id,name", "1,a").await;
    let receipt = lake.upload("a.t", "?format=csv", "id,title\n2,b\n").await.expect(201);
    assert_eq!(receipt["schema"]["missing_columns"], json!(["name"]));
    assert_eq!(receipt["schema"]["possible_renames"], json!([{"from": "name", "to": "title"}]));
    let expected = [json!({"id": 1, "name": "a", "title": null}), json!({"id": 2, "name": null, "title": "b"})];
    assert_eq!(lake.rows("SELECT * FROM a.t ORDER BY id").await, expected);
}

#[tokio::test]
async fn a_new_column_waits_for_its_first_value() {
    let lake = lake_with("id", "1").await;
    let receipt = lake.upload("a.t", "?format=ndjson", "{\"id\": 2, \"later\": null}\n").await.expect(201);
    assert_eq!((counts(&receipt), names(&lake, "a.t").await), ([1, 1, 0], vec!["id".to_owned()]));
    lake.upload("a.t", "?format=ndjson", "{\"id\": 3, \"later\": 5}\n").await.expect_status(201);
    let view = lake.describe("a.t").await;
    assert_eq!(view["columns"][1]["delta_type"], "long");
}

#[rstest]
#[case(json!({"columns": "freeze"}), "id,new\n2,x\n", "new")]
#[case(json!({"columns": "freeze"}), "id,nom\n2,x\n", "name may be the same column")]
#[case(json!({"types": "freeze"}), "id,name\nx,b\n2,c\n", "column id is long in the table and string")]
#[tokio::test]
async fn a_frozen_table_takes_nothing_that_would_change_it(
    #[case] terms: Value,
    #[case] body: &'static str,
    #[case] told: &str,
) {
    let lake = lake_with("id,name", "1,a").await;
    contract(&lake, "a.t", terms).await;
    let before = lake.describe("a.t").await;
    let problem = assert_problem(&lake.upload("a.t", "?format=csv", body).await, 422, "schema-frozen");
    assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
    let failed = lake.get(&format!("/api/v1/uploads/{}", problem["upload_id"].as_str().unwrap())).await.expect(200);
    assert_eq!(failed["status"], "failed");
    assert_eq!(lake.describe("a.t").await, before);
    let fits = lake.upload("a.t", "?format=csv", "name,id\n,2\n").await.expect(201);
    assert_eq!(counts(&fits), [1, 1, 0]);
}

#[tokio::test]
async fn a_frozen_table_takes_columns_without_a_value() {
    let lake = lake_with("id,n", "1,1").await;
    contract(&lake, "a.t", json!({"columns": "freeze", "types": "freeze"})).await;
    let receipt = lake.upload("a.t", "?format=ndjson", "{\"id\": 2, \"n\": null, \"new\": null}\n").await.expect(201);
    assert_eq!(counts(&receipt), [1, 1, 0]);
}

#[tokio::test]
async fn columns_are_left_out_where_the_contract_discards_them() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=ndjson", r#"{"id": 1, "n": 1, "o": {"k": 1}}"#).await.expect_status(201);
    contract(&lake, "a.t", json!({"columns": "discard_columns", "types": "discard_columns"})).await;
    let body = "{\"id\": 2, \"n\": \"many\", \"o\": {\"k\": 2, \"x\": 1}, \"new\": [1]}\n{\"id\": 3, \"n\": 3}\n";
    let receipt = lake.upload("a.t", "?format=ndjson", body).await.expect(201);
    assert_eq!(counts(&receipt), [2, 2, 0]);
    assert_eq!(receipt["schema"]["discarded_columns"], json!(["n", "o.x", "new"]));
    let expected = [
        json!({"id": 1, "n": 1, "o": {"k": 1}}),
        json!({"id": 2, "n": null, "o": {"k": 2}}),
        json!({"id": 3, "n": null, "o": null}),
    ];
    assert_eq!(lake.rows("SELECT * FROM a.t ORDER BY id").await, expected);
}

#[tokio::test]
async fn values_that_are_left_out_are_those_of_the_column_whatever_its_case() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=ndjson", r#"{"id": 1, "MÜLL": 1, "o": {"k": 1}, "o.x": 1}"#).await.expect_status(201);
    contract(&lake, "a.t", json!({"columns": "discard_columns", "types": "discard_columns"})).await;
    let body = r#"{"id": 2, "müll": "viel", "o": {"k": 2, "x": "a"}, "o.x": 2}"#;
    let receipt = lake.upload("a.t", "?format=ndjson", body).await.expect(201);
    assert_eq!(receipt["schema"]["discarded_columns"], json!(["müll", "o.x"]));
    let expected = json!({"id": 2, "MÜLL": null, "o": {"k": 2}, "o.x": 2});
    assert_eq!(lake.rows("SELECT * FROM a.t WHERE id = 2").await, [expected]);
}

#[tokio::test]
async fn rows_with_unknown_columns_go_to_quarantine_where_the_contract_says_so() {
    let lake = lake_with("id,name", "1,a").await;
    contract(&lake, "a.t", json!({"columns": "quarantine_rows", "types": "quarantine_rows"})).await;
    let receipt = lake.upload("a.t", "?format=csv", "id,name,new\n2,b,\n3,c,x\nbad,d,\n4,e,\n").await.expect(201);
    assert_eq!(counts(&receipt), [4, 2, 2]);
    assert_eq!(receipt["schema"]["quarantined_columns"], json!(["new"]));
    let columns = "row_number, line, column_name, rule, record, record_format";
    let set_aside = lake.rows(&format!("SELECT {columns} FROM a.t__quarantine ORDER BY row_number")).await;
    let unknown = json!({"row_number": 2, "line": null, "column_name": "new", "rule": "unknown-column",
        "record": r#"{"id":3,"name":"c","new":"x"}"#, "record_format": "json"});
    let misfit = json!({"row_number": 3, "line": 4, "column_name": "id", "rule": "type-mismatch",
        "record": "bad,d,", "record_format": "csv"});
    assert_eq!(set_aside, [unknown, misfit]);
    assert_eq!(names(&lake, "a.t").await, ["id", "name"]);
}

#[tokio::test]
async fn rows_that_break_a_rule_go_to_quarantine_with_its_name() {
    let lake = lake_with("id,balance", "1,5").await;
    let rule = json!({"name": "sane", "column": "balance", "check": {"minimum": 0}, "message": "must not be negative"});
    let there = json!({"name": "there", "column": "id", "check": "not_null"});
    contract(&lake, "a.t", json!({"rules": [rule, there]})).await;
    let body = "id,balance\n2,-1\nx,1\n3,0\n,7\n4,-2\n";
    let receipt = lake.upload("a.t", "?format=csv", body).await.expect(201);
    assert_eq!(counts(&receipt), [5, 1, 4]);
    let set_aside =
        lake.rows("SELECT row_number, rule, column_name, reason FROM a.t__quarantine ORDER BY row_number").await;
    let rules: Vec<_> =
        set_aside.iter().map(|row| (row["row_number"].as_u64().unwrap(), row["rule"].as_str().unwrap())).collect();
    assert_eq!(rules, [(1, "sane"), (2, "type-mismatch"), (4, "there"), (5, "sane")]);
    assert_eq!(set_aside[0]["reason"], "row 1, column \"balance\": must not be negative (rule \"sane\")");
}

#[tokio::test]
async fn a_rule_may_refuse_the_whole_upload_and_a_contract_too_many_bad_rows() {
    let lake = lake_with("id", "1").await;
    let rule = json!({"name": "low", "column": "id", "check": {"maximum": 9}, "action": "reject"});
    contract(&lake, "a.t", json!({"rules": [rule], "max_bad_rows": 1})).await;
    let problem = assert_problem(&lake.upload("a.t", "?format=csv", "id\n2\n30\n").await, 422, "broken-rule");
    assert!(problem["detail"].as_str().unwrap().contains("row 2, column \"id\""), "{problem}");
    assert_problem(&lake.upload("a.t", "?format=csv", "id\n2\nx\ny\n").await, 422, "too-many-bad-rows");
    assert_eq!(counts(&lake.upload("a.t", "?format=csv", "id\n2\nx\n").await.expect(201)), [2, 1, 1]);
    contract(&lake, "a.t", json!({"max_bad_fraction": 0.25})).await;
    assert_problem(&lake.upload("a.t", "?format=csv", "id\n2\nx\n").await, 422, "too-many-bad-rows");
    assert_eq!(lake.count("a.t").await, 2);
}

#[tokio::test]
async fn texts_become_what_declared_columns_want() {
    let lake = TestLake::open().await;
    let columns =
        json!([{"name": "id", "type": "long"}, {"name": "flag", "type": "boolean"}, {"name": "at", "type": "date"}]);
    let body = json!({"columns": columns, "coerce": true});
    lake.call(Method::PUT, "/api/v1/tables/a/t/schema").json(&body).send().await.expect_status(201);
    let rows =
        r#"[{"id": "1", "flag": "False", "at": "2024-01-31"}, {"id": 2, "flag": "1"}, {"id": "x", "flag": true}]"#;
    assert_eq!(counts(&lake.upload("a.t", "?format=json", rows).await.expect(201)), [3, 2, 1]);
    let expected = [json!({"id": 1, "flag": false}), json!({"id": 2, "flag": true})];
    assert_eq!(lake.rows("SELECT id, flag FROM a.t ORDER BY id").await, expected);
}

#[rstest]
#[case("&mode=overwrite", 1)]
#[case("&mode=merge&merge_keys=id", 2)]
#[case("&dedup_keys=id", 2)]
#[tokio::test]
async fn every_mode_brings_its_columns(#[case] mode: &str, #[case] rows: u64) {
    let lake = lake_with("id,n", "1,1").await;
    let receipt = lake.upload("a.t", &format!("?format=csv{mode}"), "id,new\n2,x\n").await.expect(201);
    assert_eq!(receipt["schema"]["changes"]["added"], json!([{"column": "new", "type": "string"}]), "{receipt}");
    assert_eq!((lake.count("a.t").await, names(&lake, "a.t").await.len()), (rows, 3));
    let found = row(&lake, "SELECT n, new FROM a.t WHERE id = 2").await;
    assert_eq!(found, json!({"n": null, "new": "x"}));
}

#[tokio::test]
async fn a_merge_leaves_columns_alone_that_are_left_out_of_it() {
    let lake = lake_with("id,n", "1,1").await;
    contract(&lake, "a.t", json!({"columns": "discard_columns", "types": "discard_columns"})).await;
    let receipt = lake.upload("a.t", "?format=csv&mode=merge&merge_keys=id", "id,n,x\n1,many,5\n").await.expect(201);
    assert_eq!(receipt["schema"]["discarded_columns"], json!(["n", "x"]));
    assert_eq!(lake.rows("SELECT * FROM a.t").await, [json!({"id": 1, "n": 1})]);
}

#[tokio::test]
async fn an_upload_of_which_no_row_is_good_changes_no_columns() {
    let lake = lake_with("id", "1").await;
    contract(&lake, "a.t", json!({"rules": [{"name": "r", "column": "id", "check": {"maximum": 1}}]})).await;
    let before = lake.describe("a.t").await;
    assert_problem(&lake.upload("a.t", "?format=csv", "id,new\n2,x\n").await, 422, "broken-rule");
    assert_eq!(lake.describe("a.t").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn columns_that_come_from_many_at_once_all_come() {
    let lake = lake_with("id", "0").await;
    let bodies = (1..=12).map(|id| (format!("id,c{}\n{id},x\n", id % 4), id));
    let answers = futures::future::join_all(bodies.map(|(body, _)| lake.upload("a.t", "?format=csv", body))).await;
    for answer in &answers {
        answer.expect_status(201);
    }
    let mut found = names(&lake, "a.t").await;
    found.sort();
    assert_eq!(found, ["c0", "c1", "c2", "c3", "id"]);
    assert_eq!(lake.count("a.t").await, 13);
    let with_value = "SELECT count(c0) + count(c1) + count(c2) + count(c3) AS n FROM a.t";
    assert_eq!(row(&lake, with_value).await["n"], 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn as_many_columns_come_at_once_as_there_are_uploads() {
    let lake = lake_with("id", "0").await;
    let bodies = (1..=16).map(|id| format!("id,c{id}\n{id},x\n"));
    let answers = futures::future::join_all(bodies.map(|body| lake.upload("a.t", "?format=csv", body))).await;
    for answer in &answers {
        answer.expect_status(201);
    }
    assert_eq!((names(&lake, "a.t").await.len(), lake.count("a.t").await), (17, 17));
}

#[tokio::test]
async fn a_wider_column_leaves_files_alone_that_do_not_have_it() {
    let lake = lake_with("id,a", "1,1").await;
    lake.upload("a.t", "?format=csv", "id,b\n2,2\n").await.expect_status(201);
    let huge = "123456789012345678901234567890";
    lake.upload("a.t", "?format=csv", format!("id,b\n3,{huge}\n")).await.expect_status(201);
    assert_eq!(lake.rows("SELECT id, b FROM a.t ORDER BY id").await.len(), 3);
    let sums = row(&lake, "SELECT sum(a) AS a, min(b)::VARCHAR AS least, max(b)::VARCHAR AS most FROM a.t").await;
    assert_eq!(sums, json!({"a": 1, "least": "2", "most": huge}));
    let folder = std::fs::read_dir(lake.data_dir().join("raw/tables/a/t")).unwrap().next().unwrap().unwrap().path();
    let entry = std::fs::read_to_string(folder.join("_delta_log/00000000000000000002.json")).unwrap();
    let actions = |kind: &str| entry.lines().filter(|line| line.starts_with(&format!("{{\"{kind}\""))).count();
    // Of the first two files the one with the column, written anew.
    assert_eq!((actions("remove"), actions("add")), (1, 1), "{entry}");
}

#[tokio::test]
async fn rows_that_broke_a_rule_are_replayed_once_the_rule_is_another() {
    let lake = lake_with("id,at", "1,2024-01-31T10:00:00Z").await;
    let rule = |least: i64| json!({"rules": [{"name": "r", "column": "id", "check": {"minimum": least}}]});
    contract(&lake, "a.t", rule(5)).await;
    let receipt = lake.upload("a.t", "?format=csv", "id,at\n2,2024-02-01T10:00:00Z\n7,\n").await.expect(201);
    assert_eq!(counts(&receipt), [2, 1, 1]);
    let path = format!("{}/quarantine/replay", table_path("a.t"));
    let body = json!({"upload_id": receipt["upload_id"]});
    assert_problem(&lake.call(Method::POST, &path).json(&body).send().await, 422, "broken-rule");
    contract(&lake, "a.t", rule(2)).await;
    let replayed = lake.call(Method::POST, &path).json(&body).send().await.expect(200);
    assert_eq!(counts(&replayed["receipts"][0]), [1, 1, 0]);
    let rows = lake.rows("SELECT id, CAST(at AS VARCHAR) AS at FROM a.t ORDER BY id").await;
    assert_eq!(rows[1], json!({"id": 2, "at": "2024-02-01T10:00:00Z"}));
    assert_eq!(lake.count("a.t__quarantine").await, 0);
}
