//! The way of an upload's rows into a Delta table: held against its contract, written, committed.
//!
//! Invariant: a table changes for an upload only once the upload's files are written, so that one of which no row is
//! good leaves it as it is.

use std::sync::Arc;

use chrono::{SubsecRound as _, Utc};
use sluice_domain::{
    ChannelId, FileRecord, LogRecord, Phase, QualityResult, QualitySubject, TableEntry, TableState, UploadEntry,
    Validation, WriteMode,
};
use sluice_table::{
    CommitFailure, CommittedEntry, Evolve, Merge, NewTable, Operation, Overwrite, Provenance, Scope, Table, TableError,
    Transaction, Workspace,
};

use super::{Road, Target};
use crate::{
    IngestError,
    commit_queue::{Outcome, Ready, Rewriting},
    contract::{Admission, ContractBreach},
    pipeline::{Shape, Written},
};

/// How often columns are given to a table anew because others committed meanwhile.
const MAX_ROUNDS: u32 = 10;

impl Road {
    pub(super) async fn write(&self, entry: &UploadEntry, target: &Target) -> Result<Outcome, IngestError> {
        let terms = Arc::clone(&target.terms);
        // Columns that a merge lacks keep their values, so it must be known which.
        if entry.options.write.mode == WriteMode::Merge {
            let admission = self.admit(entry, target).await?;
            return self.write_as(entry, target, &admission).await;
        }
        let admission = match target.exists {
            true => Admission::first_try(&target.shape, Arc::clone(&terms)),
            false => Admission::fixed(&target.shape, Arc::clone(&terms)),
        };
        let admission = admission.knowing(self.references(&terms).await);
        match self.write_as(entry, target, &admission).await {
            Err(IngestError::Decode(error)) if admission.asks_for_another(&error) => {
                tracing::debug!(upload.id = %entry.id, %error, "an upload is held against its table's contract");
                let admission = self.admit(entry, target).await?;
                self.write_as(entry, target, &admission).await
            }
            outcome => outcome,
        }
    }

    /// How the whole file becomes rows of the table.
    async fn admit(&self, entry: &UploadEntry, target: &Target) -> Result<Admission, IngestError> {
        let _slot = self.pipeline.slot().await;
        let admission = self.pipeline.admit(entry, &target.shape, Arc::clone(&target.terms)).await?;
        Ok(admission.knowing(self.references(&target.terms).await))
    }

    /// Keep what came of the table's suite, before the commit: of no upload that is in the table it is missing.
    pub(crate) async fn note_quality(
        &self,
        entry: &UploadEntry,
        target: &Target,
        validation: Option<&Validation>,
    ) -> Result<(), IngestError> {
        let Some(validation) = validation else { return Ok(()) };
        let (subject, validation) = (QualitySubject::Upload(entry.id), validation.clone());
        let result = QualityResult { subject, version: None, checked_at: Utc::now().trunc_subsecs(6), validation };
        self.metrics.judged(&target.entry.name, &result.validation);
        Ok(self.catalog.quality().record(target.entry.id, &result).await?)
    }

    async fn write_as(
        &self,
        entry: &UploadEntry,
        target: &Target,
        admission: &Admission,
    ) -> Result<Outcome, IngestError> {
        let outcome = Box::pin(self.write_judged(entry, target, admission)).await;
        self.noting_refusal(entry, target, outcome).await
    }

    /// Keep what came of the table's suite where it refuses the upload.
    pub(crate) async fn noting_refusal<T>(
        &self,
        entry: &UploadEntry,
        target: &Target,
        outcome: Result<T, IngestError>,
    ) -> Result<T, IngestError> {
        if let Err(IngestError::Breach(ContractBreach::Quality { validation })) = &outcome {
            self.note_quality(entry, target, Some(validation)).await?;
        }
        outcome
    }

    async fn write_judged(
        &self,
        entry: &UploadEntry,
        target: &Target,
        admission: &Admission,
    ) -> Result<Outcome, IngestError> {
        let mut ready = self.ready(entry, target, admission).await?;
        if target.exists && entry.options.write.reads_table() {
            let _place = self.pipeline.merges.acquire().await;
            let (source, written) = self.pipeline.stage_merge(entry, admission).await?;
            ready.written = written;
            self.note_quality(entry, target, ready.written.quality.as_ref()).await?;
            if !self.evolve(entry, target, admission).await? {
                return Ok(Outcome::StartOver);
            }
            return self.change(target, ready, Operation::Merge(Merge { source })).await;
        }
        ready.written = self.pipeline.write(entry, admission, target.table.folder()).await?;
        self.note_quality(entry, target, ready.written.quality.as_ref()).await?;
        self.pipeline.progress.enter(entry.id, Phase::Committing);
        if !target.exists {
            let Shape { schema, partition_by, layout } = admission.shape.clone();
            let new = NewTable { name: target.entry.name.to_string(), schema, partition_by, layout };
            return self.queue.create(&target.table, new, ready).await;
        }
        let files = ready.written.files.clone();
        let mode = entry.options.write.mode;
        if admission.changes_table() && admission.only_adds() && mode == WriteMode::Append {
            let (base, schema) = (Arc::clone(&target.shape.schema), Arc::clone(&admission.shape.schema));
            return self.change(target, ready, Operation::Evolve(Evolve { base, schema, files })).await;
        }
        if !self.evolve(entry, target, admission).await? {
            return Ok(Outcome::StartOver);
        }
        let scope = match mode {
            WriteMode::Overwrite => Scope::All,
            WriteMode::OverwritePartitions => Scope::of_files(&files),
            _ => return self.queue.append(&target.table, ready).await,
        };
        self.change(target, ready, Operation::Overwrite(Overwrite { scope, files })).await
    }

    /// The commit of an upload of which nothing is written yet.
    async fn ready(&self, entry: &UploadEntry, target: &Target, admission: &Admission) -> Result<Ready, IngestError> {
        let offsets = self.catalog.row_groups().offsets(entry.id).await?;
        let of_channel = |(channel, sequence): (ChannelId, i64)| Transaction { app_id: channel.app_id(), sequence };
        Ok(Ready {
            table: target.entry.id,
            is_reserved: target.entry.state == TableState::Reserved,
            upload: entry.clone(),
            shape: admission.shape.clone(),
            written: Written::default(),
            offsets: offsets.into_iter().map(of_channel).collect(),
            group: None,
        })
    }

    async fn change(&self, target: &Target, ready: Ready, operation: Operation) -> Result<Outcome, IngestError> {
        let workspace = self.pipeline.workspace(&ready.upload);
        self.queue.change(&target.table, ready, &Rewriting { operation, workspace }).await
    }

    /// Give the table the columns that the upload brings; not where others gave it other ones meanwhile.
    async fn evolve(&self, entry: &UploadEntry, target: &Target, admission: &Admission) -> Result<bool, IngestError> {
        if !admission.changes_table() {
            return Ok(true);
        }
        let (id, table) = (target.entry.id, &target.table);
        let _turn = table.take_turn().await;
        self.tails.check(id, table).await?;
        for _ in 0..MAX_ROUNDS {
            let (base, schema) = (Arc::clone(&target.shape.schema), Arc::clone(&admission.shape.schema));
            match self.commit_columns(&target.entry, table, Evolve { base, schema, files: Vec::new() }).await {
                Ok(Some(made)) => {
                    self.queue.register(table, id, made.version, entry).await?;
                    let record = LogRecord { version: made.version, content: made.text() };
                    self.catalog.inventory().enter_commit(id, &record).await?;
                    return Ok(true);
                }
                Ok(None) => return Ok(true),
                Err(IngestError::Table(TableError::Commit(CommitFailure::SchemaChanged { .. }))) => return Ok(false),
                Err(IngestError::Table(error)) if error.starts_over() => {
                    tracing::debug!(%error, upload.id = %entry.id, "columns are given to the table anew");
                }
                Err(error) => return Err(error),
            }
        }
        Err(TableError::Contended { attempts: MAX_ROUNDS }.into())
    }

    /// Commit that the table has other columns, with the files that have to be written anew for it; none where it has
    /// them. To be called in the table's turn.
    pub(crate) async fn commit_columns(
        &self,
        entry: &TableEntry,
        table: &Table,
        evolve: Evolve,
    ) -> Result<Option<CommittedEntry>, IngestError> {
        let pipeline = &self.pipeline;
        let workspace = Workspace {
            writer: pipeline.settings.writer.clone(),
            max_rewrite_bytes: pipeline.settings.max_rewrite_bytes,
            ..Workspace::new(pipeline.scratch_dir.clone())
        };
        let rewrite = Box::pin(table.prepare(&Operation::Evolve(evolve), &workspace)).await?;
        let files: Vec<FileRecord> = rewrite.files().iter().map(|file| file.record(None)).collect();
        if !files.is_empty() {
            self.catalog.inventory().enter_files(entry.id, &files).await?;
        }
        Ok(Box::pin(table.commit(&rewrite, &Provenance::default())).await?)
    }
}
