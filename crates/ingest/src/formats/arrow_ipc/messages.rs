//! The messages of a stream or file, one after another: where they lie, what they are, and how long.
//!
//! Invariant: no message reaches beyond the file, and none is read that is longer than the limit.

use std::{io, sync::Arc, vec};

use arrow::{
    buffer::Buffer,
    datatypes::SchemaRef,
    ipc::{self, MetadataVersion, RecordBatch, convert::fb_to_schema},
};

use super::{super::blob::Blob, malformed};
use crate::decode_error::DecodeError;

/// What the description of rows may be long, and a file's table of contents.
const DESCRIPTION_BYTES: u64 = 16 << 20;
/// What rows may be long, as they lie in the file and decompressed, together.
const BODY_BYTES: u64 = 192 << 20;
/// What a file begins and ends with, and what an older format of that name begins with.
const FILE_MARK: &[u8] = b"ARROW1";
const FEATHER_1_MARK: &[u8] = b"FEA1";
/// Before the length of a message, in the format's present versions.
const CONTINUATION: [u8; 4] = [0xFF; 4];
/// The length of a file's table of contents, and the mark after it.
const ENDING_BYTES: u64 = 10;
/// The length of a buffer before its compressed bytes; or that they are not compressed.
const PREFIX_BYTES: usize = 8;
const NOT_COMPRESSED: i64 = -1;

/// Where the messages are.
enum Places {
    /// One after another, the next one from this offset on.
    Stream(u64),
    /// Where a file's table of contents says.
    File(vec::IntoIter<u64>),
}

/// The messages of a file or stream.
pub(super) struct Messages {
    blob: Blob,
    places: Places,
    pub(super) schema: SchemaRef,
}

/// What a message is about.
pub(super) enum Content {
    Batch { rows: u64 },
    Dictionary { id: i64, is_delta: bool },
    Other,
}

/// A message, whose body is still in the file.
pub(super) struct Message {
    description: Vec<u8>,
    body_offset: u64,
    body_bytes: u64,
}

impl Messages {
    /// The messages after the schema.
    pub(super) fn open(blob: Blob) -> Result<Self, DecodeError> {
        let start = blob.range(0, FILE_MARK.len().min(usize::try_from(blob.size_bytes()).unwrap_or(usize::MAX)))?;
        if start == FILE_MARK {
            return Self::open_file(blob);
        }
        if start.starts_with(FEATHER_1_MARK) {
            return Err(malformed("it is of version 1 of Feather, which is no Arrow IPC; write it in version 2"));
        }
        let first = message_at(&blob, 0)?.ok_or_else(|| malformed("it does not begin with a schema"))?;
        let header = first.header()?;
        let schema = header.header_as_schema().ok_or_else(|| malformed("it does not begin with a schema"))?;
        let schema = checked_schema(schema)?;
        Ok(Self { places: Places::Stream(first.end()), blob, schema })
    }

    fn open_file(blob: Blob) -> Result<Self, DecodeError> {
        let no_end = || malformed("the file is cut off: its table of contents is not at its end");
        let ending_at = blob.size_bytes().checked_sub(ENDING_BYTES).ok_or_else(no_end)?;
        let ending = blob.range(ending_at, 10)?;
        let (length, mark) = ending.split_first_chunk::<4>().ok_or_else(no_end)?;
        let length = u64::try_from(i32::from_le_bytes(*length)).unwrap_or(u64::MAX);
        if mark != FILE_MARK || length > ending_at.min(DESCRIPTION_BYTES) {
            return Err(no_end());
        }
        let contents = blob.range(ending_at - length, usize::try_from(length).unwrap_or_default())?;
        let contents = ipc::root_as_footer(&contents).map_err(|error| malformed(&error.to_string()))?;
        let schema = contents.schema().ok_or_else(|| malformed("the file has no schema"))?;
        let schema = checked_schema(schema)?;
        let blocks =
            contents.dictionaries().into_iter().flatten().chain(contents.recordBatches().into_iter().flatten());
        let offsets = blocks.map(|block| u64::try_from(block.offset()).map_err(|_| no_end()));
        let offsets: Vec<u64> = offsets.collect::<Result<_, _>>()?;
        Ok(Self { places: Places::File(offsets.into_iter()), blob, schema })
    }

    /// The next message; none at the end.
    pub(super) fn advance(&mut self) -> Result<Option<Message>, DecodeError> {
        match &mut self.places {
            Places::Stream(offset) => {
                let message = message_at(&self.blob, *offset)?;
                *offset = message.as_ref().map_or(self.blob.size_bytes(), Message::end);
                Ok(message)
            }
            Places::File(offsets) => {
                let Some(offset) = offsets.next() else { return Ok(None) };
                let lost = || malformed("its table of contents leads to where nothing is");
                message_at(&self.blob, offset)?.ok_or_else(lost).map(Some)
            }
        }
    }

    /// The bytes of a message's values.
    pub(super) fn body(&self, message: &Message) -> Result<Buffer, DecodeError> {
        let too_long = || {
            malformed(&format!("a batch of rows has more than {BODY_BYTES} bytes; write it in batches of fewer rows"))
        };
        if message.body_bytes > BODY_BYTES {
            return Err(too_long());
        }
        let length = usize::try_from(message.body_bytes).unwrap_or(usize::MAX);
        let body = Buffer::from_vec(self.blob.range(message.body_offset, length)?);
        if message.decoded_bytes(&body)? > BODY_BYTES {
            return Err(too_long());
        }
        Ok(body)
    }
}

impl Message {
    pub(super) fn header(&self) -> Result<ipc::Message<'_>, DecodeError> {
        ipc::root_as_message(&self.description).map_err(|error| malformed(&error.to_string()))
    }

    pub(super) fn version(&self) -> Result<MetadataVersion, DecodeError> {
        Ok(self.header()?.version())
    }

    pub(super) fn content(&self) -> Result<Content, DecodeError> {
        let header = self.header()?;
        if let Some(batch) = header.header_as_record_batch() {
            let rows = u64::try_from(batch.length()).map_err(|_| malformed("a batch has fewer rows than none"))?;
            return Ok(Content::Batch { rows });
        }
        match header.header_as_dictionary_batch() {
            Some(batch) => Ok(Content::Dictionary { id: batch.id(), is_delta: batch.isDelta() }),
            None if header.header_type() == ipc::MessageHeader::Schema => Err(malformed("there are two schemas")),
            None => Ok(Content::Other),
        }
    }

    /// What the values take in memory: what is compressed is there twice for a while.
    pub(super) fn decoded_bytes(&self, body: &Buffer) -> Result<u64, DecodeError> {
        let header = self.header()?;
        let batch = header.header_as_record_batch();
        let batch = batch.or_else(|| header.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()));
        let compressed = batch.filter(|batch| batch.compression().is_some());
        Ok(self.body_bytes.saturating_add(compressed.map_or(0, |batch| promised_bytes(&batch, body))))
    }

    /// Where the next message begins.
    fn end(&self) -> u64 {
        self.body_offset + self.body_bytes
    }
}

/// How long the compressed buffers of a batch say that they are.
fn promised_bytes(batch: &RecordBatch, body: &[u8]) -> u64 {
    let lengths = batch.buffers().into_iter().flatten().filter_map(|buffer| {
        let start = usize::try_from(buffer.offset()).ok()?;
        let prefix = body.get(start..)?.first_chunk::<PREFIX_BYTES>()?;
        let length = i64::from_le_bytes(*prefix);
        (length != NOT_COMPRESSED && buffer.length() > 0).then(|| u64::try_from(length).unwrap_or(u64::MAX))
    });
    lengths.fold(0, u64::saturating_add)
}

fn checked_schema(schema: ipc::Schema) -> Result<SchemaRef, DecodeError> {
    if !schema.endianness().equals_to_target_endianness() {
        return Err(malformed("its numbers are written in the other byte order"));
    }
    Ok(Arc::new(fb_to_schema(schema)))
}

/// The message that begins at this offset; none at the end of the messages.
fn message_at(blob: &Blob, offset: u64) -> Result<Option<Message>, DecodeError> {
    if offset == blob.size_bytes() {
        return Ok(None);
    }
    let word = |at: u64| -> Result<[u8; 4], DecodeError> {
        let bytes = range(blob, at, 4)?;
        bytes.first_chunk().copied().ok_or_else(cut_off)
    };
    let first = word(offset)?;
    let (length, start) = if first == CONTINUATION { (word(offset + 4)?, offset + 8) } else { (first, offset + 4) };
    let length = u32::from_le_bytes(length);
    if length == 0 {
        return Ok(None);
    }
    if u64::from(length) > DESCRIPTION_BYTES {
        return Err(malformed(&format!("the description of a message has more than {DESCRIPTION_BYTES} bytes")));
    }
    let description = range(blob, start, u64::from(length))?;
    let body_bytes = ipc::root_as_message(&description).map_err(|error| malformed(&error.to_string()))?.bodyLength();
    let body_bytes = u64::try_from(body_bytes).map_err(|_| malformed("a message is shorter than nothing"))?;
    let body_offset = start + u64::from(length);
    if body_offset.checked_add(body_bytes).is_none_or(|end| end > blob.size_bytes()) {
        return Err(cut_off());
    }
    Ok(Some(Message { description, body_offset, body_bytes }))
}

fn range(blob: &Blob, offset: u64, length: u64) -> Result<Vec<u8>, DecodeError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    blob.range(offset, length).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => cut_off(),
        _ => error.into(),
    })
}

fn cut_off() -> DecodeError {
    malformed("it ends in the midst of a message")
}
