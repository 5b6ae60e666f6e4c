//! Where the rows of an operation go: a writer on a thread that may block, fed batch by batch.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use sluice_storage::Folder;
use tokio::{sync::mpsc, task::JoinHandle};
use uuid::Uuid;

use super::Workspace;
use crate::{DataFile, StagedFiles, TableError, TableWriter, reader::FileReader};

/// How many batches wait for the writer.
const BATCHES_AHEAD: usize = 2;

/// Takes rows and makes files of them.
pub(super) struct Sink {
    schema: SchemaRef,
    sender: mpsc::Sender<RecordBatch>,
    writing: JoinHandle<Result<StagedFiles, TableError>>,
}

impl Sink {
    /// A sink for rows of the table that the reader reads.
    pub(super) fn open(workspace: &Workspace, reader: &FileReader) -> Result<Self, TableError> {
        let (sender, batches) = mpsc::channel::<RecordBatch>(BATCHES_AHEAD);
        let writing = workspace.open_writer(reader)?.feed(batches);
        Ok(Self { schema: reader.schema.clone(), sender, writing })
    }

    /// Add rows.
    pub(super) async fn write(&mut self, batch: RecordBatch) -> Result<(), TableError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())?;
        if self.sender.send(batch).await.is_ok() {
            return Ok(());
        }
        // The writer stopped, and knows why.
        let ended = (&mut self.writing).await.map_err(TableError::encode)?;
        Err(ended.err().unwrap_or_else(|| TableError::encode(std::io::Error::other("the writer ended early"))))
    }

    /// Put every file into the store.
    pub(super) async fn finish(self, folder: &Folder) -> Result<Vec<DataFile>, TableError> {
        drop(self.sender);
        self.writing.await.map_err(TableError::encode)??.upload(folder).await
    }
}

impl Workspace {
    /// A writer of rows of the table that the reader reads. No two name the same files; whose they are is told first.
    pub(super) fn open_writer(&self, reader: &FileReader) -> Result<TableWriter, TableError> {
        let unique = Uuid::new_v4().to_string();
        let prefix = self.upload_id.map_or(unique.clone(), |upload| format!("{upload}.{unique}"));
        let writer = self.writer.for_table(&reader.layout);
        TableWriter::open(writer, &reader.schema, &reader.partition_by, prefix, self.scratch_dir.clone())
    }
}

/// Check that files hold as many rows as they should.
pub(super) fn check_rows(files: &[DataFile], expected: u64) -> Result<(), TableError> {
    let written: u64 = files.iter().map(DataFile::rows).sum();
    if written == expected {
        return Ok(());
    }
    Err(TableError::encode(std::io::Error::other(format!("{written} rows were written, not {expected}"))))
}
