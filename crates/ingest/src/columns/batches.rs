//! Rows gathered into batches, each handed on as soon as it is large enough.

use arrow::{array::RecordBatch, array::RecordBatchOptions, datatypes::SchemaRef};
use sluice_domain::Format;

use super::{
    builder::{Cells, ColumnBuilder, Refused},
    fields::Fields,
    value::Value,
};
use crate::{decode_error::DecodeError, limits::DecodeLimits};

/// Where batches go.
pub(crate) type Sink<'s> = dyn FnMut(RecordBatch) -> Result<(), DecodeError> + 's;

/// How much text and how many values a batch holds before it is handed on.
const BATCH_BYTES: usize = 8 << 20;
/// What a place in an array counts for.
const CELL_BYTES: usize = 8;

/// The batch under construction, and where finished ones go.
pub(crate) struct Batches<'s> {
    format: Format,
    schema: SchemaRef,
    fields: Fields,
    width: usize,
    batch_rows: usize,
    rows: usize,
    bytes: usize,
    rows_before: u64,
    sink: &'s mut Sink<'s>,
}

impl<'s> Batches<'s> {
    pub(crate) fn new(format: Format, schema: &SchemaRef, limits: &DecodeLimits, sink: &'s mut Sink<'s>) -> Self {
        let fields = Fields::new(schema.fields());
        Self {
            format,
            schema: SchemaRef::clone(schema),
            width: fields.width(),
            fields,
            batch_rows: limits.batch_rows.max(1),
            rows: 0,
            bytes: 0,
            rows_before: 0,
            sink,
        }
    }

    /// The same with texts taken for what the columns want, if that is wanted.
    pub(crate) fn coercing(mut self, coerces: bool) -> Self {
        if coerces {
            self.fields.coerce();
        }
        self
    }

    /// The columns, for the fields of a row to be added one by one.
    pub(crate) fn columns(&mut self) -> &mut [ColumnBuilder] {
        &mut self.fields.columns
    }

    /// Add a row that is a JSON object.
    pub(crate) fn append(
        &mut self,
        entries: &[(std::borrow::Cow<str>, Value)],
        record_bytes: usize,
        line: u64,
    ) -> Result<(), DecodeError> {
        let mut cells = Cells::of_one_record();
        self.fields.append(entries, &mut cells).map_err(|refused| self.refusal(refused, line))?;
        self.end_row(record_bytes + cells.spent() * CELL_BYTES)
    }

    /// Every column has its value; the record was this long.
    pub(crate) fn end_row(&mut self, record_bytes: usize) -> Result<(), DecodeError> {
        self.rows += 1;
        self.bytes += record_bytes + self.width * CELL_BYTES;
        if self.rows >= self.batch_rows || self.bytes >= BATCH_BYTES { self.hand_on() } else { Ok(()) }
    }

    /// Hand on what is left; how many rows there were in all.
    pub(crate) fn finish(mut self) -> Result<u64, DecodeError> {
        if self.rows > 0 {
            self.hand_on()?;
        }
        Ok(self.rows_before)
    }

    fn hand_on(&mut self) -> Result<(), DecodeError> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = self
            .fields
            .finish()
            .and_then(|columns| RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), columns, &options))
            .map_err(|error| DecodeError::malformed(self.format, error.to_string()))?;
        self.rows_before += self.rows as u64;
        (self.rows, self.bytes) = (0, 0);
        (self.sink)(batch)
    }

    /// The refusal of a value of the row under construction.
    pub(crate) fn refusal(&self, refused: Refused, line: u64) -> DecodeError {
        let line = Some(line);
        let malformed = |column, reason: &str| DecodeError::Malformed {
            format: self.format,
            line,
            column,
            reason: reason.to_owned(),
        };
        match refused {
            Refused::Mismatch { path: column, value, expected } => {
                let row = Some(self.rows_before + self.rows as u64 + 1);
                DecodeError::Mismatch { row, line, column, value, expected }
            }
            Refused::Unknown { path: column } => DecodeError::UnknownColumn { column, line },
            Refused::Twice { path } => malformed(Some(path), "the key is there twice"),
            Refused::TooManyValues => malformed(None, "there are too many values in one record"),
        }
    }
}
