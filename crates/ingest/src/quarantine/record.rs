//! A bad row as a row of a quarantine.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use sluice_domain::{Failure as _, UploadId};

use crate::{DecodeError, row_sink::BadRow};

/// The columns of every quarantine; [`Record`] has one field for each.
pub(super) fn schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("upload_id", DataType::Utf8),
        field("row_number", DataType::Int64),
        field("line", DataType::Int64),
        field("byte_offset", DataType::Int64),
        field("column_name", DataType::Utf8),
        field("rule", DataType::Utf8),
        field("reason", DataType::Utf8),
        field("record", DataType::Utf8),
        field("record_format", DataType::Utf8),
        field("quarantined_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
    ]))
}

/// A row of a quarantine.
#[derive(Serialize)]
pub(super) struct Record<'r> {
    upload_id: UploadId,
    row_number: u64,
    line: Option<u64>,
    byte_offset: Option<u64>,
    column_name: Option<&'r str>,
    rule: &'r str,
    reason: String,
    /// What is not UTF-8 in it is replaced; the upload's original has the bytes.
    record: std::borrow::Cow<'r, str>,
    record_format: &'static str,
    quarantined_at: String,
}

impl<'r> Record<'r> {
    pub(super) fn new(upload_id: UploadId, row: &'r BadRow, now: DateTime<Utc>) -> Self {
        Self {
            upload_id,
            row_number: row.number,
            line: row.source.line,
            byte_offset: row.source.byte_offset,
            column_name: column(&row.error),
            rule: rule(&row.error),
            reason: row.error.to_string(),
            record: String::from_utf8_lossy(&row.source.bytes),
            record_format: if row.source.is_delimited { "csv" } else { "json" },
            quarantined_at: now.to_rfc3339_opts(SecondsFormat::Micros, true),
        }
    }
}

/// What the row did not keep: a rule of the table's contract, by its name, or one that holds for every table.
fn rule(error: &DecodeError) -> &str {
    match error {
        DecodeError::BrokenRule { rule, .. } => rule,
        error => error.code(),
    }
}

fn column(error: &DecodeError) -> Option<&str> {
    match error {
        DecodeError::Member { error, .. } => column(error),
        DecodeError::BrokenRule { column, .. } => Some(column),
        DecodeError::Malformed { column, .. } => column.as_deref(),
        DecodeError::Mismatch { column, .. } | DecodeError::UnknownColumn { column, .. } => Some(column),
        _ => None,
    }
}
