//! Small writes and channels on the wire.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_ingest::{ChannelStatus, RowsReceipt};
use utoipa::ToSchema;

/// What became of the rows of one request.
///
/// `rows_received = rows_committed + rows_quarantined + rows_deduplicated + rows_rejected`, always.
#[derive(Serialize, ToSchema)]
pub(crate) struct RowsReceiptView {
    /// The table, `namespace.table`.
    #[schema(example = "nyc.flights")]
    table: String,
    /// The upload that gathered the rows of this request and of others; absent where no row was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload_id: Option<String>,
    /// The first table version that holds the rows; absent where no row was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// How many rows came in.
    rows_received: u64,
    /// Rows that are in the table.
    rows_committed: u64,
    /// Rows that were set aside with a reason.
    rows_quarantined: u64,
    /// Rows that were there already.
    rows_deduplicated: u64,
    /// Rows that were dropped by the caller's own wish.
    rows_rejected: u64,
    /// When the commit was durable; absent where no row was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    committed_at: Option<DateTime<Utc>>,
    /// From the request to its answer, in milliseconds.
    duration_ms: u64,
    /// The channel that the rows are of.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// How far the channel is.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
}

impl From<RowsReceipt> for RowsReceiptView {
    fn from(receipt: RowsReceipt) -> Self {
        let (channel, offset) = receipt.channel.unzip();
        Self {
            table: receipt.table.to_string(),
            upload_id: receipt.upload_id.map(|id| id.to_string()),
            version: receipt.version,
            rows_received: receipt.rows.received(),
            rows_committed: receipt.rows.committed,
            rows_quarantined: receipt.rows.quarantined,
            rows_deduplicated: receipt.rows.deduplicated,
            rows_rejected: receipt.rows.rejected,
            committed_at: receipt.committed_at,
            duration_ms: receipt.duration_ms,
            channel: channel.map(Into::into),
            offset,
        }
    }
}

/// A channel and how far it is.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChannelView {
    /// The name.
    #[schema(example = "sensor-7")]
    channel: String,
    /// The table, `namespace.table`.
    #[schema(example = "nyc.flights")]
    table: String,
    /// How often it was opened. Rows that are sent with an older epoch are refused.
    epoch: i64,
    /// The offset of its last row in the table, as the table's log has it; null where there is none.
    last_committed_offset: Option<i64>,
    /// Who opened it last.
    opened_by: String,
    /// When.
    opened_at: DateTime<Utc>,
}

impl From<ChannelStatus> for ChannelView {
    fn from(status: ChannelStatus) -> Self {
        let ChannelStatus { channel, last_committed_offset } = status;
        Self {
            channel: channel.name.into(),
            table: channel.table.to_string(),
            epoch: channel.epoch,
            last_committed_offset,
            opened_by: channel.principal,
            opened_at: channel.opened_at,
        }
    }
}
