//! What an operator can set about small writes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How requests are gathered, and how much of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RowsSettings {
    /// The longest body of a request, in bytes; longer ones are uploads.
    pub max_body_bytes: u64,
    /// How long the first request of a group waits for others, in milliseconds. While commits of the table are under
    /// way, requests gather anyhow.
    pub max_wait_ms: u64,
    /// How many requests one commit holds at the most.
    pub max_requests: usize,
    /// How many rows one commit holds at the most, unless one request alone has more.
    pub max_rows: u64,
    /// How many bytes of requests one commit holds at the most.
    pub max_bytes: u64,
    /// How many groups of one table are written and committed at a time: one gathers while others are written.
    pub groups_in_flight: usize,
    /// How many requests are under way in all; more are answered with 429.
    pub waiting_requests: usize,
    /// How many bytes the bodies of these have in all, once they came in; more are answered with 429.
    pub waiting_bytes: usize,
    /// How many tables are gathered for at a time; requests to others are answered with 429.
    pub tables: usize,
    /// For how long a key is remembered, in hours.
    pub key_hours: u32,
    /// How many channels a table may have.
    pub channels_per_table: u32,
}

impl Default for RowsSettings {
    fn default() -> Self {
        Self {
            max_body_bytes: 1 << 20,
            max_wait_ms: 10,
            max_requests: 1000,
            max_rows: 100_000,
            max_bytes: 8 << 20,
            groups_in_flight: 2,
            waiting_requests: 1024,
            waiting_bytes: 128 << 20,
            tables: 256,
            key_hours: 24,
            channels_per_table: 10_000,
        }
    }
}

impl RowsSettings {
    pub(crate) fn max_wait(&self) -> Duration {
        Duration::from_millis(self.max_wait_ms)
    }
}
