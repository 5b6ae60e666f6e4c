//! The formats that files come in: how to find their schema, and how to read their rows.
//!
//! Owns everything between bytes and record batches. Never knows where the bytes come from or where batches go.
//!
//! Invariant: what the first pass accepts, the second pass reads with the schema that the first one found.
//! Invariant: no input makes a decoder panic past this module, loop without end or take memory without bound.

mod blob;
mod blocks;
mod csv;
mod decompress;
mod json;
mod parquet;
mod parts;

use std::{
    io::{Cursor, Read},
    panic::{AssertUnwindSafe, catch_unwind},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use sluice_domain::{Format, ReadOptions};

pub(crate) use blob::{Blob, ReadAt};
pub(crate) use decompress::decompressed;

use crate::{columns::Sink, decode_error::DecodeError, limits::DecodeLimits};

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

/// Whether a file of which nothing is known can be read in one pass.
pub(crate) fn is_read_once(format: Format) -> bool {
    matches!(format, Format::Csv | Format::Ndjson)
}

/// What a file turned out to hold.
#[derive(Debug)]
pub(crate) struct Inferred {
    /// Its columns.
    pub(crate) schema: SchemaRef,
    /// How many rows it has.
    pub(crate) rows: u64,
}

/// What came of reading a file once, with types that its beginning tells.
#[derive(Debug)]
pub(crate) enum OnePass {
    /// The file has these columns, and all of its rows were handed on.
    Read(Inferred),
    /// What was handed on is of no use: the types did not hold what followed, or the file is not read in this way.
    Unfit,
}

/// What a decoder needs to know besides the bytes.
struct Reading<'r> {
    options: &'r ReadOptions,
    limits: &'r DecodeLimits,
}

/// How one format is read.
struct Decoder {
    infer: fn(&Reading, Source) -> Result<Inferred, DecodeError>,
    decode: for<'s> fn(&Reading, Source, &SchemaRef, &'s mut Sink<'s>) -> Result<u64, DecodeError>,
}

/// Every format's decoder.
fn decoder(format: Format) -> Decoder {
    match format {
        Format::Csv => csv::DECODER,
        Format::Ndjson | Format::Json => json::DECODER,
        Format::Parquet => parquet::DECODER,
    }
}

/// Find the schema of a file and count its rows: the types hold every value that is in it.
///
/// # Errors
/// What is wrong with the file, naming the place.
pub(crate) fn infer(options: &ReadOptions, source: Source, limits: &DecodeLimits) -> Result<Inferred, DecodeError> {
    caught(options.format, || (decoder(options.format).infer)(&Reading { options, limits }, source))
}

/// Read a file into batches of exactly `schema`, in order; how many rows there were.
///
/// # Errors
/// What is wrong with the file or does not fit the schema, naming the place; and the errors of `sink`.
pub(crate) fn decode(
    options: &ReadOptions,
    source: Source,
    schema: &SchemaRef,
    limits: &DecodeLimits,
    sink: &mut dyn FnMut(RecordBatch) -> Result<(), DecodeError>,
) -> Result<u64, DecodeError> {
    let mut sink = sink;
    caught(options.format, || (decoder(options.format).decode)(&Reading { options, limits }, source, schema, &mut sink))
}

/// Read a file of which nothing is known into batches of the schema that [`infer`] finds, without reading it twice.
///
/// # Errors
/// What is wrong with the file, naming the place; and the errors of `sink`.
pub(crate) fn decode_guessing(
    options: &ReadOptions,
    source: Source,
    limits: &DecodeLimits,
    sink: &mut dyn FnMut(RecordBatch) -> Result<(), DecodeError>,
) -> Result<OnePass, DecodeError> {
    let mut sink = sink;
    let reading = Reading { options, limits };
    caught(options.format, || match options.format {
        Format::Csv => csv::decode_guessing(&reading, source, &mut sink),
        Format::Ndjson => json::decode_guessing(&reading, source, &mut sink),
        _ => Ok(OnePass::Unfit),
    })
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
