//! How far an upload has come, on the wire.

use serde::Serialize;
use sluice_domain::Progress;
use utoipa::ToSchema;

/// How far an upload has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ProgressView {
    /// `receiving`, `landed`, `decoding`, `writing`, `committing`, `committed` or `failed`.
    #[schema(example = "decoding")]
    phase: String,
    /// How many bytes came in, as sent.
    bytes_received: u64,
    /// How many there will be, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_total: Option<u64>,
    /// How many of them were read in the pass that is under way: a new table's first upload takes two.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_decoded: Option<u64>,
    /// How many rows were read.
    rows: u64,
}

/// One of the server-sent events of an upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the document describes the events; they are written as text")]
pub(crate) struct UploadEvent {
    /// `progress`, `committed`, `failed` or `gone`.
    #[schema(example = "progress")]
    event: String,
    /// JSON: the upload's `progress`, and with `committed` and `failed` the whole upload.
    data: String,
}

impl From<Progress> for ProgressView {
    fn from(progress: Progress) -> Self {
        Self {
            phase: progress.phase.as_str().to_owned(),
            bytes_received: progress.bytes_received,
            bytes_total: progress.bytes_total,
            bytes_decoded: progress.bytes_decoded,
            rows: progress.rows,
        }
    }
}
