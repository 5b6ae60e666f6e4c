//! What formats whose files hold typed columns have in common: their columns become those of a table.
//!
//! Invariant: rows are counted with the whole length of their values before those are copied, and copied in pieces.
//! Invariant: values change their type only where every one of them keeps its meaning.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array},
    compute::filter_record_batch,
    datatypes::{DataType, Field, Fields, Schema, SchemaRef},
};
use sluice_domain::{ColumnName, Format, NameError};
use sluice_table::storable_type;

use super::Inferred;
use crate::{
    columns::FieldIndex,
    decode_error::{DecodeError, shortened},
    limits::{COLUMN_DEPTH, DecodeLimits},
    row_sink::{BadRow, RowSink, SourceRecord},
};

mod convert;
pub(super) mod slices;

/// How many decoded bytes a file may have whatever its own length: columns of one value take next to none of it.
const RATIO_FREE_BYTES: u64 = 1 << 30;

/// How many bytes the values of a file of this length may have in memory.
pub(super) fn allowance(size_bytes: u64, limits: &DecodeLimits) -> u64 {
    size_bytes.saturating_mul(limits.ratio).max(RATIO_FREE_BYTES).min(limits.decoded_bytes)
}

/// A fault of a column.
pub(super) fn bad_column(format: Format, column: &str, reason: &str) -> DecodeError {
    let (column, reason) = (Some(shortened(column)), reason.to_owned());
    DecodeError::Malformed { format, line: None, column, reason }
}

/// What a file with these columns holds: so many rows of a table.
pub(super) fn inferred(format: Format, from: &Schema, rows: u64) -> Result<Inferred, DecodeError> {
    if from.fields().is_empty() {
        return Err(DecodeError::Empty);
    }
    let mut index = FieldIndex::default();
    let mut fields = Vec::with_capacity(from.fields().len());
    for (at, field) in from.fields().iter().enumerate() {
        if index.find(field.name()).is_some() {
            return Err(twice(format, field));
        }
        index.insert(field.name(), at);
        fields.push(storable_field(format, field)?);
    }
    Ok(Inferred { schema: Arc::new(Schema::new(fields)), rows, first_bad: None })
}

/// Check that there are no more columns, and no deeper ones, than may be.
pub(super) fn check_size(schema: &Schema, limits: &DecodeLimits) -> Result<(), DecodeError> {
    let mut left = limits.columns;
    count_fields(schema.fields(), COLUMN_DEPTH, &mut left).map_err(|refused| match refused {
        DecodeError::TooManyColumns { .. } => DecodeError::TooManyColumns { limit: limits.columns },
        other => other,
    })
}

fn count_fields(fields: &Fields, levels_left: usize, left: &mut usize) -> Result<(), DecodeError> {
    for field in fields {
        *left = left.checked_sub(1).ok_or(DecodeError::TooManyColumns { limit: 0 })?;
        let children = match field.data_type() {
            DataType::Struct(fields) => fields.clone(),
            DataType::Dictionary(_, values) => Fields::from(vec![Field::new("values", values.as_ref().clone(), true)]),
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _)
            | DataType::Map(item, _) => Fields::from(vec![Arc::clone(item)]),
            _ => continue,
        };
        let levels_left = levels_left.checked_sub(1).ok_or(DecodeError::TooDeep { limit: COLUMN_DEPTH, line: None })?;
        count_fields(&children, levels_left, left)?;
    }
    Ok(())
}

/// The column as a table stores it.
fn storable_field(format: Format, field: &Field) -> Result<Field, DecodeError> {
    let name: ColumnName =
        field.name().parse().map_err(|error: NameError| bad_column(format, field.name(), &error.to_string()))?;
    let stored = storable_type(field.data_type()).ok_or_else(|| {
        let type_name = shortened(&field.data_type().to_string());
        bad_column(format, field.name(), &format!("a table cannot store values of type {type_name}"))
    })?;
    Ok(Field::new(name.as_str(), stored, true))
}

fn twice(format: Format, field: &Field) -> DecodeError {
    bad_column(format, field.name(), "there are two columns of this name, cases aside")
}

/// Whose values are converted: the format, and how many rows came before them.
#[derive(Clone, Copy)]
struct Place {
    format: Format,
    rows_before: u64,
}

impl Place {
    /// The number of a row of the batch, counted from 1 in the file.
    fn row(self, row: usize) -> u64 {
        self.rows_before + row as u64 + 1
    }

    fn refusal(self, error: &arrow::error::ArrowError) -> DecodeError {
        DecodeError::malformed(self.format, error.to_string())
    }
}

/// The rows of a file on their way into a table.
pub(super) struct Rows<'r> {
    format: Format,
    schema: SchemaRef,
    /// For each column of the table, which one of the file it is filled from.
    sources: Vec<Option<usize>>,
    limits: &'r DecodeLimits,
    limit_bytes: u64,
    decoded_bytes: u64,
    rows: u64,
    handed_on: u64,
}

impl<'r> Rows<'r> {
    /// Rows of a file with the columns `from`, of which so many bytes of values are taken.
    pub(super) fn new(
        format: Format,
        (from, to): (&Schema, &SchemaRef),
        limits: &'r DecodeLimits,
        limit_bytes: u64,
    ) -> Result<Self, DecodeError> {
        if from.fields().is_empty() {
            return Err(DecodeError::Empty);
        }
        for field in from.fields() {
            storable_field(format, field)?;
        }
        let sources = sources(format, from, to)?;
        let (schema, decoded_bytes) = (SchemaRef::clone(to), 0);
        Ok(Self { format, schema, sources, limits, limit_bytes, decoded_bytes, rows: 0, handed_on: 0 })
    }

    /// How many rows the file had so far.
    pub(super) fn read(&self) -> u64 {
        self.rows
    }

    /// How many of them were good.
    pub(super) fn handed_on(&self) -> u64 {
        self.handed_on
    }

    /// More of the file was read: so many bytes of values are taken by now.
    pub(super) fn allow(&mut self, limit_bytes: u64) {
        self.limit_bytes = limit_bytes;
    }

    /// Hand on the rows of a batch, in pieces.
    pub(super) fn hand_on(&mut self, batch: &RecordBatch, sink: &mut dyn RowSink) -> Result<(), DecodeError> {
        let size_bytes = slices::batch_bytes(batch, 0, batch.num_rows());
        self.decoded_bytes = self.decoded_bytes.saturating_add(size_bytes);
        if self.decoded_bytes > self.limit_bytes {
            return Err(DecodeError::TooLarge { limit_bytes: self.limit_bytes });
        }
        let batch_rows = self.limits.batch_rows.max(1);
        for start in (0..batch.num_rows()).step_by(batch_rows) {
            let piece = batch.slice(start, batch_rows.min(batch.num_rows() - start));
            slices::slices(&piece).try_for_each(|slice| self.hand_on_slice(&slice, sink))?;
        }
        Ok(())
    }

    fn hand_on_slice(&mut self, slice: &slices::Slice, sink: &mut dyn RowSink) -> Result<(), DecodeError> {
        self.check_row(slice)?;
        let good = match self.converted(&slice.rows, 0) {
            Ok(converted) => converted,
            // Of the rows, each by itself, some may still be good.
            Err(DecodeError::Mismatch { row: Some(_), .. }) => self.good_rows(&slice.rows, sink)?,
            Err(error) => return Err(error),
        };
        self.rows += slice.rows.num_rows() as u64;
        self.handed_on += good.num_rows() as u64;
        if good.num_rows() > 0 { sink.rows(good) } else { Ok(()) }
    }

    /// The rows that become rows of the table; the others are told of.
    fn good_rows(&self, rows: &RecordBatch, sink: &mut dyn RowSink) -> Result<RecordBatch, DecodeError> {
        let mut good = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let error = match self.converted(&rows.slice(row, 1), row as u64) {
                Ok(_) => None,
                Err(error @ DecodeError::Mismatch { .. }) => Some(error),
                Err(error) => return Err(error),
            };
            good.push(error.is_none());
            if let Some(error) = error {
                let number = self.rows + row as u64 + 1;
                sink.bad_row(BadRow { number, source: SourceRecord::of_values(rows, row), error })?;
            }
        }
        let good = filter_record_batch(rows, &BooleanArray::from(good));
        self.converted(&good.map_err(|error| DecodeError::malformed(self.format, error.to_string()))?, 0)
    }

    /// Check that a piece that cannot be cut, being one row, is no longer than a record may be.
    fn check_row(&self, slice: &slices::Slice) -> Result<(), DecodeError> {
        if slice.rows.num_rows() == 1 && slice.size_bytes > self.limits.record_bytes as u64 {
            let reason = format!("row {} has more than {} bytes", self.rows + 1, self.limits.record_bytes);
            return Err(DecodeError::malformed(self.format, reason));
        }
        Ok(())
    }

    /// Rows of the slice under way, before which it has so many others.
    fn converted(&self, batch: &RecordBatch, before: u64) -> Result<RecordBatch, DecodeError> {
        let place = Place { format: self.format, rows_before: self.rows + before };
        let column = |(field, source): (&Arc<Field>, &Option<usize>)| -> Result<ArrayRef, DecodeError> {
            let column = match source {
                Some(at) => convert::convert(batch.column(*at), field, place)?,
                None => new_null_array(field.data_type(), batch.num_rows()),
            };
            convert::check_missing(&column, field, place)?;
            Ok(column)
        };
        let columns: Result<Vec<_>, _> = self.schema.fields().iter().zip(&self.sources).map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), columns?, &options)
            .map_err(|error| place.refusal(&error))
    }
}

fn sources(format: Format, from: &Schema, to: &Schema) -> Result<Vec<Option<usize>>, DecodeError> {
    let index = FieldIndex::of(to.fields().iter().map(|field| field.name()));
    let mut sources = vec![None; to.fields().len()];
    for (at, field) in from.fields().iter().enumerate() {
        let unknown = || DecodeError::UnknownColumn { column: field.name().clone(), line: None };
        let target = index.find(field.name()).ok_or_else(unknown)?;
        if sources[target].replace(at).is_some() {
            return Err(twice(format, field));
        }
    }
    Ok(sources)
}
