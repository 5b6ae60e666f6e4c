//! A request of a few rows on its way, and its receipt.

use std::time::Instant;

use arrow::array::RecordBatch;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use sluice_catalog::RowRequest;
use sluice_domain::{BadRowLimits, ChannelName, Format, IdempotencyKey, RowCounts, TableRef, UploadEntry, UploadId};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::error::RowsError;
use crate::in_flight::Claim;

/// Rows that are to be added.
#[derive(Debug, Clone)]
pub struct RowsRequest {
    /// The table to add to.
    pub table: TableRef,
    /// What the client says the body is.
    pub media_type: Option<String>,
    /// What makes the request repeatable.
    pub key: Option<IdempotencyKey>,
    /// The channel that the rows are of.
    pub channel: Option<ChannelPlace>,
    /// How many of the rows may be bad.
    pub bad_rows: BadRowLimits,
}

/// Where a request gets its channel to.
#[derive(Debug, Clone)]
pub struct ChannelPlace {
    /// The channel.
    pub channel: ChannelName,
    /// The offset of the last row.
    pub offset: i64,
    /// The epoch in which the client opened it, where it says so.
    pub epoch: Option<i64>,
}

/// What became of the rows of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsReceipt {
    /// The table.
    pub table: TableRef,
    /// The upload that gathered them; none where no row was added.
    pub upload_id: Option<UploadId>,
    /// The first table version that holds them; none where no row was added.
    pub version: Option<u64>,
    /// How many there were, and what became of them.
    pub rows: RowCounts,
    /// When the commit was durable; none where no row was added.
    pub committed_at: Option<DateTime<Utc>>,
    /// From the request to its answer, in milliseconds.
    pub duration_ms: u64,
    /// The channel and how far it is.
    pub channel: Option<(ChannelName, i64)>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowsOutcome {
    /// Its rows are in the table by this request.
    Committed(RowsReceipt),
    /// Its rows are in the table by an earlier request of the same key.
    Replayed(RowsReceipt),
    /// Its channel is at its offset or further already: nothing was added.
    Duplicate(RowsReceipt),
}

/// A checked request that waits for the commit of its rows.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(super) table: TableRef,
    pub(super) record: RowRequest,
    pub(super) channel: Option<ChannelName>,
    pub(super) principal: String,
    /// Its records, one a line, or a binary file.
    pub(super) lines: Bytes,
    /// What these are.
    pub(super) format: Format,
    /// How many of them may be bad, where it goes alone.
    pub(super) bad_rows: BadRowLimits,
    /// Whether it is an upload of its own.
    pub(super) is_alone: bool,
    /// Its rows as the table had them when they were checked; none for a table that was not there.
    pub(super) batch: Option<RecordBatch>,
    pub(super) since: Instant,
    pub(super) started_at: DateTime<Utc>,
    pub(super) answer: oneshot::Sender<Result<RowsOutcome, RowsError>>,
    /// Nobody else answers for its key or its channel, and it counts as under way, until it is answered.
    pub(super) held: Held,
}

/// What a request holds until it is answered, whether or not its client still waits.
#[derive(Debug)]
#[expect(dead_code, reason = "held, not read")]
pub(super) struct Held {
    pub(super) place: OwnedSemaphorePermit,
    pub(super) room: OwnedSemaphorePermit,
    pub(super) key: Option<Claim>,
    pub(super) channel: Option<Claim>,
}

impl Waiting {
    /// Answer with rows that are in the table.
    pub(super) fn committed(self, upload: UploadId, version: u64, committed_at: DateTime<Utc>) {
        let rows = RowCounts::all_committed(self.record.rows);
        self.taken(upload, version, rows, committed_at);
    }

    /// Answer with what became of its rows.
    pub(super) fn taken(self, upload: UploadId, version: u64, rows: RowCounts, committed_at: DateTime<Utc>) {
        let receipt = RowsReceipt {
            upload_id: Some(upload),
            version: Some(version),
            rows,
            committed_at: Some(committed_at),
            ..self.receipt()
        };
        self.give(Ok(RowsOutcome::Committed(receipt)));
    }

    /// Answer that its channel is further already.
    pub(super) fn duplicate(self, newest: i64) {
        let channel = self.channel.clone().map(|channel| (channel, newest));
        let rows = RowCounts { deduplicated: self.record.rows, ..RowCounts::default() };
        let receipt = RowsReceipt { rows, channel, ..self.receipt() };
        self.give(Ok(RowsOutcome::Duplicate(receipt)));
    }

    pub(super) fn failed(self, error: RowsError) {
        self.give(Err(error));
    }

    fn receipt(&self) -> RowsReceipt {
        let table = self.table.clone();
        let channel = self.channel.clone().zip(self.record.offset.map(|offset| offset.offset));
        let duration_ms = self.since.elapsed().as_millis() as u64;
        RowsReceipt {
            table,
            upload_id: None,
            version: None,
            rows: RowCounts::default(),
            committed_at: None,
            duration_ms,
            channel,
        }
    }

    fn give(self, outcome: Result<RowsOutcome, RowsError>) {
        // Free before the client can know: what it sends next must not run into its own claims.
        drop(self.held);
        let _ = self.answer.send(outcome);
    }
}

impl RowsReceipt {
    /// The receipt of a request whose rows an upload brought into the table before.
    pub(super) fn replayed(upload: &UploadEntry, rows: u64, channel: Option<(ChannelName, i64)>) -> Option<Self> {
        let (version, committed_at) = (upload.version?, upload.committed_at?);
        Some(Self {
            table: upload.table.clone(),
            upload_id: Some(upload.id),
            version: Some(version),
            // What is bad in part was an upload of its own.
            rows: upload.rows.filter(|all| all.quarantined > 0 || rows == 0).unwrap_or(RowCounts::all_committed(rows)),
            committed_at: Some(committed_at),
            duration_ms: (committed_at - upload.started_at).num_milliseconds().max(0).unsigned_abs(),
            channel,
        })
    }
}
