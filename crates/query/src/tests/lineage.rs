//! What the columns of results come from: statements over `shop.sales` (id, customer, amount, day, tags) and
//! `shop.customers` (id, name, region), each with all that its answer must say.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rstest::rstest;
use sluice_domain::lineage::{Influence, SqlInput, SqlLineage};

use super::lake::TestQueries;
use crate::{QueryError, QuerySettings};

async fn lineage(sql: &str) -> Result<SqlLineage, QueryError> {
    let queries = TestQueries::new();
    queries.service.lineage(&queries.caller, crate::QueryRequest::of(sql)).await
}

/// `sales.amount AGGREGATION, …`, in order.
fn told(inputs: &[SqlInput]) -> String {
    let inputs: BTreeSet<String> =
        inputs.iter().map(|input| format!("{}.{} {}", input.table.table, input.column, input.influence)).collect();
    inputs.into_iter().collect::<Vec<_>>().join(", ")
}

/// `name: inputs` of every column, and `*: inputs` for what all rows depend on, where there is something.
fn whole(lineage: &SqlLineage) -> String {
    let outputs = lineage.outputs.iter().map(|output| format!("{}: {}", output.name, told(&output.inputs)));
    let influences = Some(&lineage.influences).filter(|influences| !influences.is_empty());
    let lines = outputs.chain(influences.map(|influences| format!("*: {}", told(influences))));
    lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("; ")
}

#[rstest]
#[case::column("SELECT amount FROM shop.sales", "amount: sales.amount IDENTITY")]
#[case::alias("SELECT s.amount AS a FROM shop.sales s", "a: sales.amount IDENTITY")]
#[case::star(
    "SELECT * FROM shop.customers",
    "id: customers.id IDENTITY; name: customers.name IDENTITY; region: customers.region IDENTITY"
)]
#[case::star_but("SELECT * EXCLUDE (id, name) FROM shop.customers", "region: customers.region IDENTITY")]
#[case::arithmetic("SELECT amount * 2 AS double_amount FROM shop.sales", "double_amount: sales.amount TRANSFORMATION")]
#[case::cast("SELECT CAST(id AS VARCHAR) AS t FROM shop.sales", "t: sales.id TRANSFORMATION")]
#[case::function(
    "SELECT concat(name, '-', region) AS k FROM shop.customers",
    "k: customers.name TRANSFORMATION, customers.region TRANSFORMATION"
)]
#[case::literal("SELECT 1 AS one, id FROM shop.sales", "one:; id: sales.id IDENTITY")]
#[case::nothing("SELECT 1 AS one", "one:")]
#[case::values("SELECT * FROM (VALUES (1, 2)) AS v (a, b)", "a:; b:")]
#[case::filter(
    "SELECT id FROM shop.sales WHERE amount > 0 AND day = 'mon'",
    "id: sales.id IDENTITY; *: sales.amount FILTER, sales.day FILTER"
)]
#[case::filter_in_list("SELECT id FROM shop.sales WHERE day IN ('mon')", "id: sales.id IDENTITY; *: sales.day FILTER")]
#[case::order("SELECT id FROM shop.sales ORDER BY day DESC LIMIT 3", "id: sales.id IDENTITY; *: sales.day SORT")]
#[case::group(
    "SELECT day, sum(amount) AS total FROM shop.sales GROUP BY day",
    "day: sales.day IDENTITY; total: sales.amount AGGREGATION; *: sales.day GROUP_BY"
)]
#[case::group_by_expression(
    "SELECT upper(day) AS d, count(*) AS n FROM shop.sales GROUP BY upper(day)",
    "d: sales.day TRANSFORMATION; n:; *: sales.day GROUP_BY"
)]
#[case::having(
    "SELECT day FROM shop.sales GROUP BY day HAVING max(amount) > 3",
    "day: sales.day IDENTITY; *: sales.amount FILTER, sales.day GROUP_BY"
)]
#[case::over_aggregates(
    "SELECT sum(amount) / count(id) AS mean FROM shop.sales",
    "mean: sales.amount AGGREGATION, sales.id AGGREGATION"
)]
#[case::aggregate_filter(
    "SELECT sum(amount) FILTER (WHERE day = 'mon') AS m FROM shop.sales",
    "m: sales.amount AGGREGATION, sales.day FILTER"
)]
#[case::aggregate_order(
    "SELECT array_agg(id ORDER BY amount) AS ids FROM shop.sales",
    "ids: sales.amount SORT, sales.id AGGREGATION"
)]
#[case::grouping_sets(
    "SELECT day, customer, sum(amount) AS t FROM shop.sales GROUP BY ROLLUP (day, customer)",
    "day: sales.day IDENTITY; customer: sales.customer IDENTITY; t: sales.amount AGGREGATION; \
     *: sales.customer GROUP_BY, sales.day GROUP_BY"
)]
#[case::distinct("SELECT DISTINCT day FROM shop.sales", "day: sales.day IDENTITY; *: sales.day GROUP_BY")]
#[case::distinct_on(
    "SELECT DISTINCT ON (day) id FROM shop.sales ORDER BY day, amount",
    "id: sales.id IDENTITY; *: sales.amount SORT, sales.day GROUP_BY, sales.day SORT"
)]
#[case::join(
    "SELECT s.id, c.name FROM shop.sales s JOIN shop.customers c ON s.customer = c.id",
    "id: sales.id IDENTITY; name: customers.name IDENTITY; *: customers.id JOIN, sales.customer JOIN"
)]
#[case::join_condition(
    "SELECT c.name FROM shop.sales s LEFT JOIN shop.customers c ON s.customer = c.id AND s.amount > 3",
    "name: customers.name IDENTITY; *: customers.id JOIN, sales.amount JOIN, sales.customer JOIN"
)]
#[case::join_using(
    "SELECT id, name FROM shop.sales JOIN shop.customers USING (id)",
    "id: sales.id IDENTITY; name: customers.name IDENTITY; *: customers.id JOIN, sales.id JOIN"
)]
#[case::cross_join(
    "SELECT day, region FROM shop.sales, shop.customers",
    "day: sales.day IDENTITY; region: customers.region IDENTITY"
)]
#[case::semi_join(
    "SELECT day FROM shop.sales s LEFT SEMI JOIN shop.customers c ON s.customer = c.id",
    "day: sales.day IDENTITY; *: customers.id JOIN, sales.customer JOIN"
)]
#[case::right_anti_join(
    "SELECT name FROM shop.sales s RIGHT ANTI JOIN shop.customers c ON s.customer = c.id",
    "name: customers.name IDENTITY; *: customers.id JOIN, sales.customer JOIN"
)]
#[case::self_join(
    "SELECT a.id, b.amount FROM shop.sales a JOIN shop.sales b ON a.id = b.customer",
    "id: sales.id IDENTITY; amount: sales.amount IDENTITY; *: sales.customer JOIN, sales.id JOIN"
)]
#[case::union(
    "SELECT id, day FROM shop.sales UNION ALL SELECT id, upper(name) FROM shop.customers",
    "id: customers.id IDENTITY, sales.id IDENTITY; day: customers.name TRANSFORMATION, sales.day IDENTITY"
)]
#[case::union_distinct(
    "SELECT id FROM shop.sales WHERE amount > 0 UNION SELECT id FROM shop.customers",
    "id: customers.id IDENTITY, sales.id IDENTITY; \
     *: customers.id GROUP_BY, sales.amount FILTER, sales.id GROUP_BY"
)]
#[case::except(
    "SELECT id FROM shop.sales EXCEPT ALL SELECT id FROM shop.customers",
    "id: sales.id IDENTITY; *: customers.id JOIN, sales.id JOIN"
)]
#[case::cte(
    "WITH t AS (SELECT customer, sum(amount) AS total FROM shop.sales GROUP BY customer) \
     SELECT name, total + 1 AS more FROM t JOIN shop.customers c ON c.id = t.customer",
    "name: customers.name IDENTITY; more: sales.amount AGGREGATION; \
     *: customers.id JOIN, sales.customer GROUP_BY, sales.customer JOIN"
)]
#[case::cte_used_twice(
    "WITH t AS (SELECT id, amount FROM shop.sales) SELECT a.id, b.amount FROM t a JOIN t b ON a.id = b.id",
    "id: sales.id IDENTITY; amount: sales.amount IDENTITY; *: sales.id JOIN"
)]
#[case::cte_named_as_a_table(
    "WITH sales AS (SELECT name FROM shop.customers) SELECT name FROM sales",
    "name: customers.name IDENTITY"
)]
#[case::derived_table(
    "SELECT x.d FROM (SELECT day AS d, amount FROM shop.sales WHERE amount > 0) x WHERE x.d <> ''",
    "d: sales.day IDENTITY; *: sales.amount FILTER, sales.day FILTER"
)]
#[case::scalar_subquery(
    "SELECT name, (SELECT max(amount) FROM shop.sales) AS most FROM shop.customers",
    "name: customers.name IDENTITY; most: sales.amount AGGREGATION"
)]
#[case::correlated_scalar_subquery(
    "SELECT name, (SELECT sum(amount) FROM shop.sales s WHERE s.customer = c.id) AS t FROM shop.customers c",
    "name: customers.name IDENTITY; t: customers.id FILTER, sales.amount AGGREGATION, sales.customer FILTER"
)]
#[case::exists(
    "SELECT name FROM shop.customers c WHERE EXISTS (SELECT 1 FROM shop.sales s WHERE s.customer = c.id)",
    "name: customers.name IDENTITY; *: customers.id FILTER, sales.customer FILTER"
)]
#[case::in_subquery(
    "SELECT name FROM shop.customers WHERE id IN (SELECT customer FROM shop.sales WHERE day = 'mon')",
    "name: customers.name IDENTITY; *: customers.id FILTER, sales.customer FILTER, sales.day FILTER"
)]
#[case::not_in_subquery(
    "SELECT name FROM shop.customers WHERE id NOT IN (SELECT customer FROM shop.sales)",
    "name: customers.name IDENTITY; *: customers.id FILTER, sales.customer FILTER"
)]
#[case::nested_correlation(
    "SELECT name FROM shop.customers c WHERE EXISTS (SELECT 1 FROM shop.sales s WHERE s.amount > \
     (SELECT min(z.amount) FROM shop.sales z WHERE z.day = c.region))",
    "name: customers.name IDENTITY; *: customers.region FILTER, sales.amount FILTER, sales.day FILTER"
)]
#[case::window(
    "SELECT id, sum(amount) OVER (PARTITION BY customer ORDER BY day) AS running FROM shop.sales",
    "id: sales.id IDENTITY; running: sales.amount AGGREGATION, sales.customer WINDOW, sales.day WINDOW"
)]
#[case::window_function(
    "SELECT lag(amount) OVER (ORDER BY day) AS before, row_number() OVER (ORDER BY id) AS n FROM shop.sales",
    "before: sales.amount TRANSFORMATION, sales.day WINDOW; n: sales.id WINDOW"
)]
#[case::qualify(
    "SELECT id FROM shop.sales QUALIFY row_number() OVER (PARTITION BY customer ORDER BY day) = 1",
    "id: sales.id IDENTITY; *: sales.customer FILTER, sales.day FILTER"
)]
#[case::case_when(
    "SELECT CASE WHEN day = 'mon' THEN amount ELSE id END AS x FROM shop.sales",
    "x: sales.amount TRANSFORMATION, sales.day CONDITIONAL, sales.id TRANSFORMATION"
)]
#[case::simple_case(
    "SELECT CASE region WHEN 'north' THEN name END AS x FROM shop.customers",
    "x: customers.name TRANSFORMATION, customers.region CONDITIONAL"
)]
#[case::case_in_aggregate(
    "SELECT sum(CASE WHEN day = 'mon' THEN amount ELSE 0 END) AS x FROM shop.sales",
    "x: sales.amount AGGREGATION, sales.day CONDITIONAL"
)]
#[case::unnest(
    "SELECT id, unnest(tags) AS tag FROM shop.sales",
    "id: sales.id IDENTITY; tag: sales.tags TRANSFORMATION"
)]
#[case::lateral_unnest(
    "SELECT s.id, t.tag FROM shop.sales s CROSS JOIN UNNEST(s.tags) AS t (tag)",
    "id: sales.id IDENTITY; tag: sales.tags TRANSFORMATION"
)]
#[case::lateral(
    "SELECT c.name, s.amount FROM shop.customers c, LATERAL (SELECT amount FROM shop.sales WHERE customer = c.id) s",
    "name: customers.name IDENTITY; amount: sales.amount IDENTITY; *: customers.id FILTER, sales.customer FILTER"
)]
#[case::recursive(
    "WITH RECURSIVE r AS (SELECT id, customer AS up FROM shop.sales UNION ALL \
     SELECT s.id, r.id FROM shop.sales s JOIN r ON s.customer = r.up) SELECT up FROM r",
    "up: sales.customer IDENTITY, sales.id IDENTITY; *: sales.customer JOIN, sales.id JOIN"
)]
#[case::table_function("SELECT value + 1 AS x FROM generate_series(1, 3)", "x:")]
#[case::version("SELECT n FROM shop.numbers VERSION AS OF 7", "n: numbers.n IDENTITY")]
#[case::same_name_of_two_tables(
    "SELECT s.id, c.id FROM shop.sales s JOIN shop.customers c ON s.day = c.name",
    "id: sales.id IDENTITY; id: customers.id IDENTITY; *: customers.name JOIN, sales.day JOIN"
)]
#[tokio::test]
async fn every_column_is_traced_to_its_tables(#[case] sql: &str, #[case] expected: &str) {
    assert_eq!(whole(&lineage(sql).await.unwrap()), expected, "{sql}");
}

#[tokio::test]
async fn the_tables_are_told_with_their_versions() {
    let told = lineage("SELECT s.id FROM shop.sales s JOIN shop.customers c ON s.id = c.id").await.unwrap();
    assert_eq!(told.tables, [("shop.customers".parse().unwrap(), 5), ("shop.sales".parse().unwrap(), 4)]);
}

#[rstest]
#[case("SELEC 1", "invalid-sql")]
#[case("DELETE FROM shop.sales", "not-read-only")]
#[case("SELECT nothing FROM shop.sales", "invalid-query")]
#[case("EXPLAIN SELECT id FROM shop.sales", "invalid-query")]
#[case("SELECT id FROM shop.nothing", "no-such-table")]
#[tokio::test]
async fn what_cannot_be_run_has_no_lineage(#[case] sql: &str, #[case] code: &str) {
    use sluice_domain::Failure as _;
    assert_eq!(lineage(sql).await.unwrap_err().code(), code);
}

/// Statements over `shop.sales` that use every column that they name.
fn statements() -> impl Strategy<Value = String> {
    let column = || prop::sample::select(vec!["id", "customer", "amount", "day"]);
    let value = column().prop_flat_map(|name| {
        prop::sample::select(vec![
            name.to_owned(),
            format!("concat({name}, '')"),
            format!("CASE WHEN {name} IS NULL THEN 1 ELSE 2 END"),
        ])
    });
    (value, column(), column(), prop::bool::ANY).prop_map(|(value, filter, order, is_grouped)| match is_grouped {
        false => format!("SELECT {value} AS x FROM shop.sales WHERE {filter} IS NOT NULL ORDER BY {order}"),
        true => format!("SELECT count({value}) AS x FROM shop.sales WHERE {filter} IS NOT NULL GROUP BY {order}"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_column_that_a_statement_names_is_told(sql in statements()) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let told = runtime.block_on(lineage(&sql)).unwrap();
        let found: BTreeMap<String, Influence> = told.outputs.iter().flat_map(|output| &output.inputs)
            .chain(&told.influences).map(|input| (input.column.clone(), input.influence)).collect();
        for column in ["id", "customer", "amount", "day"] {
            let is_named = sql.split(|letter: char| !letter.is_alphanumeric()).any(|word| word == column);
            prop_assert_eq!(found.contains_key(column), is_named, "{} in {}", column, sql);
        }
    }
}

#[tokio::test]
async fn the_limits_of_queries_hold_for_their_lineage() {
    let queries = TestQueries::with(QuerySettings { max_sql_bytes: 20, ..QuerySettings::default() });
    let told = queries.service.lineage(&queries.caller, crate::QueryRequest::of("SELECT id FROM shop.sales")).await;
    assert!(matches!(told, Err(QueryError::TooComplex { .. })));
}
