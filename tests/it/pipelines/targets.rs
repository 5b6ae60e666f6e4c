//! How the rows of a statement become those of a target that is there, or is not.

use serde_json::{Value, json};
use sluice_tests::assert_problem;

use super::{define, into_orders, lake, put, run, run_well};

#[tokio::test]
async fn a_merge_updates_by_keys_and_adds_the_others() {
    let lake = lake().await;
    let mut body = into_orders("SELECT id, amount FROM raw.orders", "merge");
    body["keys"] = json!(["id"]);
    define(&lake, "orders", &body).await;
    assert_eq!(run_well(&lake, "orders").await["rows_out"], 3);
    lake.upload("raw.orders", "?format=csv&mode=overwrite", "id,amount,region\n3,70,south\n4,1,west\n")
        .await
        .expect_status(201);
    let merged = run_well(&lake, "orders").await;
    assert_eq!((&merged["rows_in"], &merged["rows_out"]), (&json!(2), &json!(2)), "{merged}");
    let rows =
        json!([{"id": 1, "amount": 10}, {"id": 2, "amount": -5}, {"id": 3, "amount": 70}, {"id": 4, "amount": 1}]);
    assert_eq!(json!(lake.rows("SELECT id, amount FROM curated.orders ORDER BY id").await), rows);
}

#[tokio::test]
async fn a_merge_brings_columns_that_the_target_does_not_have() {
    let lake = lake().await;
    let mut body = into_orders("SELECT id FROM raw.orders WHERE id < 3", "merge");
    body["keys"] = json!(["id"]);
    define(&lake, "orders", &body).await;
    run_well(&lake, "orders").await;
    body["sql"] = json!("SELECT id, region FROM raw.orders WHERE id > 1");
    define(&lake, "orders", &body).await;
    run_well(&lake, "orders").await;
    let rows = json!([{"id": 1, "region": null}, {"id": 2, "region": "north"}, {"id": 3, "region": "south"}]);
    assert_eq!(json!(lake.rows("SELECT id, region FROM curated.orders ORDER BY id").await), rows);
}

#[tokio::test]
async fn an_overwrite_takes_over_the_columns_in_the_same_version() {
    let lake = lake().await;
    define(&lake, "orders", &into_orders("SELECT id, amount FROM raw.orders", "overwrite")).await;
    run_well(&lake, "orders").await;
    let other = "SELECT region, CAST(count(*) AS BIGINT) AS id FROM raw.orders GROUP BY region";
    define(&lake, "orders", &into_orders(other, "overwrite")).await;
    let second = run_well(&lake, "orders").await;
    assert_eq!(second["version_out"], 1, "rows and columns are one commit");
    let rows = json!([{"region": "north", "id": 2}, {"region": "south", "id": 1}]);
    assert_eq!(json!(lake.rows("SELECT * FROM curated.orders ORDER BY region").await), rows);
    let before = lake.rows("SELECT * FROM curated.orders VERSION AS OF 0 ORDER BY id LIMIT 1").await;
    assert_eq!(before, [json!({"id": 1, "amount": 10})]);
    let schemas = lake.get("/api/v1/tables/curated/orders/schema/history").await.expect(200);
    assert_eq!(schemas["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn aggregates_are_partitioned_and_nothing_is_something_too() {
    let lake = lake().await;
    lake.upload("raw.sales", "?format=csv", "category,sales\nA,100\nB,200\nA,150\nB,250\n").await.expect_status(201);
    let sql = "SELECT category, sum(sales) AS total_sales FROM raw.sales GROUP BY category";
    let body = json!({"sql": sql, "target": "curated.sales", "partition_by": ["category"]});
    define(&lake, "sales", &body).await;
    run_well(&lake, "sales").await;
    let rows = lake.rows("SELECT category, total_sales FROM curated.sales ORDER BY category").await;
    assert_eq!(rows, [json!({"category": "A", "total_sales": 250}), json!({"category": "B", "total_sales": 450})]);
    let adds: Vec<Value> =
        lake.log("curated.sales", 0).await.into_iter().filter(|line| line["add"].is_object()).collect();
    assert!(adds.iter().any(|line| line["add"]["path"].as_str().unwrap().starts_with("category=A/")), "{adds:?}");
    define(&lake, "sales", &json!({"sql": format!("{sql} HAVING sum(sales) < 0"), "target": "curated.sales"})).await;
    let empty = run_well(&lake, "sales").await;
    assert_eq!((&empty["rows_out"], &empty["version_out"]), (&json!(0), &json!(1)));
    assert_eq!(lake.count("curated.sales").await, 0);
    let other = json!({"sql": sql, "target": "curated.sales", "partition_by": ["total_sales"]});
    assert_problem(&put(&lake, "sales", &other).await, 422, "target-misfit");
}

#[tokio::test]
async fn an_append_widens_a_column_and_refuses_what_does_not_fit() {
    let lake = lake().await;
    define(&lake, "orders", &into_orders("SELECT CAST(id AS INT) AS id FROM raw.orders", "append")).await;
    run_well(&lake, "orders").await;
    define(&lake, "orders", &into_orders("SELECT id, region FROM raw.orders", "append")).await;
    run_well(&lake, "orders").await;
    assert_eq!(lake.count("curated.orders WHERE region IS NULL").await, 3);
    let misfit = put(&lake, "orders", &into_orders("SELECT region AS id FROM raw.orders", "append")).await;
    assert_problem(&misfit, 422, "target-misfit");
    assert!(misfit.text().contains("column id"), "{}", misfit.text());
}

#[tokio::test]
async fn a_type_that_changed_since_fails_the_run_and_not_the_target() {
    let lake = lake().await;
    define(&lake, "orders", &into_orders("SELECT id, amount FROM raw.orders", "append")).await;
    run_well(&lake, "orders").await;
    lake.call(axum::http::Method::DELETE, "/api/v1/tables/raw/orders").send().await.expect_status(204);
    lake.upload("raw.orders", "?format=csv", "id,amount\n1,much\n").await.expect_status(201);
    let failed = run(&lake, "orders").await;
    assert_eq!(failed["status"], "FAILED", "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("amount"), "{failed}");
    assert_eq!(lake.count("curated.orders").await, 3);
}

#[tokio::test]
async fn values_keep_their_place_in_the_types_of_a_table() {
    let lake = lake().await;
    let sql = "SELECT arrow_cast(7, 'UInt64') AS u, to_timestamp('2024-05-09T01:02:03Z') AS t, \
               arrow_cast('x', 'Utf8View') AS v, make_array(1, 2) AS l, NULL AS nothing, DATE '2024-05-09' AS d";
    define(&lake, "types", &json!({"sql": sql, "target": "curated.types"})).await;
    run_well(&lake, "types").await;
    let rows = lake.rows("SELECT u, t, v, l, nothing, d FROM curated.types").await;
    assert_eq!((&rows[0]["u"], &rows[0]["v"], &rows[0]["l"]), (&json!("7"), &json!("x"), &json!([1, 2])), "{rows:?}");
    assert!(rows[0]["t"].as_str().unwrap().starts_with("2024-05-09T01:02:03"), "{rows:?}");
    assert_eq!((&rows[0]["nothing"], &rows[0]["d"]), (&Value::Null, &json!("2024-05-09")));
}

#[tokio::test]
async fn a_scrub_finds_every_file_of_a_pipeline_in_the_ledger() {
    let lake = lake().await;
    let mut body = into_orders("SELECT id, amount FROM raw.orders", "merge");
    body["keys"] = json!(["id"]);
    define(&lake, "orders", &body).await;
    run_well(&lake, "orders").await;
    run_well(&lake, "orders").await;
    let closed = lake.close().await;
    let catalog = closed.catalog().await;
    let entry = catalog.tables().find(&"curated.orders".parse().unwrap()).await.unwrap();
    let files = catalog.inventory().files(entry.id, None, 100).await.unwrap();
    let commits = catalog.inventory().commits(entry.id, 0, 100).await.unwrap();
    assert_eq!(commits.len(), 2);
    let adds: Vec<Value> = commits
        .iter()
        .flat_map(|commit| {
            commit.content.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
        })
        .filter(|line| line["add"].is_object())
        .collect();
    assert_eq!(adds.len(), files.len());
    for add in adds {
        let path = add["add"]["path"].as_str().unwrap();
        assert!(files.iter().any(|file| file.path == path && file.size_bytes == add["add"]["size"]), "{path}");
    }
    catalog.close().await.unwrap();
}
