//! An object of the raw zone as something that decoders can read.
//!
//! Invariant: a reader that ends without error has given every byte of the object.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    path::Path,
};

use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use object_store::ObjectStoreExt as _;
use sluice_domain::{Compression, Format, Landed, ReadOptions, UploadEntry};
use sluice_storage::{StorageError, Zone, read_chunks};
use tokio::sync::mpsc;

use crate::{
    DecodeError, DecodeLimits,
    formats::{Source, decompressed, is_read_from_its_end},
    progress::Reading,
};

/// How much of an object is read for its beginning: a block of bzip2 gives nothing before it is there as a whole.
pub(crate) const HEAD_BYTES: u64 = 1 << 20;
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

/// What landed, as it came in, to be read where blocking is allowed.
fn raw_reader(zone: &Zone, landed: &Landed) -> impl Read + Send + 'static {
    let size_bytes = landed.size_bytes;
    let path = object_store::path::Path::from(landed.raw_path.as_str());
    let mut fetched = Box::pin(read_chunks(zone.store(), path, size_bytes));
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
    Unread::new(Box::new(raw_reader(zone, &entry.landed)), &entry.options)
}

/// The beginning of what landed, decompressed, for whoever wants no more than that.
pub(crate) async fn head(
    zone: &Zone,
    landed: &Landed,
    compression: Compression,
    limits: &DecodeLimits,
) -> Result<Box<dyn Read + Send>, StorageError> {
    let path = object_store::path::Path::from(landed.raw_path.as_str());
    let bytes = zone.store().get_range(&path, 0..landed.size_bytes.min(HEAD_BYTES)).await?;
    Ok(decompressed(compression, io::Cursor::new(bytes), limits))
}

/// What a body that is still coming in has given so far.
pub(crate) enum Arrival {
    /// More of it.
    Piece(Bytes),
    /// It is there as a whole.
    Whole,
}

/// Reads a body while it comes in.
struct ArrivingReader {
    arrivals: mpsc::Receiver<Arrival>,
    current: Bytes,
    is_whole: bool,
}

impl Read for ArrivingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.is_whole {
            match self.arrivals.blocking_recv() {
                Some(Arrival::Piece(piece)) => self.current = piece,
                Some(Arrival::Whole) => self.is_whole = true,
                // The body broke off, or was too long.
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let length = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// A body of which nothing was read yet, while it comes in.
pub(crate) fn arriving(options: &ReadOptions, arrivals: mpsc::Receiver<Arrival>) -> Unread {
    Unread::new(Box::new(ArrivingReader { arrivals, current: Bytes::new(), is_whole: false }), options)
}

/// A source of which nothing was read yet.
pub(crate) struct Unread {
    reader: Box<dyn Read + Send>,
    compression: Compression,
    format: Format,
}

/// Tells of every byte that is read.
struct Shown {
    reader: Box<dyn Read + Send>,
    reading: Reading,
}

impl Read for Shown {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.reading.add(count as u64);
        Ok(count)
    }
}

impl Unread {
    /// The same, and whoever waits for the upload is told how far it was read.
    pub(crate) fn shown_on(self, reading: Reading) -> Self {
        Self { reader: Box::new(Shown { reader: self.reader, reading }), ..self }
    }

    /// A source of these bytes.
    pub(crate) fn new(reader: Box<dyn Read + Send>, options: &ReadOptions) -> Self {
        Self { reader, compression: options.compression, format: options.format }
    }

    /// Make it a source, decompressed; on disk where the format is read from its end. Blocks.
    pub(crate) fn into_source(self, limits: &DecodeLimits, scratch_dir: &Path) -> Result<Source, DecodeError> {
        let compression = self.compression;
        Ok(match self.into_content(limits, scratch_dir)? {
            Content::Stream { reader, .. } => Source::Stream(decompressed(compression, reader, limits)),
            Content::File(file) => Source::Blob(file.try_into()?),
        })
    }

    /// Make it content that others decode: decompressed and on disk where the format is read from its end. Blocks.
    pub(crate) fn into_content(self, limits: &DecodeLimits, scratch_dir: &Path) -> Result<Content, DecodeError> {
        if !is_read_from_its_end(self.format) {
            return Ok(Content::Stream { reader: self.reader, offset: 0 });
        }
        let mut file: File = tempfile::tempfile_in(scratch_dir)?;
        io::copy(&mut decompressed(self.compression, self.reader, limits), &mut file)?;
        Ok(Content::File(file))
    }
}

/// The bytes of an upload as they are handed out.
pub(crate) enum Content {
    /// From front to back, as they came in.
    Stream {
        /// What is still to be read.
        reader: Box<dyn Read + Send>,
        /// How many bytes were read.
        offset: u64,
    },
    /// From anywhere, decompressed.
    File(File),
}

impl Content {
    /// How many bytes there are, where that is known.
    pub(crate) fn size_bytes(&self) -> io::Result<u64> {
        match self {
            Self::Stream { .. } => Ok(0),
            Self::File(file) => Ok(file.metadata()?.len()),
        }
    }

    /// At most so many bytes from this offset on; none at the end.
    pub(crate) fn piece(&mut self, from: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; length];
        let count = match self {
            Self::Stream { offset, .. } if *offset != from => return Err(io::ErrorKind::NotSeekable.into()),
            Self::Stream { reader, offset } => {
                let count = reader.read(&mut piece)?;
                *offset += count as u64;
                count
            }
            Self::File(file) => file.read_at(&mut piece, from)?,
        };
        piece.truncate(count);
        Ok(piece)
    }
}
