//! Merge: rows of a source find the rows of the table with the same key, and change them, or are new.
//!
//! The keys of both sides are dealt into buckets that are looked at one after the other; then the files that lose rows
//! are written anew without them, and the source's rows beside them, in their order.
//!
//! Invariant: memory is bounded whatever the sizes: a bucket's keys, a batch, a filter, and a bit for each row of the
//! source and of each file that loses rows.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{BooleanArray, RecordBatch},
    compute::{filter_record_batch, not},
    datatypes::{Schema, SchemaRef},
};
use deltalake::DeltaTable;
use futures::TryStreamExt as _;
use tokio::task::spawn_blocking;

use super::{
    Rewrite, RowChanges, Workspace,
    sink::{Sink, check_rows},
};
use crate::{
    DataFile, StagedFiles, Table, TableError, TableWriter,
    live::{LiveFile, live_files},
    log::change::{Change, Reads},
    reader::FileReader,
};

mod bounds;
mod decide;
mod history;
mod keys;
mod patch;
mod source;
mod spill;

pub use history::{History, history_columns};
pub use source::{Source, SourceWriter};

use decide::{Candidates, Decisions, decide};
use keys::{KeySpill, Record};
use patch::Patching;

/// What becomes of a row of the table that a row of the source matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    /// It takes the source's values, in the columns that the source has.
    Update,
    /// It is deleted.
    Delete,
    /// It stays as it is.
    Keep,
}

/// Which of several rows of the source with one key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The newest, or the first of several as new.
    First,
    /// The newest, or the last of several as new.
    Last,
    /// None of them.
    None,
    /// Each of them, where the table has none with the key.
    All,
}

/// The column of a source that says of a row that its match is to be deleted.
#[derive(Debug, Clone)]
pub struct DeleteMarker {
    /// The column. `true`, `1`, `d` and `delete` say so, as text too, in small or large letters.
    pub column: String,
    /// Whether it is a column of the table, too.
    pub stored: bool,
}

/// How rows are matched, and what becomes of them.
#[derive(Debug, Clone)]
pub struct MergeRule {
    /// The columns by which rows are the same.
    pub keys: Vec<String>,
    /// The column with the greatest value in the newest row of a key. A row that is older than the table's has no effect.
    pub order_by: Option<String>,
    /// What says that a match is to be deleted.
    pub delete_when: Option<DeleteMarker>,
    /// Which row of several with one key counts.
    pub keep: Keep,
    /// What becomes of rows that are matched.
    pub matched: Matched,
    /// Whether rows of the source that match nothing are added.
    pub insert: bool,
    /// Whether a missing key value equals a missing one; otherwise a row without its key is refused.
    pub missing_is_value: bool,
}

impl MergeRule {
    /// Rows with these keys are updated or inserted; of several in the source the last counts.
    pub fn upsert(keys: &[&str]) -> Self {
        Self {
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            order_by: None,
            delete_when: None,
            keep: Keep::Last,
            matched: Matched::Update,
            insert: true,
            missing_is_value: false,
        }
    }
}

/// Bring rows in by their keys.
#[derive(Debug, Clone)]
pub struct Merge {
    /// The rows, and how they are matched.
    pub source: Arc<Source>,
}

impl Table {
    pub(super) async fn prepare_merge(
        &self,
        merge: &Merge,
        workspace: &Workspace,
        newest: &DeltaTable,
    ) -> Result<Rewrite, TableError> {
        let reader = FileReader::new(self.folder(), newest)?;
        let source = &merge.source;
        source.check_fits(&reader.schema)?;
        let live = live_files(newest)?;
        let candidates = find_candidates(source, &reader, &live).await?;
        let is_partial = source.is_partial(&reader.schema);
        let deciding = Arc::clone(source);
        let decided = spawn_blocking(move || decide(&deciding, Some(&candidates), is_partial));
        let decisions = decided.await.map_err(TableError::encode)??;
        let (files, replaced, copied) = self.write_merged(source, &decisions, (&reader, &live, workspace)).await?;
        let rows = RowChanges { copied, ..decisions.rows };
        let base = newest.version().ok_or(TableError::NotCreated)?;
        let change = Change {
            operation: "MERGE",
            parameters: vec![("keys", source.rule.keys.join(", ")), ("matched", format!("{:?}", source.rule.matched))],
            reads: Reads::Rows(base),
            ..Change::append(Vec::new())
        };
        Ok(Rewrite::replacing(change, files, &replaced, rows))
    }

    /// Write the files that lose rows without these, and the source's rows: new files, replaced ones, rows copied.
    async fn write_merged(
        &self,
        source: &Arc<Source>,
        decisions: &Decisions,
        (reader, live, workspace): (&FileReader, &[LiveFile], &Workspace),
    ) -> Result<(Vec<DataFile>, Vec<LiveFile>, u64), TableError> {
        let (mut files, mut replaced, mut copied) = (Vec::new(), Vec::new(), 0);
        let needs_patches = decisions.patches.count_set_bits() > 0;
        let mut patching = needs_patches.then(|| Patching::new(Arc::clone(source), &reader.schema)).transpose()?;
        for (at, removed) in &decisions.removed {
            let file = &live[*at as usize];
            let removed = BooleanArray::new(removed.clone(), None);
            let stays = (removed.len() - removed.true_count()) as u64;
            if stays > 0 || patching.is_some() {
                let written = self.without_removed(file, &removed, (reader, workspace), patching.as_mut()).await?;
                check_rows(&written, stays)?;
                files.extend(written);
            }
            copied += stays;
            replaced.push(file.clone());
        }
        let (source, table) = (Arc::clone(source), reader.schema.clone());
        let (chosen, patched) = (decisions.written.clone(), decisions.patches.clone());
        let expected = (chosen.count_set_bits() + patched.count_set_bits()) as u64;
        let mut writer = workspace.open_writer(reader)?;
        let writing = spawn_blocking(move || {
            source.write(&chosen, &table, &mut writer)?;
            if let Some(patching) = patching {
                patching.write(&patched, &mut writer)?;
            }
            writer.finish()
        });
        let written = writing.await.map_err(TableError::encode)??.upload(self.folder()).await?;
        check_rows(&written, expected)?;
        files.extend(written);
        Ok((files, replaced, copied))
    }

    /// Write the rows of a file that stay; those that go are kept for patches.
    async fn without_removed(
        &self,
        file: &LiveFile,
        removed: &BooleanArray,
        (reader, workspace): (&FileReader, &Workspace),
        mut patching: Option<&mut Patching>,
    ) -> Result<Vec<DataFile>, TableError> {
        let mut sink = Sink::open(workspace, reader)?;
        let mut batches = reader.read(file).await?;
        let mut at = 0;
        while let Some(batch) = batches.try_next().await? {
            let removed = removed.slice(at, batch.num_rows());
            at += batch.num_rows();
            if let Some(patching) = patching.as_deref_mut() {
                patching.keep(&batch, &removed)?;
            }
            sink.write(filter_record_batch(&batch, &not(&removed)?)?).await?;
        }
        sink.finish(self.folder()).await
    }
}

/// The rows of the table that may have a key of the source.
async fn find_candidates(source: &Source, reader: &FileReader, live: &[LiveFile]) -> Result<Candidates, TableError> {
    let mut records = KeySpill::new(&source.scratch_dir, source.index.hash().clone());
    let mut file_rows = vec![0; live.len()];
    let names = source.rule.keys.iter().chain(&source.rule.order_by);
    let wanted = names.map(|name| Ok(reader.schema.index_of(name)?)).collect::<Result<Vec<_>, TableError>>()?;
    for (at, file) in live.iter().enumerate() {
        if !source.bounds.may_meet(file, reader)? {
            continue;
        }
        let number = u32::try_from(at).map_err(TableError::encode)?;
        let mut batches = reader.read_columns(file, Some(&wanted)).await?;
        while let Some(batch) = batches.try_next().await? {
            let keys = source.keys.encode(&batch)?;
            let orders = source.order.as_ref().map(|order| order.encode(&batch)).transpose()?;
            for (row, key) in keys.iter().enumerate().filter(|(_, key)| source.may_have(key.as_ref())) {
                records.push(&Record {
                    key: key.as_ref(),
                    order: orders.as_ref().map_or(&[], |orders| orders.row(row).data()),
                    number: file_rows[at] + row as u64,
                    file: number,
                    deletes: false,
                })?;
            }
            file_rows[at] += batch.num_rows() as u64;
        }
    }
    Ok(Candidates { records, file_rows })
}

impl Source {
    /// A source of batches of the same columns. Blocks.
    ///
    /// # Errors
    /// What [`SourceWriter`] says.
    pub fn of(rule: MergeRule, batches: &[RecordBatch], scratch_dir: &Path) -> Result<Self, TableError> {
        let columns = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
        let mut writer = SourceWriter::open(rule, &columns, scratch_dir)?;
        for batch in batches {
            writer.write(batch)?;
        }
        writer.finish()
    }

    /// Write the rows that a table without any rows takes. Blocks.
    ///
    /// # Errors
    /// A scratch file that cannot be read or written.
    pub fn write_first(&self, table: &SchemaRef, writer: TableWriter) -> Result<(StagedFiles, RowChanges), TableError> {
        let decisions = decide(self, None, false)?;
        let mut writer = writer;
        self.write(&decisions.written, table, &mut writer)?;
        Ok((writer.finish()?, decisions.rows))
    }
}
