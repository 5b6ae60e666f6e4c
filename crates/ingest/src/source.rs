//! An object of the raw zone as something that decoders can read.
//!
//! Invariant: a reader that ends without error has given every byte of the object.

use std::{
    fs::File,
    io::{self, Read, Seek as _},
    path::Path,
};

use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use sluice_domain::{Compression, Format, UploadEntry};
use sluice_storage::{StorageError, Zone, read_chunks};
use tokio::sync::mpsc;

use crate::{
    DecodeError, DecodeLimits,
    formats::{Source, decompressed},
};

/// How many pieces of an object wait for the decoder.
const PIECES_AHEAD: usize = 1;

/// Reads the pieces that a task fetches.
struct PieceReader {
    pieces: mpsc::Receiver<Result<Bytes, StorageError>>,
    current: Bytes,
    missing_bytes: u64,
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && self.missing_bytes > 0 {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece.map_err(io::Error::other)?,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let length = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        self.missing_bytes = self.missing_bytes.saturating_sub(length as u64);
        Ok(length)
    }
}

/// The upload's bytes as they came in, to be read where blocking is allowed.
fn raw_reader(zone: &Zone, entry: &UploadEntry) -> impl Read + Send + 'static {
    let size_bytes = entry.landed.size_bytes;
    let mut fetched =
        Box::pin(read_chunks(zone.store(), object_store::path::Path::from(entry.landed.raw_path.as_str()), size_bytes));
    let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
    tokio::spawn(async move {
        while let Some(piece) = fetched.next().await {
            if sender.send(piece).await.is_err() {
                break;
            }
        }
    });
    PieceReader { pieces, current: Bytes::new(), missing_bytes: size_bytes }
}

/// The upload's bytes, of which nothing was read yet.
pub(crate) fn open(zone: &Zone, entry: &UploadEntry) -> Unread {
    let options = &entry.options;
    Unread { reader: Box::new(raw_reader(zone, entry)), compression: options.compression, format: options.format }
}

/// A source of which nothing was read yet.
pub(crate) struct Unread {
    reader: Box<dyn Read + Send>,
    compression: Compression,
    format: Format,
}

impl Unread {
    /// Make it a source, decompressed; on disk where the format is read from its end. Blocks.
    pub(crate) fn into_source(self, limits: &DecodeLimits, scratch_dir: &Path) -> Result<Source, DecodeError> {
        let mut reader = decompressed(self.compression, self.reader, limits);
        if self.format != Format::Parquet {
            return Ok(Source::Stream(reader));
        }
        let mut file: File = tempfile::tempfile_in(scratch_dir)?;
        io::copy(&mut reader, &mut file)?;
        file.rewind()?;
        Ok(Source::File(file))
    }
}
