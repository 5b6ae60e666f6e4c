//! Commits of uploads: the first one makes the table, the others append to it; each one happens once.
//!
//! Invariant: a commit whose uploads the log holds already is answered with its entry and not made again.

use arrow::datatypes::SchemaRef;
use deltalake::kernel::{MetadataExt as _, new_metadata};
use sluice_domain::TableLayout;

use crate::{
    CommitFailure, CommittedEntry, DataFile, Evolve, Operation, Provenance, Table, TableError, UploadPart, Workspace,
    layout::layout_properties,
    log::{
        change::{Change, Reads, Removes},
        entry::Entry,
    },
    schema::{protocol_for, to_delta},
};

/// The place of a commit in the order of one writer's commits to a table; the log keeps the newest of each writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The writer.
    pub app_id: String,
    /// Its place in the writer's order; grows from commit to commit.
    pub sequence: i64,
}

/// What a commit adds, for several uploads together.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The data files.
    pub files: Vec<DataFile>,
    /// What makes it happen once.
    pub transaction: Transaction,
    /// The places that others' streams of rows get to with it; each must be ahead of where the log has its stream.
    pub offsets: Vec<Transaction>,
    /// The uploads whose rows the files hold. They tell a commit that took from a foreign one in its place, as the
    /// log has it after its writer lost the newest of its own records.
    pub uploads: Vec<UploadPart>,
    /// Notes left in the log, under names with a dot.
    pub tags: std::collections::BTreeMap<String, String>,
}

/// What a table is made with.
#[derive(Debug, Clone)]
pub struct NewTable {
    /// Its name, as a note in the log.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// The columns to partition by.
    pub partition_by: Vec<String>,
    /// How its files are laid out, now and later.
    pub layout: TableLayout,
}

/// What came of an attempt to make a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateOutcome {
    /// This commit made it, or had made it before.
    Created(CommittedEntry),
    /// It was there already; nothing was committed.
    Exists,
}

impl Table {
    /// Make the table with its first rows, in one commit.
    ///
    /// # Errors
    /// A schema that Delta cannot hold, [`CommitFailure::Unresolved`], or the store's.
    pub async fn create(&self, table: &NewTable, commit: &Commit) -> Result<CreateOutcome, TableError> {
        if self.find_newest().await?.is_none() {
            let bytes = new_table(table, &commit.files)?.encode(&commit_id(), &[], &commit.provenance())?;
            if self.put_entry(0, &bytes).await? {
                return Ok(CreateOutcome::Created(CommittedEntry { version: 0, bytes }));
            }
        }
        Ok(self.find_made(&commit.provenance()).await?.map_or(CreateOutcome::Exists, CreateOutcome::Created))
    }

    /// Make the table without rows.
    ///
    /// # Errors
    /// A schema that Delta cannot hold, [`CommitFailure::Unresolved`], or the store's.
    pub async fn create_empty(&self, table: &NewTable) -> Result<CreateOutcome, TableError> {
        if self.find_newest().await?.is_none() {
            let bytes = new_table(table, &[])?.encode(&commit_id(), &[], &Provenance::default())?;
            if self.put_entry(0, &bytes).await? {
                return Ok(CreateOutcome::Created(CommittedEntry { version: 0, bytes }));
            }
        }
        Ok(CreateOutcome::Exists)
    }

    /// Add rows to the table, and the columns and wider types that they need, in one commit; gives the entry that holds
    /// them. `record` sees every file before the commit that names it, those written anew for wider types included.
    ///
    /// # Errors
    /// [`CommitFailure::SchemaChanged`] where the table has other columns than the evolution was planned for: plan it
    /// and write the files anew. [`TableError::Refused`] where it cannot be; else what [`Table::append`] says.
    pub async fn append_evolving<R, F>(
        &self,
        commit: &Commit,
        columns: (&SchemaRef, &SchemaRef),
        workspace: &Workspace,
        record: R,
    ) -> Result<CommittedEntry, TableError>
    where
        R: Fn(Vec<DataFile>) -> F + Send + Sync,
        F: Future<Output = Result<(), TableError>> + Send,
    {
        let (base, schema) = (SchemaRef::clone(columns.0), SchemaRef::clone(columns.1));
        let evolve = Operation::Evolve(Evolve { base, schema, files: commit.files.clone() });
        let applied = Box::pin(self.apply(&evolve, workspace, &commit.provenance(), record)).await?;
        applied.entry.ok_or(TableError::NotCreated)
    }

    /// Add rows to the table; gives the entry that holds them.
    ///
    /// # Errors
    /// [`TableError::NotCreated`], [`TableError::SequenceTaken`], [`TableError::Contended`],
    /// [`CommitFailure::SchemaChanged`], [`CommitFailure::OffsetTaken`], [`CommitFailure::Unresolved`], or the store's;
    /// none of them after a commit that is known to have taken.
    pub async fn append(&self, commit: &Commit) -> Result<CommittedEntry, TableError> {
        self.commit_once(&Change::append(commit.files.clone()), &commit.provenance()).await
    }

    /// Commit a change, or give the entry that holds its uploads already.
    pub(crate) async fn commit_once(&self, change: &Change, of: &Provenance) -> Result<CommittedEntry, TableError> {
        match self.commit_change(change, of).await {
            Err(TableError::SequenceTaken { newest }) => {
                self.find_made(of).await?.ok_or(TableError::SequenceTaken { newest })
            }
            outcome => outcome,
        }
    }

    /// How far the log has a stream of rows; none if it has nothing of it.
    ///
    /// # Errors
    /// The store's.
    pub async fn last_offset(&self, app_id: &str) -> Result<Option<i64>, TableError> {
        self.newest_sequence(app_id).await
    }

    /// How far this process has seen the log to have a stream of rows; none where it has not looked yet. The log may
    /// have it further.
    ///
    /// # Errors
    /// The store's.
    pub async fn known_offset(&self, app_id: &str) -> Result<Option<i64>, TableError> {
        self.known_sequence(app_id).await
    }

    /// The entry of a writer that holds this upload, if the log has it at this sequence or a later one.
    ///
    /// # Errors
    /// [`CommitFailure::Unresolved`] where the entries in question were cleaned up, or the store's.
    pub async fn find_committed(
        &self,
        app_id: &str,
        sequence: i64,
        upload_id: &str,
    ) -> Result<Option<CommittedEntry>, TableError> {
        let Some(newest) = self.newest_sequence(app_id).await? else { return Ok(None) };
        if newest < sequence {
            return Ok(None);
        }
        let top = self.newest().await?.version().ok_or(TableError::NotCreated)?;
        for version in (0..=top).rev() {
            let Some(bytes) = self.log_store.read_commit_entry(version).await? else {
                return Err(CommitFailure::Unresolved { version }.into());
            };
            let entry = Entry::parse(version, &bytes)?;
            match entry.sequence_of(app_id) {
                None => {}
                // A writer's sequences grow from version to version.
                Some(earlier) if earlier < sequence => return Ok(None),
                Some(_) if entry.uploads().iter().any(|upload| upload.id == upload_id) => {
                    return Ok(Some(CommittedEntry { version, bytes }));
                }
                Some(_) => {}
            }
        }
        Ok(None)
    }

    /// The entry with this place in a writer's order, if the log has it.
    ///
    /// # Errors
    /// [`CommitFailure::Unresolved`] where the entries in question were cleaned up, or the store's.
    pub async fn find_transaction(&self, of: &Transaction) -> Result<Option<CommittedEntry>, TableError> {
        match self.newest_sequence(&of.app_id).await? {
            Some(newest) if newest >= of.sequence => {}
            _ => return Ok(None),
        }
        let top = self.newest().await?.version().ok_or(TableError::NotCreated)?;
        for version in (0..=top).rev() {
            let Some(bytes) = self.log_store.read_commit_entry(version).await? else {
                return Err(CommitFailure::Unresolved { version }.into());
            };
            match Entry::parse(version, &bytes)?.sequence_of(&of.app_id) {
                Some(sequence) if sequence == of.sequence => return Ok(Some(CommittedEntry { version, bytes })),
                Some(earlier) if earlier < of.sequence => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The entry that an earlier try of this commit left.
    pub(crate) async fn find_made(&self, of: &Provenance) -> Result<Option<CommittedEntry>, TableError> {
        let (Some(transaction), Some(first)) = (&of.transaction, of.uploads.first()) else { return Ok(None) };
        let found = self.find_committed(&transaction.app_id, transaction.sequence, &first.id).await?;
        Ok(found.filter(|found| holds_all(found, &of.uploads)))
    }
}

/// Whether an entry holds just these uploads.
fn holds_all(entry: &CommittedEntry, uploads: &[UploadPart]) -> bool {
    let found = entry.uploads();
    let ids = |uploads: &[UploadPart]| uploads.iter().map(|upload| upload.id.clone()).collect::<Vec<_>>();
    ids(&found) == ids(uploads)
}

impl Commit {
    fn provenance(&self) -> Provenance {
        Provenance {
            transaction: Some(self.transaction.clone()),
            offsets: self.offsets.clone(),
            uploads: self.uploads.clone(),
            tags: self.tags.clone(),
            epoch: None,
        }
    }
}

fn commit_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn new_table(table: &NewTable, files: &[DataFile]) -> Result<Change, TableError> {
    let columns = to_delta(&table.schema)?;
    let metadata = new_metadata(&columns, &table.partition_by, layout_properties(&table.layout))
        .and_then(|metadata| metadata.with_name(table.name.clone()))
        .map_err(|error| TableError::Encode(Box::new(error)))?;
    Ok(Change {
        operation: "CREATE TABLE",
        parameters: vec![("mode", "ErrorIfExists".to_owned())],
        protocol: Some(protocol_for(&columns)?),
        metadata: Some(metadata),
        columns: None,
        files: files.to_vec(),
        removes: Removes::Files(Vec::new()),
        data_change: true,
        reads: Reads::Nothing,
    })
}
