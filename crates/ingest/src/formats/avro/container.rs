//! The container around rows: its blocks are checked and decompressed, and handed on as a file without compression.
//!
//! Invariant: a file that ends within a block is refused, and a block that is longer than the limit, decompressed or
//! not, is never read.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use sluice_domain::Format;

use super::{codec::Codec, rows::RowShape, schema};
use crate::decode_error::DecodeError;

const MARK: &[u8] = b"Obj\x01";
const SYNC_BYTES: usize = 16;
const SCHEMA_KEY: &[u8] = b"avro.schema";
const CODEC_KEY: &[u8] = b"avro.codec";
/// What all of a file's header may be long.
const HEADER_BYTES: usize = 4 << 20;
/// What a block may be long, as it lies in the file, and decompressed.
pub(super) const BLOCK_BYTES: usize = 64 << 20;
/// How many bytes of seven bits a number has at most.
const NUMBER_BYTES: u32 = 10;

type Source = BufReader<Box<dyn Read + Send>>;

/// A container whose blocks are decompressed on the way.
pub(super) struct Container {
    source: Source,
    codec: Codec,
    shape: RowShape,
    sync: [u8; SYNC_BYTES],
    rows: Arc<AtomicU64>,
    /// What is handed on next, and how much of it was.
    ready: Vec<u8>,
    given: usize,
}

impl Container {
    pub(super) fn open(mut source: Source) -> Result<Self, DecodeError> {
        let mut mark = [0; MARK.len()];
        source.read_exact(&mut mark).map_err(cut_off)?;
        if mark != MARK {
            return Err(malformed("it does not begin as Avro's container files do"));
        }
        let Header { schema, codec } = Header::read(&mut source)?;
        let mut sync = [0; SYNC_BYTES];
        source.read_exact(&mut sync).map_err(cut_off)?;
        let (schema, shape) = schema::as_it_is_read(&schema.ok_or_else(|| malformed("it has no schema"))?)?;
        let codec = Codec::of_name(codec.as_deref())?;
        let mut ready = MARK.to_vec();
        number(&mut ready, 1);
        text(&mut ready, SCHEMA_KEY);
        text(&mut ready, &schema);
        number(&mut ready, 0);
        ready.extend(sync);
        Ok(Self { source, codec, shape, sync, rows: Arc::default(), ready, given: 0 })
    }

    /// How many rows the blocks so far hold.
    pub(super) fn rows(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.rows)
    }

    /// The header of a file without compression.
    pub(super) fn header(&self) -> &[u8] {
        &self.ready
    }

    /// The rows and the bytes of the next block, as it lies in the file; none at its end.
    pub(super) fn block(&mut self) -> Result<Option<(u64, Vec<u8>)>, DecodeError> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let rows = length(&mut self.source)?;
        let size = length(&mut self.source)?;
        if size > BLOCK_BYTES as u64 {
            return Err(too_long());
        }
        let mut block = Vec::new();
        self.source.by_ref().take(size).read_to_end(&mut block)?;
        let mut sync = [0; SYNC_BYTES];
        self.source.read_exact(&mut sync).map_err(cut_off)?;
        if sync != self.sync {
            return Err(malformed("a block does not end with the marker of the file"));
        }
        Ok(Some((rows, block)))
    }

    /// Make the next block ready, if there is one.
    fn advance(&mut self) -> Result<(), DecodeError> {
        (self.given, self.ready) = (0, Vec::new());
        if let Some((rows, block)) = self.block()? {
            let block = self.codec.decoded(block)?;
            self.shape.check(rows, &block)?;
            number(&mut self.ready, i64::try_from(rows).map_err(|_| too_long())?);
            text(&mut self.ready, &block);
            self.ready.extend(self.sync);
            self.rows.fetch_add(rows, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Read for Container {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Container {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.given >= self.ready.len() {
            self.advance()?;
        }
        Ok(self.ready.get(self.given..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.given += count;
    }
}

/// What the header of a file says that matters here.
#[derive(Default)]
struct Header {
    schema: Option<Vec<u8>>,
    codec: Option<Vec<u8>>,
}

impl Header {
    fn read(source: &mut Source) -> Result<Self, DecodeError> {
        let (mut header, mut left) = (Self::default(), HEADER_BYTES);
        loop {
            let entries = signed(source)?;
            if entries == 0 {
                return Ok(header);
            }
            if entries < 0 {
                // The length of these entries, for whoever wants to skip them.
                signed(source)?;
            }
            for _ in 0..entries.unsigned_abs() {
                let key = bytes(source, &mut left)?;
                let value = bytes(source, &mut left)?;
                match key.as_slice() {
                    SCHEMA_KEY => header.schema = Some(value),
                    CODEC_KEY => header.codec = Some(value),
                    _ => {}
                }
            }
        }
    }
}

/// Bytes with their length before them, of which so many are left to be read; each costs one more.
fn bytes(source: &mut Source, left: &mut usize) -> Result<Vec<u8>, DecodeError> {
    let too_long = || malformed(&format!("its header has more than {HEADER_BYTES} bytes"));
    let length = usize::try_from(length(source)?).map_err(|_| too_long())?;
    *left = left.checked_sub(length).and_then(|left| left.checked_sub(1)).ok_or_else(too_long)?;
    let mut bytes = vec![0; length];
    source.read_exact(&mut bytes).map_err(cut_off)?;
    Ok(bytes)
}

fn length(source: &mut Source) -> Result<u64, DecodeError> {
    u64::try_from(signed(source)?).map_err(|_| malformed("a length is less than nothing"))
}

/// A number as Avro writes it: seven bits a byte, the lowest first, the sign in the lowest of all.
fn signed(source: &mut Source) -> Result<i64, DecodeError> {
    let mut bits: u64 = 0;
    for at in 0..NUMBER_BYTES {
        let mut byte = [0];
        source.read_exact(&mut byte).map_err(cut_off)?;
        bits |= u64::from(byte[0] & 0x7F) << (7 * at);
        if byte[0] & 0x80 == 0 {
            return Ok((bits >> 1).cast_signed() ^ -((bits & 1).cast_signed()));
        }
    }
    Err(malformed("a number has too many bytes"))
}

fn number(to: &mut Vec<u8>, value: i64) {
    let mut bits = (value << 1 ^ value >> 63).cast_unsigned();
    while bits > 0x7F {
        to.push((bits & 0x7F) as u8 | 0x80);
        bits >>= 7;
    }
    to.push(bits as u8);
}

fn text(to: &mut Vec<u8>, text: &[u8]) {
    number(to, text.len() as i64);
    to.extend_from_slice(text);
}

pub(super) fn too_long() -> DecodeError {
    malformed(&format!("a block has more than {BLOCK_BYTES} bytes; write it in shorter blocks"))
}

pub(super) fn malformed(reason: &str) -> DecodeError {
    DecodeError::malformed(Format::Avro, reason)
}

fn cut_off(error: io::Error) -> DecodeError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => malformed("the file is cut off"),
        _ => error.into(),
    }
}
