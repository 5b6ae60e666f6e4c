//! Apache Parquet.
//!
//! Invariant: a footer is measured before anything is built from it.
//! Invariant: rows are counted with the whole length of their values before those are copied, and copied in pieces.
//! Invariant: values change their type only where every one of them keeps its meaning.

use std::{io, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array},
    compute::filter_record_batch,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    errors::ParquetError,
    file::metadata::ParquetMetaDataReader,
};
use sluice_domain::{ColumnName, Format, NameError};
use sluice_table::storable_type;

use super::{Decoder, Inferred, Reading, Source, blob::Blob};
use crate::{
    columns::FieldIndex,
    decode_error::DecodeError,
    limits::DecodeLimits,
    row_sink::{BadRow, RowSink, SourceRecord},
};

mod convert;
mod footer;
mod slices;
mod views;

use slices::Slice;
use views::Plan;

pub(super) const DECODER: Decoder = Decoder { infer, decode };

/// How much the fixed-size values of one batch take in memory: wide files are read in shorter batches.
const BATCH_BYTES: usize = 8 << 20;
const VALUE_BYTES: usize = 8;
/// How many decoded bytes a file may have whatever its own length: columns of one value take next to none of it.
const RATIO_FREE_BYTES: u64 = 1 << 30;

fn infer(reading: &Reading, source: Source) -> Result<Inferred, DecodeError> {
    let Opened { metadata, .. } = open(source, reading.limits)?;
    let source_fields = metadata.schema().fields();
    if source_fields.is_empty() {
        return Err(DecodeError::Empty);
    }
    let mut index = FieldIndex::default();
    let mut fields = Vec::with_capacity(source_fields.len());
    for (at, field) in source_fields.iter().enumerate() {
        if index.find(field.name()).is_some() {
            return Err(bad_column(field.name(), "there are two columns of this name, cases aside"));
        }
        index.insert(field.name(), at);
        fields.push(storable_field(field)?);
    }
    Ok(Inferred { schema: Arc::new(Schema::new(fields)), rows: promised_rows(&metadata), first_bad: None })
}

fn decode(reading: &Reading, source: Source, schema: &SchemaRef, sink: &mut dyn RowSink) -> Result<u64, DecodeError> {
    let Opened { file, metadata, row_bytes } = open(source, reading.limits)?;
    let limit_bytes = allowance(file.size_bytes(), reading.limits);
    for field in metadata.schema().fields() {
        storable_field(field)?;
    }
    let promised = promised_rows(&metadata);
    if promised.saturating_mul(least_row_bytes(metadata.schema())) > limit_bytes {
        return Err(DecodeError::TooLarge { limit_bytes });
    }
    let sources = sources(metadata.schema(), schema)?;
    let row_bytes = row_bytes.max(VALUE_BYTES * schema.fields().len()).max(1);
    let batch_rows = reading.limits.batch_rows.min(BATCH_BYTES / row_bytes).max(1);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).with_batch_size(batch_rows);
    let (mut rows, mut handed_on, mut decoded_bytes) = (0, 0, 0_u64);
    for batch in builder.build().map_err(refusal)? {
        let batch = batch.map_err(|error| DecodeError::malformed(Format::Parquet, error.to_string()))?;
        decoded_bytes = decoded_bytes.saturating_add(slices::batch_bytes(&batch, 0, batch.num_rows()));
        if decoded_bytes > limit_bytes {
            return Err(DecodeError::TooLarge { limit_bytes });
        }
        for slice in slices::slices(&batch) {
            check_row(&slice, rows, reading.limits)?;
            handed_on += hand_on(&slice.rows, &Target { sources: &sources, schema }, rows, sink)?;
            rows += slice.rows.num_rows() as u64;
        }
    }
    if rows != promised {
        let reason = format!("the footer tells of {promised} rows, and there are {rows}");
        return Err(DecodeError::malformed(Format::Parquet, reason));
    }
    Ok(handed_on)
}

/// How many bytes the values of a file of this length may have in memory.
fn allowance(size_bytes: u64, limits: &DecodeLimits) -> u64 {
    size_bytes.saturating_mul(limits.ratio).max(RATIO_FREE_BYTES).min(limits.decoded_bytes)
}

/// What the values of a row take in memory at the least, as [`slices::batch_bytes`] counts them.
fn least_row_bytes(schema: &Schema) -> u64 {
    let least = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8View | DataType::BinaryView => size_of::<i32>(),
        other => other.primitive_width().unwrap_or(0),
    };
    schema.fields().iter().map(least).sum::<usize>() as u64
}

/// Check that a piece that cannot be cut, being one row, is no longer than a record may be.
fn check_row(slice: &Slice, rows_before: u64, limits: &DecodeLimits) -> Result<(), DecodeError> {
    if slice.rows.num_rows() == 1 && slice.size_bytes > limits.record_bytes as u64 {
        let reason = format!("row {} has more than {} bytes", rows_before + 1, limits.record_bytes);
        return Err(DecodeError::malformed(Format::Parquet, reason));
    }
    Ok(())
}

/// A file with what its footer says.
struct Opened {
    file: Blob,
    metadata: ArrowReaderMetadata,
    row_bytes: usize,
}

fn open(source: Source, limits: &DecodeLimits) -> Result<Opened, DecodeError> {
    let Source::Blob(file) = source else {
        return Err(DecodeError::Read(io::Error::from(io::ErrorKind::NotSeekable)));
    };
    let footer = footer::read(&file, limits)?;
    footer::check(&footer, limits)?;
    let metadata = ParquetMetaDataReader::decode_metadata(&footer).map_err(refusal)?;
    let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new()).map_err(refusal)?;
    let Plan { schema, row_bytes } = views::plan(&metadata);
    let options = ArrowReaderOptions::new().with_schema(schema);
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).map_err(refusal)?;
    Ok(Opened { file, metadata, row_bytes })
}

fn promised_rows(metadata: &ArrowReaderMetadata) -> u64 {
    u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or_default()
}

/// The column as a table stores it.
fn storable_field(field: &Field) -> Result<Field, DecodeError> {
    let name: ColumnName =
        field.name().parse().map_err(|error: NameError| bad_column(field.name(), &error.to_string()))?;
    let stored = storable_type(field.data_type()).ok_or_else(|| {
        bad_column(field.name(), &format!("a table cannot store values of type {}", field.data_type()))
    })?;
    Ok(Field::new(name.as_str(), stored, true))
}

/// For each column of the table, which one of the file it is filled from.
fn sources(from: &Schema, to: &Schema) -> Result<Vec<Option<usize>>, DecodeError> {
    let index = FieldIndex::of(to.fields().iter().map(|field| field.name()));
    let mut sources = vec![None; to.fields().len()];
    for (at, field) in from.fields().iter().enumerate() {
        let unknown = || DecodeError::UnknownColumn { column: field.name().clone(), line: None };
        let target = index.find(field.name()).ok_or_else(unknown)?;
        if sources[target].replace(at).is_some() {
            return Err(bad_column(field.name(), "there are two columns of this name, cases aside"));
        }
    }
    Ok(sources)
}

/// What rows become.
struct Target<'t> {
    /// For each column of the table, which one of the file it is filled from.
    sources: &'t [Option<usize>],
    schema: &'t SchemaRef,
}

/// Hand on the rows of a batch that become rows of the table, and name the others; how many good ones there were.
fn hand_on(batch: &RecordBatch, target: &Target, rows_before: u64, sink: &mut dyn RowSink) -> Result<u64, DecodeError> {
    match converted(batch, target, rows_before) {
        Ok(converted) => sink.rows(converted)?,
        // Of the rows, each by itself, some may still be good.
        Err(DecodeError::Mismatch { row: Some(_), .. }) => return hand_on_each(batch, target, rows_before, sink),
        Err(error) => return Err(error),
    }
    Ok(batch.num_rows() as u64)
}

fn hand_on_each(
    batch: &RecordBatch,
    target: &Target,
    rows_before: u64,
    sink: &mut dyn RowSink,
) -> Result<u64, DecodeError> {
    let mut good = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let number = rows_before + row as u64;
        let error = match converted(&batch.slice(row, 1), target, number) {
            Ok(_) => None,
            Err(error @ DecodeError::Mismatch { .. }) => Some(error),
            Err(error) => return Err(error),
        };
        good.push(error.is_none());
        if let Some(error) = error {
            sink.bad_row(BadRow { number: number + 1, source: SourceRecord::of_values(batch, row), error })?;
        }
    }
    let good = filter_record_batch(batch, &BooleanArray::from(good))
        .map_err(|error| DecodeError::malformed(Format::Parquet, error.to_string()))?;
    if good.num_rows() > 0 {
        sink.rows(converted(&good, target, rows_before)?)?;
    }
    Ok(good.num_rows() as u64)
}

fn converted(batch: &RecordBatch, target: &Target, rows_before: u64) -> Result<RecordBatch, DecodeError> {
    let Target { sources, schema } = *target;
    let columns: Result<Vec<ArrayRef>, DecodeError> = schema
        .fields()
        .iter()
        .zip(sources)
        .map(|(field, source)| {
            let column = match source {
                Some(at) => convert::convert(batch.column(*at), field, rows_before)?,
                None => new_null_array(field.data_type(), batch.num_rows()),
            };
            convert::check_missing(&column, field, rows_before)?;
            Ok(column)
        })
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns?, &options)
        .map_err(|error| DecodeError::malformed(Format::Parquet, error.to_string()))
}

fn bad_column(column: &str, reason: &str) -> DecodeError {
    let (column, reason) = (Some(crate::decode_error::shortened(column)), reason.to_owned());
    DecodeError::Malformed { format: Format::Parquet, line: None, column, reason }
}

fn refusal(error: ParquetError) -> DecodeError {
    DecodeError::malformed(Format::Parquet, error.to_string())
}

#[cfg(test)]
mod tests;
