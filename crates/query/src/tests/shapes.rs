//! The shapes of rows that curated tables are made with: windows, sessions, buckets of time, chosen columns.

use rstest::rstest;

use super::lake::TestQueries;

/// Orders of two customers, as moments; the third of the first is more than half an hour after its second.
const EVENTS: &str = "(VALUES (1, TIMESTAMP '2026-01-01 10:00:00', 5), (1, TIMESTAMP '2026-01-01 10:20:00', 7), \
                      (1, TIMESTAMP '2026-01-01 11:00:00', 9), (2, TIMESTAMP '2026-01-01 10:05:00', 1)) AS e(id, at, v)";

#[rstest]
#[case::newest_of_a_key(
    "SELECT id, v FROM {e} QUALIFY row_number() OVER (PARTITION BY id ORDER BY at DESC) = 1 ORDER BY id",
    r#"[{"id":1,"v":9},{"id":2,"v":1}]"#
)]
#[case::sessions(
    "SELECT id, v, sum(is_new) OVER (PARTITION BY id ORDER BY at) AS session FROM (SELECT *, CASE WHEN lag(at) \
     OVER (PARTITION BY id ORDER BY at) + INTERVAL '30 minutes' >= at THEN 0 ELSE 1 END AS is_new FROM {e}) ORDER BY id, at",
    r#"[{"id":1,"v":5,"session":1},{"id":1,"v":7,"session":1},{"id":1,"v":9,"session":2},{"id":2,"v":1,"session":1}]"#
)]
#[case::tumbling(
    "SELECT date_part('hour', date_bin(INTERVAL '1 hour', at)) AS hour, sum(v) AS v FROM {e} GROUP BY 1 ORDER BY 1",
    r#"[{"hour":10,"v":13},{"hour":11,"v":9}]"#
)]
#[case::left_out("SELECT * EXCLUDE (at, v) FROM {e} WHERE id = 2", r#"[{"id":2}]"#)]
#[case::left_out_otherwise("SELECT * EXCEPT (at, v) FROM {e} WHERE id = 2", r#"[{"id":2}]"#)]
#[case::replaced("SELECT * EXCLUDE (at) REPLACE (v * 2 AS v) FROM {e} WHERE id = 2", r#"[{"id":2,"v":2}]"#)]
#[case::running(
    "SELECT v, sum(v) OVER (ORDER BY at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM {e} WHERE id = 1 ORDER BY at",
    r#"[{"v":5,"s":5},{"v":7,"s":12},{"v":9,"s":16}]"#
)]
#[case::quintiles(
    "SELECT v, ntile(2) OVER (ORDER BY v) AS half FROM {e} WHERE id = 1 ORDER BY v",
    r#"[{"v":5,"half":1},{"v":7,"half":1},{"v":9,"half":2}]"#
)]
#[case::pivot_by_hand(
    "SELECT sum(v) FILTER (WHERE id = 1) AS one, sum(v) FILTER (WHERE id = 2) AS two FROM {e}",
    r#"[{"one":21,"two":1}]"#
)]
#[tokio::test]
async fn rows_take_the_shape_that_is_asked_for(#[case] sql: &str, #[case] rows: &str) {
    assert_eq!(TestQueries::new().json(&sql.replace("{e}", EVENTS)).await.unwrap(), rows);
}

#[rstest]
#[case("SELECT * FROM shop.sales PIVOT (sum(amount) FOR day IN ('mon', 'tue'))")]
#[case("SELECT * FROM shop.sales UNPIVOT (value FOR name IN (id, amount))")]
#[tokio::test]
async fn tables_are_turned_by_steps_of_pipelines_not_by_the_statement(#[case] sql: &str) {
    use sluice_domain::{ErrorKind, Failure};
    let error = TestQueries::new().failure(sql).await;
    assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Malformed), "{error}");
}
