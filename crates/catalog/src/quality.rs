//! The suites of tables, and what came of asking them.
//!
//! Invariant: of a table no more than [`MAX_QUALITY_RESULTS`] results are kept, beside the newest check and the newest
//! result that stands against publishing it.
//! Invariant: whether an upload is in its table is what the ledger says, at the time when it is asked.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{Label, Page, PageRequest, QualityResult, RunId, Suite, TableId, TableRef, Verdict};
use uuid::Uuid;

use crate::CatalogError;

/// How many results of a table are kept.
pub const MAX_QUALITY_RESULTS: u32 = 100;

/// A place in the order in which results were written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedPlace {
    /// When the result was written down.
    pub at: DateTime<Utc>,
    /// The result; none stands before all that were written down at this moment.
    pub id: Option<Uuid>,
}

/// A result, and the table that it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedResult {
    /// When it was written down.
    pub recorded_at: DateTime<Utc>,
    /// The table.
    pub table: TableRef,
    /// Its tags.
    pub tags: Vec<Label>,
    /// The result.
    pub result: QualityResult,
}

/// The suites of tables, and what came of asking them.
#[async_trait]
pub trait Quality: Send + Sync {
    /// The suite of a table; none where nobody said anything.
    async fn suite(&self, table: TableId) -> Result<Option<Suite>, CatalogError>;

    /// Put a suite in the place of the one that is there. [`CatalogError::TableNotFound`] without the table.
    async fn set_suite(&self, table: TableId, suite: &Suite, principal: &str) -> Result<(), CatalogError>;

    /// Keep a result, in the place of an earlier one of the same upload or run, and forget those that are too many.
    async fn record(&self, table: TableId, result: &QualityResult) -> Result<(), CatalogError>;

    /// Say which version of the table has the rows of a run.
    async fn publish(&self, run: RunId, version: u64) -> Result<(), CatalogError>;

    /// The results of a table, newest first.
    async fn results(&self, table: TableId, page: &PageRequest) -> Result<Page<QualityResult>, CatalogError>;

    /// Results of tables that are there, written down after this place, in that order, this many at the most.
    async fn recorded_after(&self, place: &RecordedPlace, limit: u32) -> Result<Vec<JudgedResult>, CatalogError>;

    /// Whether a table may be published: unless a newer result than its newest check, or that one, stands against it.
    async fn verdict(&self, table: TableId) -> Result<Verdict, CatalogError>;
}
