//! The formats that files come in: how to find their schema, and how to read their rows.
//!
//! Owns everything between bytes and record batches. Never knows where the bytes come from or where batches go.
//!
//! Invariant: what the first pass accepts, the second pass reads with the schema that the first one found.
//! Invariant: no input makes a decoder panic past this module, loop without end or take memory without bound.

mod blob;
mod csv;
mod decompress;
mod json;
mod parquet;

use std::{
    io::{Cursor, Read},
    panic::{AssertUnwindSafe, catch_unwind},
};

use arrow::datatypes::SchemaRef;
use sluice_domain::{Format, ReadOptions};

pub(crate) use blob::{Blob, ReadAt};
pub(crate) use decompress::decompressed;

use crate::{decode_error::DecodeError, limits::DecodeLimits, row_sink::RowSink};

const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// A file's bytes, decompressed already.
pub(crate) enum Source {
    /// To be read from front to back.
    Stream(Box<dyn Read + Send>),
    /// To be read from anywhere.
    Blob(Blob),
}

impl Source {
    fn into_reader(self) -> Box<dyn Read + Send> {
        match self {
            Self::Stream(reader) => reader,
            Self::Blob(blob) => Box::new(blob.reader(0)),
        }
    }
}

/// Whether a format is read from its end, so that its bytes must lie where they can be read from anywhere.
pub(crate) fn is_read_from_its_end(format: Format) -> bool {
    format == Format::Parquet
}

/// What a file turned out to hold.
#[derive(Debug)]
pub(crate) struct Inferred {
    /// Its columns.
    pub(crate) schema: SchemaRef,
    /// How many good rows it has.
    pub(crate) rows: u64,
    /// What is wrong with the first record that is no row.
    pub(crate) first_bad: Option<DecodeError>,
}

#[cfg(test)]
impl Inferred {
    /// The same, if every record is a row.
    fn strictly(self) -> Result<Self, DecodeError> {
        self.first_bad.map_or(Ok(Self { first_bad: None, ..self }), Err)
    }
}

/// What a decoder needs to know besides the bytes.
struct Reading<'r> {
    options: &'r ReadOptions,
    limits: &'r DecodeLimits,
}

/// How one format is read.
struct Decoder {
    infer: fn(&Reading, Source) -> Result<Inferred, DecodeError>,
    decode: fn(&Reading, Source, &SchemaRef, &mut dyn RowSink) -> Result<u64, DecodeError>,
}

/// Every format's decoder.
fn decoder(format: Format) -> Decoder {
    match format {
        Format::Csv => csv::DECODER,
        Format::Ndjson | Format::Json => json::DECODER,
        Format::Parquet => parquet::DECODER,
    }
}

/// Find the schema of a file and count its rows: the types hold every value of the records that are rows.
///
/// # Errors
/// What is wrong with the file, naming the place.
pub(crate) fn infer(options: &ReadOptions, source: Source, limits: &DecodeLimits) -> Result<Inferred, DecodeError> {
    caught(options.format, || (decoder(options.format).infer)(&Reading { options, limits }, source))
}

/// Read a file into batches of exactly `schema`, in order; how many good rows there were. What is wrong with a record
/// alone goes to the sink.
///
/// # Errors
/// What is wrong with the file as a whole, naming the place; and the errors of `sink`.
pub(crate) fn decode(
    options: &ReadOptions,
    source: Source,
    schema: &SchemaRef,
    limits: &DecodeLimits,
    sink: &mut dyn RowSink,
) -> Result<u64, DecodeError> {
    caught(options.format, || (decoder(options.format).decode)(&Reading { options, limits }, source, schema, sink))
}

/// The record that names the columns of delimited text, as it would be written; none where the options know of none.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn csv_header(
    options: &ReadOptions,
    source: Source,
    limits: &DecodeLimits,
) -> Result<Option<String>, DecodeError> {
    if !options.csv.header {
        return Ok(None);
    }
    caught(options.format, || csv::header_line(&options.csv, source, limits).map(Some))
}

/// A decoder that panics has met a file that its authors did not think of; the file is at fault, not the server.
fn caught<T>(format: Format, decode: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(DecodeError::malformed(format, "the file could not be decoded")))
}

/// The same bytes without the mark that some programs put before UTF-8.
fn without_byte_order_mark(mut source: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>, DecodeError> {
    let mut start = Vec::new();
    source.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start)?;
    if start == BYTE_ORDER_MARK {
        start.clear();
    }
    Ok(Box::new(Cursor::new(start).chain(source)))
}
