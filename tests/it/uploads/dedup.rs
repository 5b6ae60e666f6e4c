//! Rows that are there already are not added again, and the receipt says how many they were.

use rstest::rstest;
use serde_json::{Value, json};
use sluice_tests::TestLake;

use super::modes::assert_adds_up;

const ROWS: &str = "A,B\n1,a\n2,b\n2,b\n3,c\n4,d\n4,d\n4,d\n";

/// Upload, check the counts, and give the rows of the table.
async fn added(lake: &TestLake, query: &str, rows: &str, (committed, deduplicated): (u64, u64)) {
    let receipt = lake.upload("a.t", &format!("?format=csv&{query}"), rows.to_owned()).await.expect(201);
    assert_adds_up(&receipt);
    let counts = (receipt["rows_committed"].as_u64(), receipt["rows_deduplicated"].as_u64());
    assert_eq!(counts, (Some(committed), Some(deduplicated)), "{query}: {receipt}");
}

async fn numbers(lake: &TestLake) -> Vec<i64> {
    let rows = lake.rows(r#"SELECT "A" AS a FROM a.t ORDER BY 1"#).await;
    rows.iter().map(|row| row["a"].as_i64().unwrap()).collect()
}

#[rstest]
#[case("dedup_keys=A", &[1, 2, 3, 4])]
#[case("dedup_keys=a,b", &[1, 2, 3, 4])]
#[case("dedup_keys=*", &[1, 2, 3, 4])]
#[case("dedup_keys=A&dedup_keep=last", &[1, 2, 3, 4])]
#[case("dedup_keys=A&dedup_keep=none", &[1, 3])]
#[case("dedup_keys=A&dedup=within", &[1, 2, 3, 4])]
#[case("dedup_keys=A&dedup=across", &[1, 2, 2, 3, 4, 4, 4])]
#[case("mode=overwrite&dedup_keys=A&dedup_keep=none", &[1, 3])]
#[case("mode=error_if_exists&dedup_keys=A", &[1, 2, 3, 4])]
#[tokio::test]
async fn rows_of_one_upload_are_compared(#[case] query: &str, #[case] expected: &[i64]) {
    let lake = TestLake::open().await;
    let committed = expected.len() as u64;
    added(&lake, query, ROWS, (committed, 7 - committed)).await;
    assert_eq!(numbers(&lake).await, expected);
}

#[rstest]
#[case("dedup_keys=A", (1, 3), &[1, 2, 9])]
#[case("dedup_keys=A&dedup_keep=none", (0, 4), &[1, 2])]
#[case("dedup_keys=A&dedup=across", (2, 2), &[1, 2, 9, 9])]
#[case("dedup_keys=A&dedup=within", (3, 1), &[1, 1, 2, 2, 9])]
#[tokio::test]
async fn rows_of_the_table_are_compared(#[case] query: &str, #[case] counts: (u64, u64), #[case] expected: &[i64]) {
    let lake = TestLake::open().await;
    added(&lake, "", "A,B\n1,a\n2,b\n", (2, 0)).await;
    added(&lake, query, "A,B\n1,x\n9,y\n2,x\n9,z\n", counts).await;
    assert_eq!(numbers(&lake).await, expected);
    // The rows that were there are as they were.
    let rows = lake.rows(r#"SELECT "B" AS b FROM a.t WHERE "A" = 1 AND "B" = 'a'"#).await;
    assert_eq!(rows, [json!({"b": "a"})]);
}

#[tokio::test]
async fn the_newest_row_of_a_key_is_kept() {
    let lake = TestLake::open().await;
    let rows = "customer_id,product_id,order_date,n\n1,1,2024-01-02,b\n1,1,2024-01-03,c\n1,1,2024-01-01,a\n\
                1,2,2024-01-01,d\n2,1,2024-02-01,e\n2,1,2024-02-01,f\n";
    added(&lake, "dedup_keys=customer_id,product_id&order_by=order_date", rows, (3, 3)).await;
    let kept: Vec<Value> = lake.rows("SELECT n FROM a.t ORDER BY n").await;
    assert_eq!(kept, ["c", "d", "f"].map(|n| json!({ "n": n })));
}

#[tokio::test]
async fn records_that_came_before_are_dropped_whole_missing_values_included() {
    let lake = TestLake::open().await;
    let page = r#"[{"created_at": "2024-03-05", "amount": "5"}, {"created_at": "2024-03-05", "amount": "5"},
                   {"created_at": "2024-03-05", "amount": null}]"#;
    let query = "/api/v1/tables/a/sales_data/uploads?format=json&dedup_keys=*";
    let receipt = lake.post(query, &[], page).await.expect(201);
    assert_adds_up(&receipt);
    assert_eq!((&receipt["rows_committed"], &receipt["rows_deduplicated"]), (&json!(2), &json!(1)));
    let receipt = lake.post(query, &[], page).await.expect(201);
    assert_eq!((&receipt["rows_committed"], &receipt["rows_deduplicated"]), (&json!(0), &json!(3)));
    assert_eq!(lake.count("a.sales_data").await, 2);
}
