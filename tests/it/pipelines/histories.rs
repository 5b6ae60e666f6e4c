//! Merges that keep what rows were before, and those that replace whole partitions.

use rstest::rstest;
use serde_json::{Value, json};
use sluice_tests::{TestLake, assert_problem};

use super::{define, into_orders, lake, put, run, run_well};

fn dimension(sql: &str) -> Value {
    let mut body = into_orders(sql, "merge");
    body["keys"] = json!(["id"]);
    body["scd"] = json!(2);
    body
}

async fn bring(lake: &TestLake, rows: &str) {
    lake.upload("raw.orders", "?format=csv&mode=overwrite", format!("id,amount,region\n{rows}"))
        .await
        .expect_status(201);
}

/// What holds, as `id:amount`.
async fn current(lake: &TestLake) -> String {
    let sql = "SELECT id, amount FROM curated.orders WHERE is_current AND valid_to IS NULL ORDER BY id";
    let rows = lake.rows(sql).await;
    let told: Vec<String> = rows.iter().map(|row| format!("{}:{}", row["id"], row["amount"])).collect();
    told.join(" ")
}

#[tokio::test]
async fn a_row_that_differs_is_closed_and_the_new_one_is_current() {
    let lake = lake().await;
    let made = define(&lake, "orders", &dimension("SELECT id, amount, region FROM raw.orders")).await;
    assert_eq!((&made["scd"], &made["deletes"]), (&json!(2), &Value::Null));
    let first = run_well(&lake, "orders").await;
    assert_eq!((&first["rows_out"], current(&lake).await.as_str()), (&json!(3), "1:10 2:-5 3:7"));
    bring(&lake, "1,11,north\n3,7,south\n4,1,west\n").await;
    let second = run_well(&lake, "orders").await;
    assert_eq!((&second["rows_out"], current(&lake).await.as_str()), (&json!(2), "1:11 2:-5 3:7 4:1"), "{second}");
    let sql = "SELECT amount, valid_from, valid_to, is_current FROM curated.orders WHERE id = 1 ORDER BY valid_from";
    let both = lake.rows(sql).await;
    assert_eq!((&both[0]["amount"], &both[0]["is_current"]), (&json!(10), &json!(false)), "{both:?}");
    assert_eq!((&both[0]["valid_to"], &both[1]["valid_to"]), (&both[1]["valid_from"], &Value::Null), "{both:?}");
    let began = |run: &Value| run["started_at"].as_str().unwrap()[..23].to_owned();
    let moment = |value: &Value| value.as_str().unwrap().replace(' ', "T")[..23].to_owned();
    assert_eq!(moment(&both[0]["valid_from"]), began(&first));
    assert_eq!(moment(&both[1]["valid_from"]), began(&second));
    let columns = lake.get("/api/v1/tables/curated/orders/lineage?columns=true").await;
    assert!(columns.text().contains("amount"), "{}", columns.text());
}

#[tokio::test]
async fn what_is_equal_writes_nothing_and_what_is_gone_is_closed_if_asked() {
    let lake = lake().await;
    let mut body = dimension("SELECT id, amount, region FROM raw.orders");
    define(&lake, "orders", &body).await;
    run_well(&lake, "orders").await;
    let again = run_well(&lake, "orders").await;
    assert_eq!((&again["rows_out"], &again["bytes_out"]), (&json!(0), &json!(0)), "{again}");
    assert_eq!(lake.count("curated.orders").await, 3);
    bring(&lake, "1,10,north\n").await;
    run_well(&lake, "orders").await;
    assert_eq!(current(&lake).await, "1:10 2:-5 3:7");
    body["deletes"] = json!("close");
    assert_eq!(define(&lake, "orders", &body).await["deletes"], "close");
    let closing = run_well(&lake, "orders").await;
    assert_eq!((&closing["rows_out"], current(&lake).await.as_str()), (&json!(2), "1:10"));
    assert_eq!(lake.count("curated.orders").await, 3, "closed rows stay");
    bring(&lake, "1,10,north\n2,-5,north\n").await;
    run_well(&lake, "orders").await;
    assert_eq!((current(&lake).await.as_str(), lake.count("curated.orders").await), ("1:10 2:-5", 4));
}

#[tokio::test]
async fn a_key_twice_in_the_result_fails_the_run_by_the_key() {
    let lake = lake().await;
    define(&lake, "orders", &dimension("SELECT id, amount FROM raw.orders")).await;
    run_well(&lake, "orders").await;
    bring(&lake, "7,1,north\n8,1,north\n7,2,north\n").await;
    let failed = run(&lake, "orders").await;
    assert_eq!((&failed["status"], &failed["attempts"]), (&json!("FAILED"), &json!(1)), "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("id = 7"), "{failed}");
    assert_eq!(
        (lake.describe("curated.orders").await["version"].clone(), current(&lake).await.as_str()),
        (json!(0), "1:10 2:-5 3:7")
    );
}

#[tokio::test]
async fn a_column_that_the_statement_brings_makes_new_rows_of_those_that_have_it() {
    let lake = lake().await;
    define(&lake, "orders", &dimension("SELECT id, amount FROM raw.orders")).await;
    run_well(&lake, "orders").await;
    let sql = "SELECT id, amount, CASE WHEN id = 3 THEN region END AS region FROM raw.orders";
    define(&lake, "orders", &dimension(sql)).await;
    assert_eq!(run_well(&lake, "orders").await["rows_out"], 1);
    let rows = lake.rows("SELECT region, is_current FROM curated.orders WHERE id = 3 ORDER BY valid_from").await;
    assert_eq!(rows, [json!({"region": null, "is_current": false}), json!({"region": "south", "is_current": true})]);
}

#[rstest]
#[case::own_column(json!({"sql": "SELECT 1 AS id, 2 AS \"Valid_From\"", "scd": 2}), "target-misfit", "valid_from")]
#[case::unknown_type(json!({"sql": "SELECT 1 AS id", "scd": 3}), "bad-pipeline", "scd")]
#[case::deletes_alone(json!({"sql": "SELECT 1 AS id", "deletes": "close"}), "bad-pipeline", "deletes")]
#[case::other_deletes(json!({"sql": "SELECT 1 AS id", "scd": 2, "deletes": "drop"}), "bad-pipeline", "deletes")]
#[case::no_merge(json!({"sql": "SELECT 1 AS id", "scd": 2, "mode": "append", "keys": []}), "bad-pipeline", "scd")]
#[case::plain_target(json!({"sql": "SELECT id FROM raw.orders", "scd": 2, "target": "raw.plain"}), "target-misfit", "valid_from")]
#[tokio::test]
async fn a_history_that_cannot_be_is_refused_by_its_field(
    #[case] mut body: Value,
    #[case] code: &str,
    #[case] field: &str,
) {
    let lake = lake().await;
    lake.upload("raw.plain", "?format=csv", "id\n1\n").await.expect_status(201);
    for (name, usual) in [("target", json!("curated.x")), ("mode", json!("merge")), ("keys", json!(["id"]))] {
        if body[name].is_null() {
            body[name] = usual;
        }
    }
    let answer = put(&lake, "p", &body).await;
    assert_problem(&answer, 422, code);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(field), "{detail}");
}

const DAYS: &str = "SELECT day, sum(amount) AS total FROM raw.sales GROUP BY day";

async fn sales(lake: &TestLake, rows: &str) {
    lake.upload("raw.sales", "?format=csv&mode=overwrite", format!("day,amount\n{rows}")).await.expect_status(201);
}

#[tokio::test]
async fn only_partitions_that_the_result_has_are_replaced() {
    let lake = lake().await;
    lake.upload("raw.sales", "?format=csv", "day,amount\nmon,1\ntue,2\ntue,3\n").await.expect_status(201);
    let body = json!({"sql": DAYS, "target": "curated.days", "mode": "overwrite_partitions", "partition_by": ["day"]});
    assert_eq!(define(&lake, "days", &body).await["mode"], "overwrite_partitions");
    run_well(&lake, "days").await;
    sales(&lake, "tue,40\nwed,5\n").await;
    let second = run_well(&lake, "days").await;
    assert_eq!((&second["rows_out"], &second["version_out"]), (&json!(2), &json!(1)));
    let all = "SELECT day, total FROM curated.days ORDER BY day";
    let expected = json!([{"day": "mon", "total": 1}, {"day": "tue", "total": 40}, {"day": "wed", "total": 5}]);
    assert_eq!(json!(lake.rows(all).await), expected);
    let mut none = body.clone();
    none["sql"] = json!(format!("{DAYS} HAVING sum(amount) < 0"));
    define(&lake, "days", &none).await;
    assert_eq!(run_well(&lake, "days").await["rows_out"], 0);
    assert_eq!(json!(lake.rows(all).await), expected, "no partition is in the result");
    let mut wider = body.clone();
    wider["sql"] =
        json!("SELECT day, sum(amount) AS total, count(*) AS sold FROM raw.sales WHERE day = 'wed' GROUP BY day");
    define(&lake, "days", &wider).await;
    run_well(&lake, "days").await;
    let rows = lake.rows("SELECT day, sold FROM curated.days ORDER BY day").await;
    assert_eq!(
        json!(rows),
        json!([{"day": "mon", "sold": null}, {"day": "tue", "sold": null}, {"day": "wed", "sold": 1}])
    );
}

#[tokio::test]
async fn partitions_of_a_table_without_any_are_not_replaced() {
    let lake = lake().await;
    let mut body = into_orders("SELECT id FROM raw.orders", "overwrite_partitions");
    let answer = put(&lake, "orders", &body).await;
    assert_problem(&answer, 422, "bad-pipeline");
    assert!(answer.text().contains("partition_by"), "{}", answer.text());
    body["mode"] = json!("append");
    define(&lake, "orders", &body).await;
    run_well(&lake, "orders").await;
    body["mode"] = json!("overwrite_partitions");
    assert_problem(&put(&lake, "orders", &body).await, 422, "bad-pipeline");
}
