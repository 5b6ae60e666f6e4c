//! Merge: rows of a source find the rows of the table with the same key, and change them, or are new.
//!
//! Invariant: a missing key value equals nothing, and no two rows of the source have the same key.

use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch},
    compute::{filter_record_batch, interleave},
};
use deltalake::DeltaTable;
use futures::TryStreamExt as _;

use super::{
    Rewrite, RowChanges, Workspace,
    sink::{Sink, check_rows},
};
use crate::{
    DataFile, Table, TableError,
    live::{LiveFile, live_files},
    log::change::{Change, Reads},
    reader::FileReader,
};

mod source;

use source::Source;

/// What becomes of a row that a row of the source matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    /// It takes the source's values, in the columns that the source has.
    Update,
    /// It is deleted.
    Delete,
    /// It stays as it is.
    Keep,
}

/// Bring rows in by their keys.
#[derive(Debug, Clone)]
pub struct Merge {
    /// The rows. Their columns are some of the table's, the keys among them.
    pub source: Vec<RecordBatch>,
    /// The columns by which rows are the same.
    pub keys: Vec<String>,
    /// What becomes of rows that are matched.
    pub matched: Matched,
    /// Whether rows of the source that match nothing are added.
    pub insert: bool,
}

impl Table {
    pub(super) async fn prepare_merge(
        &self,
        merge: &Merge,
        workspace: &Workspace,
        newest: &DeltaTable,
    ) -> Result<Rewrite, TableError> {
        let reader = FileReader::new(self.folder(), newest)?;
        let mut source = Source::new(merge, &reader.schema, workspace.max_source_bytes)?;
        let (mut replaced, mut files, mut rows) = (Vec::new(), Vec::new(), RowChanges::default());
        for file in live_files(newest)? {
            let (all, matches) = count_matches(&file, &reader, &mut source).await?;
            if matches == 0 || merge.matched == Matched::Keep {
                continue;
            }
            let written = self.rewrite(&file, &reader, &source, (merge.matched, workspace)).await?;
            if merge.matched == Matched::Delete {
                check_rows(&written, all - matches)?;
                rows.deleted += matches;
            } else {
                check_rows(&written, all)?;
                rows.updated += matches;
            }
            rows.copied += all - matches;
            files.extend(written);
            replaced.push(file);
        }
        if merge.insert {
            let written = self.insert(&reader, &source, workspace).await?;
            rows.inserted = written.iter().map(DataFile::rows).sum();
            files.extend(written);
        }
        let base = newest.version().ok_or(TableError::NotCreated)?;
        let change = Change {
            operation: "MERGE",
            parameters: vec![("keys", merge.keys.join(", ")), ("matched", format!("{:?}", merge.matched))],
            reads: Reads::Rows(base),
            ..Change::append(Vec::new())
        };
        Ok(Rewrite::replacing(change, files, &replaced, rows))
    }

    /// Write a file anew, with what becomes of its matched rows.
    async fn rewrite(
        &self,
        file: &LiveFile,
        reader: &FileReader,
        source: &Source,
        (matched, workspace): (Matched, &Workspace),
    ) -> Result<Vec<DataFile>, TableError> {
        let mut sink = Sink::open(workspace, reader)?;
        let mut batches = reader.read(file).await?;
        while let Some(batch) = batches.try_next().await? {
            let matches = source.find(&batch)?;
            sink.write(match matched {
                Matched::Delete => filter_record_batch(&batch, &unmatched(&matches))?,
                Matched::Update => updated(&batch, source, &matches)?,
                Matched::Keep => batch,
            })
            .await?;
        }
        sink.finish(self.folder()).await
    }

    /// Write the rows of the source that match nothing.
    async fn insert(
        &self,
        reader: &FileReader,
        source: &Source,
        workspace: &Workspace,
    ) -> Result<Vec<DataFile>, TableError> {
        let mut sink = Sink::open(workspace, reader)?;
        for batch in source.unmatched_rows() {
            sink.write(batch?).await?;
        }
        sink.finish(self.folder()).await
    }
}

/// How many rows a file has, and how many of them are matched; the rows of the source that match them are marked.
async fn count_matches(file: &LiveFile, reader: &FileReader, source: &mut Source) -> Result<(u64, u64), TableError> {
    let (mut all, mut matched) = (0, 0);
    let mut batches = reader.read_columns(file, Some(source.key_columns())).await?;
    while let Some(batch) = batches.try_next().await? {
        let matches = source.find(&batch)?;
        all += matches.len() as u64;
        matched += matches.iter().flatten().count() as u64;
        source.mark(&matches);
    }
    Ok((all, matched))
}

fn unmatched(matches: &[Option<usize>]) -> BooleanArray {
    matches.iter().map(|found| Some(found.is_none())).collect()
}

/// The rows with the source's values where they are matched.
fn updated(batch: &RecordBatch, source: &Source, matches: &[Option<usize>]) -> Result<RecordBatch, TableError> {
    let places: Vec<(usize, usize)> =
        matches.iter().enumerate().map(|(row, found)| found.map_or((0, row), |found| (1, found))).collect();
    let column = |(at, own): (usize, &ArrayRef)| match source.column(at) {
        Some(values) => Ok(interleave(&[own.as_ref(), values.as_ref()], &places)?),
        None => Ok(own.clone()),
    };
    let columns = batch.columns().iter().enumerate().map(column).collect::<Result<Vec<_>, TableError>>()?;
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}
