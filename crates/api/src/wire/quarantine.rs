//! Quarantined rows on the wire.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::ReceiptView;

/// A row that was set aside.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct QuarantinedRow {
    /// The upload that it came with.
    pub(crate) upload_id: String,
    /// Which record of the upload it is, from 1.
    pub(crate) row_number: u64,
    /// The line that it begins in, in text formats.
    pub(crate) line: Option<u64>,
    /// Where it begins in the decompressed content, in bytes, where that is known.
    pub(crate) byte_offset: Option<u64>,
    /// The column that is at fault, if one is.
    pub(crate) column_name: Option<String>,
    /// What it failed: a rule of the table, or the code of the problem.
    #[schema(example = "type-mismatch")]
    pub(crate) rule: String,
    /// What is wrong, naming the place.
    pub(crate) reason: String,
    /// The record as it was sent; of binary formats, its values as a JSON object.
    pub(crate) record: String,
    /// How `record` is written: `csv` or `json`.
    #[schema(example = "csv")]
    pub(crate) record_format: String,
    /// When it was set aside.
    pub(crate) quarantined_at: String,
}

/// A page of quarantined rows.
#[derive(Serialize, ToSchema)]
pub(crate) struct QuarantinePage {
    /// The rows, by upload and number; a sample is in no order.
    pub(crate) items: Vec<QuarantinedRow>,
    /// Where the next page begins; absent on the last page, and of a sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// Which quarantined rows are sent again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayBody {
    /// The upload that they came with.
    pub(crate) upload_id: Uuid,
    /// Their numbers; by default all rows of the upload that are still there, the first 10,000 of them.
    #[schema(max_items = 1000)]
    pub(crate) rows: Option<Vec<u64>>,
    /// Rows that were mended: these are sent in the place of what is in quarantine. Not together with `rows`.
    #[schema(max_items = 1000)]
    pub(crate) records: Option<Vec<MendedRecord>>,
}

/// A row that was mended.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MendedRecord {
    /// Its number in the upload.
    pub(crate) row_number: u64,
    /// Its values, by the names of the columns.
    #[schema(value_type = Object)]
    pub(crate) record: Map<String, Value>,
}

/// What came of a replay.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReplayView {
    /// How many rows left quarantine; those that are bad still are in it again, under the replay's `upload_id`.
    pub(crate) rows_replayed: u64,
    /// The receipts: one of the rows that are lines of delimited text, one of those that are JSON.
    pub(crate) receipts: Vec<ReceiptView>,
}

/// How many rows were thrown away.
#[derive(Serialize, ToSchema)]
pub(crate) struct PurgeView {
    /// So many.
    pub(crate) rows_purged: u64,
}
