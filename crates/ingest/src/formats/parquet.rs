//! Apache Parquet.
//!
//! Invariant: a footer is measured before anything is built from it.
//! Invariant: rows are counted with the whole length of their values before those are copied, and copied in pieces.
//! Invariant: values change their type only where every one of them keeps its meaning.

use std::{io, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    errors::ParquetError,
    file::metadata::ParquetMetaDataReader,
};
use sluice_domain::Format;

use super::{
    Decoder, Inferred, Reading, Source,
    blob::Blob,
    columnar::{self, Rows},
};
use crate::{decode_error::DecodeError, limits::DecodeLimits, row_sink::RowSink};

mod footer;
mod views;

use views::Plan;

pub(super) const DECODER: Decoder = Decoder { infer, decode };

/// How much the fixed-size values of one batch take in memory: wide files are read in shorter batches.
const BATCH_BYTES: usize = 8 << 20;
const VALUE_BYTES: usize = 8;

fn infer(reading: &Reading, source: Source) -> Result<Inferred, DecodeError> {
    let Opened { metadata, .. } = open(source, reading.limits)?;
    columnar::inferred(Format::Parquet, metadata.schema(), promised_rows(&metadata))
}

fn decode(reading: &Reading, source: Source, schema: &SchemaRef, sink: &mut dyn RowSink) -> Result<u64, DecodeError> {
    let Opened { file, metadata, row_bytes } = open(source, reading.limits)?;
    let limit_bytes = columnar::allowance(file.size_bytes(), reading.limits);
    let mut rows = Rows::new(Format::Parquet, (metadata.schema(), schema), reading.limits, limit_bytes)?;
    let promised = promised_rows(&metadata);
    if promised.saturating_mul(least_row_bytes(metadata.schema())) > limit_bytes {
        return Err(DecodeError::TooLarge { limit_bytes });
    }
    let row_bytes = row_bytes.max(VALUE_BYTES * schema.fields().len()).max(1);
    let batch_rows = reading.limits.batch_rows.min(BATCH_BYTES / row_bytes).max(1);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).with_batch_size(batch_rows);
    for batch in builder.build().map_err(refusal)? {
        let batch = batch.map_err(|error| DecodeError::malformed(Format::Parquet, error.to_string()))?;
        rows.hand_on(&batch, sink)?;
    }
    if rows.read() != promised {
        let reason = format!("the footer tells of {promised} rows, and there are {}", rows.read());
        return Err(DecodeError::malformed(Format::Parquet, reason));
    }
    Ok(rows.handed_on())
}

/// What the values of a row take in memory at the least, as [`columnar::slices::batch_bytes`] counts them.
fn least_row_bytes(schema: &Schema) -> u64 {
    let least = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8View | DataType::BinaryView => size_of::<i32>(),
        other => other.primitive_width().unwrap_or(0),
    };
    schema.fields().iter().map(least).sum::<usize>() as u64
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

fn refusal(error: ParquetError) -> DecodeError {
    DecodeError::malformed(Format::Parquet, error.to_string())
}

#[cfg(test)]
mod tests;
