//! Uploads that wait for their commit: whoever has the table's turn commits for all that wait.
//!
//! Invariant: sequences are handed out and committed under the table's turn, so that they grow from version to version.
//! Invariant: an upload that went into the queue gets an answer from whoever took it out.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use chrono::Utc;
use sluice_catalog::{
    Catalog, CatalogError, CommitTry, CommittedUpload, CommittedUploads, Entered, NewGroup, NewSchemaVersion,
    NewUpload, Obstacle,
};
use sluice_domain::{LogRecord, RowCounts, StoredFailure, TableId, UploadEntry};
use sluice_table::{
    Commit, CommitFailure, CommittedEntry, CreateOutcome, NewTable, Table, TableError, Transaction, UploadPart,
};
use tokio::sync::oneshot;

use crate::{
    IngestError, TailCheck,
    pipeline::{Shape, Written},
    quarantine,
    upkeep::Bell,
};

mod alone;

pub(crate) use alone::{Rewriting, counts_in};

/// How many uploads one commit holds at the most.
const MAX_UPLOADS: usize = 64;
/// How many files one commit adds at the most, beyond those of its first upload.
const MAX_FILES: usize = 10_000;
/// How often a commit is begun again because the log is ahead of the catalog.
const MAX_ROUNDS: u32 = 3;

/// What came of an upload in the queue.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Its rows are in the table, and the ledger says so.
    Committed(Box<UploadEntry>),
    /// Its files do not fit the table any more, or the table is gone.
    StartOver,
    /// A request of this group cannot go on; nothing of the group was entered.
    Stopped {
        /// The request's place in the group.
        number: usize,
        /// What is in its way.
        obstacle: Obstacle,
    },
    /// The log has a channel there already, or further.
    Behind {
        /// The channel, as the log names it.
        app_id: String,
        /// How far the log has it.
        newest: i64,
    },
}

/// An upload whose files wait for their commit.
pub(crate) struct Ready {
    pub(crate) table: TableId,
    /// Whether the catalog does not call the table active yet.
    pub(crate) is_reserved: bool,
    pub(crate) upload: UploadEntry,
    pub(crate) shape: Shape,
    pub(crate) written: Written,
    /// Where it gets channels to.
    pub(crate) offsets: Vec<Transaction>,
    /// What is entered with the commit, where the ledger does not have the upload yet.
    pub(crate) group: Option<NewGroup>,
}

struct Waiting {
    ready: Ready,
    answer: oneshot::Sender<Result<Outcome, IngestError>>,
}

/// The queues of all tables, of which only those that somebody waits in are kept.
pub(crate) struct CommitQueue {
    catalog: Catalog,
    tails: Arc<TailCheck>,
    bell: Bell,
    waiting: Mutex<HashMap<TableId, Vec<Waiting>>>,
}

impl CommitQueue {
    pub(crate) fn new(catalog: Catalog, tails: Arc<TailCheck>, bell: Bell) -> Self {
        Self { catalog, tails, bell, waiting: Mutex::default() }
    }

    /// Make the table with the rows of this upload.
    pub(crate) async fn create(&self, table: &Table, new: NewTable, ready: Ready) -> Result<Outcome, IngestError> {
        let (answer, mut given) = oneshot::channel();
        let id = ready.table;
        let turn = table.take_turn().await;
        let committed = self.commit(table, id, Some(new), vec![Waiting { ready, answer }]).await;
        drop(turn);
        self.write_down(id, committed).await;
        given.try_recv().unwrap_or_else(|_| Err(IngestError::lost_task("commit")))
    }

    /// Add the rows of this upload to the table, together with those of the others that wait.
    pub(crate) async fn append(&self, table: &Table, ready: Ready) -> Result<Outcome, IngestError> {
        let (answer, mut given) = oneshot::channel();
        let id = ready.table;
        self.lock().entry(id).or_default().push(Waiting { ready, answer });
        loop {
            let turn = table.take_turn().await;
            let batch = self.take(id);
            if batch.is_empty() {
                // Whoever took it out answers.
                drop(turn);
                return given.await.unwrap_or_else(|_| Err(IngestError::lost_task("commit")));
            }
            let committed = self.commit(table, id, None, batch).await;
            self.write_down(id, committed).await;
            drop(turn);
            match given.try_recv() {
                Ok(outcome) => return outcome,
                Err(oneshot::error::TryRecvError::Closed) => return Err(IngestError::lost_task("commit")),
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
        }
    }

    /// Take out the first upload that waits, and those behind it that go into the same commit.
    fn take(&self, table: TableId) -> Vec<Waiting> {
        let mut waiting = self.lock();
        let Some(queue) = waiting.remove(&table) else { return Vec::new() };
        let (mut batch, mut left) = (Vec::<Waiting>::new(), Vec::new());
        let mut files = 0;
        for next in queue {
            let fits = batch.first().is_none_or(|first| {
                batch.len() < MAX_UPLOADS
                    && files + next.ready.written.files.len() <= MAX_FILES
                    && first.ready.shape == next.ready.shape
            });
            if fits {
                files += next.ready.written.files.len();
                batch.push(next);
            } else {
                left.push(next);
            }
        }
        if !left.is_empty() {
            waiting.insert(table, left);
        }
        batch
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TableId, Vec<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commit these uploads in one commit; those that are not in it are answered.
    async fn commit(
        &self,
        table: &Table,
        id: TableId,
        new: Option<NewTable>,
        batch: Vec<Waiting>,
    ) -> Option<(CommittedEntry, Vec<Waiting>)> {
        let mut batch = batch;
        if let Err(error) = self.tails.check(id, table).await {
            return fail_all(batch, &error);
        }
        let mut rounds = 0;
        while rounds < MAX_ROUNDS {
            let first = batch.first()?;
            let sequences = match self.begin(id, &batch).await {
                Ok(Entered::All(sequences)) => sequences,
                Ok(Entered::Stopped { upload, number, obstacle }) => {
                    let stopped = || Ok(Outcome::Stopped { number, obstacle });
                    batch = without(batch, |ready| ready.upload.id == upload, stopped);
                    continue;
                }
                Err(CatalogError::WrongState { upload, state }) => {
                    let wrong = || Err(CatalogError::WrongState { upload, state }.into());
                    batch = without(batch, |ready| ready.upload.id == upload, wrong);
                    continue;
                }
                Err(CatalogError::TableNotFound { .. }) => return answer_all(batch, || Ok(Outcome::StartOver)),
                Err(error) => return fail_all(batch, &error.into()),
            };
            let commit = self.commit_of(&batch, sequences.last().copied().unwrap_or_default());
            let outcome = match &new {
                Some(new) => table.create(new, &commit).await,
                None => table.append(&commit).await.map(CreateOutcome::Created),
            };
            match outcome {
                Ok(CreateOutcome::Created(entry)) => {
                    // A server that made the table may have ended before it said so.
                    let is_unsaid = new.is_some() || batch.iter().any(|waiting| waiting.ready.is_reserved);
                    if is_unsaid && let Err(error) = self.register(table, id, entry.version, &first.ready.upload).await
                    {
                        return fail_all(batch, &error);
                    }
                    return Some((entry, batch));
                }
                Ok(CreateOutcome::Exists) | Err(TableError::Commit(CommitFailure::SchemaChanged { .. })) => {
                    return answer_all(batch, || Ok(Outcome::StartOver));
                }
                Err(TableError::Commit(CommitFailure::OffsetTaken { app_id, newest })) => {
                    let behind = || Ok(Outcome::Behind { app_id: app_id.clone(), newest });
                    batch = without(batch, |ready| ready.is_of(&app_id), behind);
                    batch.iter_mut().for_each(|waiting| waiting.ready.group = None);
                }
                Err(TableError::SequenceTaken { newest }) => {
                    rounds += 1;
                    batch.iter_mut().for_each(|waiting| waiting.ready.group = None);
                    tracing::warn!(table.id = %id, newest, "the log is ahead of the catalog");
                    if let Err(error) = self.catalog.uploads().skip_sequences(id, newest).await {
                        return fail_all(batch, &error.into());
                    }
                }
                Err(error) => return fail_all(batch, &error.into()),
            }
        }
        fail_all(batch, &TableError::Contended { attempts: MAX_ROUNDS }.into())
    }

    /// Enter that these are about to be committed, and those that are new.
    async fn begin(&self, table: TableId, batch: &[Waiting]) -> Result<Entered<Vec<i64>>, CatalogError> {
        let tries: Vec<CommitTry> = batch.iter().map(|waiting| waiting.ready.as_try()).collect();
        let groups: Vec<&NewGroup> = batch.iter().filter_map(|waiting| waiting.ready.group.as_ref()).collect();
        if groups.is_empty() {
            return self.catalog.uploads().begin_commits(table, &tries).await.map(Entered::All);
        }
        self.catalog.row_groups().begin_groups(table, &tries, &groups).await
    }

    fn commit_of(&self, batch: &[Waiting], sequence: i64) -> Commit {
        Commit {
            files: batch.iter().flat_map(|waiting| waiting.ready.written.files.iter().cloned()).collect(),
            uploads: batch.iter().map(|waiting| waiting.ready.as_part()).collect(),
            transaction: Transaction { app_id: self.catalog.writer().to_owned(), sequence },
            offsets: batch.iter().flat_map(|waiting| waiting.ready.offsets.iter().cloned()).collect(),
            tags: BTreeMap::new(),
        }
    }

    /// Write down that the table is there, and its schema. Comes before the ledger's word of the upload: what that calls
    /// committed must be found in a table that is there.
    pub(crate) async fn register(
        &self,
        table: &Table,
        id: TableId,
        version: u64,
        upload: &UploadEntry,
    ) -> Result<(), IngestError> {
        let description = table.describe(Some(version)).await?;
        match self.catalog.tables().activate(id, &description.partition_by).await {
            // A table that was deleted since holds the rows all the same, and can be restored with them.
            Ok(()) | Err(CatalogError::TableNotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let schema = NewSchemaVersion {
            table_id: id,
            table_version: version,
            schema: description.schema.as_ref().clone(),
            upload_id: Some(upload.id),
            run_id: None,
            principal: upload.principal.clone(),
        };
        self.catalog.schemas().record(&schema).await?;
        Ok(())
    }

    /// Write into the ledger what the log says.
    async fn write_down(&self, table: TableId, committed: Option<(CommittedEntry, Vec<Waiting>)>) {
        let Some((entry, batch)) = committed else { return };
        let committed_at = Utc::now();
        let of = |waiting: &Waiting| {
            let rows = waiting.ready.written.prepared.rows;
            (waiting.ready.upload.id, CommittedUpload { version: entry.version, rows, committed_at })
        };
        let uploads = batch.iter().map(of).collect();
        let version = entry.version;
        let entry = LogRecord { version, content: entry.text() };
        let quarantined = batch.iter().filter_map(|waiting| waiting.ready.quarantined()).collect();
        match self.catalog.uploads().commit(&CommittedUploads { table, entry, uploads, quarantined }).await {
            Ok(entries) => {
                self.bell.committed(table, version);
                for (waiting, entry) in batch.into_iter().zip(entries) {
                    // Nobody waits for it any more only where the process ends.
                    let _ = waiting.answer.send(Ok(Outcome::Committed(Box::new(entry))));
                }
            }
            Err(error) => drop(fail_all::<()>(batch, &error.into())),
        }
    }
}

impl Ready {
    fn as_try(&self) -> CommitTry {
        let upload = self.written.is_of_upload.then_some(self.upload.id);
        CommitTry {
            upload: self.upload.id,
            files: self.written.files.iter().map(|file| file.record(upload)).collect(),
            prepared: self.written.prepared.clone(),
        }
    }

    /// The upload of its bad rows.
    fn quarantined(&self) -> Option<NewUpload> {
        let prepared = Some(self.written.prepared.clone());
        quarantine::upload_of(&UploadEntry { prepared, ..self.upload.clone() })
    }

    fn is_of(&self, app_id: &str) -> bool {
        self.offsets.iter().any(|offset| offset.app_id == app_id)
    }

    fn as_part(&self) -> UploadPart {
        let counts = self.written.prepared.rows;
        let rows = counts.committed;
        UploadPart {
            id: self.upload.id.to_string(),
            rows,
            sha256: self.upload.landed.sha256.clone(),
            principal: self.upload.principal.clone(),
            counts: (counts != RowCounts::all_committed(rows)).then_some(counts),
        }
    }
}

/// The batch without those of a kind, which are answered.
fn without(
    batch: Vec<Waiting>,
    is_out: impl Fn(&Ready) -> bool,
    outcome: impl Fn() -> Result<Outcome, IngestError>,
) -> Vec<Waiting> {
    let (out, others) = batch.into_iter().partition(|waiting| is_out(&waiting.ready));
    answer_all::<()>(out, outcome);
    others
}

fn answer_all<T>(batch: Vec<Waiting>, outcome: impl Fn() -> Result<Outcome, IngestError>) -> Option<T> {
    for waiting in batch {
        let _ = waiting.answer.send(outcome());
    }
    None
}

/// Tell each upload of the failure of their commit.
fn fail_all<T>(batch: Vec<Waiting>, error: &IngestError) -> Option<T> {
    tracing::warn!(?error, uploads = batch.len(), "a commit failed");
    answer_all(batch, || Err(copy_of(error)))
}

/// The same failure for another upload; that the log does not hold the commit must not get lost.
fn copy_of(error: &IngestError) -> IngestError {
    match error {
        IngestError::Table(TableError::Contended { attempts }) => TableError::Contended { attempts: *attempts }.into(),
        other => StoredFailure::from(other).into(),
    }
}
