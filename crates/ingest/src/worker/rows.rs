//! Record batches as bytes: Arrow's IPC messages, without the schema, which both sides know.
//!
//! Invariant: what comes out has exactly the schema that was asked for, every offset within its buffer and every text
//! UTF-8, whatever the bytes were.

use std::{
    collections::HashMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use arrow::{
    array::RecordBatch,
    buffer::Buffer,
    datatypes::SchemaRef,
    error::ArrowError,
    ipc::{
        reader::read_record_batch,
        root_as_message,
        writer::{DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions},
    },
};

use super::frame::nonsense;

/// The alignment of the body.
const ALIGNMENT: usize = 64;
/// The length of the header, before the header itself, which is aligned by it.
const LENGTH_BYTES: usize = size_of::<u64>();

/// A batch as the parts of a frame.
pub(super) struct Encoded {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Encoded {
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        [&self.head, &self.body]
    }
}

/// Encodes batches, one after another.
#[derive(Default)]
pub(super) struct Encoder {
    context: IpcWriteContext,
}

impl Encoder {
    pub(super) fn encode(&mut self, batch: &RecordBatch) -> Result<Encoded, ArrowError> {
        let mut dictionaries = DictionaryTracker::new(false);
        let options = IpcWriteOptions::default();
        let encoded = IpcDataGenerator::default().encode(batch, &mut dictionaries, &options, &mut self.context)?;
        let (_, EncodedData { ipc_message, arrow_data }) = encoded;
        let mut head = (ipc_message.len() as u64).to_le_bytes().to_vec();
        head.extend(ipc_message);
        head.resize(head.len().next_multiple_of(ALIGNMENT), 0);
        Ok(Encoded { head, body: arrow_data })
    }
}

/// The batch of this schema in the bytes of a frame.
pub(super) fn decode(bytes: &Buffer, schema: &SchemaRef) -> io::Result<RecordBatch> {
    let decoded = catch_unwind(AssertUnwindSafe(|| checked(bytes, schema)));
    decoded.unwrap_or_else(|_| Err(unreadable(&"out of bounds")))
}

fn checked(bytes: &Buffer, schema: &SchemaRef) -> io::Result<RecordBatch> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or_else(|| nonsense("rows without a header"))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let header = rest.get(..length).ok_or_else(|| nonsense("rows with a header that is cut off"))?;
    let message = root_as_message(header).map_err(|error| unreadable(&error))?;
    let batch = message.header_as_record_batch().ok_or_else(|| nonsense("rows that are none"))?;
    // What is compressed says by itself how much memory it takes.
    if batch.compression().is_some() {
        return Err(nonsense("rows that are compressed"));
    }
    let start = (LENGTH_BYTES + length).next_multiple_of(ALIGNMENT).min(bytes.len());
    let (body, version) = (bytes.slice(start), message.version());
    read_record_batch(&body, batch, SchemaRef::clone(schema), &HashMap::new(), None, &version)
        .map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::fmt::Display) -> io::Error {
    nonsense(&format!("rows that cannot be read: {error}"))
}

#[cfg(test)]
mod tests;
