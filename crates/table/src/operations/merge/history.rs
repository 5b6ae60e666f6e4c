//! History: rows of a source become the current ones of their keys, and those that they take the place of are kept, with
//! the time until which they held (a slowly changing dimension of type 2).
//!
//! Invariant: of each key that the source has, one row is current afterwards, which is the source's.
//! Invariant: a row that is not current any more never changes again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{
    array::{
        ArrayRef, AsArray as _, BooleanArray, BooleanBufferBuilder, RecordBatch, RecordBatchOptions,
        TimestampMicrosecondArray, new_null_array,
    },
    buffer::BooleanBuffer,
    compute::{and, filter_record_batch, kernels::zip::zip, not},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    util::display::array_value_to_string,
};
use chrono::{DateTime, Utc};
use deltalake::DeltaTable;
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::{
    Candidates, Source,
    decide::none_of,
    keys::{Encoder, KeySpill, Record},
};
use crate::{
    CommitFailure, DataFile, Refusal, Rewrite, RowChanges, StagedFiles, Table, TableError, TableWriter, Workspace,
    live::{LiveFile, live_files},
    log::change::{Change, Reads},
    operations::sink::{Sink, check_rows},
    reader::FileReader,
};

/// Since when a row holds.
const VALID_FROM: &str = "valid_from";
/// Until when it held; missing while it does.
const VALID_TO: &str = "valid_to";
/// Whether it holds.
const IS_CURRENT: &str = "is_current";
/// How much of the hash of a row's values tells it from others of its key.
const DIGEST_BYTES: usize = 16;
/// How much of a key is told that is there twice.
const MAX_KEY_CHARS: usize = 200;

/// The columns that a history has beside those of its source: `valid_from` and `valid_to` (moments, UTC) and
/// `is_current`.
pub fn history_columns() -> [Field; 3] {
    let moment = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    [
        Field::new(VALID_FROM, moment.clone(), true),
        Field::new(VALID_TO, moment, true),
        Field::new(IS_CURRENT, DataType::Boolean, true),
    ]
}

/// Bring rows in as the current ones of their keys. A row whose values are those of the current one changes nothing; a
/// key that is missing equals a missing one. The source has one row of each key.
#[derive(Debug, Clone)]
pub struct History {
    /// The rows, without the columns of [`history_columns`]; of its rule the keys count.
    pub source: Arc<Source>,
    /// Since when they hold, and until when those did whose place they take.
    pub at: DateTime<Utc>,
    /// Whether rows hold no longer whose keys the source does not have.
    pub close_missing: bool,
}

impl History {
    /// Write the rows that a table without any rows takes. Blocks.
    ///
    /// # Errors
    /// [`Refusal::DuplicateKey`], or a scratch file that cannot be read or written.
    pub fn write_first(
        &self,
        table: &SchemaRef,
        mut writer: TableWriter,
    ) -> Result<(StagedFiles, RowChanges), TableError> {
        let decisions = self.decide(None, &self.values()?)?;
        self.write_opened(&decisions.written, table, &mut writer)?;
        Ok((writer.finish()?, decisions.rows))
    }

    /// What rows of a key differ in: the columns of the source beside its keys.
    fn values(&self) -> Result<Encoder, TableError> {
        let names = self.source.schema.fields().iter().map(|field| field.name().clone());
        let names: Vec<String> = names.filter(|name| !self.source.rule.keys.contains(name)).collect();
        Encoder::new(&self.source.schema, &names)
    }

    /// Decide on every row. Blocks.
    fn decide(&self, candidates: Option<&Candidates>, values: &Encoder) -> Result<Decisions, TableError> {
        let rows = usize::try_from(self.source.rows).map_err(TableError::encode)?;
        let news = self.digests(rows, values)?;
        let mut deciding =
            Deciding { written: none_of(rows), closed: BTreeMap::new(), rows: RowChanges::default(), candidates };
        for bucket in news.buckets() {
            let mut newest = self.rows_of(&news, bucket)?;
            deciding.close(bucket, &mut newest, self.close_missing)?;
            deciding.open(&newest);
        }
        let closed = deciding.closed.into_iter().map(|(file, mut rows)| (file, rows.finish())).collect();
        Ok(Decisions { written: deciding.written.finish(), closed, rows: deciding.rows })
    }

    /// The keys of the source's rows, with digests of their values.
    fn digests(&self, rows: usize, values: &Encoder) -> Result<KeySpill, TableError> {
        let mut news = KeySpill::new(&self.source.scratch_dir, self.source.index.hash().clone());
        let mut number = 0;
        self.source.read(&BooleanBuffer::new_set(rows), |batch| {
            let places = number..;
            number += batch.num_rows() as u64;
            self.push(&mut news, values, &batch, places.map(|number| (0, number)))
        })?;
        Ok(news)
    }

    /// Remember the rows of a batch that a row of the source may meet, with the file and the place of each.
    fn push(
        &self,
        spill: &mut KeySpill,
        values: &Encoder,
        batch: &RecordBatch,
        places: impl Iterator<Item = (u32, u64)>,
    ) -> Result<(), TableError> {
        let (keys, digests) = (self.source.keys.encode(batch)?, digests_of(values, batch)?);
        for ((key, digest), (file, number)) in keys.iter().zip(&digests).zip(places) {
            let key = key.as_ref();
            if self.close_missing || self.source.may_have(key) {
                spill.push(&Record { key, order: digest, number, file, deletes: false })?;
            }
        }
        Ok(())
    }

    fn rows_of(&self, news: &KeySpill, bucket: usize) -> Result<Newest, TableError> {
        let mut newest = Newest::new();
        news.read(bucket, |record| {
            let row = New { number: record.number, digest: record.order.into(), stays: false, replaces: false };
            match newest.insert(record.key.into(), row) {
                None => Ok(()),
                Some(_) => Err(self.duplicate(record.key)?.into()),
            }
        })?;
        Ok(newest)
    }

    fn duplicate(&self, key: &[u8]) -> Result<Refusal, TableError> {
        let values = self.source.keys.decode(&[key.to_vec()])?;
        let named = self.source.rule.keys.iter().zip(&values);
        let texts = named.map(|(name, value)| Ok(format!("{name} = {}", array_value_to_string(value, 0)?)));
        let key = texts.collect::<Result<Vec<_>, TableError>>()?.join(", ");
        Ok(Refusal::DuplicateKey { key: key.chars().take(MAX_KEY_CHARS).collect() })
    }

    /// Write rows of the source as current ones of a table with these columns.
    fn write_opened(
        &self,
        chosen: &BooleanBuffer,
        table: &SchemaRef,
        writer: &mut TableWriter,
    ) -> Result<(), TableError> {
        self.source.read(chosen, |batch| writer.write(&self.opened(&batch, table)?))
    }

    fn opened(&self, batch: &RecordBatch, table: &SchemaRef) -> Result<RecordBatch, TableError> {
        let rows = batch.num_rows();
        let column = |field: &Arc<Field>| -> ArrayRef {
            match (field.name().as_str(), batch.column_by_name(field.name())) {
                (VALID_FROM, _) => Arc::new(self.moments(rows)),
                (IS_CURRENT, _) => Arc::new(BooleanArray::from(vec![true; rows])),
                (_, Some(column)) => Arc::clone(column),
                (_, None) => new_null_array(field.data_type(), rows),
            }
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let columns = table.fields().iter().map(column).collect();
        Ok(RecordBatch::try_new_with_options(Arc::clone(table), columns, &options)?)
    }

    fn moments(&self, rows: usize) -> TimestampMicrosecondArray {
        TimestampMicrosecondArray::from(vec![self.at.timestamp_micros(); rows]).with_timezone("UTC")
    }

    /// Rows of the table of which these hold no longer.
    fn closed(&self, batch: &RecordBatch, closed: &BooleanArray) -> Result<RecordBatch, TableError> {
        let schema = batch.schema();
        let (until, current) = (schema.index_of(VALID_TO)?, schema.index_of(IS_CURRENT)?);
        let mut columns = batch.columns().to_vec();
        columns[until] = zip(closed, &self.moments(batch.num_rows()), &columns[until])?;
        columns[current] = Arc::new(and(columns[current].as_boolean(), &not(closed)?)?);
        Ok(RecordBatch::try_new(schema, columns)?)
    }
}

/// A row of the source.
struct New {
    number: u64,
    digest: Box<[u8]>,
    /// Whether the table has it as the current one.
    stays: bool,
    /// Whether it takes the place of another.
    replaces: bool,
}

type Newest = HashMap<Box<[u8]>, New>;

/// What becomes of the rows.
struct Decisions {
    /// The rows of the source that become current.
    written: BooleanBuffer,
    /// The rows of each file that hold no longer.
    closed: BTreeMap<u32, BooleanBuffer>,
    rows: RowChanges,
}

struct Deciding<'c> {
    candidates: Option<&'c Candidates>,
    written: BooleanBufferBuilder,
    closed: BTreeMap<u32, BooleanBufferBuilder>,
    rows: RowChanges,
}

impl Deciding<'_> {
    /// Find the current rows of the table that hold no longer.
    fn close(&mut self, bucket: usize, newest: &mut Newest, close_missing: bool) -> Result<(), TableError> {
        let Some(candidates) = self.candidates else { return Ok(()) };
        candidates.records.read(bucket, |record| {
            match newest.get_mut(record.key) {
                Some(new) if !new.stays && *new.digest == *record.order => {
                    new.stays = true;
                    return Ok(());
                }
                Some(new) => new.replaces = true,
                None if close_missing => self.rows.deleted += 1,
                None => return Ok(()),
            }
            let rows = candidates.file_rows[record.file as usize] as usize;
            self.closed.entry(record.file).or_insert_with(|| none_of(rows)).set_bit(record.number as usize, true);
            Ok(())
        })
    }

    /// Choose the rows of the source that become current.
    fn open(&mut self, newest: &Newest) {
        for new in newest.values() {
            match (new.stays, new.replaces) {
                (true, _) => self.rows.deduplicated += 1,
                (false, true) => self.rows.updated += 1,
                (false, false) => self.rows.inserted += 1,
            }
            if !new.stays {
                self.written.set_bit(new.number as usize, true);
            }
        }
    }
}

fn digests_of(values: &Encoder, batch: &RecordBatch) -> Result<Vec<[u8; DIGEST_BYTES]>, TableError> {
    if values.columns_of(batch)?.is_empty() {
        return Ok(vec![[0; DIGEST_BYTES]; batch.num_rows()]);
    }
    let digest = |row: &[u8]| {
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(&Sha256::digest(row)[..DIGEST_BYTES]);
        digest
    };
    Ok(values.encode(batch)?.iter().map(|row| digest(row.as_ref())).collect())
}

fn check_columns(table: &Schema) -> Result<(), TableError> {
    let is_missing = |column: &Field| {
        !table.field_with_name(column.name()).is_ok_and(|field| field.data_type() == column.data_type())
    };
    match history_columns().iter().find(|column| is_missing(column)) {
        Some(other) => {
            let reason = format!("the column {} is gone or of another type", other.name());
            Err(CommitFailure::SchemaChanged { reason }.into())
        }
        None => Ok(()),
    }
}

impl Table {
    pub(in crate::operations) async fn prepare_history(
        &self,
        history: &History,
        workspace: &Workspace,
        newest: &DeltaTable,
    ) -> Result<Rewrite, TableError> {
        let reader = FileReader::new(self.folder(), newest)?;
        history.source.check_fits(&reader.schema)?;
        check_columns(&reader.schema)?;
        let live = live_files(newest)?;
        let candidates = find_current(history, &reader, &live).await?;
        let deciding = history.clone();
        let decided = spawn_blocking(move || deciding.decide(Some(&candidates), &deciding.values()?));
        let decisions = decided.await.map_err(TableError::encode)??;
        let (files, replaced, copied) = self.write_history(history, &decisions, (&reader, &live, workspace)).await?;
        let base = newest.version().ok_or(TableError::NotCreated)?;
        let change = Change {
            operation: "MERGE",
            parameters: vec![("keys", history.source.rule.keys.join(", ")), ("matched", "History".to_owned())],
            reads: Reads::Rows(base),
            ..Change::append(Vec::new())
        };
        Ok(Rewrite::replacing(change, files, &replaced, RowChanges { copied, ..decisions.rows }))
    }

    /// Write the files anew whose rows hold no longer, and the rows that are current: new files, replaced ones, rows
    /// that were copied as they are.
    async fn write_history(
        &self,
        history: &History,
        decisions: &Decisions,
        (reader, live, workspace): (&FileReader, &[LiveFile], &Workspace),
    ) -> Result<(Vec<DataFile>, Vec<LiveFile>, u64), TableError> {
        let (mut files, mut replaced, mut copied) = (Vec::new(), Vec::new(), 0);
        for (at, closed) in &decisions.closed {
            let file = &live[*at as usize];
            let (mut sink, mut first) = (Sink::open(workspace, reader)?, 0);
            let mut batches = reader.read(file).await?;
            while let Some(batch) = batches.try_next().await? {
                let rows = BooleanArray::new(closed.slice(first, batch.num_rows()), None);
                first += batch.num_rows();
                sink.write(history.closed(&batch, &rows)?).await?;
            }
            let written = sink.finish(self.folder()).await?;
            check_rows(&written, closed.len() as u64)?;
            copied += (closed.len() - closed.count_set_bits()) as u64;
            files.extend(written);
            replaced.push(file.clone());
        }
        let (chosen, table) = (decisions.written.clone(), Arc::clone(&reader.schema));
        let (expected, history) = (chosen.count_set_bits() as u64, history.clone());
        let mut writer = workspace.open_writer(reader)?;
        let writing = spawn_blocking(move || {
            history.write_opened(&chosen, &table, &mut writer)?;
            writer.finish()
        });
        let written = writing.await.map_err(TableError::encode)??.upload(self.folder()).await?;
        check_rows(&written, expected)?;
        files.extend(written);
        Ok((files, replaced, copied))
    }
}

/// Whether a file lies in a partition of rows that hold no longer.
fn is_past(file: &LiveFile, reader: &FileReader) -> Result<bool, TableError> {
    if !reader.partition_by.iter().any(|column| column == IS_CURRENT) {
        return Ok(false);
    }
    let values = reader.one_row(file)?;
    let is_current = values.column_by_name(IS_CURRENT).map(|column| column.as_boolean().clone());
    Ok(is_current.is_some_and(|is_current| is_current.false_count() > 0))
}

/// The current rows of the table that may have to be closed.
async fn find_current(history: &History, reader: &FileReader, live: &[LiveFile]) -> Result<Candidates, TableError> {
    let (source, values) = (&history.source, history.values()?);
    let mut records = KeySpill::new(&source.scratch_dir, source.index.hash().clone());
    let mut file_rows = vec![0; live.len()];
    let names = source.schema.fields().iter().map(|field| field.name().as_str()).chain([IS_CURRENT]);
    let wanted = names.map(|name| Ok(reader.schema.index_of(name)?)).collect::<Result<Vec<_>, TableError>>()?;
    let current = reader.schema.index_of(IS_CURRENT)?;
    for (at, file) in live.iter().enumerate() {
        if is_past(file, reader)? || !history.close_missing && !source.bounds.may_meet(file, reader)? {
            continue;
        }
        let number = u32::try_from(at).map_err(TableError::encode)?;
        let mut batches = reader.read_columns(file, Some(&wanted)).await?;
        while let Some(batch) = batches.try_next().await? {
            let is_current = batch.column(current).as_boolean().iter().map(|is| Some(is == Some(true)));
            let is_current = BooleanArray::from_iter(is_current);
            let (rows, first) = (filter_record_batch(&batch, &is_current)?, file_rows[at]);
            let places = is_current.values().set_indices().map(|row| (number, first + row as u64));
            history.push(&mut records, &values, &rows, places)?;
            file_rows[at] += batch.num_rows() as u64;
        }
    }
    Ok(Candidates { records, file_rows })
}
