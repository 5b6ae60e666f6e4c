//! The formats that files come in: how to find their schema, and how to read their rows.
//!
//! Owns everything between bytes and record batches. Never knows where the bytes come from or where batches go.
//!
//! Invariant: what the first pass accepts, the second pass reads with the schema that the first one found.
//! Invariant: no input makes a decoder panic past this module, loop without end or take memory without bound.

mod arrow_ipc;
mod avro;
mod blob;
mod blocks;
mod charset;
mod columnar;
mod csv;
mod decompress;
mod json;
mod parquet;
mod parts;

use std::{
    io::{Cursor, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow::datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef};
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
    matches!(format, Format::Parquet | Format::Arrow | Format::Zip)
}

/// Whether a file of which nothing is known can be read in one pass.
pub(crate) fn is_read_once(format: Format) -> bool {
    matches!(format, Format::Csv | Format::Ndjson)
}

/// What a file turned out to hold.
#[derive(Debug)]
pub(crate) struct Inferred {
    /// Its columns; [`DataType::Null`] where no row has a value.
    pub(crate) schema: SchemaRef,
    /// How many good rows it has.
    pub(crate) rows: u64,
    /// What is wrong with the first record that is no row.
    pub(crate) first_bad: Option<DecodeError>,
}

impl Inferred {
    /// The columns of a table of this file.
    pub(crate) fn table_columns(&self) -> SchemaRef {
        table_columns(self.schema.fields())
    }
}

/// The columns of a table of these.
fn table_columns(found: &Fields) -> SchemaRef {
    let column = |field: &FieldRef| field.as_ref().clone().with_data_type(table_type(field.data_type()));
    Arc::new(Schema::new(found.iter().map(column).collect::<Vec<_>>()))
}

/// The type of a table's column for values that were found to have this one: text, where there were none. A struct
/// without fields is no column either: what is left of it is its text.
pub(crate) fn table_type(found: &DataType) -> DataType {
    let within = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(table_type(field.data_type())));
    match found {
        DataType::Null => DataType::Utf8,
        DataType::Struct(fields) if fields.is_empty() => DataType::Utf8,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(within).collect()),
        DataType::List(item) => DataType::List(within(item)),
        other => other.clone(),
    }
}

#[cfg(test)]
impl Inferred {
    /// The same, if every record is a row.
    fn strictly(self) -> Result<Self, DecodeError> {
        self.first_bad.map_or(Ok(Self { first_bad: None, ..self }), Err)
    }
}

/// What came of reading a file once, with types that its beginning tells.
#[derive(Debug)]
pub(crate) enum OnePass {
    /// All rows of the file were handed on, with the columns that it has.
    Read,
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
    decode: fn(&Reading, Source, &SchemaRef, &mut dyn RowSink) -> Result<u64, DecodeError>,
}

/// Every format's decoder; none for archives, whose members are decoded one by one.
fn decoder(format: Format) -> Result<Decoder, DecodeError> {
    match format {
        Format::Csv => Ok(csv::DECODER),
        Format::Ndjson | Format::Json => Ok(json::DECODER),
        Format::Parquet => Ok(parquet::DECODER),
        Format::Arrow => Ok(arrow_ipc::DECODER),
        Format::Avro => Ok(avro::DECODER),
        Format::Zip => Err(DecodeError::malformed(format, "an archive within an archive is not read")),
    }
}

/// Find the schema of a file and count its rows: the types hold every value of the records that are rows.
///
/// # Errors
/// What is wrong with the file, naming the place.
pub(crate) fn infer(options: &ReadOptions, source: Source, limits: &DecodeLimits) -> Result<Inferred, DecodeError> {
    caught(options.format, || {
        (decoder(options.format)?.infer)(&Reading { options, limits }, prepared(options, source)?)
    })
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
    caught(options.format, || {
        let source = prepared(options, source)?;
        (decoder(options.format)?.decode)(&Reading { options, limits }, source, schema, sink)
    })
}

/// The source as decoders take it: text in UTF-8, and of a document only the rows.
fn prepared(options: &ReadOptions, source: Source) -> Result<Source, DecodeError> {
    if !options.format.is_text() {
        return Ok(source);
    }
    let text = charset::transcoded(source.into_reader(), options.charset, options.format)?;
    match &options.json.record_path {
        Some(path) if options.format == Format::Json => Ok(Source::Stream(json::rows_at(path, text)?)),
        _ => Ok(Source::Stream(text)),
    }
}

/// Whether the beginning of the file tells how it is read.
pub(crate) fn is_open(options: &ReadOptions) -> bool {
    options.format == Format::Csv && options.csv.open.is_any()
}

/// The options with what the beginning of the file tells where the sender left it open; `head` is its decompressed
/// bytes, or a part of them.
///
/// # Errors
/// The bytes cannot be read. What is wrong with them is for the decoder to say.
pub(crate) fn resolved(options: &ReadOptions, head: Box<dyn Read + Send>) -> Result<ReadOptions, DecodeError> {
    if !is_open(options) {
        return Ok(options.clone());
    }
    let (sample, is_whole) = beginning(options, head)?;
    Ok(ReadOptions { csv: csv::resolved(&options.csv, &sample, is_whole), ..options.clone() })
}

/// What of a text's beginning can be read, and whether it is all of the text.
fn beginning(options: &ReadOptions, head: Box<dyn Read + Send>) -> Result<(Vec<u8>, bool), DecodeError> {
    let mut sample = Vec::new();
    let text = charset::transcoded(head, options.charset, options.format);
    let read = text.and_then(|text| Ok(text.take(csv::SAMPLE_BYTES as u64 + 1).read_to_end(&mut sample)?));
    let is_whole = read.is_ok() && sample.len() <= csv::SAMPLE_BYTES;
    sample.truncate(csv::SAMPLE_BYTES);
    match read {
        Err(error @ DecodeError::Read(_)) => Err(error),
        _ => Ok((sample, is_whole)),
    }
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
    caught(options.format, || {
        let source = prepared(options, source)?;
        csv::header_line(&options.csv, source, limits).map(Some)
    })
}

/// Read a file of which nothing is known into batches of the schema that [`infer`] finds, without reading it twice.
///
/// # Errors
/// What is wrong with the file, naming the place; and the errors of `sink`.
pub(crate) fn decode_guessing(
    options: &ReadOptions,
    source: Source,
    limits: &DecodeLimits,
    sink: &mut dyn RowSink,
) -> Result<OnePass, DecodeError> {
    let reading = Reading { options, limits };
    caught(options.format, || match options.format {
        Format::Csv => csv::decode_guessing(&reading, prepared(options, source)?, sink),
        Format::Ndjson => json::decode_guessing(&reading, prepared(options, source)?, sink),
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

#[cfg(test)]
pub(crate) use decompress::tests::compress as compressed_for_tests;

#[cfg(test)]
mod tests;
