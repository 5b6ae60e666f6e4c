//! Uploads: what arrives is there once, and what does not is told.

mod asynchronous;
mod conservation;
mod contract;
mod dedup;
mod formats;
mod limits;
mod mode_model;
mod modes;
mod quarantine;
mod races;
mod refusals;
mod replays;

use serde_json::Value;
use sluice_tests::TestLake;

/// `received = committed + quarantined + deduplicated + rejected`, and nothing but committed here.
fn assert_all_committed(receipt: &Value, rows: u64) {
    let count = |field: &str| receipt[field].as_u64().unwrap();
    let parts = ["rows_committed", "rows_quarantined", "rows_deduplicated", "rows_rejected"];
    assert_eq!(count("rows_received"), parts.into_iter().map(count).sum::<u64>(), "{receipt}");
    assert_eq!((count("rows_received"), count("rows_committed")), (rows, rows), "{receipt}");
}

/// The numbers of a receipt: received, committed, quarantined.
fn counts(receipt: &Value) -> [u64; 3] {
    ["rows_received", "rows_committed", "rows_quarantined"].map(|name| receipt[name].as_u64().unwrap())
}

/// The one row of an answer.
async fn row(lake: &TestLake, sql: &str) -> Value {
    let mut rows = lake.rows(sql).await;
    assert_eq!(rows.len(), 1, "{sql}");
    rows.remove(0)
}
