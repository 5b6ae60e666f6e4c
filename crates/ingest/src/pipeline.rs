//! An upload's bytes become Parquet files below the table's folder, in bounded memory: one thread decodes, one writes.
//!
//! Invariant: nothing of what is written here is in the table before a commit names it.

use std::{error::Error as _, io, path::PathBuf, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use sluice_domain::{Landed, ReadOptions, UploadEntry, ZoneName};
use sluice_storage::{Folder, StorageError, Zones, free_bytes, is_full};
use sluice_table::{DataFile, StagedFiles, TableError, TableWriter};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinHandle, spawn_blocking},
};

use crate::{
    DecodeError, IngestError, IngestSettings,
    formats::{self, Inferred},
    source,
    worker::Wall,
};

/// How many batches wait for the writer.
const BATCHES_AHEAD: usize = 2;

/// Decodes and writes; knows nothing of the catalog and commits nothing.
pub(crate) struct Pipeline {
    pub(crate) settings: IngestSettings,
    pub(crate) zones: Arc<Zones>,
    pub(crate) scratch_dir: PathBuf,
    wall: Arc<Wall>,
    slots: Semaphore,
}

/// What the rows of a table look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) schema: SchemaRef,
    pub(crate) partition_by: Vec<String>,
}

/// Durable files of an upload that wait for their commit.
pub(crate) struct Written {
    pub(crate) files: Vec<DataFile>,
    pub(crate) rows: u64,
}

impl Pipeline {
    pub(crate) fn new(settings: IngestSettings, zones: Arc<Zones>, scratch_dir: PathBuf) -> io::Result<Self> {
        let slots = Semaphore::new(settings.concurrent_decodes.max(1));
        let wall = Arc::new(Wall::open(&settings)?);
        Ok(Self { settings, zones, scratch_dir, wall, slots })
    }

    /// Whether there is space for another upload, before any of it is taken.
    pub(crate) fn check_space(&self) -> Result<(), StorageError> {
        let scratch = free_bytes(&self.scratch_dir).ok();
        let free = scratch.into_iter().chain(self.zones.free_bytes()?).min();
        match free {
            Some(free) if free < self.settings.min_free_bytes => Err(StorageError::Full),
            _ => Ok(()),
        }
    }

    /// The options with what the beginning of a file that landed tells, where its sender left it open.
    pub(crate) async fn resolve(&self, options: &ReadOptions, landed: &Landed) -> Result<ReadOptions, IngestError> {
        if !formats::is_open(options) {
            return Ok(options.clone());
        }
        let head = source::head(self.zones.get(ZoneName::Raw), landed, options.compression, &self.settings.decode);
        let head = head.await?;
        let options = options.clone();
        let reading = spawn_blocking(move || formats::resolved(&options, head));
        joined(reading, "reader").await?.map_err(cause)
    }

    /// The shape of a table that this upload would make.
    pub(crate) async fn infer(&self, entry: &UploadEntry) -> Result<Shape, IngestError> {
        let _slot = self.slots.acquire().await;
        let unread = source::open(self.zones.get(ZoneName::Raw), entry);
        let (options, wall, scratch_dir) = (entry.options.clone(), Arc::clone(&self.wall), self.scratch_dir.clone());
        let inferring = spawn_blocking(move || wall.infer(&options, unread, &scratch_dir));
        let Inferred { schema, rows } = joined(inferring, "reader").await?.map_err(cause)?;
        if schema.fields().is_empty() || rows == 0 && !entry.options.format.has_schema() {
            return Err(DecodeError::Empty.into());
        }
        sluice_table::columns_of(&schema, &[]).map_err(|error| {
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            DecodeError::malformed(entry.options.format, format!("its columns cannot be those of a table: {reason}"))
        })?;
        let partition_by = partition_columns(&schema, &entry.options.partition_by);
        sluice_table::check_partition_columns(&schema, &partition_by)?;
        Ok(Shape { schema, partition_by })
    }

    /// Write the upload's rows as files below a folder.
    pub(crate) async fn write(
        &self,
        entry: &UploadEntry,
        shape: &Shape,
        folder: &Folder,
    ) -> Result<Written, IngestError> {
        // Held until the scratch files are gone: they are what the slots bound, besides memory.
        let _slot = self.slots.acquire().await;
        let staged = self.stage(entry, shape).await?;
        let rows = staged.rows();
        Ok(Written { files: staged.upload(folder).await?, rows })
    }

    async fn stage(&self, entry: &UploadEntry, shape: &Shape) -> Result<StagedFiles, IngestError> {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let decoding = self.decode(entry, shape, sender);
        let writer = TableWriter::open(
            self.settings.writer.clone(),
            &shape.schema,
            &shape.partition_by,
            entry.id.to_string(),
            self.scratch_dir.clone(),
        )?;
        let writing = spawn_blocking(move || write_all(writer, receiver));
        let decoded = joined(decoding, "decoder").await?;
        let written = joined(writing, "writer").await?;
        match decoded {
            // The decoder stops when the writer does, and the writer knows why.
            Err(DecodeError::Stopped) => {}
            other => drop(other.map_err(cause)?),
        }
        Ok(written?)
    }

    fn decode(
        &self,
        entry: &UploadEntry,
        shape: &Shape,
        sender: mpsc::Sender<RecordBatch>,
    ) -> JoinHandle<Result<u64, DecodeError>> {
        let unread = source::open(self.zones.get(ZoneName::Raw), entry);
        let (options, wall) = (entry.options.clone(), Arc::clone(&self.wall));
        let (schema, scratch_dir) = (shape.schema.clone(), self.scratch_dir.clone());
        spawn_blocking(move || {
            wall.decode(&options, unread, (&scratch_dir, &schema), &mut |batch| {
                sender.blocking_send(batch).map_err(|_| DecodeError::Stopped)
            })
        })
    }
}

/// A writer that is not told of the decoder's failure closes its files for nothing; no commit will name them.
fn write_all(mut writer: TableWriter, mut batches: mpsc::Receiver<RecordBatch>) -> Result<StagedFiles, TableError> {
    while let Some(batch) = batches.blocking_recv() {
        writer.write(&batch)?;
    }
    writer.finish()
}

async fn joined<T>(task: JoinHandle<T>, name: &'static str) -> Result<T, IngestError> {
    task.await.map_err(|error| {
        tracing::error!(%error, task = name, "a task of an upload ended without an answer");
        IngestError::lost_task(name)
    })
}

/// What stopped the decoder: a failure of the store below it counts as the store's.
fn cause(error: DecodeError) -> IngestError {
    match error {
        DecodeError::Read(error) => match error.downcast::<StorageError>() {
            Ok(storage) => storage.into(),
            Err(error) if is_full(&error) => StorageError::Full.into(),
            Err(error) => DecodeError::Read(error).into(),
        },
        error => error.into(),
    }
}

/// The partition columns as the schema spells them.
fn partition_columns(schema: &SchemaRef, asked: &[String]) -> Vec<String> {
    let spelled = |name: &String| {
        let same = |field: &&Arc<arrow::datatypes::Field>| field.name().eq_ignore_ascii_case(name);
        let exact = schema.field_with_name(name).is_ok();
        let found = if exact { None } else { schema.fields().iter().find(same) };
        found.map_or_else(|| name.clone(), |field| field.name().clone())
    };
    asked.iter().map(spelled).collect()
}
