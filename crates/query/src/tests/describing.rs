//! Queries that are planned to their end and not run.

use rstest::rstest;
use sluice_domain::Failure as _;

use super::lake::TestQueries;
use crate::QueryRequest;

#[rstest]
#[case::column("SELECT id,\n  nope FROM shop.orders", 2, 3, "nope")]
#[case::function("SELECT nofunction(id) FROM shop.orders", 1, 8, "nofunction")]
#[case::table("SELECT id\nFROM shop.nothing", 2, 6, "shop.nothing")]
#[case::syntax("SELECT id FRM shop.orders WHERE", 1, 15, "shop")]
#[tokio::test]
async fn what_cannot_be_planned_is_told_with_its_place(
    #[case] sql: &str,
    #[case] line: u64,
    #[case] column: u64,
    #[case] word: &str,
) {
    let queries = TestQueries::new();
    let error = queries.service.describe(&queries.caller, QueryRequest::of(sql)).await.unwrap_err();
    assert!(error.reason().contains(word), "{error}");
    assert_eq!(error.position(sql), Some(crate::Position { line, column }), "{error}");
}

#[tokio::test]
async fn a_query_is_described_and_not_run() {
    let queries = TestQueries::new();
    let sql = "SELECT n, 1 / (n - n) AS broken, count(*) OVER () AS all_rows FROM shop.numbers";
    let described = queries.service.describe(&queries.caller, QueryRequest::of(sql)).await.unwrap();
    let names: Vec<&str> = described.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["n", "broken", "all_rows"]);
    assert_eq!(described.tables, [("shop.numbers".parse().unwrap(), 7)]);
    let explained = queries.service.describe(&queries.caller, QueryRequest::of(format!("EXPLAIN {sql}"))).await;
    assert_eq!(explained.unwrap_err().code(), "invalid-query");
}
