//! Queries that hold more than their memory at a time, and spill.

use sluice_domain::Failure as _;

use super::lake::TestQueries;
use crate::{OutputFormat, QueryError, QueryRequest, QuerySettings};

/// A twentieth of what the rows below take.
const MEMORY_BYTES: usize = 7 << 20;

/// A million rows of about 150 bytes, in no order.
fn rows() -> String {
    let parts: Vec<String> = (0..4).map(|part| format!("md5(CAST(value + {part} AS VARCHAR))")).collect();
    format!("(SELECT value AS id, {} AS text FROM generate_series(1, 1000000))", parts.join(" || "))
}

fn queries() -> TestQueries {
    TestQueries::with(QuerySettings { memory_bytes: MEMORY_BYTES, ..QuerySettings::default() })
}

async fn frugal(sql: &str) -> Result<String, QueryError> {
    let request = QueryRequest { is_frugal: true, ..QueryRequest::of(sql) };
    Ok(queries().run(request, OutputFormat::Json).await?.text())
}

#[tokio::test]
async fn sorts_and_sums_of_twenty_times_the_memory_end() {
    let rows = rows();
    let sorted = format!(
        "SELECT sum(place) AS places, count(*) AS n \
         FROM (SELECT id, row_number() OVER (ORDER BY text) AS place FROM {rows})"
    );
    assert_eq!(frugal(&sorted).await.unwrap(), r#"[{"places":500000500000,"n":1000000}]"#);
    let summed =
        format!("SELECT count(*) AS n, sum(m) AS s FROM (SELECT text, max(id) AS m FROM {rows} GROUP BY text)");
    assert_eq!(frugal(&summed).await.unwrap(), r#"[{"n":1000000,"s":500000500000}]"#);
}

#[tokio::test]
async fn a_join_whose_smaller_side_does_not_fit_is_refused() {
    let rows = rows();
    let sql = format!("SELECT count(*) AS n FROM {rows} AS a JOIN {rows} AS b ON a.text = b.text");
    assert_eq!(frugal(&sql).await.unwrap_err().code(), "query-memory-exceeded");
}
