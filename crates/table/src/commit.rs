//! Commits: the first one makes the table, the others append to it; each one happens once.
//!
//! Invariant: a commit whose transaction the log holds already is answered with its version and not made again.

use std::{sync::PoisonError, time::Duration};

use crate::{DataFile, Table, TableError, schema::to_delta};
use arrow::datatypes::SchemaRef;
use deltalake::{
    DeltaTableError,
    kernel::{
        Action,
        transaction::{CommitBuilder, CommitProperties, TableReference, TransactionError},
    },
    operations::create::CreateBuilder,
    protocol::{DeltaOperation, SaveMode},
};

/// How often an append is tried when other writers are faster.
const MAX_ATTEMPTS: u32 = 20;
/// How often delta-rs itself moves on to the next version within one attempt.
const RETRIES_PER_ATTEMPT: usize = 15;
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// The tag of a commit that holds the uploads whose rows it adds.
pub(crate) const UPLOADS_TAG: &str = "sluice.uploads";

/// The place of a commit in the order of one writer's commits to a table; the log keeps the newest of each writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The writer.
    pub app_id: String,
    /// Its place in the writer's order; grows from commit to commit.
    pub sequence: i64,
}

/// An upload's part of a commit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UploadPart {
    /// The upload's id.
    pub id: String,
    /// How many of its rows the commit adds.
    pub rows: u64,
    /// The SHA-256 of its original bytes.
    pub sha256: String,
    /// Who sent it.
    pub principal: String,
}

/// A commit that the log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedEntry {
    /// The version that it made.
    pub version: u64,
    /// Its text in the log.
    pub content: String,
    /// The uploads whose rows it adds.
    pub uploads: Vec<UploadPart>,
}

/// What a commit adds.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The data files.
    pub files: Vec<DataFile>,
    /// The uploads whose rows they hold.
    pub uploads: Vec<UploadPart>,
    /// What makes it happen once.
    pub transaction: Transaction,
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
    /// A schema that Delta cannot hold, or the store's.
    pub async fn create(&self, table: &NewTable, commit: &Commit) -> Result<CreateOutcome, TableError> {
        let columns = to_delta(&table.schema)?;
        let result = CreateBuilder::new()
            .with_log_store(self.log_store.clone())
            .with_table_name(&table.name)
            .with_columns(columns.fields().cloned())
            .with_partition_columns(&table.partition_by)
            .with_save_mode(SaveMode::ErrorIfExists)
            .with_actions(commit.files.iter().map(|file| Action::Add(file.add.clone())))
            // With retries delta-rs would add a second set of metadata to somebody else's table.
            .with_commit_properties(commit.properties().with_max_retries(0))
            .await;
        match result {
            Ok(_) => {
                self.remember(Some(&commit.transaction));
                Ok(CreateOutcome::Created(self.entry(0).await?))
            }
            Err(error) => match self.find_newest().await? {
                None => Err(error.into()),
                Some(_) => Ok(match self.find_committed(&commit.transaction, commit.first_upload()).await? {
                    Some(entry) => CreateOutcome::Created(entry),
                    None => CreateOutcome::Exists,
                }),
            },
        }
    }

    /// Add rows to the table; gives the version that holds them.
    ///
    /// # Errors
    /// [`TableError::NotCreated`], [`TableError::SequenceTaken`], [`TableError::Contended`], or the store's; none of
    /// them after a commit that took.
    pub async fn append(&self, commit: &Commit, _written_for: &SchemaRef) -> Result<CommittedEntry, TableError> {
        for attempt in 0..MAX_ATTEMPTS {
            // The log need not be read for a first attempt at what comes after its newest transaction.
            if attempt > 0 || !self.is_known_to_precede(&commit.transaction) {
                match self.look_up(&commit.transaction, commit.first_upload()).await? {
                    Found { version: Some(version), .. } => return self.entry(version).await,
                    Found { newest: Some(newest), .. } if newest >= commit.transaction.sequence => {
                        return Err(TableError::SequenceTaken { newest });
                    }
                    Found { .. } => {}
                }
            }
            let table = self.newest().await?;
            let state = table.snapshot()?;
            let operation = DeltaOperation::Write {
                mode: SaveMode::Append,
                partition_by: Some(state.metadata().partition_columns().to_vec()),
                predicate: None,
            };
            let result = CommitBuilder::from(commit.properties().with_max_retries(RETRIES_PER_ATTEMPT))
                .with_actions(commit.files.iter().map(|file| Action::Add(file.add.clone())).collect())
                .build(Some(state as &dyn TableReference), self.log_store.clone(), operation)
                .await;
            let error = match result {
                Ok(finalized) => {
                    self.remember(Some(&commit.transaction));
                    return self.entry(finalized.version()).await;
                }
                Err(error) => error,
            };
            self.remember(None);
            if let Some(entry) = self.find_committed(&commit.transaction, commit.first_upload()).await? {
                tracing::warn!(error = %error, entry.version, "a commit reported an error although it took");
                return Ok(entry);
            }
            if !is_race(&error) {
                return Err(error.into());
            }
            tokio::time::sleep(pause(attempt)).await;
        }
        Err(TableError::Contended { attempts: MAX_ATTEMPTS })
    }

    /// The version that holds this transaction, if the log has it. Reads the log.
    ///
    /// # Errors
    /// The store's.
    pub async fn find_committed(
        &self,
        transaction: &Transaction,
        upload: &str,
    ) -> Result<Option<CommittedEntry>, TableError> {
        match self.look_up(transaction, upload).await?.version {
            Some(version) => self.entry(version).await.map(Some),
            None => Ok(None),
        }
    }

    async fn entry(&self, version: u64) -> Result<CommittedEntry, TableError> {
        let bytes = self.log_store.read_commit_entry(version).await?.unwrap_or_default();
        let content = String::from_utf8_lossy(&bytes).into_owned();
        let uploads = self.versions(Some(version + 1), 1).await?.pop().map(|entry| entry.uploads).unwrap_or_default();
        Ok(CommittedEntry { version, content, uploads })
    }

    async fn look_up(&self, transaction: &Transaction, upload: &str) -> Result<Found, TableError> {
        let nothing = Found { newest: None, version: None };
        let Some(table) = self.find_newest().await? else { return Ok(nothing) };
        let newest = table.snapshot()?.transaction_version(self.log_store.as_ref(), &transaction.app_id).await?;
        let Some(newest) = newest else { return Ok(nothing) };
        self.remember(Some(&Transaction { sequence: newest, ..transaction.clone() }));
        let in_reach = newest >= transaction.sequence;
        let version = if in_reach { self.find_transaction(transaction, upload).await? } else { None };
        Ok(Found { newest: Some(newest), version })
    }

    fn remember(&self, transaction: Option<&Transaction>) {
        let newest = transaction.map(|transaction| (transaction.app_id.clone(), transaction.sequence));
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = newest;
    }

    /// Whether the log's newest transaction of this writer is known and comes before this one: only this process
    /// commits for the writer, so the log need not be read to say that this one is not in it.
    fn is_known_to_precede(&self, transaction: &Transaction) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().is_some_and(|(app_id, newest)| *app_id == transaction.app_id && *newest < transaction.sequence)
    }
}

/// What the log says of a transaction.
struct Found {
    /// The newest transaction of its writer.
    newest: Option<i64>,
    /// The version that holds it.
    version: Option<u64>,
}

impl Commit {
    fn first_upload(&self) -> &str {
        self.uploads.first().map_or("", |part| part.id.as_str())
    }

    fn properties(&self) -> CommitProperties {
        let uploads = (UPLOADS_TAG.to_owned(), serde_json::json!(self.uploads));
        CommitProperties::default()
            .with_metadata([uploads])
            .with_application_transaction(deltalake::kernel::Transaction::new(
                &self.transaction.app_id,
                self.transaction.sequence,
            ))
            // Checkpoints and log cleanup are maintenance: a failure of theirs must not look like one of the commit.
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false))
    }
}

/// Whether the error says that another writer was faster; the same files can be committed on top of its commit.
fn is_race(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source } => matches!(
            source,
            TransactionError::VersionAlreadyExists(_)
                | TransactionError::CommitConflict(_)
                | TransactionError::MaxCommitAttempts(_)
        ),
        _ => false,
    }
}

/// A pause that grows with the attempts and differs between writers.
fn pause(attempt: u32) -> Duration {
    let longest = Duration::from_millis(10).saturating_mul(1 << attempt.min(6)).min(MAX_PAUSE);
    let random = uuid::Uuid::new_v4().as_u128() as u32;
    longest.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}
