//! What the server and a worker say to one another, besides rows.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_domain::TableRef;
use tokio::time::Instant as Deadline;

use super::sent::SentError;
use crate::{
    QuerySettings,
    executor::{Manner, WantedTable, Wish},
    run::{Clock, Ended},
    views::WantedView,
};

/// To a worker.
#[derive(Serialize, Deserialize)]
pub(crate) enum Request {
    /// First, once: the limits, and what the worker needs to open tables.
    Open { settings: QuerySettings, lake: serde_json::Value },
    /// A query, once the worker is ready.
    Run(Job),
}

/// A query for a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The text; it has passed the guards.
    pub(crate) sql: String,
    /// The tables that it names.
    pub(crate) tables: Vec<WantedTable>,
    /// How it is planned.
    pub(crate) manner: Manner,
    /// The views that it reads, each after those that it reads itself.
    pub(crate) views: Vec<WantedView>,
    /// What is asked of it.
    pub(crate) wish: Wish,
    /// The time that is left, in milliseconds.
    left_ms: u64,
    /// The time that there was, in seconds.
    timeout_seconds: u64,
}

impl Job {
    /// A query that is to end when this clock says.
    pub(crate) fn new(
        (sql, manner): (String, Manner),
        (tables, views): (Vec<WantedTable>, Vec<WantedView>),
        wish: Wish,
        clock: Clock,
    ) -> Self {
        let left = clock.deadline.saturating_duration_since(Deadline::now());
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        Self { sql, tables, manner, views, wish, left_ms, timeout_seconds: clock.timeout_seconds }
    }

    /// The clock of a query that comes now.
    pub(crate) fn clock(&self) -> Clock {
        let deadline = Deadline::now() + Duration::from_millis(self.left_ms);
        Clock { started: std::time::Instant::now(), deadline, timeout_seconds: self.timeout_seconds }
    }
}

/// From a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// Nothing runs; `worn` where the worker has grown and should be replaced.
    Ready { worn: bool },
    /// The query has arrived: what happens from here on is its doing.
    Taken,
    /// The query runs, over these tables at these versions. Rows follow, the first of them with columns only.
    Started { tables: Vec<(TableRef, u64)> },
    /// The query failed.
    Failed(SentError),
    /// There are no more rows.
    Finished(Ended),
}
