//! Apache Avro's object container files.
//!
//! Invariant: as many rows are handed on as the blocks of the file say that they hold.

use std::{
    io::{BufReader, Cursor, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::{datatypes::SchemaRef, error::ArrowError};
use arrow_avro::reader::ReaderBuilder;
use sluice_domain::Format;

use self::container::Container;
use super::{
    Decoder, Inferred, Reading, Source,
    columnar::{self, Rows},
};
use crate::{decode_error::DecodeError, limits::DecodeLimits, row_sink::RowSink};

mod codec;
mod container;
mod rows;
mod schema;

pub(super) const DECODER: Decoder = Decoder { infer, decode };

const BUFFER_BYTES: usize = 64 << 10;
/// How much a batch holds at most where every value takes little: wide files are read in shorter batches.
const BATCH_VALUES: usize = 1 << 20;

fn infer(reading: &Reading, source: Source) -> Result<Inferred, DecodeError> {
    let mut container = Container::open(BufReader::with_capacity(BUFFER_BYTES, source.into_reader()))?;
    let header = ReaderBuilder::new().build(Cursor::new(container.header())).map_err(refusal)?;
    let schema = header.schema();
    columnar::check_size(&schema, reading.limits)?;
    let mut rows: u64 = 0;
    while let Some((more, _)) = container.block()? {
        rows = rows.saturating_add(more);
    }
    columnar::inferred(Format::Avro, &schema, rows)
}

fn decode(reading: &Reading, source: Source, schema: &SchemaRef, sink: &mut dyn RowSink) -> Result<u64, DecodeError> {
    let batch_rows = reading.limits.batch_rows.min(BATCH_VALUES / schema.fields().len().max(1)).max(1);
    let taken_bytes = Arc::new(AtomicU64::new(0));
    let source = Counted { inner: source.into_reader(), taken_bytes: Arc::clone(&taken_bytes) };
    let container = Container::open(BufReader::with_capacity(BUFFER_BYTES, Box::new(source)))?;
    let promised_rows = container.rows();
    let reader = ReaderBuilder::new().with_batch_size(batch_rows).build(container).map_err(refusal)?;
    let limit_bytes = |limits: &DecodeLimits| columnar::allowance(taken_bytes.load(Ordering::Relaxed), limits);
    let from = reader.schema();
    columnar::check_size(&from, reading.limits)?;
    let mut rows = Rows::new(Format::Avro, (&from, schema), reading.limits, limit_bytes(reading.limits))?;
    for batch in reader {
        rows.allow(limit_bytes(reading.limits));
        rows.hand_on(&batch.map_err(refusal)?, sink)?;
    }
    let promised = promised_rows.load(Ordering::Relaxed);
    if rows.read() != promised {
        let reason = format!("its blocks tell of {promised} rows, and there are {}", rows.read());
        return Err(DecodeError::malformed(Format::Avro, reason));
    }
    Ok(rows.handed_on())
}

/// Counts what is read.
struct Counted {
    inner: Box<dyn Read + Send>,
    taken_bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.taken_bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// What stopped the reader: a failure to read, or what the container found wrong, goes through it as it is.
fn refusal(error: ArrowError) -> DecodeError {
    match error {
        ArrowError::IoError(_, error) => DecodeError::from(error),
        other => DecodeError::malformed(Format::Avro, other.to_string()),
    }
}

#[cfg(test)]
mod tests;
