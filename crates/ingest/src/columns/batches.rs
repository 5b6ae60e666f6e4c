//! Rows gathered into batches, each handed on as soon as it is large enough.

use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions},
    compute::filter,
    datatypes::SchemaRef,
    error::ArrowError,
};
use sluice_domain::Format;

use super::{
    builder::{Cells, ColumnBuilder, Refused},
    fields::Fields,
    value::Value,
};
use crate::{
    decode_error::DecodeError,
    limits::DecodeLimits,
    row_sink::{BadRow, RowSink, SourceRecord},
};

/// How much text and how many values a batch holds before it is handed on.
pub(crate) const BATCH_BYTES: usize = 8 << 20;
/// What a place in an array counts for.
pub(crate) const CELL_BYTES: usize = 8;

/// How many records of a file were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// All of them.
    pub(crate) records: u64,
    /// Those that are good.
    pub(crate) rows: u64,
}

impl Counts {
    /// Hand on batches of rows that are counted.
    pub(crate) fn hand_on(&mut self, batches: Vec<RecordBatch>, sink: &mut dyn RowSink) -> Result<(), DecodeError> {
        batches.into_iter().try_for_each(|batch| {
            self.records += batch.num_rows() as u64;
            self.rows += batch.num_rows() as u64;
            sink.rows(batch)
        })
    }
}

/// The batch under construction, and where finished ones go.
pub(crate) struct Batches<'s> {
    format: Format,
    schema: SchemaRef,
    fields: Fields,
    width: usize,
    batch_rows: usize,
    rows: usize,
    bytes: usize,
    /// Which of the rows of this batch are none.
    dead: Vec<usize>,
    /// How many records were seen before this batch.
    records_before: u64,
    handed_on: u64,
    sink: &'s mut dyn RowSink,
}

impl<'s> Batches<'s> {
    pub(crate) fn new(format: Format, schema: &SchemaRef, limits: &DecodeLimits, sink: &'s mut dyn RowSink) -> Self {
        let fields = Fields::new(schema.fields());
        Self {
            format,
            schema: SchemaRef::clone(schema),
            width: fields.width(),
            fields,
            batch_rows: limits.batch_rows.max(1),
            rows: 0,
            bytes: 0,
            dead: Vec::new(),
            records_before: 0,
            handed_on: 0,
            sink,
        }
    }

    /// The same after as many records of the file.
    pub(crate) fn after(mut self, before: Counts) -> Self {
        (self.records_before, self.handed_on) = (before.records, before.rows);
        self
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

    /// Add the values of a row that is a JSON object; how many bytes they take beyond those of the record.
    pub(crate) fn append(&mut self, entries: &[(std::borrow::Cow<str>, Value)]) -> Result<usize, Refused> {
        let mut cells = Cells::of_one_record();
        self.fields.append(entries, &mut cells)?;
        Ok(cells.spent() * CELL_BYTES)
    }

    /// Every column has its value; the record was this long.
    pub(crate) fn end_row(&mut self, record_bytes: usize) -> Result<(), DecodeError> {
        self.rows += 1;
        self.bytes += record_bytes + self.width * CELL_BYTES;
        if self.rows >= self.batch_rows || self.bytes >= BATCH_BYTES { self.hand_on() } else { Ok(()) }
    }

    /// The record is no row: what columns took of it already is left out of the batch.
    pub(crate) fn end_bad_row(&mut self, source: SourceRecord, error: DecodeError) -> Result<(), DecodeError> {
        self.sink.bad_row(BadRow { number: self.number(), source, error })?;
        self.fields.end_at(self.rows + 1);
        self.dead.push(self.rows);
        self.end_row(0)
    }

    /// The number of the record under construction.
    fn number(&self) -> u64 {
        self.records_before + self.rows as u64 + 1
    }

    /// The columns without the rows that are none.
    fn living(&mut self, columns: Vec<ArrayRef>) -> Result<(Vec<ArrayRef>, usize), ArrowError> {
        if self.dead.is_empty() {
            return Ok((columns, self.rows));
        }
        let mut living = vec![true; self.rows];
        let rows = self.rows - self.dead.len();
        for row in self.dead.drain(..) {
            living[row] = false;
        }
        let living = BooleanArray::from(living);
        Ok((columns.iter().map(|column| filter(column, &living)).collect::<Result<_, _>>()?, rows))
    }

    /// Hand on what is left; how many records of the file there were in all.
    pub(crate) fn finish(mut self) -> Result<Counts, DecodeError> {
        if self.rows > 0 {
            self.hand_on()?;
        }
        Ok(Counts { records: self.records_before, rows: self.handed_on })
    }

    fn hand_on(&mut self) -> Result<(), DecodeError> {
        let schema = SchemaRef::clone(&self.schema);
        let columns = self.fields.finish().and_then(|columns| self.living(columns));
        let batch = columns.and_then(|(columns, rows)| {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            RecordBatch::try_new_with_options(schema, columns, &options)
        });
        let batch = batch.map_err(|error| DecodeError::malformed(self.format, error.to_string()))?;
        self.records_before += self.rows as u64;
        (self.rows, self.bytes) = (0, 0);
        self.handed_on += batch.num_rows() as u64;
        if batch.num_rows() > 0 { self.sink.rows(batch) } else { Ok(()) }
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
                let row = Some(self.number());
                DecodeError::Mismatch { row, line, column, value, expected }
            }
            Refused::Unknown { path: column } => DecodeError::UnknownColumn { column, line },
            Refused::Twice { path } => malformed(Some(path), "the key is there twice"),
            Refused::TooManyValues => malformed(None, "there are too many values in one record"),
        }
    }
}
