//! The wall around decoders: a process of its own for every file, with limits, that can do nothing but decode.
//!
//! Owns how such processes are started, given a file, watched and ended, and what they do. Never knows a format.
//!
//! Invariant: whatever a file does to the process that decodes it, the server lives and says what is wrong with it.

mod bad_row;
mod death;
mod decode;
mod frame;
mod message;
mod pool;
mod process;
mod rows;
mod serve;
mod settings;
mod watch;

use std::{io, path::Path};

use arrow::datatypes::SchemaRef;
use sluice_domain::{Format, ReadOptions};

pub use process::{ADDRESS_SPACE_ARGUMENT, CPU_ARGUMENT, DECODE_COMMAND, MEMORY_ARGUMENT};
pub use serve::serve_decoding;
pub use settings::{Isolation, WorkerSettings};

use self::{
    decode::{Decoding, Reading},
    pool::Pool,
    process::Worker,
};
use crate::{
    DecodeError, DecodeLimits, IngestSettings, archive,
    formats::{self, Inferred, OnePass},
    row_sink::RowSink,
    source::Unread,
};

/// Where files are decoded. What is asked of it blocks.
pub(crate) struct Wall {
    limits: DecodeLimits,
    settings: WorkerSettings,
    /// None where files are decoded in this process.
    pool: Option<Pool>,
}

impl Wall {
    /// What is accepted inside a file.
    pub(crate) fn limits(&self) -> &DecodeLimits {
        &self.limits
    }

    /// The wall that the settings ask for; the first process of it has started.
    pub(crate) fn open(settings: &IngestSettings) -> io::Result<Self> {
        let (limits, worker) = (settings.decode.clone(), settings.worker.clone());
        let pool = match settings.isolation {
            Isolation::Process => Some(Pool::open(&worker)?),
            Isolation::None => None,
        };
        Ok(Self { limits, settings: worker, pool })
    }

    /// Find out what a file holds.
    pub(crate) fn infer(
        &self,
        options: &ReadOptions,
        unread: Unread,
        scratch_dir: &Path,
    ) -> Result<Inferred, DecodeError> {
        if options.format == Format::Zip {
            return archive::infer(self, options, unread, scratch_dir);
        }
        match self.worker(options.format)? {
            None => formats::infer(options, unread.into_source(&self.limits, scratch_dir)?, &self.limits),
            Some(worker) => self.start(worker, options, unread, (scratch_dir, None))?.infer(),
        }
    }

    /// Read a file into batches of exactly `schema`, in order; how many rows there were.
    pub(crate) fn decode(
        &self,
        options: &ReadOptions,
        unread: Unread,
        (scratch_dir, schema): (&Path, &SchemaRef),
        sink: &mut dyn RowSink,
    ) -> Result<u64, DecodeError> {
        if options.format == Format::Zip {
            return archive::decode(self, options, unread, (scratch_dir, schema), sink);
        }
        match self.worker(options.format)? {
            None => {
                let source = unread.into_source(&self.limits, scratch_dir)?;
                formats::decode(options, source, schema, &self.limits, sink)
            }
            Some(worker) => self.start(worker, options, unread, (scratch_dir, Some(schema)))?.decode(schema, sink),
        }
    }

    /// Read a file of which nothing is known, once, where its format allows that and needs no wall.
    pub(crate) fn decode_guessing(
        &self,
        options: &ReadOptions,
        unread: Unread,
        scratch_dir: &Path,
        sink: &mut dyn RowSink,
    ) -> Result<OnePass, DecodeError> {
        if !formats::is_read_once(options.format) || is_isolated(options.format) {
            return Ok(OnePass::Unfit);
        }
        formats::decode_guessing(options, unread.into_source(&self.limits, scratch_dir)?, &self.limits, sink)
    }

    /// A process for a file of this format, if it needs one.
    fn worker(&self, format: Format) -> Result<Option<Worker>, DecodeError> {
        let pool = self.pool.as_ref().filter(|_| is_isolated(format));
        let taken = pool.map(Pool::take).transpose();
        taken.map_err(|error| {
            tracing::error!(%error, "no process that decodes could be started");
            DecodeError::Read(error)
        })
    }

    fn start(
        &self,
        worker: Worker,
        options: &ReadOptions,
        unread: Unread,
        (scratch_dir, schema): (&Path, Option<&SchemaRef>),
    ) -> Result<Decoding<'_>, DecodeError> {
        let content = unread.into_content(&self.limits, scratch_dir)?;
        let reading = Reading { options, limits: &self.limits, content };
        Decoding::start(worker, &self.settings, reading, schema)
    }
}

/// Whether files of a format are decoded behind the wall. Those of text are read by safe code through buffers that
/// have limits, and come often and small: a process for each would cost more than they do.
fn is_isolated(format: Format) -> bool {
    match format {
        Format::Parquet | Format::Arrow | Format::Avro => true,
        // Of an archive, each member is looked at by itself.
        Format::Csv | Format::Ndjson | Format::Json | Format::Zip => false,
    }
}

#[cfg(test)]
mod tests;
