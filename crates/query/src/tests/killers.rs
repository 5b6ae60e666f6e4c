//! Texts that would exhaust the process: each is refused or ends, and the next query is answered.

use rstest::rstest;
use sluice_domain::{ErrorKind, Failure};

use super::{
    lake::TestQueries,
    statements::{Killer, killers},
};
use crate::{QueryError, QuerySettings};

fn impatient() -> TestQueries {
    TestQueries::with(QuerySettings { timeout_seconds: 1, concurrency: 1, ..QuerySettings::default() })
}

fn chain(term: &str, joint: &str, count: usize) -> String {
    format!("SELECT {}", vec![term; count].join(joint))
}

/// Common table expressions that each use the one before twice.
fn doubling(levels: usize) -> String {
    let tables: Vec<String> = (1..levels)
        .map(|level| format!("t{level} AS (SELECT a.x FROM t{before} AS a, t{before} AS b)", before = level - 1))
        .collect();
    format!("WITH t0 AS (SELECT 1 AS x), {} SELECT * FROM t{}", tables.join(", "), levels - 1)
}

fn nested_with(levels: usize) -> String {
    (0..levels).fold("SELECT 1 AS x".to_owned(), |inner, _| format!("WITH t AS ({inner}) SELECT * FROM t"))
}

#[rstest]
#[case::sum(chain("1", "+", 5_000))]
#[case::long_sum(chain("1", "+", 20_000))]
#[case::union(chain("1", " UNION ALL SELECT ", 5_000))]
#[case::or(chain("n=1", " OR ", 10_000))]
#[case::long_or(chain("true", " OR ", 20_000))]
#[case::parentheses(format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000)))]
#[case::some_parentheses(format!("SELECT {}1{}", "(".repeat(90), ")".repeat(90)))]
#[case::table_parentheses(format!("SELECT * FROM {}shop.orders{}", "(".repeat(60), ")".repeat(60)))]
#[case::repeat("SELECT repeat('x', 2000000000)".to_owned())]
#[case::repeats("SELECT repeat(repeat('x', 1000), 1000)".to_owned())]
#[case::quoted_repeat("SELECT \"repeat\"('x', 2000000000)".to_owned())]
#[case::array_repeat("SELECT array_repeat(1, 1000000000)".to_owned())]
#[case::list_resize("SELECT list_resize([1], 1000000000, 1)".to_owned())]
#[case::padding("SELECT lpad('x', 2000000000, 'y')".to_owned())]
#[case::scalar_series("SELECT generate_series(1, 100000000000)".to_owned())]
#[case::series("SELECT * FROM generate_series(1, 100000000000)".to_owned())]
#[case::small_steps("SELECT * FROM range(-100000000000, 100000000000, 3)".to_owned())]
#[case::doubling(doubling(40))]
#[case::nested_with(nested_with(40))]
#[case::joins(format!("SELECT 1 FROM shop.orders{}", ", shop.orders".repeat(200)))]
#[tokio::test]
async fn what_would_exhaust_the_process_is_refused(#[case] sql: String) {
    let queries = TestQueries::with(QuerySettings { max_sql_bytes: 1 << 20, ..QuerySettings::default() });
    let error = queries.failure(&sql).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "query-too-complex"), "{error:?}");
    assert_eq!(queries.json("SELECT 1 AS x").await.unwrap(), "[{\"x\":1}]");
}

#[rstest]
#[case("SELECT repeat('x', length(name)) FROM shop.orders")]
#[case("SELECT repeat('x', 10 * 1000000000)")]
#[case("SELECT * FROM generate_series(1, (SELECT 100000000000))")]
#[tokio::test]
async fn a_length_that_is_not_in_the_text_is_refused(#[case] sql: &str) {
    assert_eq!(TestQueries::new().failure(sql).await.code(), "invalid-query");
}

#[rstest]
#[case::cast("SELECT CAST(NULL AS BIGINT[2147483647][2000000])")]
#[case::one_level("SELECT CAST(NULL AS BIGINT[2147483647])")]
#[case::try_cast("SELECT TRY_CAST(NULL AS BIGINT[2147483647])")]
#[case::colons("SELECT NULL::BIGINT[2147483647]")]
#[case::inside_a_list("SELECT NULL::BIGINT[2147483647][]")]
#[case::inside_an_array("SELECT CAST(NULL AS ARRAY<BIGINT[2147483647]>)")]
#[case::inside_a_struct("SELECT CAST(NULL AS STRUCT<a INT, b STRUCT<c BIGINT[2147483647]>>)")]
#[case::typed_text("SELECT BIGINT[2147483647] '[1]'")]
#[case::in_a_condition("SELECT n FROM shop.numbers WHERE CAST(NULL AS BIGINT[2147483647]) IS NULL")]
#[case::in_a_subquery("SELECT (SELECT CAST(NULL AS BIGINT[2147483647]))")]
#[case::in_values("SELECT * FROM (VALUES (CAST(NULL AS BIGINT[2147483647])))")]
#[case::arrow_cast("SELECT arrow_cast(NULL, 'FixedSizeBinary(2147483647)') FROM generate_series(1, 8000)")]
#[case::arrow_try_cast("SELECT arrow_try_cast(NULL, 'FixedSizeBinary(2147483647)')")]
#[case::quoted_arrow_cast("SELECT \"arrow_cast\"(NULL, 'FixedSizeBinary(2147483647)')")]
#[case::capitals("SELECT ARROW_CAST(NULL, 'List(FixedSizeList(2147483647, Int64))')")]
#[case::joined_text("SELECT arrow_cast(NULL, 'Fixed' || 'SizeBinary(2147483647)')")]
#[case::joined_by_a_function("SELECT arrow_cast(NULL, concat('Fixed', 'SizeBinary(2147483647)'))")]
#[case::in_brackets("SELECT arrow_cast(NULL, ('FixedSizeBinary(2147483647)'))")]
#[tokio::test]
async fn a_type_with_a_size_is_refused(#[case] sql: &str) {
    let error = TestQueries::new().failure(sql).await;
    // A type in a place where the dialect knows none is as good as refused.
    assert!(matches!(error, QueryError::Plan { .. } | QueryError::Syntax { .. }), "{error:?}");
    assert!(!error.to_string().contains("Error during planning"), "it came to the engine: {error}");
}

#[rstest]
#[case("SELECT CAST([1] AS BIGINT[]) AS x", "[1]")]
#[case("SELECT arrow_cast(1, 'Int32') AS x", "1")]
#[case("SELECT CAST('1.50' AS DECIMAL(9, 2)) AS x", "\"1.50\"")]
#[tokio::test]
async fn a_type_without_a_size_is_used(#[case] sql: &str, #[case] value: &str) {
    assert_eq!(TestQueries::new().json(sql).await.unwrap(), format!("[{{\"x\":{value}}}]"));
}

#[rstest]
#[case::cross_join(
    "SELECT count(*) FROM shop.numbers AS a, shop.numbers AS b, shop.numbers AS c WHERE a.n + b.n < c.n"
)]
#[case::join_without_matches(
    "SELECT count(*) FROM shop.numbers AS a, shop.numbers AS b, shop.numbers AS c WHERE a.n + b.n + c.n < 0"
)]
#[case::skewed_join(
    "SELECT count(*) FROM shop.numbers AS a JOIN shop.numbers AS b ON a.n / 20000 = b.n / 20000 \
     JOIN shop.numbers AS c ON a.n / 20000 = c.n / 20000 AND a.n + b.n + c.n < 0"
)]
#[case::recursion("WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM t) SELECT count(*) FROM t")]
#[case::long_result("SELECT a.n FROM shop.numbers AS a, shop.numbers AS b, shop.numbers AS c ORDER BY a.n + b.n + c.n")]
#[tokio::test]
async fn a_query_ends_at_its_deadline_and_gives_its_place_back(#[case] sql: &str) {
    let queries = impatient();
    let error = queries.failure(sql).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::TimedOut, "query-timeout"), "{error:?}");
    wait_for_a_place(&queries).await;
}

#[tokio::test]
async fn a_function_that_can_take_for_ever_over_one_row_is_not_there() {
    let error = TestQueries::new().failure("SELECT levenshtein('a', 'b')").await;
    assert_eq!(error.code(), "invalid-query");
}

#[tokio::test]
async fn an_expression_at_the_limit_of_depth_runs_on_every_row() {
    let sql = format!("SELECT max({}) AS x FROM shop.numbers", vec!["n"; 490].join("+"));
    assert_eq!(TestQueries::new().json(&sql).await.unwrap(), format!("[{{\"x\":{}}}]", 19_999 * 490));
}

#[tokio::test]
async fn nesting_within_the_limits_is_planned_in_time() {
    let queries = TestQueries::new();
    let deep = |text: &str, levels| format!("{}{text}{}", "(".repeat(levels), ")".repeat(levels));
    for sql in [
        format!("SELECT {} AS x", deep("1", 20)),
        format!("SELECT 1 AS x FROM {} LIMIT 1", deep("shop.orders AS a CROSS JOIN shop.orders AS b", 12)),
        nested_with(6),
        doubling(8),
        chain("1 AS x", " UNION ALL SELECT ", 101),
    ] {
        queries.json(&sql).await.unwrap();
    }
}

#[tokio::test]
async fn memory_is_limited() {
    let queries =
        TestQueries::with(QuerySettings { memory_bytes: 100_000, spill_bytes: 0, ..QuerySettings::default() });
    let error = queries.failure("SELECT n, count(*) FROM shop.numbers GROUP BY n ORDER BY n DESC").await;
    assert!(matches!(error, QueryError::MemoryExceeded), "{error:?}");
}

#[tokio::test]
async fn queries_beyond_the_places_and_the_queue_are_turned_away() {
    let queries = TestQueries::with(QuerySettings { concurrency: 1, queue: 0, ..QuerySettings::default() });
    let endless = "SELECT count(*) FROM shop.numbers AS a, shop.numbers AS b, shop.numbers AS c WHERE a.n + b.n < c.n";
    let running = queries.start(endless).await.unwrap();
    assert!(matches!(queries.failure("SELECT 1").await, QueryError::Busy));
    drop(running);
    wait_for_a_place(&queries).await;
}

/// A query that was dropped or timed out ends soon; until then others are turned away.
async fn wait_for_a_place(queries: &TestQueries) {
    while let Err(error) = queries.start("SELECT 1").await {
        assert!(matches!(error, QueryError::Busy), "{error:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_the_guards_know_is_refused_before_anything_is_computed() {
    let queries = TestQueries::with(QuerySettings { max_sql_bytes: 1 << 20, ..QuerySettings::default() });
    for Killer { name, sql, .. } in killers().into_iter().filter(|killer| killer.refused) {
        let error = queries.failure(&sql).await;
        assert!(["query-too-complex", "invalid-query"].contains(&error.code()), "{name}: {error:?}");
        assert!(!error.to_string().contains("Error during planning"), "{name} came to the engine: {error}");
    }
}

#[tokio::test]
async fn a_pattern_that_is_too_large_is_the_callers_mistake() {
    let error =
        TestQueries::new().failure("SELECT regexp_like(name, '((a{1000}){1000}){1000}') FROM shop.orders").await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "query-evaluation-failed"), "{error:?}");
}
