//! An upload that makes a table is read once: its beginning tells the types, and its rows are written at once.
//!
//! Invariant: the shape is the one that reading all of it first would find; where the beginning did not tell it, that
//! is what is done.

use std::{path::PathBuf, sync::Arc};

use arrow::array::RecordBatch;
use sluice_domain::{ReadOptions, UploadEntry, ZoneName};
use sluice_storage::Folder;
use sluice_table::{StagedFiles, TableWriter, WriterSettings};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::spawn_blocking,
};

use super::{BATCHES_AHEAD, Pipeline, Shape, Written, cause, joined, shape_of_new};
use crate::{
    DecodeError, IngestError,
    formats::{self, OnePass},
    source,
};

/// The rows of an upload in scratch files, which are none of a table yet.
pub(crate) struct Staged {
    files: StagedFiles,
    /// Held until the scratch files are gone.
    _slot: OwnedSemaphorePermit,
}

/// What a writer of a table that is not there yet must know.
struct NewFiles {
    settings: WriterSettings,
    options: ReadOptions,
    file_prefix: String,
    scratch_dir: PathBuf,
}

impl Pipeline {
    /// The shape of a table that this upload would make, and its rows where they were read on the way.
    pub(crate) async fn prepare(&self, entry: &UploadEntry) -> Result<(Shape, Option<Staged>), IngestError> {
        // It is never closed.
        if let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await
            && let Some((shape, files)) = self.stage_guessing(entry).await?
        {
            return Ok((shape, Some(Staged { files, _slot: slot })));
        }
        Ok((self.infer(entry).await?, None))
    }

    /// Put what was staged below a folder.
    pub(crate) async fn put(&self, staged: Staged, folder: &Folder) -> Result<Written, IngestError> {
        let rows = staged.files.rows();
        Ok(Written { files: staged.files.upload(folder).await?, rows })
    }

    async fn stage_guessing(&self, entry: &UploadEntry) -> Result<Option<(Shape, StagedFiles)>, IngestError> {
        if !formats::is_read_once(entry.options.format) {
            return Ok(None);
        }
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let unread = source::open(self.zones.get(ZoneName::Raw), entry);
        let (options, wall, scratch_dir) = (entry.options.clone(), Arc::clone(&self.wall), self.scratch_dir.clone());
        let decoding = spawn_blocking(move || {
            wall.decode_guessing(&options, unread, &scratch_dir, &mut |batch| {
                sender.blocking_send(batch).map_err(|_| DecodeError::Stopped)
            })
        });
        let new = NewFiles {
            settings: self.settings.writer.clone(),
            options: entry.options.clone(),
            file_prefix: entry.id.to_string(),
            scratch_dir: self.scratch_dir.clone(),
        };
        let writing = spawn_blocking(move || new.write_all(receiver));
        let decoded = joined(decoding, "decoder").await?;
        let written = joined(writing, "writer").await?;
        match decoded {
            Ok(OnePass::Unfit) => Ok(None),
            Ok(OnePass::Read(found)) if found.rows == 0 => Err(DecodeError::Empty.into()),
            // The decoder stops when the writer does, and the writer knows why.
            Ok(OnePass::Read(_)) | Err(DecodeError::Stopped) => written,
            Err(error) => Err(cause(error)),
        }
    }
}

impl NewFiles {
    /// Write batches of one schema, which the first one tells; nothing where there is none.
    fn write_all(self, mut batches: mpsc::Receiver<RecordBatch>) -> Result<Option<(Shape, StagedFiles)>, IngestError> {
        let Some(first) = batches.blocking_recv() else { return Ok(None) };
        let shape = shape_of_new(&first.schema(), &self.options)?;
        let mut writer =
            TableWriter::open(self.settings, &shape.schema, &shape.partition_by, self.file_prefix, self.scratch_dir)?;
        let mut next = Some(first);
        while let Some(batch) = next {
            writer.write(&batch)?;
            next = batches.blocking_recv();
        }
        Ok(Some((shape, writer.finish()?)))
    }
}
