//! Commits that are no appends: each one alone, in the table's turn.
//!
//! Invariant: what others committed since it was prepared is looked at again, under the turn, before it is committed.

use sluice_catalog::CatalogError;
use sluice_domain::{LogRecord, RowCounts, UploadEntry};
use sluice_table::{
    CommitFailure, CommittedEntry, Operation, Provenance, Rewrite, Table, TableError, Transaction, Workspace,
};

use super::{CommitQueue, CommittedUpload, CommittedUploads, Outcome, Ready, Utc};
use crate::{IngestError, write_mode::counts_of};

/// How often a commit is prepared anew because servers elsewhere changed what it had read.
const MAX_ROUNDS: u32 = 10;

/// What is done to a table for an upload, and with what.
pub(crate) struct Rewriting {
    pub(crate) operation: Operation,
    pub(crate) workspace: Workspace,
}

impl CommitQueue {
    /// Change the table for this upload.
    pub(crate) async fn change(
        &self,
        table: &Table,
        mut ready: Ready,
        rewriting: &Rewriting,
    ) -> Result<Outcome, IngestError> {
        self.tails.check(ready.table, table).await?;
        // Prepared before the turn, so that appends go on meanwhile. Where that was in vain, they wait.
        let mut prepared = match self.prepare(table, rewriting).await? {
            Some(rewrite) => Some(rewrite),
            None => return Ok(Outcome::StartOver),
        };
        let _turn = table.take_turn().await;
        for _ in 0..MAX_ROUNDS {
            let rewrite = match prepared.take() {
                Some(rewrite) => rewrite,
                None => match self.prepare(table, rewriting).await? {
                    Some(rewrite) => rewrite,
                    None => return Ok(Outcome::StartOver),
                },
            };
            ready.take_up(&rewrite, &rewriting.operation);
            let Some(sequence) = self.begin_one(&ready).await? else { return Ok(Outcome::StartOver) };
            match table.commit(&rewrite, &self.provenance(&ready, sequence)).await {
                Ok(Some(entry)) => {
                    let is_evolved = matches!(rewriting.operation, Operation::Evolve(_));
                    if is_evolved || ready.is_reserved {
                        self.register(table, ready.table, entry.version, &ready.upload).await?;
                    }
                    return self.write_down_one(&ready, entry).await;
                }
                Ok(None) => return Err(IngestError::lost_task("commit")),
                Err(TableError::SequenceTaken { newest }) => {
                    self.catalog.uploads().skip_sequences(ready.table, newest).await?;
                    prepared = Some(rewrite);
                }
                Err(error) if error.starts_over() => {
                    tracing::debug!(%error, upload.id = %ready.upload.id, "a change of a table starts over");
                    self.forget(&ready).await?;
                    if matches!(error, TableError::Commit(CommitFailure::SchemaChanged { .. })) {
                        return Ok(Outcome::StartOver);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(TableError::Contended { attempts: MAX_ROUNDS }.into())
    }

    /// Prepare the operation; none where the upload was read for columns that the table no longer has.
    async fn prepare(&self, table: &Table, rewriting: &Rewriting) -> Result<Option<Rewrite>, IngestError> {
        match Box::pin(table.prepare(&rewriting.operation, &rewriting.workspace)).await {
            Ok(rewrite) => Ok(Some(rewrite)),
            Err(TableError::Commit(CommitFailure::SchemaChanged { .. })) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Say that the commit is about to be tried; none where the table is gone.
    async fn begin_one(&self, ready: &Ready) -> Result<Option<i64>, IngestError> {
        match self.catalog.uploads().begin_commits(ready.table, &[ready.as_try()]).await {
            Ok(sequences) => Ok(sequences.last().copied()),
            Err(CatalogError::TableNotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Strike out the files of a commit that was not made: they are orphans of the upload.
    async fn forget(&self, ready: &Ready) -> Result<(), IngestError> {
        let paths: Vec<String> = ready.written.files.iter().map(|file| file.path().to_owned()).collect();
        Ok(self.catalog.inventory().forget_files(ready.table, &paths).await?)
    }

    fn provenance(&self, ready: &Ready, sequence: i64) -> Provenance {
        let transaction = Transaction { app_id: self.catalog.writer().to_owned(), sequence };
        Provenance { transaction: Some(transaction), uploads: vec![ready.as_part()], ..Provenance::default() }
    }

    /// Write into the ledger what the log says.
    async fn write_down_one(&self, ready: &Ready, entry: CommittedEntry) -> Result<Outcome, IngestError> {
        let (id, version) = (ready.table, entry.version);
        let rows = counts_in(&entry, &ready.upload);
        let upload = CommittedUpload { version, rows, committed_at: Utc::now() };
        let entry = LogRecord { version, content: entry.text() };
        let quarantined = ready.quarantined().into_iter().collect();
        let committed = CommittedUploads { table: id, entry, uploads: vec![(ready.upload.id, upload)], quarantined };
        let mut entries = self.catalog.uploads().commit(&committed).await?;
        self.bell.committed(id, version);
        let entry = entries.pop().ok_or_else(|| IngestError::lost_task("receipt"))?;
        Ok(Outcome::Committed(Box::new(entry)))
    }
}

impl Ready {
    /// Take the files and counts of an operation that found out about them by itself.
    fn take_up(&mut self, rewrite: &Rewrite, operation: &Operation) {
        if matches!(operation, Operation::Merge(_)) {
            let quarantined = self.written.prepared.rows.quarantined;
            let rows = RowCounts { quarantined, ..counts_of(rewrite.rows(), self.upload.options.write.mode) };
            self.written.prepared.rows = rows;
            self.written.files = rewrite.files().to_vec();
            // They hold rows of the table, too: the original alone does not make them.
            self.written.is_of_upload = false;
        }
    }
}

/// What became of the rows of an upload, as the entry that holds them says.
pub(crate) fn counts_in(entry: &CommittedEntry, upload: &UploadEntry) -> RowCounts {
    let id = upload.id.to_string();
    let part = entry.uploads().into_iter().find(|part| part.id == id);
    let beside = upload.prepared.as_ref().map(|prepared| prepared.rows).unwrap_or_default();
    part.map_or(beside, |part| part.counts.unwrap_or(RowCounts { committed: part.rows, ..beside }))
}
