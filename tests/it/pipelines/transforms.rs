//! Steps that say what becomes of rows and columns, and not how.

use rstest::rstest;
use serde_json::{Value, json};
use sluice_tests::{TestLake, assert_problem};

use super::{define, put, run, run_well};

/// What steps make of the rows of `raw.rows`, in the order of a column of the result.
async fn made(csv: &str, steps: Value, order: &str) -> Value {
    let lake = TestLake::open().await;
    lake.upload("raw.rows", "?format=csv", csv.to_owned()).await.expect_status(201);
    define(&lake, "p", &json!({"inputs": ["raw.rows"], "steps": steps, "target": "curated.rows"})).await;
    run_well(&lake, "p").await;
    json!(lake.rows(&format!("SELECT * FROM curated.rows ORDER BY {order}")).await)
}

/// One column of rows.
fn column(rows: &Value, name: &str) -> Value {
    rows.as_array().unwrap().iter().map(|row| row[name].clone()).collect()
}

#[rstest]
#[case::first(json!({"keys": ["a", "b"], "keep": "first", "order_by": ["n"]}), json!([0, 1, 3, 4]))]
#[case::last(json!({"keys": ["a", "b"], "keep": "last", "order_by": ["n"]}), json!([0, 2, 3, 6]))]
#[case::none(json!({"keys": ["a", "b"], "keep": "none"}), json!([0, 3]))]
#[tokio::test]
async fn of_rows_that_are_the_same_one_or_none_stays(#[case] how: Value, #[case] rows: Value) {
    let csv = "n,a,b\n0,1,a\n1,2,b\n2,2,b\n3,3,c\n4,4,d\n5,4,d\n6,4,d\n";
    let made = made(csv, json!([{"deduplicate": how}]), "n").await;
    assert_eq!(column(&made, "n"), rows);
    assert_eq!(made[0], json!({"n": 0, "a": 1, "b": "a"}), "all columns stay, and none comes in addition");
}

#[tokio::test]
async fn the_newest_row_of_each_key_stays_and_one_without_a_date_is_not_the_newest() {
    let csv =
        "id,customer_id,product_id,order_date\n1,7,1,2026-01-01\n2,7,1,2026-03-01\n3,7,1,\n4,7,2,2026-02-01\n5,8,1,\n";
    let how = json!({"keys": ["customer_id", "product_id"], "keep": "last", "order_by": ["order_date"]});
    assert_eq!(column(&made(csv, json!([{"deduplicate": how}]), "id").await, "id"), json!([2, 4, 5]));
    let whole = made("a,b\n1,x\n1,x\n2,y\n", json!([{"deduplicate": {}}]), "a").await;
    assert_eq!(whole, json!([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]));
}

#[rstest]
#[case::null("null", json!(["1.00", null, null]))]
#[case::drop_row("drop_row", json!(["1.00", null]))]
#[tokio::test]
async fn what_cannot_be_cast_goes_the_way_that_is_said(#[case] on_error: &str, #[case] wanted: Value) {
    let csv = "n,amount\n0,1\n1,x\n2,\n";
    let step = json!({"cast": {"columns": {"amount": "decimal(10,2)", "n": "int"}, "on_error": on_error}});
    let rows = made(csv, json!([step]), "n").await;
    assert_eq!(column(&rows, "amount"), wanted, "{rows}");
}

#[tokio::test]
async fn what_cannot_be_cast_ends_the_run_where_nothing_is_said() {
    let lake = TestLake::open().await;
    lake.upload("raw.rows", "?format=csv", "amount\n1\nx\n").await.expect_status(201);
    let steps = json!([{"cast": {"columns": {"amount": "long"}}}]);
    define(&lake, "p", &json!({"inputs": ["raw.rows"], "steps": steps, "target": "curated.rows"})).await;
    let failed = run(&lake, "p").await;
    assert_eq!(failed["status"], "FAILED", "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("'x'"), "{failed}");
}

#[tokio::test]
async fn columns_are_filled_renamed_chosen_and_rows_filtered() {
    let csv = "Id,region,amount,note\n1,north,,x\n2,,5,y\n3,south,7,z\n";
    let steps = json!([
        {"name": "filled", "fill_null": {"region": "it's unknown", "amount": 0}},
        {"rename": {"Id": "id"}},
        {"drop": ["note"]},
        {"filter": "amount < 7"},
        {"select": ["id", "region", "amount"]},
    ]);
    let rows = json!([{"id": 1, "region": "north", "amount": 0}, {"id": 2, "region": "it's unknown", "amount": 5}]);
    assert_eq!(made(csv, steps, "id").await, rows);
}

#[tokio::test]
async fn columns_become_rows_and_rows_columns() {
    let csv = "region,jan,feb\nnorth,1,2\nsouth,3,\n";
    let unpivot = json!({"unpivot": {"columns": ["jan", "feb"], "name_column": "month", "value_column": "amount"}});
    let rows = made(csv, json!([unpivot]), "region, month").await;
    let long = json!([
        {"region": "north", "month": "feb", "amount": 2}, {"region": "north", "month": "jan", "amount": 1},
        {"region": "south", "month": "feb", "amount": null}, {"region": "south", "month": "jan", "amount": 3},
    ]);
    assert_eq!(rows, long);
    let pivot = json!({"pivot": {"index": ["region"], "column": "month", "values": ["jan", "feb", "mar"],
        "value": "amount", "aggregate": "sum"}});
    let rows = made(csv, json!([unpivot, pivot]), "region").await;
    let wide = json!([
        {"region": "north", "jan": 1, "feb": 2, "mar": null}, {"region": "south", "jan": 3, "feb": null, "mar": null},
    ]);
    assert_eq!(rows, wide);
}

#[tokio::test]
async fn values_are_masked_by_column() {
    let csv = "id,email,phone\nCUST001,john.doe@example.com,555-012-3456 ext\nCUST002,,123\n";
    let columns = json!({"email": "email", "phone": "phone", "id": "hash"});
    let step = json!({"mask": {"columns": columns, "salt": "default_salt", "length": 10}});
    let rows = made(csv, json!([step]), "phone DESC").await;
    assert_eq!(rows[0], json!({"id": "210aeba2eb", "email": "j******e@example.com", "phone": "555-012-**** ext"}));
    assert_eq!((&rows[1]["email"], &rows[1]["phone"]), (&Value::Null, &json!("****")));
}

#[tokio::test]
async fn rows_are_told_their_window_and_their_session() {
    let csv = "n,user,at\n1,a,2026-01-01T10:00:00\n2,a,2026-01-01T10:20:00\n3,a,2026-01-01T11:00:00\n4,b,2026-01-01T10:59:59\n";
    let steps = json!([
        {"tumbling_window": {"time": "at", "every_seconds": 3600, "as": "hour"}},
        {"session_window": {"time": "at", "gap_seconds": 1800, "keys": ["user"]}},
    ]);
    let rows = made(csv, steps, "n").await;
    assert_eq!(column(&rows, "session"), json!([1, 1, 2, 1]));
    let hours: Vec<String> =
        rows.as_array().unwrap().iter().map(|row| row["hour"].as_str().unwrap()[11..13].to_owned()).collect();
    assert_eq!(hours, ["10", "10", "11", "10"]);
}

#[rstest]
#[case(json!([{"cast": {"columns": {"nope": "long"}}}]), "steps[0].cast.columns.nope")]
#[case(json!([{"drop": ["a", "nope"]}]), "steps[0].drop[1]")]
#[case(json!([{"select": ["nope"]}]), "steps[0].select[0]")]
#[case(json!([{"rename": {"nope": "x"}}]), "steps[0].rename.nope")]
#[case(json!([{"drop": ["a"]}, {"fill_null": {"a": 1}}]), "steps[1].fill_null.a")]
#[case(json!([{"drop": ["a"]}, {"drop": ["a"]}]), "steps[1].drop[0]")]
#[case(json!([{"deduplicate": {"keys": ["nope"], "order_by": ["a"]}}]), "steps[0].deduplicate.keys[0]")]
#[case(json!([{"mask": {"columns": {"nope": "email"}}}]), "steps[0].mask.columns.nope")]
#[case(json!([{"filter": "nope > 1"}]), "steps[0].filter")]
#[case(json!([{"unpivot": {"columns": ["a", "nope"], "name_column": "n", "value_column": "v"}}]), "steps[0].unpivot.columns[1]")]
#[case(json!([{"pivot": {"index": ["a"], "column": "nope", "values": [1], "value": "b", "aggregate": "sum"}}]), "steps[0].pivot.column")]
#[case(json!([{"tumbling_window": {"time": "nope", "every_seconds": 60}}]), "steps[0].tumbling_window.time")]
#[tokio::test]
async fn a_column_that_is_not_there_is_told_by_its_field(#[case] steps: Value, #[case] field: &str) {
    let lake = TestLake::open().await;
    lake.upload("raw.rows", "?format=csv", "a,b\n1,2\n").await.expect_status(201);
    let answer = put(&lake, "p", &json!({"inputs": ["raw.rows"], "steps": steps, "target": "curated.rows"})).await;
    assert_problem(&answer, 422, "bad-statement");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with(field), "{detail}");
}

#[tokio::test]
async fn steps_are_shown_as_they_were_said() {
    let lake = TestLake::open().await;
    lake.upload("raw.rows", "?format=csv", "a,b\n1,2\n").await.expect_status(201);
    let steps = json!([{"drop": ["b"]}]);
    define(&lake, "p", &json!({"inputs": ["raw.rows"], "steps": steps, "target": "curated.rows"})).await;
    assert_eq!(lake.get("/api/v1/pipelines/p").await.expect(200)["steps"], steps);
    let two = json!([{"drop": ["b"], "select": ["a"]}]);
    let answer = put(&lake, "p", &json!({"inputs": ["raw.rows"], "steps": two, "target": "curated.rows"})).await;
    assert_problem(&answer, 422, "bad-pipeline");
    let unknown = json!([{"drop": ["b"], "nonsense": 1}]);
    let answer = put(&lake, "p", &json!({"inputs": ["raw.rows"], "steps": unknown, "target": "curated.rows"})).await;
    assert!(answer.status.is_client_error(), "{}", answer.text());
}
