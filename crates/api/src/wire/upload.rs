//! Uploads and receipts on the wire.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_domain::{
    ErrorKind, Format, OpenDialect, PartialUpload, Progress, ReadOptions, Receipt, StoredFailure, UploadEntry,
};
use utoipa::ToSchema;

use crate::{
    problem::type_of,
    wire::{ProgressView, QualitySummaryView, SchemaEffectView},
};

/// Bytes as they are.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "the document describes the bytes; bodies are streams")]
pub(crate) struct Octets(Vec<u8>);

/// Rows as a JSON array of objects; one object is one row.
#[derive(ToSchema)]
#[schema(value_type = Vec<Object>)]
#[expect(dead_code, reason = "the document describes the rows; the body is read as a stream")]
pub(crate) struct JsonRows(Vec<serde_json::Value>);

/// A form with the file to upload; its name tells format and compression where no parameter does.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the document describes the form; the body is read as a stream")]
pub(crate) struct UploadForm {
    /// The file.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// What became of an upload.
///
/// `rows_received = rows_committed + rows_quarantined + rows_deduplicated + rows_rejected`, always.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReceiptView {
    /// The upload.
    upload_id: String,
    /// The table, `namespace.table`.
    #[schema(example = "nyc.flights")]
    table: String,
    /// The first table version that holds the rows.
    version: u64,
    /// What the bytes were read as.
    #[schema(example = "csv")]
    format: String,
    /// How delimited text was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<DialectView>,
    /// How many bytes came in, as sent.
    bytes_received: u64,
    /// Their SHA-256, in hexadecimal.
    sha256: String,
    /// How many rows came in.
    rows_received: u64,
    /// Rows that took effect: they are in the table, or they deleted a row of it.
    rows_committed: u64,
    /// Rows that were set aside with a reason, in the table that `quarantine_table` names.
    rows_quarantined: u64,
    /// Rows that were there already, or that another row of their key stands for.
    rows_deduplicated: u64,
    /// Rows that were dropped by the caller's own wish, or had nothing to delete.
    rows_rejected: u64,
    /// Where the rows are that were set aside, under this `upload_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "nyc.flights__quarantine")]
    quarantine_table: Option<String>,
    /// Of a merge: committed rows whose key the table lacked.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_inserted: Option<u64>,
    /// Of a merge: committed rows that took the place of one with their key.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_updated: Option<u64>,
    /// Of a merge: committed rows that took one with their key away.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_deleted: Option<u64>,
    /// What the upload meant for the table's schema; absent where its columns were the table's.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<SchemaEffectView>,
    /// What came of the table's suite; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<QualitySummaryView>,
    /// When the original bytes were durable.
    landed_at: DateTime<Utc>,
    /// When the commit was durable.
    committed_at: DateTime<Utc>,
    /// Where the original bytes are.
    raw_object: String,
    /// From the first byte to the commit, in milliseconds.
    duration_ms: u64,
}

impl From<Receipt> for ReceiptView {
    fn from(receipt: Receipt) -> Self {
        let quarantine = receipt.table.quarantine().filter(|_| receipt.rows.quarantined > 0);
        Self {
            upload_id: receipt.upload_id.to_string(),
            table: receipt.table.to_string(),
            version: receipt.version,
            format: receipt.options.format.to_string(),
            dialect: DialectView::of(&receipt.options),
            bytes_received: receipt.landed.size_bytes,
            sha256: receipt.landed.sha256,
            rows_received: receipt.rows.received(),
            rows_committed: receipt.rows.committed,
            rows_quarantined: receipt.rows.quarantined,
            rows_deduplicated: receipt.rows.deduplicated,
            rows_rejected: receipt.rows.rejected,
            quarantine_table: quarantine.map(|table| table.to_string()),
            rows_inserted: receipt.rows.merged.map(|merged| merged.inserted),
            rows_updated: receipt.rows.merged.map(|merged| merged.updated),
            rows_deleted: receipt.rows.merged.map(|merged| merged.deleted),
            schema: receipt.effect.map(SchemaEffectView::from),
            quality: receipt.quality.map(QualitySummaryView::from),
            landed_at: receipt.landed.landed_at,
            committed_at: receipt.committed_at,
            raw_object: receipt.raw_object,
            duration_ms: receipt.duration_ms,
        }
    }
}

/// How delimited text is read: as its sender said, and where nothing was said, as its beginning told.
#[derive(Serialize, ToSchema)]
pub(crate) struct DialectView {
    /// What stands between fields.
    #[schema(example = ",")]
    delimiter: char,
    /// What stands around fields; absent where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<char>,
    /// Whether the first record names the columns.
    header: bool,
    /// Which of these the beginning of the file told.
    #[schema(example = json!(["delimiter", "header"]))]
    found: Vec<&'static str>,
}

impl DialectView {
    /// The dialect of these options, if they are for delimited text.
    fn of(options: &ReadOptions) -> Option<Self> {
        let csv = Some(&options.csv).filter(|_| options.format == Format::Csv)?;
        let OpenDialect { delimiter, quote, header } = csv.open;
        let found = [("delimiter", delimiter), ("quote", quote), ("header", header)];
        Some(Self {
            delimiter: csv.delimiter.into(),
            quote: csv.quote.map(Into::into),
            header: csv.header,
            found: found.into_iter().filter(|(_, is_open)| *is_open).map(|(name, _)| name).collect(),
        })
    }
}

/// Why an upload failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct FailureView {
    /// The `type` of the problem that it was answered with.
    #[serde(rename = "type")]
    #[schema(example = "urn:sluice:problem:type-mismatch")]
    kind: String,
    /// What happened, naming the place.
    detail: String,
}

impl From<StoredFailure> for FailureView {
    fn from(failure: StoredFailure) -> Self {
        let detail = match failure.kind {
            ErrorKind::Internal => "a fault of the server".to_owned(),
            _ => failure.detail,
        };
        Self { kind: type_of(&failure.code), detail }
    }
}

/// An upload.
#[derive(Serialize, ToSchema)]
pub(crate) struct UploadView {
    /// The id.
    upload_id: String,
    /// The table, `namespace.table`.
    #[schema(example = "nyc.flights")]
    table: String,
    /// `receiving`: bytes are still to come; `landed`: the bytes are durable; `committing`: a commit may have been tried; `committed`; `failed`.
    #[schema(example = "committed")]
    status: String,
    /// What the bytes are read as.
    #[schema(example = "csv")]
    format: String,
    /// How delimited text is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<DialectView>,
    /// The client's name of the file.
    file_name: Option<String>,
    /// Who sent it.
    principal: String,
    /// How many bytes came in, as sent.
    bytes_received: u64,
    /// Their SHA-256, in hexadecimal, once all of them are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// When the first byte came in, or the upload was announced.
    started_at: DateTime<Utc>,
    /// When the original bytes were durable.
    #[serde(skip_serializing_if = "Option::is_none")]
    landed_at: Option<DateTime<Utc>>,
    /// When the upload is given up, if no more bytes come.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
    /// How far it has come.
    progress: ProgressView,
    /// The receipt, once it is committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<ReceiptView>,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
}

impl UploadView {
    pub(crate) fn new(entry: UploadEntry, receipt: Option<Receipt>, progress: Progress) -> Self {
        Self {
            upload_id: entry.id.to_string(),
            table: entry.table.to_string(),
            status: entry.state.as_str().to_owned(),
            format: entry.options.format.to_string(),
            dialect: DialectView::of(&entry.options),
            file_name: entry.file_name,
            principal: entry.principal,
            bytes_received: entry.landed.size_bytes,
            sha256: Some(entry.landed.sha256),
            started_at: entry.started_at,
            landed_at: Some(entry.landed.landed_at),
            expires_at: None,
            progress: progress.into(),
            receipt: receipt.map(Into::into),
            failure: entry.failure.map(Into::into),
        }
    }

    /// One that has not landed.
    pub(crate) fn partial(partial: PartialUpload, progress: Progress) -> Self {
        Self {
            upload_id: partial.id.to_string(),
            table: partial.table.to_string(),
            status: progress.phase.as_str().to_owned(),
            format: partial.options.format.to_string(),
            dialect: None,
            file_name: partial.file_name,
            principal: partial.principal,
            bytes_received: progress.bytes_received,
            sha256: None,
            started_at: partial.started_at,
            landed_at: None,
            expires_at: Some(partial.expires_at),
            progress: progress.into(),
            receipt: None,
            failure: None,
        }
    }
}

/// A page of uploads.
#[derive(Serialize, ToSchema)]
pub(crate) struct UploadPage {
    /// The uploads, newest first.
    pub(crate) items: Vec<UploadView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}
