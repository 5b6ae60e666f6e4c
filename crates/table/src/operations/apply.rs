//! From an operation to its commit: prepare, let the caller record the files, commit, and start over where needed.

use std::path::PathBuf;

use deltalake::DeltaTable;
use uuid::Uuid;

use super::{Compact, Delete, Evolve, Expire, History, Merge, Overwrite, Replace, SchemaChange, ZOrder};
use crate::{
    CommittedEntry, DataFile, Provenance, Table, TableError, WriterSettings,
    live::LiveFile,
    log::{
        change::{Change, Removes},
        guard::check_writable,
    },
};

/// How often an operation is begun anew because others changed what it had read.
const MAX_ROUNDS: u32 = 10;

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Put rows in the place of others.
    Overwrite(Overwrite),
    /// Put rows and columns in the place of all.
    Replace(Replace),
    /// Delete the rows for which a condition is true.
    Delete(Delete),
    /// Take out the data files that were written before an instant.
    Expire(Expire),
    /// Bring rows in by their keys.
    Merge(Merge),
    /// Bring rows in as the current ones of their keys, and keep those before them.
    History(History),
    /// Make few large files of many small ones.
    Compact(Compact),
    /// Put rows with values near to each other into the same files.
    ZOrder(ZOrder),
    /// Change the columns, properties or comments.
    Schema(SchemaChange),
    /// Add columns and widen types, together with rows that need it.
    Evolve(Evolve),
}

/// What operations may use.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// How files are written.
    pub writer: WriterSettings,
    /// Where scratch files lie.
    pub scratch_dir: PathBuf,
    /// How much the files may hold that are written anew for a wider type of a column, in bytes.
    pub max_rewrite_bytes: u64,
    /// The upload that it is done for, which the names of the files tell.
    pub upload_id: Option<Uuid>,
    /// How many bytes are sorted in memory before they go to scratch files.
    pub sort_memory_bytes: usize,
}

impl Workspace {
    /// A workspace with the usual limits and scratch files in this folder.
    pub fn new(scratch_dir: PathBuf) -> Self {
        Self {
            writer: WriterSettings::default(),
            scratch_dir,
            upload_id: None,
            max_rewrite_bytes: 4 << 30,
            sort_memory_bytes: 128 << 20,
        }
    }
}

/// How many rows an operation touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowChanges {
    /// Rows that are new.
    pub inserted: u64,
    /// Rows that have other values.
    pub updated: u64,
    /// Rows that are gone.
    pub deleted: u64,
    /// Rows that were written anew as they are.
    pub copied: u64,
    /// Rows of the source that another row of their key stands for, in the source or in the table.
    pub deduplicated: u64,
    /// Rows of the source that have no effect, as they were to be added or to delete only.
    pub rejected: u64,
}

/// An operation whose files are written and durable, and which no version holds.
#[derive(Debug, Clone)]
pub struct Rewrite {
    pub(super) change: Change,
    pub(super) rows: RowChanges,
}

impl Rewrite {
    /// The files that its commit will add.
    pub fn files(&self) -> &[DataFile] {
        &self.change.files
    }

    /// The rows that it touches; those that an overwrite replaces are not counted.
    pub fn rows(&self) -> RowChanges {
        self.rows
    }

    /// Whether it leaves the table as it is.
    pub fn is_empty(&self) -> bool {
        self.change.is_empty()
    }

    pub(super) fn replacing(mut change: Change, files: Vec<DataFile>, replaced: &[LiveFile], rows: RowChanges) -> Self {
        change.files = files;
        change.removes = Removes::Files(replaced.iter().map(|file| file.remove.clone()).collect());
        Self { change, rows }
    }
}

/// What came of an operation.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The entry that holds it; none where there was nothing to do.
    pub entry: Option<CommittedEntry>,
    /// The rows that it touched.
    pub rows: RowChanges,
}

impl Table {
    /// Write what an operation needs, on the newest version.
    ///
    /// # Errors
    /// [`TableError::Refused`] where it cannot be, [`TableError::NotCreated`], or the store's.
    pub async fn prepare(&self, operation: &Operation, workspace: &Workspace) -> Result<Rewrite, TableError> {
        let newest = self.newest().await?;
        check_writable(&newest)?;
        match operation {
            Operation::Overwrite(overwrite) => self.prepare_overwrite(overwrite, &newest),
            Operation::Replace(replace) => self.prepare_replace(replace, &newest),
            Operation::Delete(delete) => Box::pin(self.prepare_delete(delete, workspace, &newest)).await,
            Operation::Expire(expire) => self.prepare_expire(expire, &newest),
            Operation::Merge(merge) => Box::pin(self.prepare_merge(merge, workspace, &newest)).await,
            Operation::History(history) => Box::pin(self.prepare_history(history, workspace, &newest)).await,
            Operation::Compact(compact) => Box::pin(self.prepare_compact(compact, workspace, &newest)).await,
            Operation::ZOrder(z_order) => Box::pin(self.prepare_z_order(z_order, workspace, &newest)).await,
            Operation::Schema(change) => prepare_schema(change, &newest),
            Operation::Evolve(evolve) => Box::pin(self.prepare_evolve(evolve, workspace, &newest)).await,
        }
    }

    /// Commit what was prepared; none where it leaves the table as it is and no transaction is to be recorded.
    ///
    /// # Errors
    /// [`TableError::Commit`], which says whether to prepare anew, [`TableError::SequenceTaken`],
    /// [`TableError::Contended`], or the store's; none of them after a commit that is known to have taken.
    pub async fn commit(&self, rewrite: &Rewrite, of: &Provenance) -> Result<Option<CommittedEntry>, TableError> {
        if rewrite.is_empty() && of.transaction.is_none() {
            return Ok(None);
        }
        Box::pin(self.commit_once(&rewrite.change, of)).await.map(Some)
    }

    /// Prepare and commit, from the start again where others changed what was read. `record` sees the files of each
    /// round before its commit. An entry that holds the uploads already is given without counts of rows.
    ///
    /// # Errors
    /// What [`Table::prepare`], `record` and [`Table::commit`] say; [`TableError::Contended`] after too many rounds.
    pub async fn apply<R, F>(
        &self,
        operation: &Operation,
        workspace: &Workspace,
        of: &Provenance,
        record: R,
    ) -> Result<Applied, TableError>
    where
        R: Fn(Vec<DataFile>) -> F + Send + Sync,
        F: Future<Output = Result<(), TableError>> + Send,
    {
        if let Some(entry) = self.find_made(of).await? {
            return Ok(Applied { entry: Some(entry), rows: RowChanges::default() });
        }
        for _ in 0..MAX_ROUNDS {
            let rewrite = self.prepare(operation, workspace).await?;
            if !rewrite.files().is_empty() {
                record(rewrite.files().to_vec()).await?;
            }
            match self.commit(&rewrite, of).await {
                // Files that were handed over cannot be written anew here.
                Err(error)
                    if error.starts_over() && !matches!(operation, Operation::Overwrite(_) | Operation::Replace(_)) =>
                {
                    tracing::debug!(%error, operation = rewrite.change.operation, "an operation starts over");
                }
                outcome => return Ok(Applied { entry: outcome?, rows: rewrite.rows() }),
            }
        }
        Err(TableError::Contended { attempts: MAX_ROUNDS })
    }
}

fn prepare_schema(change: &SchemaChange, newest: &DeltaTable) -> Result<Rewrite, TableError> {
    Ok(Rewrite { change: change.plan(newest)?, rows: RowChanges::default() })
}
