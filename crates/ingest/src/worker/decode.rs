//! One file through a process that decodes: it is given what it asks for, and what it gives is checked.
//!
//! Invariant: nothing that the process says is believed before it is checked, and whatever becomes of the process
//! becomes an error of the file.

use std::io;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use sluice_domain::{Format, ReadOptions};

use super::{
    bad_row,
    frame::{self, Frame, PIECE_BYTES, Tag, nonsense},
    message::{Found, Task},
    process::Worker,
    rows,
    settings::WorkerSettings,
    watch::{Verdict, Watch},
};
use crate::{DecodeError, DecodeLimits, formats::Inferred, row_sink::RowSink, source::Content};

/// What a batch may be long: decoders hand on rows of so many bytes, which in the types of a table are longer.
pub(super) const BATCH_BYTES: usize = 128 << 20;

/// What is read, and how.
pub(super) struct Reading<'o, 'r> {
    pub(super) options: &'o ReadOptions,
    pub(super) limits: &'r DecodeLimits,
    pub(super) content: Content,
}

/// A process with its file.
pub(super) struct Decoding<'r> {
    worker: Worker,
    watch: Watch,
    format: Format,
    limits: &'r DecodeLimits,
    content: Content,
}

impl<'r> Decoding<'r> {
    /// Give the file to a process; it is asked for the rows of this schema, or for the schema.
    pub(super) fn start(
        mut worker: Worker,
        settings: &WorkerSettings,
        reading: Reading<'_, 'r>,
        schema: Option<&SchemaRef>,
    ) -> Result<Self, DecodeError> {
        let Reading { options, limits, content } = reading;
        let task = Task {
            options: options.clone(),
            limits: limits.clone(),
            size_bytes: content.size_bytes()?,
            schema: schema.map(|schema| schema.as_ref().clone()),
        };
        let watch = Watch::start(worker.process.clone(), settings.clone())?;
        let told = frame::write_message(&mut worker.input, Tag::Task, &task);
        let mut decoding = Self { worker, watch, format: options.format, limits, content };
        match told {
            Ok(()) => Ok(decoding),
            Err(error) => Err(decoding.lost(&error)),
        }
    }

    pub(super) fn infer(mut self) -> Result<Inferred, DecodeError> {
        let frame = self.next()?;
        let found = match frame.tag {
            Tag::Inferred => frame.message::<Found>().map(Inferred::from),
            _ => Err(nonsense("something else than what a file holds")),
        };
        let found = found.map_err(|error| self.lost(&error))?;
        if found.schema.fields().len() > self.limits.columns {
            return Err(DecodeError::TooManyColumns { limit: self.limits.columns });
        }
        Ok(found)
    }

    pub(super) fn decode(mut self, schema: &SchemaRef, sink: &mut dyn RowSink) -> Result<u64, DecodeError> {
        let mut rows = 0;
        loop {
            let frame = self.next()?;
            let batch = match frame.tag {
                Tag::Decoded if frame.numbers().is_ok_and(|[told]| told == rows) => return Ok(rows),
                Tag::Batch => rows::decode(&frame.bytes, schema),
                Tag::BadRow => {
                    let row = bad_row::decode(&frame.bytes).map_err(|error| self.lost(&error))?;
                    sink.bad_row(row)?;
                    continue;
                }
                _ => Err(nonsense("something else than rows, or their number")),
            };
            let batch: RecordBatch = batch.map_err(|error| self.lost(&error))?;
            self.watch.gave(frame.bytes.len());
            rows += batch.num_rows() as u64;
            sink.rows(batch)?;
        }
    }

    /// What the process says next that is not a question.
    fn next(&mut self) -> Result<Frame, DecodeError> {
        loop {
            let Self { worker, watch, .. } = self;
            let limit = BATCH_BYTES.saturating_add(self.limits.record_bytes);
            let frame = watch.waiting(|| Frame::read(&mut worker.output, limit)).map_err(|error| self.lost(&error))?;
            match frame.tag {
                Tag::Read => self.answer(&frame)?,
                Tag::Failed => {
                    let failed = frame.message::<DecodeError>();
                    return Err(failed.unwrap_or_else(|error| self.lost(&error)));
                }
                _ => return Ok(frame),
            }
        }
    }

    fn answer(&mut self, question: &Frame) -> Result<(), DecodeError> {
        let [offset, length] = question.numbers().map_err(|error| self.lost(&error))?;
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let piece = self.content.piece(offset, length)?;
        let Self { worker, watch, .. } = self;
        let told = watch.waiting(|| frame::write(&mut worker.input, Tag::Piece, &[&piece]));
        told.map_err(|error| self.lost(&error))
    }

    /// The process cannot be talked with any more: end it, and say why.
    fn lost(&mut self, error: &io::Error) -> DecodeError {
        let death = self.worker.end();
        let verdict = self.watch.verdict();
        let Self { format, .. } = *self;
        tracing::warn!(%format, %error, ?verdict, status = ?death.status, last_words = death.words, "a decoder ended");
        match verdict {
            Some(Verdict::Silent) => DecodeError::Read(io::ErrorKind::TimedOut.into()),
            Some(Verdict::Fruitless) => {
                DecodeError::malformed(format, "the decoder was ended: it computed for long, and gave few rows")
            }
            None if death.was_asked_for() => DecodeError::Read(io::ErrorKind::Interrupted.into()),
            None if error.kind() == io::ErrorKind::InvalidData => {
                DecodeError::malformed(format, format!("the decoder was ended: it gave {error}"))
            }
            None => DecodeError::malformed(format, format!("the decoder ended: {death}")),
        }
    }
}
