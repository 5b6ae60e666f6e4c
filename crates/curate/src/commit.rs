//! The commit of a run: once, by the run's place in the order of its pipeline's commits.
//!
//! Invariant: what a commit will name is entered in the catalog before the commit.
//! Invariant: whether a run is committed is what the log says, after whatever error.

use std::collections::{BTreeMap, BTreeSet};

use sluice_catalog::{CatalogError, NewSchemaVersion, Preparation, TableChange};
use sluice_domain::{
    CuratedFigures, CuratedRun, FileRecord, LogRecord, PipelineMode, PreparedRun, TableEntry, TableState,
};
use sluice_table::{
    Commit, CommitFailure, CommittedEntry, CreateOutcome, DataFile, Evolve, Merge, NewTable, Operation, Overwrite,
    Provenance, RUN_TAG, Replace, Rewrite, Scope, Table, TableError, Transaction, Workspace,
};

use crate::{
    Curate, CurateError,
    rows::{Brought, Ready, history},
};

/// How often a commit is prepared anew because others changed what it had read.
const MAX_ROUNDS: u32 = 10;
/// The name under which a commit tells its pipeline.
const PIPELINE_TAG: &str = "sluice.pipeline";

/// A run that is committed.
#[derive(Debug)]
pub(crate) struct Done {
    /// What it read and wrote.
    pub(crate) figures: CuratedFigures,
    /// The files that its commit names.
    pub(crate) live: BTreeSet<String>,
}

impl Done {
    /// A run that found nothing to do.
    pub(crate) fn without_commit(figures: CuratedFigures) -> Self {
        Self { figures, live: BTreeSet::new() }
    }

    fn of(entry: &CommittedEntry, figures: CuratedFigures) -> Self {
        let figures = CuratedFigures { version_out: Some(entry.version), ..figures };
        Self { figures, live: entry.added_paths().into_iter().collect() }
    }
}

impl Curate {
    /// What a run came to whose commit is in the log already.
    pub(crate) async fn find_committed(&self, run: &CuratedRun) -> Result<Option<Done>, CurateError> {
        let Some(prepared) = &run.prepared else { return Ok(None) };
        let id = prepared.table.parse().map_err(CurateError::fault)?;
        let entry = match self.catalog().tables().find_by_id(sluice_domain::TableId(id)).await {
            Ok(entry) => entry,
            Err(CatalogError::TableNotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let table = self.inner.lake.shelf.get(&entry);
        let _turn = table.take_turn().await;
        let Some(found) = find(&table, run).await? else { return Ok(None) };
        self.register(&table, &entry, run, &found).await?;
        Ok(Some(Done::of(&found, prepared.figures.clone())))
    }

    /// Commit what a run has brought.
    pub(crate) async fn commit(&self, run: &mut CuratedRun, ready: Ready) -> Result<Done, CurateError> {
        let table = self.inner.lake.shelf.get(&ready.entry);
        let _turn = table.take_turn().await;
        let (entry, figures) = match &ready.shape.base {
            None => self.create(run, &table, &ready).await?,
            Some(_) => {
                self.inner.lake.logs.check_log(&ready.entry).await.map_err(CurateError::Other)?;
                self.change(run, &table, &ready).await?
            }
        };
        self.register(&table, &ready.entry, run, &entry).await?;
        Ok(Done::of(&entry, figures))
    }

    /// Make the target with the rows.
    async fn create(
        &self,
        run: &mut CuratedRun,
        table: &Table,
        ready: &Ready,
    ) -> Result<(CommittedEntry, CuratedFigures), CurateError> {
        let Brought::Files(files) = &ready.brought else { return Err(CurateError::fault("a merge into no table")) };
        let new = NewTable {
            name: ready.entry.name.to_string(),
            schema: ready.shape.after.clone(),
            partition_by: ready.shape.partition_by.clone(),
            layout: ready.shape.layout.clone(),
        };
        let figures = self.prepare(run, &ready.entry, (files, ready.rows_out, &ready.figures)).await?;
        let commit = Commit {
            files: files.clone(),
            transaction: transaction(run),
            offsets: ready.bookmarks.clone(),
            uploads: Vec::new(),
            tags: tags(run),
        };
        match table.create(&new, &commit).await? {
            CreateOutcome::Created(entry) => Ok((entry, figures)),
            CreateOutcome::Exists => match find(table, run).await? {
                Some(entry) => Ok((entry, figures)),
                None => {
                    let reason = "others made the target meanwhile".to_owned();
                    Err(TableError::Commit(CommitFailure::SchemaChanged { reason }).into())
                }
            },
        }
    }

    /// Change the target that is there.
    async fn change(
        &self,
        run: &mut CuratedRun,
        table: &Table,
        ready: &Ready,
    ) -> Result<(CommittedEntry, CuratedFigures), CurateError> {
        let lake = &self.inner.lake;
        let workspace = Workspace {
            writer: lake.writer.clone(),
            upload_id: Some(run.id.0),
            ..Workspace::new(lake.scratch_dir.clone())
        };
        let operation = operation(run, ready)?;
        self.give_columns(run, table, (ready, &workspace)).await?;
        for _ in 0..MAX_ROUNDS {
            let rewrite = Box::pin(table.prepare(&operation, &workspace)).await?;
            let rows_out = rows_out(&rewrite, ready);
            let figures = self.prepare(run, &ready.entry, (rewrite.files(), rows_out, &ready.figures)).await?;
            let provenance = Provenance {
                transaction: Some(transaction(run)),
                offsets: ready.bookmarks.clone(),
                tags: tags(run),
                ..Provenance::default()
            };
            match table.commit(&rewrite, &provenance).await {
                Ok(Some(entry)) => return Ok((entry, figures)),
                Ok(None) => return Err(CurateError::fault("a run left its target as it was")),
                Err(TableError::SequenceTaken { newest }) => {
                    if let Some(entry) = find(table, run).await? {
                        return Ok((entry, figures));
                    }
                    // The catalog was brought back from an older copy.
                    run.sequence = self.catalog().pipelines().skip_run_sequence(run.id, newest).await?;
                }
                Err(error @ TableError::Commit(CommitFailure::SchemaChanged { .. })) => return Err(error.into()),
                Err(error) if error.starts_over() => {
                    tracing::debug!(%error, run.id = %run.id, "the commit of a run starts over");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(TableError::Contended { attempts: MAX_ROUNDS }.into())
    }

    /// Give the target of a merge, or of partitions, the columns that its rows need: a commit before theirs.
    async fn give_columns(
        &self,
        run: &CuratedRun,
        table: &Table,
        (ready, workspace): (&Ready, &Workspace),
    ) -> Result<(), CurateError> {
        let comes_first = matches!(run.definition.mode, PipelineMode::Merge | PipelineMode::OverwritePartitions);
        let Some(base) = ready.shape.base.clone().filter(|_| comes_first) else {
            return Ok(());
        };
        if ready.is_refresh || !ready.shape.changes_columns() {
            return Ok(());
        }
        let evolve = Operation::Evolve(Evolve { base, schema: ready.shape.after.clone(), files: Vec::new() });
        let rewrite = Box::pin(table.prepare(&evolve, workspace)).await?;
        let records: Vec<FileRecord> = rewrite.files().iter().map(|file| file.record(None)).collect();
        self.catalog().inventory().enter_files(ready.entry.id, &records).await?;
        if let Some(entry) = table.commit(&rewrite, &Provenance::default()).await? {
            self.register(table, &ready.entry, run, &entry).await?;
        }
        Ok(())
    }

    /// Enter what is about to be committed; gives what the run will have come to.
    async fn prepare(
        &self,
        run: &mut CuratedRun,
        entry: &TableEntry,
        (files, rows_out, read): (&[DataFile], u64, &CuratedFigures),
    ) -> Result<CuratedFigures, CurateError> {
        let bytes_out = files.iter().map(DataFile::size_bytes).sum();
        let figures = CuratedFigures { rows_out, bytes_out, ..read.clone() };
        let paths = files.iter().map(|file| file.path().to_owned()).collect();
        let prepared = PreparedRun::new(entry.id, paths, figures.clone());
        let records: Vec<FileRecord> = files.iter().map(|file| file.record(None)).collect();
        match self.catalog().pipelines().prepare_run(run.id, entry.id, &prepared, &records).await? {
            Preparation::Entered => {
                run.prepared = Some(prepared);
                Ok(figures)
            }
            Preparation::Cancelled => Err(CurateError::Cancelled),
            Preparation::Lost => Err(CurateError::fault("the run is another server's by now")),
        }
    }

    /// Write down what a commit of a run made of the target.
    async fn register(
        &self,
        table: &Table,
        entry: &TableEntry,
        run: &CuratedRun,
        committed: &CommittedEntry,
    ) -> Result<(), CurateError> {
        let description = table.describe(Some(committed.version)).await?;
        if entry.state == TableState::Reserved {
            match self.catalog().tables().activate(entry.id, &description.partition_by).await {
                Ok(()) => self.describe_target(run).await?,
                // A table that was deleted since holds the rows all the same, and can be restored with them.
                Err(CatalogError::TableNotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let schema = NewSchemaVersion {
            table_id: entry.id,
            table_version: committed.version,
            schema: description.schema.as_ref().clone(),
            upload_id: None,
            run_id: Some(run.id),
            principal: run.principal.clone(),
        };
        self.catalog().schemas().record(&schema).await?;
        let record = LogRecord { version: committed.version, content: committed.text() };
        Ok(self.catalog().inventory().enter_commit(entry.id, &record).await?)
    }

    /// Say of a target that was made what its pipeline says that it is for.
    async fn describe_target(&self, run: &CuratedRun) -> Result<(), CurateError> {
        let Some(description) = run.definition.description.clone() else { return Ok(()) };
        let change = TableChange { description: Some(Some(description)), ..TableChange::default() };
        match self.catalog().tables().change(&run.definition.target, change, &run.principal).await {
            Ok(_) | Err(CatalogError::TableNotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn operation(run: &CuratedRun, ready: &Ready) -> Result<Operation, CurateError> {
    let schema = ready.shape.after.clone();
    Ok(match (&ready.brought, run.definition.mode, &ready.shape.base) {
        (Brought::Source(source), PipelineMode::Merge, _) => match history(run, source) {
            Some(history) => Operation::History(history),
            None => Operation::Merge(Merge { source: source.clone() }),
        },
        (Brought::Files(files), PipelineMode::OverwritePartitions, _) if !ready.is_refresh => {
            Operation::Overwrite(Overwrite { scope: Scope::of_files(files), files: files.clone() })
        }
        (Brought::Files(files), mode, _) if mode == PipelineMode::Overwrite || ready.is_refresh => {
            Operation::Replace(Replace { schema, files: files.clone() })
        }
        (Brought::Files(files), PipelineMode::Append, Some(base)) => {
            Operation::Evolve(Evolve { base: base.clone(), schema, files: files.clone() })
        }
        _ => return Err(CurateError::fault("the rows of a run do not go with its mode")),
    })
}

fn rows_out(rewrite: &Rewrite, ready: &Ready) -> u64 {
    match &ready.brought {
        Brought::Files(_) => ready.rows_out,
        // A row that a history closes took effect; a merge of a pipeline deletes none.
        Brought::Source(_) => rewrite.rows().inserted + rewrite.rows().updated + rewrite.rows().deleted,
    }
}

fn transaction(run: &CuratedRun) -> Transaction {
    Transaction { app_id: run.pipeline.app_id(), sequence: run.sequence }
}

fn tags(run: &CuratedRun) -> BTreeMap<String, String> {
    [(RUN_TAG.to_owned(), run.id.to_string()), (PIPELINE_TAG.to_owned(), run.name.to_string())].into()
}

/// The commit of a run, if the log has it.
async fn find(table: &Table, run: &CuratedRun) -> Result<Option<CommittedEntry>, CurateError> {
    let found = table.find_transaction(&transaction(run)).await?;
    Ok(found.filter(|entry| entry.tag(RUN_TAG).as_deref() == Some(&run.id.to_string())))
}
