//! The rows of sources, their runs and pulls, as they are stored.
//!
//! Invariant: a row that turns into its entry holds nothing but valid values; any other is an error, never a guess.

use sluice_domain::{Pull, PullEntry, PullState, RunId, Source, SourceId, SourceRun, UploadId, UploadedPull};
use sqlx::FromRow;

use crate::{
    CatalogError,
    columns::{read, read_json, read_number},
};

#[derive(FromRow)]
pub(crate) struct SourceRow {
    id: String,
    name: String,
    definition: String,
    principal: String,
    created_at: String,
    updated_at: String,
    next_run_at: Option<String>,
    watermark: Option<String>,
}

impl TryFrom<SourceRow> for Source {
    type Error = CatalogError;
    fn try_from(row: SourceRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: SourceId(read("source id", &row.id)?),
            name: read("source name", &row.name)?,
            definition: read_json("source", &row.definition)?,
            principal: row.principal,
            created_at: read("source creation time", &row.created_at)?,
            updated_at: read("source change time", &row.updated_at)?,
            next_run_at: row.next_run_at.map(|at| read("source's next time", &at)).transpose()?,
            watermark: row.watermark,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct RunRow {
    id: String,
    source_id: String,
    cause: String,
    state: String,
    started_at: String,
    finished_at: Option<String>,
    watermark_before: Option<String>,
    watermark_after: Option<String>,
    counts: Option<String>,
    failure: Option<String>,
}

impl TryFrom<RunRow> for SourceRun {
    type Error = CatalogError;
    fn try_from(row: RunRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: RunId(read("run id", &row.id)?),
            source: SourceId(read("run's source", &row.source_id)?),
            cause: read("run's cause", &row.cause)?,
            state: read("run's state", &row.state)?,
            started_at: read("run's start time", &row.started_at)?,
            finished_at: row.finished_at.map(|at| read("run's end", &at)).transpose()?,
            watermark_before: row.watermark_before,
            watermark_after: row.watermark_after,
            counts: row.counts.map(|counts| read_json("run's counts", &counts)).transpose()?,
            failure: row.failure.map(|failure| read_json("run's failure", &failure)).transpose()?,
        })
    }
}

/// A pull beside what the ledger says of its upload.
#[derive(FromRow)]
pub(crate) struct PullRow {
    position: String,
    fingerprint: String,
    run_id: String,
    upload_id: Option<String>,
    pages: i64,
    watermark: Option<String>,
    failure: Option<String>,
    entered_at: String,
    upload_state: Option<String>,
    row_counts: Option<String>,
    upload_failure: Option<String>,
}

impl TryFrom<PullRow> for PullEntry {
    type Error = CatalogError;
    fn try_from(row: PullRow) -> Result<Self, CatalogError> {
        let state = match (row.upload_id, row.upload_state, row.failure) {
            (Some(upload), Some(state), None) => PullState::Uploaded(Box::new(UploadedPull {
                upload: UploadId(read("pull's upload", &upload)?),
                state: read("upload state", &state)?,
                rows: row.row_counts.map(|counts| read_json("upload's row counts", &counts)).transpose()?,
                failure: row.upload_failure.map(|failure| read_json("upload's failure", &failure)).transpose()?,
            })),
            (None, None, Some(failure)) => PullState::Refused(read_json("pull's failure", &failure)?),
            _ => return Err(CatalogError::corrupt("pull", "it is neither an upload nor refused")),
        };
        let pull = Pull {
            run: RunId(read("pull's run", &row.run_id)?),
            position: row.position,
            fingerprint: row.fingerprint,
            pages: read_number("pull's pages", row.pages)?,
            watermark: row.watermark,
        };
        Ok(Self { pull, state, entered_at: read("pull's time", &row.entered_at)? })
    }
}
