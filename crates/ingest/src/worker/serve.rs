//! The process that decodes: it is given one file, piece by piece, gives its rows, and ends.
//!
//! Invariant: it reads nothing but its input and writes nothing but its output; it opens no file.

use std::{
    io::{self, BufWriter, Read, Write},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvError, sync_channel},
    },
    thread,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use super::{
    bad_row,
    frame::{self, Frame, PIECE_BYTES, Tag, nonsense},
    message::{Found, PROTOCOL, Task},
    rows::Encoder,
};
use crate::{
    DecodeError,
    formats::{self, Blob, ReadAt, Source, decompressed, is_read_from_its_end},
    row_sink::{BadRow, RowSink},
};

/// How many bytes are asked for where fewer would do: asking costs more than sending them.
const ASK_BYTES: usize = 64 << 10;

/// Decode the file that the input tells of, and tell of it on the output. `hung_up` is called as soon as the input
/// ends, whatever is being done then: nobody listens any more.
///
/// # Errors
/// The other side is gone, or says what makes no sense.
pub fn serve_decoding(
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    hung_up: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let (sender, frames) = sync_channel(1);
    thread::Builder::new().stack_size(64 << 10).spawn(move || {
        let mut input = input;
        while let Ok(frame) = Frame::read(&mut input, 0) {
            if sender.send(frame).is_err() {
                return;
            }
        }
        hung_up();
    })?;
    let output = Box::new(BufWriter::new(output));
    let line = Line(Arc::new(Mutex::new(Ends { frames, output, ahead: Ahead::default(), front: 0 })));
    frame::write_numbers(&mut line.lock().output, Tag::Ready, [PROTOCOL])?;
    let task: Task = line.lock().receive(Tag::Task)?.message()?;
    match decode(&line, task) {
        Ok(()) => Ok(()),
        // These have no serial form: it is the line that failed.
        Err(DecodeError::Read(error)) => Err(error),
        Err(error) => frame::write_message(&mut line.lock().output, Tag::Failed, &error),
    }
}

fn decode(line: &Line, task: Task) -> Result<(), DecodeError> {
    let Task { options, limits, size_bytes, schema } = task;
    let source = if is_read_from_its_end(options.format) {
        Source::Blob(Blob::new(line.clone(), size_bytes))
    } else {
        Source::Stream(decompressed(options.compression, line.clone(), &limits))
    };
    let Some(schema) = schema.map(SchemaRef::new) else {
        let found = Found::from(formats::infer(&options, source, &limits)?);
        return Ok(frame::write_message(&mut line.lock().output, Tag::Inferred, &found)?);
    };
    let mut told = Told { line, encoder: Encoder::default() };
    let rows = formats::decode(&options, source, &schema, &limits, &mut told)?;
    Ok(frame::write_numbers(&mut line.lock().output, Tag::Decoded, [rows])?)
}

/// Tells of rows as they are decoded.
struct Told<'l> {
    line: &'l Line,
    encoder: Encoder,
}

impl RowSink for Told<'_> {
    fn rows(&mut self, batch: RecordBatch) -> Result<(), DecodeError> {
        let encoded = self.encoder.encode(&batch).map_err(io::Error::other)?;
        Ok(frame::write(&mut self.line.lock().output, Tag::Batch, &encoded.parts())?)
    }

    fn bad_row(&mut self, row: BadRow) -> Result<(), DecodeError> {
        let header = bad_row::header(&row)?;
        Ok(frame::write(&mut self.line.lock().output, Tag::BadRow, &[&header, &row.source.bytes])?)
    }
}

/// The way to whoever has the file.
#[derive(Clone)]
struct Line(Arc<Mutex<Ends>>);

struct Ends {
    frames: Receiver<Frame>,
    output: Box<dyn Write + Send>,
    ahead: Ahead,
    /// Up to where a file was read that is read from front to back.
    front: u64,
}

/// What came last, of which not everything may have been wanted yet.
#[derive(Default)]
struct Ahead {
    offset: u64,
    piece: Option<Frame>,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ends {
    fn receive(&mut self, tag: Tag) -> io::Result<Frame> {
        let frame = self.frames.recv().map_err(|RecvError| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        if frame.tag == tag { Ok(frame) } else { Err(nonsense("another frame than the one that is due")) }
    }

    /// Bytes of the file from this offset on: at least one, unless it ends there.
    fn read(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let within = offset.checked_sub(self.ahead.offset).and_then(|start| usize::try_from(start).ok());
        let ahead = self.ahead.piece.as_ref().map(|piece| &piece.bytes[..]).unwrap_or_default();
        let known = within.and_then(|start| ahead.get(start..)).unwrap_or_default();
        if !known.is_empty() {
            let length = known.len().min(buffer.len());
            buffer[..length].copy_from_slice(&known[..length]);
            return Ok(length);
        }
        let wanted = buffer.len().clamp(ASK_BYTES, PIECE_BYTES);
        frame::write_numbers(&mut self.output, Tag::Read, [offset, wanted as u64])?;
        let piece = self.receive(Tag::Piece)?;
        let length = piece.bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece.bytes[..length]);
        self.ahead = Ahead { offset, piece: Some(piece) };
        Ok(length)
    }
}

impl ReadAt for Line {
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            let length = self.lock().read(buffer, offset)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            (buffer, offset) = (&mut buffer[length..], offset + length as u64);
        }
        Ok(())
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ends = self.lock();
        if buffer.is_empty() {
            return Ok(0);
        }
        let offset = ends.front;
        let length = ends.read(buffer, offset)?;
        ends.front += length as u64;
        Ok(length)
    }
}
