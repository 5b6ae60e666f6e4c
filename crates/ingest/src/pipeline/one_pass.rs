//! An upload that makes a table is read once: its beginning tells the types. A long one is read while its body comes in.
//!
//! Invariant: the shape of a new table is the one that reading all of it first would find; where the beginning did not
//! tell it, that is what is done.
//! Invariant: rows that were read ahead are used only for a table of the very shape, and gone when their upload is.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow::array::RecordBatch;
use bytes::Bytes;
use sluice_domain::{ReadOptions, TableFormat, TableRef, Terms, UploadEntry, UploadId, ZoneName};
use sluice_table::TableWriter;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::{JoinHandle, spawn_blocking},
};

use super::{Aside, BATCHES_AHEAD, Pipeline, Shape, Staged, joined, shape_of_new};
use crate::{
    DecodeError, IngestError, ProgressBoard,
    contract::Admission,
    formats::{self, OnePass, decompressed},
    quarantine::BadRows,
    row_sink::{BadRow, RowSink},
    source::{self, Arrival, Unread},
};

/// How many pieces of a body wait for whoever reads along.
const PIECES_AHEAD: usize = 16;

/// The rows of uploads that are in scratch files before anybody asked for them.
pub(crate) struct Ahead {
    uploads: Mutex<HashMap<UploadId, ReadAhead>>,
    /// For bodies that come in, beside those of what has landed, which one that drips in would keep waiting: half as
    /// many, because their memory comes on top.
    slots: Arc<Semaphore>,
}

/// An upload that was read ahead, or is.
enum ReadAhead {
    Along(ReadAlong),
    Read { shape: Shape, rows: Box<AheadRows> },
}

/// Rows that are in scratch files.
pub(super) struct AheadRows {
    pub(super) staged: Staged,
    /// Held until the scratch files are gone.
    pub(super) slot: OwnedSemaphorePermit,
}

/// An upload that is read while its body comes in.
pub(crate) struct ReadAlong {
    staging: JoinHandle<Result<Option<(Shape, Staged)>, IngestError>>,
    slot: OwnedSemaphorePermit,
}

/// What was read ahead of an upload is thrown away when nobody works on it any more.
pub(crate) struct Kept<'a>(&'a Ahead, UploadId);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl Ahead {
    pub(super) fn new(slots: usize) -> Self {
        Self { uploads: Mutex::default(), slots: Arc::new(Semaphore::new(slots)) }
    }

    /// Keep what is read along of an upload that has landed.
    pub(crate) fn keep(&self, id: UploadId, along: ReadAlong) {
        self.lock().insert(id, ReadAhead::Along(along));
    }

    /// For as long as the upload is worked on.
    pub(crate) fn of(&self, id: UploadId) -> Kept<'_> {
        Kept(self, id)
    }

    /// The rows of an upload, where they were read for a table of this shape that asks for nothing else.
    pub(super) fn take(&self, id: UploadId, admission: &Admission) -> Option<Box<AheadRows>> {
        let Admission { shape: wanted, terms, effect, is_first_try, .. } = admission;
        let is_new = !is_first_try && effect.is_none() && **terms == Terms::default();
        match self.lock().remove(&id) {
            Some(ReadAhead::Read { shape, rows }) if is_new && shape == *wanted => Some(rows),
            _ => None,
        }
    }

    /// The upload goes into a table that is there: what was read of it for a new one frees its place.
    pub(crate) fn forget(&self, id: UploadId) {
        drop(self.of(id));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UploadId, ReadAhead>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a body that comes in, if there is one now.
    fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }
}

impl Pipeline {
    /// Begin to read the body of an upload that makes a table, while it comes in; where its pieces go. None where that
    /// is not possible now.
    pub(crate) fn read_along(
        &self,
        (id, table): (UploadId, &TableRef),
        options: &ReadOptions,
    ) -> Option<(mpsc::Sender<Arrival>, ReadAlong)> {
        if !is_read_once(options) {
            return None;
        }
        let slot = self.ahead.slot()?;
        let (sender, arrivals) = mpsc::channel(PIECES_AHEAD);
        let bad_rows = BadRows::new((id, table), options.bad_rows, &self.scratch_dir);
        let staging = self.stage_once((id, options), source::arriving(options, arrivals), bad_rows);
        Some((sender, ReadAlong { staging: tokio::spawn(staging), slot }))
    }

    /// The options with what the beginning of a body tells.
    pub(crate) async fn resolve_beginning(&self, options: &ReadOptions, beginning: Bytes) -> Option<ReadOptions> {
        let head = decompressed(options.compression, io::Cursor::new(beginning), &self.settings.decode);
        let options = options.clone();
        spawn_blocking(move || formats::resolved(&options, head)).await.ok()?.ok()
    }

    /// Read an upload that makes a table, once; the table's shape, where that does. Its rows are kept.
    pub(super) async fn read_ahead(&self, entry: &UploadEntry) -> Result<Option<Shape>, IngestError> {
        let known = self.ahead.lock().remove(&entry.id);
        let (shape, rows) = match known {
            Some(ReadAhead::Read { shape, rows }) => (shape, rows),
            // Whatever is wrong with the upload comes out where it is read again.
            Some(ReadAhead::Along(along)) => match along.staging.await {
                Ok(Ok(Some((shape, staged)))) => {
                    self.progress.add_rows(entry.id, staged.files.rows());
                    (shape, Box::new(AheadRows { staged, slot: along.slot }))
                }
                _ => return Ok(None),
            },
            None => {
                if !is_read_once(&entry.options) {
                    return Ok(None);
                }
                // They are never closed.
                let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return Ok(None) };
                let unread =
                    source::open(self.zones.get(ZoneName::Raw), entry).shown_on(self.progress.reading(entry.id));
                let bad_rows = BadRows::of(entry, entry.options.bad_rows, &self.scratch_dir);
                let read = self.stage_once((entry.id, &entry.options), unread, bad_rows).await?;
                let Some((shape, staged)) = read else { return Ok(None) };
                (shape, Box::new(AheadRows { staged, slot }))
            }
        };
        self.ahead.lock().insert(entry.id, ReadAhead::Read { shape: shape.clone(), rows });
        Ok(Some(shape))
    }

    /// Read an upload once and write its rows; none where that does not do.
    fn stage_once(
        &self,
        (id, options): (UploadId, &ReadOptions),
        unread: Unread,
        bad_rows: BadRows,
    ) -> impl Future<Output = Result<Option<(Shape, Staged)>, IngestError>> + Send + use<> {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let (tell, told) = oneshot::channel();
        let (options, progress) = (options.clone(), self.progress.clone());
        let mut sink = Guessing { tell: Some(tell), options, sender, progress, id, bad_rows };
        let (wall, scratch_dir) = (Arc::clone(&self.wall), self.scratch_dir.clone());
        let decoding = spawn_blocking(move || {
            let options = sink.options.clone();
            let read = wall.decode_guessing(&options, unread, &scratch_dir, &mut sink);
            read.map(|read| (read, sink.bad_rows))
        });
        let (settings, scratch_dir) = (self.settings.writer.clone(), self.scratch_dir.clone());
        async move {
            // Nothing is told where there are no rows, or others than those that a table would be made of.
            let Ok(shape) = told.await else { return Ok(None) };
            let settings = settings.for_table(&shape.layout);
            let writer = TableWriter::open(settings, &shape.schema, &shape.partition_by, id.to_string(), scratch_dir)?;
            let written = writer.feed(receiver);
            let (decoded, written) = (joined(decoding, "decoder").await?, joined(written, "writer").await?);
            let Ok((OnePass::Read, bad_rows)) = decoded else { return Ok(None) };
            let files = written?;
            let bad_rows = bad_rows.finish(files.rows())?;
            Ok(Some((shape, Staged { files, aside: Aside { bad_rows, quality: None } })))
        }
    }
}

/// Whether an upload can be read while it is not known what it makes.
fn is_read_once(options: &ReadOptions) -> bool {
    let goes_into_files = options.table_format != Some(TableFormat::Parquet) && !options.write.is_keyed();
    goes_into_files && options.write.merge.delete_when.is_none() && formats::is_read_once(options.format)
}

/// Hands rows to a writer that is opened when the first of them tell of what columns.
struct Guessing {
    tell: Option<oneshot::Sender<Shape>>,
    options: ReadOptions,
    sender: mpsc::Sender<RecordBatch>,
    progress: ProgressBoard,
    id: UploadId,
    bad_rows: BadRows,
}

impl RowSink for Guessing {
    fn rows(&mut self, batch: RecordBatch) -> Result<(), DecodeError> {
        if let Some(tell) = self.tell.take() {
            let shape = shape_of_new(&batch.schema(), &self.options).map_err(|_| DecodeError::Stopped)?;
            // Columns that are computed are none of the decoder's.
            if !shape.layout.derived.is_empty() {
                return Err(DecodeError::Stopped);
            }
            tell.send(shape).map_err(|_| DecodeError::Stopped)?;
        }
        self.progress.add_rows(self.id, batch.num_rows() as u64);
        self.sender.blocking_send(batch).map_err(|_| DecodeError::Stopped)
    }

    fn bad_row(&mut self, row: BadRow) -> Result<(), DecodeError> {
        self.bad_rows.add(row)
    }
}
