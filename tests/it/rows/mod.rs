//! Requests with a few rows: gathered into commits, answered one by one, resumed by key and by channel.

mod channels;
mod conservation;
mod contract;
mod gathering;
mod keys;
mod recovery;
mod refusals;

use serde_json::Value;
use sluice_tests::{Answer, TestLake};

/// The path of the rows of a table.
fn rows_path(table: &str) -> String {
    format!("{}/rows", sluice_tests::table_path(table))
}

/// The path of a channel of a table.
fn channel_path(table: &str, channel: &str) -> String {
    format!("{}/channels/{channel}", sluice_tests::table_path(table))
}

/// Post rows without saying what they are.
async fn post(lake: &TestLake, table: &str, body: impl Into<axum::body::Body>) -> Answer {
    lake.post(&rows_path(table), &[], body).await
}

/// The receipt adds up, and all of its rows are in the table.
#[track_caller]
fn assert_committed(receipt: &Value, rows: u64) {
    let count = |name: &str| receipt[name].as_u64().unwrap();
    assert_eq!((count("rows_received"), count("rows_committed")), (rows, rows), "{receipt}");
    let parts = ["rows_committed", "rows_quarantined", "rows_deduplicated", "rows_rejected"];
    assert_eq!(parts.map(count).iter().sum::<u64>(), rows, "{receipt}");
}
