//! Queries that hold more than their memory at a time, and spill.

use sluice_domain::Failure as _;

use super::lake::TestQueries;
use crate::{OutputFormat, QueryRequest, QuerySettings};

/// A twentieth of what the rows below take.
const MEMORY_BYTES: usize = 8 << 20;
/// Rows of about 90 bytes, in no order: 170 MB.
const ROWS: &str = "(SELECT value AS id, md5(CAST(value AS VARCHAR)) || md5(CAST(value + 1 AS VARCHAR)) AS text \
                    FROM generate_series(1, 2000000))";

fn queries() -> TestQueries {
    TestQueries::with(QuerySettings { memory_bytes: MEMORY_BYTES, ..QuerySettings::default() })
}

#[tokio::test]
async fn sorts_and_sums_of_twenty_times_the_memory_end() {
    let sorted = format!(
        "SELECT sum(place) AS places, count(DISTINCT id) AS ids \
         FROM (SELECT id, row_number() OVER (ORDER BY text) AS place FROM {ROWS})"
    );
    assert_eq!(queries().json(&sorted).await.unwrap(), r#"[{"places":2000001000000,"ids":2000000}]"#);
    let summed =
        format!("SELECT count(*) AS n, sum(m) AS s FROM (SELECT text, max(id) AS m FROM {ROWS} GROUP BY text)");
    assert_eq!(queries().json(&summed).await.unwrap(), r#"[{"n":2000000,"s":2000001000000}]"#);
}

#[tokio::test]
async fn a_join_of_twenty_times_the_memory_ends_where_it_sorts() {
    let sql = format!("SELECT count(*) AS n, sum(a.id) AS s FROM {ROWS} AS a JOIN {ROWS} AS b ON a.text = b.text");
    let held = queries().failure(&sql).await;
    assert_eq!(held.code(), "query-memory-exceeded", "{held}");
    let request = QueryRequest { sorts_joins: true, ..QueryRequest::of(sql) };
    let joined = queries().run(request, OutputFormat::Json).await.unwrap();
    assert_eq!(joined.text(), r#"[{"n":2000000,"s":2000001000000}]"#);
}
