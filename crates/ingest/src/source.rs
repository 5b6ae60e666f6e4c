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
use sluice_domain::{Format, UploadEntry};
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

/// The upload's bytes, as they came in. Must be read where blocking is allowed.
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

/// The upload's bytes, decompressed; on disk where the format is read from its end.
pub(crate) fn open(zone: &Zone, entry: &UploadEntry, limits: &DecodeLimits) -> Unread {
    Unread {
        reader: decompressed(entry.options.compression, raw_reader(zone, entry), limits),
        format: entry.options.format,
    }
}

/// A source of which nothing was read yet.
pub(crate) struct Unread {
    reader: Box<dyn Read + Send>,
    format: Format,
}

impl Unread {
    /// Make it a source. Blocks where the format needs the whole file first.
    pub(crate) fn into_source(mut self, scratch_dir: &Path) -> Result<Source, DecodeError> {
        if self.format != Format::Parquet {
            return Ok(Source::Stream(self.reader));
        }
        let mut file: File = tempfile::tempfile_in(scratch_dir)?;
        io::copy(&mut self.reader, &mut file)?;
        file.rewind()?;
        Ok(Source::File(file))
    }
}
