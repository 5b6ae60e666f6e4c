//! Uploads: what arrives is there once, and what does not is told.

mod asynchronous;
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

/// `received = committed + quarantined + deduplicated + rejected`, and nothing but committed here.
fn assert_all_committed(receipt: &Value, rows: u64) {
    let count = |field: &str| receipt[field].as_u64().unwrap();
    let parts = ["rows_committed", "rows_quarantined", "rows_deduplicated", "rows_rejected"];
    assert_eq!(count("rows_received"), parts.into_iter().map(count).sum::<u64>(), "{receipt}");
    assert_eq!((count("rows_received"), count("rows_committed")), (rows, rows), "{receipt}");
}
