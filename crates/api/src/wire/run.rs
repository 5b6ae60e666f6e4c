//! Runs of sources, and what they pulled, on the wire.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_domain::{PullEntry, PullState, RunCounts, Source, SourceRun};
use utoipa::ToSchema;

use super::upload::FailureView;

/// A run of a source.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunView {
    /// The id.
    run_id: String,
    /// The source's name.
    source: String,
    /// `running`, `succeeded` or `failed`.
    #[schema(example = "succeeded")]
    state: &'static str,
    /// `request` or `schedule`.
    #[schema(example = "request")]
    cause: &'static str,
    /// When it began.
    started_at: DateTime<Utc>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<DateTime<Utc>>,
    /// The watermark that it began at.
    #[serde(skip_serializing_if = "Option::is_none")]
    watermark_before: Option<String>,
    /// The watermark that the next run begins at.
    #[serde(skip_serializing_if = "Option::is_none")]
    watermark_after: Option<String>,
    /// Files that match.
    files_found: u64,
    /// Files whose rows are in the table.
    files_taken: u64,
    /// Files that failed, each alone.
    files_failed: u64,
    /// Files that may still be written, or are more than one run takes.
    files_waiting: u64,
    /// Files that are not what they were when they were taken.
    files_changed: u64,
    /// Pages that were fetched.
    pages: u64,
    /// Rows that came in.
    rows_received: u64,
    /// Rows that took effect.
    rows_committed: u64,
    /// Rows that were set aside with a reason.
    rows_quarantined: u64,
    /// Rows that were there already, or that another row of their key stands for.
    rows_deduplicated: u64,
    /// Rows that were dropped as the source asks.
    rows_rejected: u64,
    /// The uploads that it made, the first hundred by position; `pulls` has them all.
    upload_ids: Vec<String>,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
}

impl RunView {
    pub(crate) fn new(source: &Source, run: SourceRun, counts: &RunCounts, pulls: &[PullEntry]) -> Self {
        let uploads = pulls.iter().filter_map(PullEntry::uploaded);
        Self {
            run_id: run.id.to_string(),
            source: source.name.to_string(),
            state: run.state.as_str(),
            cause: run.cause.as_str(),
            started_at: run.started_at,
            finished_at: run.finished_at,
            watermark_before: run.watermark_before,
            watermark_after: run.watermark_after,
            files_found: counts.files_found,
            files_taken: counts.files_taken,
            files_failed: counts.files_failed,
            files_waiting: counts.files_waiting,
            files_changed: counts.files_changed,
            pages: counts.pages,
            rows_received: counts.rows.received(),
            rows_committed: counts.rows.committed,
            rows_quarantined: counts.rows.quarantined,
            rows_deduplicated: counts.rows.deduplicated,
            rows_rejected: counts.rows.rejected,
            upload_ids: uploads.map(|uploaded| uploaded.upload.to_string()).collect(),
            failure: run.failure.map(Into::into),
        }
    }
}

/// A page of runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunPage {
    /// The runs, newest first.
    pub(crate) items: Vec<RunView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// One thing that a run took, or would have: a file, or all pages of an API.
#[derive(Serialize, ToSchema)]
pub(crate) struct PullView {
    /// The file's path below the location, or `pages`.
    #[schema(example = "2024/01/orders.csv")]
    position: String,
    /// What tells this content from another one at the position.
    fingerprint: String,
    /// `refused` where it became no upload, otherwise the state of its upload.
    #[schema(example = "committed")]
    state: &'static str,
    /// The upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload_id: Option<String>,
    /// How many rows took effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_committed: Option<u64>,
    /// How many rows were set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_quarantined: Option<u64>,
    /// Why it is not in the table and will not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
    /// When it was entered.
    entered_at: DateTime<Utc>,
}

impl From<PullEntry> for PullView {
    fn from(entry: PullEntry) -> Self {
        let failure = entry.failure().cloned().map(Into::into);
        let (state, uploaded) = match entry.state {
            PullState::Refused(_) => ("refused", None),
            PullState::Uploaded(uploaded) => (uploaded.state.as_str(), Some(uploaded)),
        };
        let rows = uploaded.as_ref().and_then(|uploaded| uploaded.rows);
        Self {
            position: entry.pull.position,
            fingerprint: entry.pull.fingerprint,
            state,
            upload_id: uploaded.map(|uploaded| uploaded.upload.to_string()),
            rows_committed: rows.map(|rows| rows.committed),
            rows_quarantined: rows.map(|rows| rows.quarantined),
            failure,
            entered_at: entry.entered_at,
        }
    }
}

/// A page of what a run pulled.
#[derive(Serialize, ToSchema)]
pub(crate) struct PullPage {
    /// What it pulled, by position.
    pub(crate) items: Vec<PullView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}
