//! Statements over new rows alone: which are right, and what is told of those that are not.

use std::collections::BTreeMap;

use rstest::rstest;
use sluice_domain::{Failure as _, TableRef};

use super::lake::TestQueries;
use crate::{Described, OutputFormat, Position, QueryError, QueryRequest, RowLimit};

fn orders() -> TableRef {
    "shop.orders".parse().unwrap()
}

async fn describe(queries: &TestQueries, sql: &str, incremental: &[TableRef]) -> Result<Described, QueryError> {
    let incremental = incremental.iter().map(|table| (table.clone(), None)).collect();
    queries.service.describe(&queries.caller, QueryRequest { incremental, ..QueryRequest::of(sql) }).await
}

#[rstest]
#[case::row_by_row("SELECT id + 1 AS id, upper(name) AS name FROM shop.orders WHERE price > 0")]
#[case::ordered("SELECT id FROM shop.orders ORDER BY id")]
#[case::of_steps("WITH paid AS (SELECT id FROM shop.orders WHERE price > 0) SELECT * FROM paid")]
#[case::dimension("SELECT o.id, c.name FROM shop.orders o JOIN shop.customers c ON o.id = c.id")]
#[case::dimension_first("SELECT o.id, c.name FROM shop.customers c JOIN shop.orders o ON o.id = c.id")]
#[case::left("SELECT o.id, c.name FROM shop.orders o LEFT JOIN shop.customers c ON o.id = c.id")]
#[case::right("SELECT o.id, c.name FROM shop.customers c RIGHT JOIN shop.orders o ON o.id = c.id")]
#[case::cross("SELECT o.id, c.name FROM shop.orders o CROSS JOIN shop.customers c")]
#[case::summed_dimension(
    "SELECT o.id, s.total FROM shop.orders o JOIN (SELECT customer, sum(amount) AS total FROM shop.sales GROUP BY \
     customer) s ON s.customer = o.id"
)]
#[case::semi("SELECT id FROM shop.orders o WHERE EXISTS (SELECT 1 FROM shop.customers c WHERE c.id = o.id)")]
#[case::not_in("SELECT id FROM shop.orders WHERE id NOT IN (SELECT id FROM shop.customers)")]
#[case::scalar("SELECT id, (SELECT max(amount) FROM shop.sales s WHERE s.customer = o.id) AS m FROM shop.orders o")]
#[case::union_all("SELECT id FROM shop.orders WHERE id < 2 UNION ALL SELECT id FROM shop.orders WHERE id > 2")]
#[case::unnested("SELECT id, unnest(make_array(1, 2)) AS n FROM shop.orders")]
#[tokio::test]
async fn what_each_row_gives_by_itself_is_right_over_new_rows(#[case] sql: &str) {
    let queries = TestQueries::new();
    let described = describe(&queries, sql, &[orders()]).await;
    assert!(described.is_ok(), "{described:?}");
}

#[rstest]
#[case::sum("SELECT sum(id) AS s FROM shop.orders", 1, 12, "summed up")]
#[case::count("SELECT count(*) AS n\nFROM shop.orders", 2, 6, "summed up")]
#[case::group("SELECT name,\n count(*) AS n FROM shop.orders GROUP BY name", 2, 42, "summed up")]
#[case::having("SELECT 1 AS x FROM shop.orders HAVING max(id) > 1", 1, 43, "summed up")]
#[case::distinct("SELECT DISTINCT name FROM shop.orders", 1, 27, "distinct")]
#[case::distinct_on("SELECT DISTINCT ON (name) name, id FROM shop.orders", 1, 21, "distinct")]
#[case::window("SELECT id, row_number() OVER (ORDER BY price) AS n FROM shop.orders", 1, 40, "window")]
#[case::limit("SELECT id FROM shop.orders LIMIT 3", 1, 16, "LIMIT")]
#[case::ordered_limit("SELECT id FROM shop.orders ORDER BY id LIMIT 3", 1, 16, "LIMIT")]
#[case::union("SELECT id FROM shop.orders UNION SELECT id FROM shop.orders", 1, 16, "distinct")]
#[case::intersect("SELECT id FROM shop.orders INTERSECT SELECT id FROM shop.customers", 1, 16, "distinct")]
#[case::except_all("SELECT id FROM shop.orders EXCEPT ALL SELECT id FROM shop.customers", 1, 16, "set operation")]
#[case::partial_union("SELECT id FROM shop.orders UNION ALL SELECT id FROM shop.customers", 1, 16, "UNION ALL")]
#[case::itself("SELECT a.id FROM shop.orders a JOIN shop.orders b ON a.id = b.id", 1, 54, "another incremental input")]
#[case::null_side(
    "SELECT c.id, o.id AS o FROM shop.customers c LEFT JOIN shop.orders o ON c.id = o.id",
    1,
    73,
    "outer join"
)]
#[case::full("SELECT o.id FROM shop.orders o FULL JOIN shop.customers c ON c.id = o.id", 1, 62, "outer join")]
#[case::exists(
    "SELECT id FROM shop.customers c WHERE EXISTS (SELECT 1 FROM shop.orders o WHERE o.id = c.id)",
    1,
    61,
    "subquery"
)]
#[case::within("SELECT id FROM shop.customers WHERE id IN (SELECT id FROM shop.orders)", 1, 59, "subquery")]
#[case::scalar("SELECT id, (SELECT max(o.id) FROM shop.orders o) AS m FROM shop.customers", 1, 24, "summed up")]
#[case::of_step("WITH n AS (SELECT count(*) AS n FROM shop.orders) SELECT n FROM n", 1, 38, "summed up")]
#[tokio::test]
async fn what_needs_other_rows_is_refused_with_its_place(
    #[case] sql: &str,
    #[case] line: u64,
    #[case] column: u64,
    #[case] reason: &str,
) {
    let queries = TestQueries::new();
    let error = describe(&queries, sql, &[orders()]).await.unwrap_err();
    assert_eq!(error.code(), "not-incremental", "{error}");
    assert!(error.reason().contains(reason) && error.reason().contains("shop.orders"), "{error}");
    assert_eq!(error.position(sql), Some(Position { line, column }), "{error}");
    assert!(describe(&queries, sql, &[]).await.is_ok(), "it is right over all rows");
}

#[tokio::test]
async fn two_incremental_tables_are_united_and_not_joined() {
    let queries = TestQueries::new();
    let both = [orders(), "shop.customers".parse().unwrap()];
    let united = "SELECT id FROM shop.orders UNION ALL SELECT id FROM shop.customers";
    assert!(describe(&queries, united, &both).await.is_ok());
    let joined = "SELECT o.id FROM shop.orders o JOIN shop.customers c USING (id)";
    let error = describe(&queries, joined, &both).await.unwrap_err();
    assert_eq!(error.code(), "not-incremental");
}

#[rstest]
#[case::not_read("SELECT id FROM shop.customers", "not a table that is queried")]
#[case::fixed("SELECT id FROM shop.orders VERSION AS OF 1", "no new rows")]
#[tokio::test]
async fn a_table_that_gets_no_new_rows_in_a_statement_is_refused(#[case] sql: &str, #[case] reason: &str) {
    let queries = TestQueries::new();
    let error = describe(&queries, sql, &[orders()]).await.unwrap_err();
    assert!(error.to_string().contains(reason), "{error}");
}

#[tokio::test]
async fn a_statement_that_is_run_is_held_to_the_same() {
    let queries = TestQueries::new();
    let ask = |sql: &str, since| {
        let incremental = BTreeMap::from([(orders(), since)]);
        let request = QueryRequest { incremental, row_limit: RowLimit::None, ..QueryRequest::of(sql) };
        queries.run(request, OutputFormat::Json)
    };
    let refused = ask("SELECT count(*) AS n FROM shop.orders", Some(1)).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), "not-incremental");
    let new = ask("SELECT id FROM shop.orders", Some(1)).await.unwrap();
    assert_eq!((new.stats.rows, new.text().as_str()), (1, "[{\"id\":4}]"));
    assert_eq!(ask("SELECT id FROM shop.orders", Some(2)).await.unwrap().stats.rows, 0, "nothing came after it");
}
