//! Apache Arrow's IPC format: streams, and files (which Feather 2 is another name of).
//!
//! Invariant: a message is measured, decompressed too, before memory is taken for it.

use std::{collections::HashMap, io};

use arrow::{
    array::{ArrayRef, RecordBatch},
    buffer::Buffer,
    datatypes::SchemaRef,
    error::ArrowError,
    ipc::reader::{read_dictionary, read_record_batch},
};
use sluice_domain::Format;

use self::messages::{Content, Message, Messages};
use super::{
    Decoder, Inferred, Reading, Source,
    blob::Blob,
    columnar::{self, Rows},
};
use crate::{decode_error::DecodeError, row_sink::RowSink};

mod messages;

pub(super) const DECODER: Decoder = Decoder { infer, decode };

/// What all dictionaries that are in use may take in memory.
const DICTIONARIES_BYTES: u64 = 128 << 20;

fn infer(reading: &Reading, source: Source) -> Result<Inferred, DecodeError> {
    let mut messages = Messages::open(blob(source)?)?;
    columnar::check_size(&messages.schema, reading.limits)?;
    let mut rows: u64 = 0;
    while let Some(message) = messages.advance()? {
        if let Content::Batch { rows: more } = message.content()? {
            rows = rows.saturating_add(more);
        }
    }
    columnar::inferred(Format::Arrow, &messages.schema, rows)
}

fn decode(reading: &Reading, source: Source, schema: &SchemaRef, sink: &mut dyn RowSink) -> Result<u64, DecodeError> {
    let file = blob(source)?;
    let limit_bytes = columnar::allowance(file.size_bytes(), reading.limits);
    let mut messages = Messages::open(file)?;
    columnar::check_size(&messages.schema, reading.limits)?;
    let mut rows = Rows::new(Format::Arrow, (&messages.schema, schema), reading.limits, limit_bytes)?;
    let mut dictionaries = Dictionaries::default();
    while let Some(message) = messages.advance()? {
        match message.content()? {
            Content::Other => {}
            Content::Dictionary { id, is_delta } => {
                let body = messages.body(&message)?;
                dictionaries.take(&message, &messages.schema, (id, is_delta), &body)?;
            }
            Content::Batch { .. } => {
                let batch = batch(&message, &messages.body(&message)?, &messages.schema, &dictionaries)?;
                rows.hand_on(&batch, sink)?;
            }
        }
    }
    Ok(rows.handed_on())
}

fn blob(source: Source) -> Result<Blob, DecodeError> {
    match source {
        Source::Blob(blob) => Ok(blob),
        Source::Stream(_) => Err(DecodeError::Read(io::Error::from(io::ErrorKind::NotSeekable))),
    }
}

fn batch(
    message: &Message,
    body: &Buffer,
    schema: &SchemaRef,
    dictionaries: &Dictionaries,
) -> Result<RecordBatch, DecodeError> {
    let (header, version) = (message.header()?, message.version()?);
    let batch = header.header_as_record_batch().ok_or_else(|| malformed("a message holds no rows"))?;
    read_record_batch(body, batch, SchemaRef::clone(schema), &dictionaries.by_id, None, &version).map_err(refusal)
}

/// The values that keys of rows stand for.
#[derive(Default)]
struct Dictionaries {
    by_id: HashMap<i64, ArrayRef>,
    size_bytes: HashMap<i64, u64>,
}

impl Dictionaries {
    fn take(
        &mut self,
        message: &Message,
        schema: &SchemaRef,
        (id, is_delta): (i64, bool),
        body: &Buffer,
    ) -> Result<(), DecodeError> {
        let known = if is_delta { self.size_bytes.get(&id).copied().unwrap_or_default() } else { 0 };
        self.size_bytes.insert(id, known.saturating_add(message.decoded_bytes(body)?));
        if self.size_bytes.values().fold(0, |sum: u64, more| sum.saturating_add(*more)) > DICTIONARIES_BYTES {
            return Err(malformed(&format!("its dictionaries have more than {DICTIONARIES_BYTES} bytes")));
        }
        let (header, version) = (message.header()?, message.version()?);
        let batch = header.header_as_dictionary_batch().ok_or_else(|| malformed("a message holds no dictionary"))?;
        read_dictionary(body, batch, schema, &mut self.by_id, &version).map_err(refusal)
    }
}

fn malformed(reason: &str) -> DecodeError {
    DecodeError::malformed(Format::Arrow, reason)
}

fn refusal(error: ArrowError) -> DecodeError {
    malformed(&error.to_string())
}

#[cfg(test)]
mod tests;
