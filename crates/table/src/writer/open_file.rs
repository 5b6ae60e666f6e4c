//! One data file under construction: rows wait in memory until there are enough to begin the file with.
//!
//! Invariant: a file has no scratch file and no encoders before rows go to them, and one descriptor at the most from then on.

use std::path::Path;

use arrow::{array::RecordBatch, compute::concat_batches};
use parquet::file::properties::WriterProperties;

use super::{StagedFile, encoder::Encoder, scratch::Scratch};
use crate::{TableError, partition::PartitionValues};

/// How many rows wait before they are encoded together.
const MAX_WAITING_ROWS: usize = 1024;
/// How many bytes wait before they are encoded together.
const MAX_WAITING_BYTES: usize = 256 << 10;
/// How many small batches wait before they are made one, which takes less memory.
const MAX_WAITING_PARTS: usize = 16;

pub(super) struct OpenFile {
    encoder: Option<Encoder>,
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
    waiting_bytes: usize,
    values: PartitionValues,
    path: String,
}

impl OpenFile {
    pub(super) fn new(values: PartitionValues, path: String) -> Self {
        Self { encoder: None, waiting: Vec::new(), waiting_rows: 0, waiting_bytes: 0, values, path }
    }

    /// Add rows; whether so many wait now that they should be encoded.
    pub(super) fn add(&mut self, rows: RecordBatch) -> Result<bool, TableError> {
        self.waiting_rows += rows.num_rows();
        self.waiting_bytes += rows.get_array_memory_size();
        self.waiting.push(rows);
        if self.waiting_rows >= MAX_WAITING_ROWS || self.waiting_bytes >= MAX_WAITING_BYTES {
            return Ok(true);
        }
        if self.waiting.len() >= MAX_WAITING_PARTS {
            let rows = concat_batches(&self.waiting[0].schema(), &self.waiting)?;
            self.waiting_bytes = rows.get_array_memory_size();
            self.waiting = vec![rows];
        }
        Ok(false)
    }

    pub(super) fn has_begun(&self) -> bool {
        self.encoder.is_some()
    }

    /// Encode the rows that wait, beginning the file with these properties.
    pub(super) fn encode(&mut self, scratch_dir: &Path, properties: &WriterProperties) -> Result<(), TableError> {
        let Some(first) = self.waiting.first() else { return Ok(()) };
        let schema = first.schema();
        let rows = match self.waiting.as_slice() {
            [rows] => rows.clone(),
            parts => concat_batches(&schema, parts)?,
        };
        self.waiting = Vec::new();
        (self.waiting_rows, self.waiting_bytes) = (0, 0);
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => {
                let scratch = Scratch::open(scratch_dir);
                none.insert(Encoder::open(scratch, schema, properties.clone())?)
            }
        };
        Ok(encoder.write(&rows)?)
    }

    /// End the row group, which empties the memory of the encoders.
    pub(super) fn end_row_group(&mut self) -> Result<(), TableError> {
        Ok(self.encoder.as_mut().map_or(Ok(()), Encoder::flush)?)
    }

    /// What the rows take that are not in the scratch file.
    pub(super) fn memory_bytes(&self) -> usize {
        self.waiting_bytes + self.encoder.as_ref().map_or(0, Encoder::memory_bytes)
    }

    /// How large the file would be if it ended here, without the rows that wait.
    pub(super) fn file_bytes(&self) -> usize {
        self.encoder.as_ref().map_or(0, Encoder::file_bytes)
    }

    /// The finished file; none where no row was ever encoded.
    pub(super) fn close(self) -> Result<Option<StagedFile>, TableError> {
        let Some(encoder) = self.encoder else { return Ok(None) };
        let (scratch, metadata) = encoder.finish()?;
        Ok(Some(StagedFile { scratch, metadata, values: self.values, path: self.path }))
    }
}
