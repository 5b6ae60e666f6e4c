//! An upload is read once: one that makes a table tells the types by its beginning, and a long one is read along while
//! its body comes in.
//!
//! Invariant: the shape of a new table is the one that reading all of it first would find; where the beginning did not
//! tell it, that is what is done.
//! Invariant: what was read along is used only where all of the body landed, for a table of the very shape.

use std::{path::PathBuf, sync::Arc};

use arrow::array::RecordBatch;
use sluice_domain::{ReadOptions, UploadEntry, UploadId, ZoneName};
use sluice_storage::Folder;
use sluice_table::{StagedFiles, TableWriter, WriterSettings};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::{JoinHandle, spawn_blocking},
};

use super::{BATCHES_AHEAD, Pipeline, Shape, Written, cause, joined, shape_of_new};
use crate::{
    DecodeError, IngestError,
    formats::{self, Inferred, OnePass},
    source::{self, Arrival, Unread},
};

/// Bodies that are not longer land before they would be read along.
pub(crate) const LONG_BODY_BYTES: u64 = 1 << 20;
/// How many pieces of a body wait for whoever reads along.
const PIECES_AHEAD: usize = 16;

/// The rows of an upload in scratch files, which are none of a table yet.
pub(crate) struct Staged {
    files: StagedFiles,
    /// Held until the scratch files are gone.
    _slot: OwnedSemaphorePermit,
}

/// An upload that is read while its body comes in.
pub(crate) struct ReadAlong {
    staging: JoinHandle<Result<Option<(Shape, StagedFiles)>, IngestError>>,
    slot: OwnedSemaphorePermit,
}

/// What a writer must know of the files that it makes.
struct NewFiles {
    settings: WriterSettings,
    /// None where the rows tell it.
    shape: Option<Shape>,
    options: ReadOptions,
    file_prefix: String,
    scratch_dir: PathBuf,
}

impl ReadAlong {
    /// What was read, if it came to rows; whatever is wrong with the upload comes out where it is read again.
    pub(crate) async fn staged(self) -> Option<(Shape, Staged)> {
        let (shape, files) = self.staging.await.ok()?.ok()??;
        Some((shape, Staged { files, _slot: self.slot }))
    }
}

impl Pipeline {
    /// Begin to read a body for a table of this shape, or for a new one; where its pieces go. None where that is not
    /// possible now.
    pub(crate) fn read_along(
        &self,
        id: UploadId,
        options: &ReadOptions,
        shape: Option<Shape>,
    ) -> Option<(mpsc::Sender<Arrival>, ReadAlong)> {
        if !formats::is_read_once(options.format) {
            return None;
        }
        // Others than those of what has landed, which a body that drips in would keep waiting.
        let slot = Arc::clone(&self.slots_along).try_acquire_owned().ok()?;
        let (sender, arrivals) = mpsc::channel(PIECES_AHEAD);
        let staging = self.stage_once(id, options, shape, source::arriving(options, arrivals));
        Some((sender, ReadAlong { staging: tokio::spawn(staging), slot }))
    }

    /// The shape of a table that this upload would make, and its rows where they were read on the way.
    pub(crate) async fn prepare(
        &self,
        entry: &UploadEntry,
        along: Option<ReadAlong>,
    ) -> Result<(Shape, Option<Staged>), IngestError> {
        if let Some(along) = along
            && let Some((shape, staged)) = along.staged().await
        {
            return Ok((shape, Some(staged)));
        }
        // They are never closed.
        if formats::is_read_once(entry.options.format)
            && let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await
        {
            let unread = source::open(self.zones.get(ZoneName::Raw), entry);
            if let Some((shape, files)) = self.stage_once(entry.id, &entry.options, None, unread).await? {
                return Ok((shape, Some(Staged { files, _slot: slot })));
            }
        }
        Ok((self.infer(entry).await?, None))
    }

    /// Put what was staged below a folder.
    pub(crate) async fn put(&self, staged: Staged, folder: &Folder) -> Result<Written, IngestError> {
        let rows = staged.files.rows();
        Ok(Written { files: staged.files.upload(folder).await?, rows })
    }

    /// Read an upload once and write its rows; none where that does not do.
    fn stage_once(
        &self,
        id: UploadId,
        options: &ReadOptions,
        shape: Option<Shape>,
        unread: Unread,
    ) -> impl Future<Output = Result<Option<(Shape, StagedFiles)>, IngestError>> + Send + use<> {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let new = NewFiles {
            settings: self.settings.writer.clone(),
            shape: shape.clone(),
            options: options.clone(),
            file_prefix: id.to_string(),
            scratch_dir: self.scratch_dir.clone(),
        };
        let (options, wall, scratch_dir) = (options.clone(), Arc::clone(&self.wall), self.scratch_dir.clone());
        let decoding = spawn_blocking(move || {
            let mut sink = |batch| sender.blocking_send(batch).map_err(|_| DecodeError::Stopped);
            match shape {
                None => wall.decode_guessing(&options, unread, &scratch_dir, &mut sink),
                Some(Shape { schema, .. }) => {
                    let rows = wall.decode(&options, unread, (&scratch_dir, &schema), &mut sink)?;
                    Ok(OnePass::Read(Inferred { schema, rows }))
                }
            }
        });
        let writing = spawn_blocking(move || new.write_all(receiver));
        async move {
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
}

impl NewFiles {
    /// Write batches of one schema, which the first one tells where nobody did; nothing where there is none.
    fn write_all(self, mut batches: mpsc::Receiver<RecordBatch>) -> Result<Option<(Shape, StagedFiles)>, IngestError> {
        let Some(first) = batches.blocking_recv() else { return Ok(None) };
        let shape = self.shape.map_or_else(|| shape_of_new(&first.schema(), &self.options), Ok)?;
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
