//! The rows of one version of a table, for those who look at all of them.

use std::sync::Arc;

use arrow::{
    array::{BooleanArray, RecordBatch},
    datatypes::SchemaRef,
};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use sluice_domain::{PlainFile, PlainSnapshot};
use sluice_storage::Folder;

use crate::{
    Table, TableError,
    live::{LiveFile, live_files},
    operations::Predicate,
    reader::FileReader,
};

/// The rows of one version of a table.
#[derive(Debug)]
pub struct TableRows {
    /// The version.
    pub version: u64,
    /// The table's columns.
    pub schema: SchemaRef,
    reader: FileReader,
    files: Vec<LiveFile>,
}

impl Table {
    /// The rows of a version, the newest where none is given; reads no data file yet.
    ///
    /// # Errors
    /// [`TableError::NoSuchVersion`], [`TableError::NotCreated`], or the store's.
    pub async fn rows(&self, version: Option<u64>) -> Result<TableRows, TableError> {
        let table = self.at(version).await?;
        let version = table.version().ok_or(TableError::NotCreated)?;
        let reader = FileReader::new(&self.folder, &table)?;
        Ok(TableRows { version, schema: Arc::clone(&reader.schema), files: live_files(&table)?, reader })
    }
}

impl TableRows {
    /// The rows of the newest version of a plain table, in the types that they were written in; the files in the order
    /// in which they came.
    pub fn of_plain(folder: &Folder, snapshot: &PlainSnapshot) -> Self {
        let reader = FileReader::of_plain(folder, snapshot);
        let file = |file: &PlainFile| LiveFile::told(file, &snapshot.partition_by);
        let files = snapshot.files.iter().map(file).collect();
        Self { version: snapshot.version, schema: Arc::clone(&reader.schema), files, reader }
    }

    /// The rows, one file after the other, in bounded memory; of other columns than those at these places, where some
    /// are given, the values are not read.
    pub fn read(self, wanted: Option<Vec<usize>>) -> impl Stream<Item = Result<RecordBatch, TableError>> + Send {
        let Self { reader, files, .. } = self;
        let read = move |file: LiveFile| {
            let (reader, wanted) = (reader.clone(), wanted.clone());
            async move { reader.read_columns(&file, wanted.as_deref()).await }
        };
        stream::iter(files).then(read).try_flatten()
    }
}

/// A condition in SQL on single rows.
#[derive(Debug, Clone)]
pub struct Condition(Predicate);

impl Condition {
    /// Plan a condition over these columns. Takes a moment of computing: not for a thread that others wait for.
    ///
    /// # Errors
    /// [`crate::Refusal::BadPredicate`] of one that cannot be understood, or is none on single rows.
    pub fn plan(text: &str, schema: &SchemaRef) -> Result<Self, TableError> {
        Predicate::plan(text, schema).map(Self)
    }

    /// For which rows it is true; one for which it is neither true nor false is not one of them.
    ///
    /// # Errors
    /// [`crate::Refusal::BadPredicate`] where it cannot be told, as of a division by zero.
    pub fn holds(&self, rows: &RecordBatch) -> Result<BooleanArray, TableError> {
        self.0.holds(rows)
    }
}
