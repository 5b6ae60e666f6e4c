//! An upload's bytes become Parquet files below the table's folder, in bounded memory: one thread decodes, one writes.
//!
//! Invariant: nothing of what is written here is in the table before a commit names it.

use std::{error::Error as _, io, path::PathBuf, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use sluice_domain::{
    Format, Landed, Phase, Prepared, ReadOptions, RowCounts, TableLayout, UploadEntry, UploadId, Validation, ZoneName,
};
use sluice_storage::{Folder, StorageError, Zones, free_bytes, is_full};
use sluice_table::{
    DataFile, Derivations, StagedFiles, TableError, TableWriter, check_layout, derivations_of, spelled,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc},
    task::{JoinHandle, spawn_blocking},
};

use crate::{
    DecodeError, IngestError, IngestSettings, ProgressBoard,
    contract::{Admission, ContractBreach, Gate, Passed},
    formats::{self, Inferred},
    quarantine::{self, BadRows, Spool},
    row_sink::{BadRow, RowSink},
    source,
    worker::Wall,
    write_mode::made_columns,
};

mod one_pass;

use one_pass::Ahead;
pub(crate) use one_pass::ReadAlong;

/// How many batches wait for the writer.
pub(crate) const BATCHES_AHEAD: usize = 2;

/// Decodes and writes; knows nothing of the catalog and commits nothing.
pub(crate) struct Pipeline {
    pub(crate) settings: IngestSettings,
    pub(crate) zones: Arc<Zones>,
    pub(crate) scratch_dir: PathBuf,
    pub(crate) progress: ProgressBoard,
    wall: Arc<Wall>,
    pub(crate) slots: Arc<Semaphore>,
    /// Bounds the memory of those who hold rows of a table against those of an upload.
    pub(crate) merges: Semaphore,
    pub(crate) ahead: Ahead,
}

/// What the rows of a table look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) schema: SchemaRef,
    pub(crate) partition_by: Vec<String>,
    pub(crate) layout: TableLayout,
}

/// Durable files of an upload that wait for their commit.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) files: Vec<DataFile>,
    /// What they hold, and the bad rows that lie beside them.
    pub(crate) prepared: Prepared,
    /// Whether the files follow from the upload alone, so that they can be made anew from it.
    pub(crate) is_of_upload: bool,
    /// What came of the table's suite.
    pub(crate) quality: Option<Validation>,
}

/// What became of an upload's rows, before anything of it is in a store.
pub(crate) struct Staged {
    pub(crate) files: StagedFiles,
    pub(crate) aside: Aside,
}

/// What there is beside the good rows of an upload.
#[derive(Default)]
pub(crate) struct Aside {
    /// How many bad rows there are, and where they lie.
    pub(crate) bad_rows: Option<(u64, Spool)>,
    /// What came of the table's suite.
    pub(crate) quality: Option<Validation>,
}

/// What a decoder leaves behind when all rows are handed on.
pub(crate) struct Decoded {
    bad_rows: BadRows,
    quality: Option<Validation>,
}

impl Decoded {
    /// What is kept beside so many good rows.
    ///
    /// # Errors
    /// [`ContractBreach::Quality`] where the table's suite refuses them; that there are too many bad ones.
    pub(crate) fn finish(self, good_rows: u64) -> Result<Aside, IngestError> {
        let Self { bad_rows, quality } = self;
        match quality {
            Some(validation) if validation.refusals().next().is_some() => {
                Err(ContractBreach::Quality { validation: Box::new(validation) }.into())
            }
            quality => Ok(Aside { bad_rows: bad_rows.finish(good_rows)?, quality }),
        }
    }
}

impl Pipeline {
    pub(crate) fn new(settings: IngestSettings, zones: Arc<Zones>, scratch_dir: PathBuf) -> io::Result<Self> {
        let places = || Semaphore::new(settings.concurrent_decodes.max(1));
        let (slots, merges) = (Arc::new(places()), places());
        let ahead = Ahead::new(settings.concurrent_decodes.div_ceil(2).max(1));
        let wall = Arc::new(Wall::open(&settings)?);
        Ok(Self { settings, zones, scratch_dir, progress: ProgressBoard::default(), wall, slots, merges, ahead })
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

    /// The columns that the upload has.
    pub(crate) async fn inferred(&self, entry: &UploadEntry) -> Result<Inferred, IngestError> {
        let unread = source::open(self.zones.get(ZoneName::Raw), entry).shown_on(self.progress.reading(entry.id));
        let (options, wall, scratch_dir) = (entry.options.clone(), Arc::clone(&self.wall), self.scratch_dir.clone());
        let inferring = spawn_blocking(move || wall.infer(&options, unread, &scratch_dir));
        joined(inferring, "reader").await?.map_err(cause)
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
        if let Some(shape) = self.read_ahead(entry).await? {
            return Ok(shape);
        }
        let _slot = self.slots.acquire().await;
        let found = self.inferred(entry).await?;
        let schema = made_columns(found.table_columns(), &entry.options.write);
        if schema.fields().is_empty() || found.rows == 0 && !entry.options.format.has_schema() {
            return Err(found.first_bad.unwrap_or(DecodeError::Empty).into());
        }
        shape_of_new(&schema, &entry.options)
    }

    /// A place among the uploads that are decoded.
    pub(crate) async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.acquire().await.ok()
    }

    /// The line that names the columns of an upload of delimited text, where it has one.
    pub(crate) async fn header(&self, entry: &UploadEntry) -> Result<Option<String>, IngestError> {
        let unread = source::open(self.zones.get(ZoneName::Raw), entry);
        let (options, limits, scratch_dir) =
            (entry.options.clone(), self.settings.decode.clone(), self.scratch_dir.clone());
        let reading = spawn_blocking(move || {
            let source = unread.into_source(&limits, &scratch_dir)?;
            formats::csv_header(&options, source, &limits)
        });
        joined(reading, "reader").await?.map_err(cause)
    }

    /// Write the upload's good rows as files below a folder, and its bad ones into the raw zone.
    pub(crate) async fn write(
        &self,
        entry: &UploadEntry,
        admission: &Admission,
        folder: &Folder,
    ) -> Result<Written, IngestError> {
        let ahead = self.ahead.take(entry.id, admission);
        // Held until the scratch files are gone: they are what the slots bound, besides memory.
        let _slot = if ahead.is_none() { self.slot().await } else { None };
        if entry.options.write.is_keyed() {
            return self.write_keyed(entry, admission, folder).await;
        }
        let (Staged { files, aside }, _slot_ahead) = match ahead {
            Some(ahead) => (ahead.staged, Some(ahead.slot)),
            None => (self.stage(entry, admission).await?, None),
        };
        let committed = files.rows();
        self.progress.enter(entry.id, Phase::Writing);
        let files = files.upload(folder).await?;
        let (prepared, quality) = self.prepare(entry, RowCounts::all_committed(committed), aside).await?;
        Ok(Written { files, prepared: admission.noted(prepared), is_of_upload: true, quality })
    }

    /// Put the bad rows of an upload beside its good ones, durably.
    pub(crate) async fn prepare(
        &self,
        entry: &UploadEntry,
        mut rows: RowCounts,
        Aside { bad_rows, quality }: Aside,
    ) -> Result<(Prepared, Option<Validation>), IngestError> {
        let mut quarantine = None;
        if let Some((count, spool)) = bad_rows {
            rows.quarantined = count;
            quarantine = Some(quarantine::land(entry, spool, self.zones.get(ZoneName::Raw)).await?);
        }
        let summary = quality.as_ref().map(Validation::summary);
        Ok((Prepared { rows, quarantine, quality: summary, ..Prepared::default() }, quality))
    }

    /// Write the upload's rows to scratch files. To be called with a slot.
    pub(crate) async fn stage(&self, entry: &UploadEntry, admission: &Admission) -> Result<Staged, IngestError> {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let decoding = self.decode(entry, admission, sender)?;
        let writing = self.table_writer(entry.id, &admission.shape)?.feed(receiver);
        let (files, decoded) = both(decoding, writing).await?;
        let aside = decoded.finish(files.rows())?;
        Ok(Staged { files, aside })
    }

    /// A writer of scratch files for an upload's rows in a table of this shape.
    pub(crate) fn table_writer(&self, id: UploadId, shape: &Shape) -> Result<TableWriter, TableError> {
        let settings = self.settings.writer.for_table(&shape.layout);
        TableWriter::open(settings, &shape.schema, &shape.partition_by, id.to_string(), self.scratch_dir.clone())
    }

    pub(crate) fn decode(
        &self,
        entry: &UploadEntry,
        admission: &Admission,
        sender: mpsc::Sender<RecordBatch>,
    ) -> Result<JoinHandle<Result<Decoded, DecodeError>>, IngestError> {
        let (progress, id) = (self.progress.clone(), entry.id);
        let unread = source::open(self.zones.get(ZoneName::Raw), entry).shown_on(progress.reading(id));
        let (mut options, wall) = (entry.options.clone(), Arc::clone(&self.wall));
        options.json.coerce |= admission.terms.coerce;
        let (admission, scratch_dir) = (admission.clone(), self.scratch_dir.clone());
        let gate = Gate::new(&admission, &options.write)?;
        let bad_rows = BadRows::of(entry, admission.limits(options.bad_rows), &scratch_dir);
        let suite = admission.asked_suite(entry);
        Ok(spawn_blocking(move || {
            let schema = Arc::clone(&admission.decoded);
            let gate = gate.asking(suite.as_ref());
            let mut sink = ToWriter { sender, admission, gate, progress, id, bad_rows };
            wall.decode(&options, unread, (&scratch_dir, &schema), &mut sink)?;
            Ok(Decoded { bad_rows: sink.bad_rows, quality: sink.gate.finish() })
        }))
    }
}

/// Check that a table can have these columns.
pub(crate) fn check_columns(format: Format, schema: &SchemaRef) -> Result<(), DecodeError> {
    sluice_table::columns_of(schema, &[]).map(drop).map_err(|error| {
        let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        DecodeError::malformed(format, format!("its columns cannot be those of a table: {reason}"))
    })
}

/// Hands good rows to the writer, and keeps bad ones.
struct ToWriter {
    sender: mpsc::Sender<RecordBatch>,
    admission: Admission,
    gate: Gate,
    progress: ProgressBoard,
    id: UploadId,
    bad_rows: BadRows,
}

impl RowSink for ToWriter {
    fn rows(&mut self, batch: RecordBatch) -> Result<(), DecodeError> {
        let Passed { rows, bad } = self.gate.pass(batch)?;
        bad.into_iter().try_for_each(|row| self.bad_rows.add(row))?;
        self.progress.add_rows(self.id, rows.num_rows() as u64);
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.sender.blocking_send(rows).map_err(|_| DecodeError::Stopped)
    }

    fn bad_row(&mut self, row: BadRow) -> Result<(), DecodeError> {
        if self.admission.asks_for_another(&row.error) {
            return Err(row.error);
        }
        self.gate.skip(row.number);
        self.bad_rows.add(row)
    }
}

/// What came of a decoder, and of the writer that it hands its rows to.
pub(crate) async fn both<T>(
    decoding: JoinHandle<Result<Decoded, DecodeError>>,
    writing: JoinHandle<Result<T, TableError>>,
) -> Result<(T, Decoded), IngestError> {
    let decoded = joined(decoding, "decoder").await?;
    let written = joined(writing, "writer").await?;
    match decoded {
        // The decoder stops when the writer does, and the writer knows why.
        Err(DecodeError::Stopped) => Err(written.err().map_or_else(|| IngestError::lost_task("writer"), Into::into)),
        decoded => Ok((written?, decoded.map_err(cause)?)),
    }
}

pub(crate) async fn joined<T>(task: JoinHandle<T>, name: &'static str) -> Result<T, IngestError> {
    task.await.map_err(|error| {
        tracing::error!(%error, task = name, "a task of an upload ended without an answer");
        IngestError::lost_task(name)
    })
}

/// What stopped the decoder: a failure of the store below it counts as the store's.
pub(crate) fn cause(error: DecodeError) -> IngestError {
    match error {
        DecodeError::Read(error) => match error.downcast::<StorageError>() {
            Ok(storage) => storage.into(),
            Err(error) if is_full(&error) => StorageError::Full.into(),
            Err(error) => DecodeError::Read(error).into(),
        },
        error => error.into(),
    }
}

/// The shape of a new table of these columns.
fn shape_of_new(schema: &SchemaRef, options: &ReadOptions) -> Result<Shape, IngestError> {
    check_columns(options.format, schema)?;
    laid_out(schema, options)
}

/// The shape of a table of a file with these columns.
fn laid_out(file: &SchemaRef, options: &ReadOptions) -> Result<Shape, IngestError> {
    let partition_by = partition_columns(file, &options.partition_by);
    let derived = derivations_of(file, &partition_by, &options.layout.derived);
    let (schema, derived) = Derivations::extend(file, &derived).map_err(TableError::from)?;
    sluice_table::check_partition_columns(&schema, &partition_by)?;
    let asked = TableLayout { derived, ..options.layout.clone() };
    let layout = check_layout(&schema, &partition_by, &asked).map_err(TableError::from)?;
    Ok(Shape { schema: Arc::new(schema), partition_by, layout })
}

/// The partition columns as the schema spells them.
fn partition_columns(schema: &SchemaRef, asked: &[String]) -> Vec<String> {
    asked.iter().map(|name| spelled(schema, name).map_or(name, |field| field.name()).clone()).collect()
}
