//! The stations of one upload: land, ledger, pipeline, commit, receipt.
//!
//! Invariant: an upload that may have been committed before is looked up in the log first, so its rows are in it once.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use sluice_catalog::{Catalog, CatalogError, CommittedUpload, CommittedUploads, NewUpload};
use sluice_domain::{
    Grant, LogRecord, Receipt, RowCounts, StoredFailure, TableEntry, TableFormat, TableRef, TableState, UploadEntry,
    UploadId, UploadState, ZoneName,
};
use sluice_table::{CommittedEntry, NewTable, Shelf, Table, TableError};

use crate::{
    IngestError, IngestMetrics, TailCheck, UploadFailure, UploadRequest,
    commit_queue::{CommitQueue, Outcome, Ready},
    land::Intake,
    pipeline::{Pipeline, Shape, Written},
};

/// How often an upload starts over because another one made the table first.
const MAX_ROUNDS: u32 = 3;

/// Everything that an upload passes on its way.
pub(crate) struct Road {
    pub(crate) pipeline: Pipeline,
    pub(crate) catalog: Catalog,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) metrics: IngestMetrics,
    pub(crate) queue: CommitQueue,
    pub(crate) tails: Arc<TailCheck>,
}

/// Where an upload goes, and what the rows of that table look like.
struct Target {
    entry: TableEntry,
    table: Arc<Table>,
    shape: Shape,
    /// Whether the table has a version already.
    exists: bool,
}

impl Road {
    pub(crate) async fn land(
        &self,
        id: UploadId,
        grant: &Grant,
        request: &UploadRequest,
        intake: Intake<'_>,
    ) -> Result<UploadEntry, IngestError> {
        let started_at = Utc::now();
        let (TableRef { namespace, table }, options) = (&request.table, &request.options);
        let (format, compression) = (options.format, options.compression.extension());
        let raw_path = format!("uploads/{namespace}/{table}/{id}.{format}{compression}");
        let landed = intake.land(self.pipeline.zones.get(ZoneName::Raw), raw_path).await?;
        let options = self.pipeline.resolve(options, &landed).await?;
        let upload = NewUpload {
            id,
            table: request.table.clone(),
            principal: grant.principal().to_owned(),
            idempotency_key: request.idempotency_key.clone(),
            file_name: request.file_name.clone(),
            options,
            landed,
            started_at,
        };
        Ok(self.catalog.uploads().land(&upload).await?)
    }

    /// Bring a landed upload to its outcome, and write that down. One that may be asked for again, by its client or
    /// at the next start, stays open where it may still succeed.
    pub(crate) async fn finish(&self, entry: UploadEntry, asked_again: bool) -> Result<Receipt, UploadFailure> {
        let id = entry.id;
        let table = entry.table.clone();
        let error = match self.place(entry).await {
            Ok(receipt) => {
                let taken = Duration::from_millis(receipt.duration_ms);
                self.metrics.committed(&receipt.table, receipt.options.format, receipt.landed.size_bytes, taken);
                tracing::info!(
                    upload.id = %id, table.name = %table, table.version = receipt.version,
                    rows = receipt.rows.committed, bytes = receipt.landed.size_bytes,
                    duration_ms = receipt.duration_ms, "committed an upload"
                );
                return Ok(receipt);
            }
            Err(error) => error,
        };
        self.metrics.failed();
        if let Err(error) = self.write_down(id, asked_again, &error).await {
            tracing::error!(upload.id = %id, %error, "could not write down that an upload failed");
        }
        Err(UploadFailure { upload_id: Some(id), error })
    }

    async fn write_down(&self, id: UploadId, asked_again: bool, error: &IngestError) -> Result<(), IngestError> {
        // Of one in the midst of its commit nobody can say that it failed, unless the log said so.
        let absent =
            matches!(error, IngestError::Table(TableError::Contended { .. } | TableError::SequenceTaken { .. }));
        let open = asked_again || !absent && self.catalog.uploads().find(id).await?.state == UploadState::Committing;
        if open && !error.is_final() {
            return Ok(());
        }
        Ok(self.catalog.uploads().fail(id, &StoredFailure::from(error)).await?)
    }

    async fn place(&self, entry: UploadEntry) -> Result<Receipt, IngestError> {
        if let Some((table, found)) = self.find_committed(&entry).await? {
            return self.settle(&entry, &table, found).await;
        }
        for _ in 0..MAX_ROUNDS {
            let target = self.find_target(&entry).await?;
            let written = self.pipeline.write(&entry, &target.shape, target.table.folder()).await?;
            match self.commit(&entry, &target, written).await? {
                Outcome::Committed(entry) => {
                    return self.receipt(&entry).ok_or_else(|| IngestError::lost_task("receipt"));
                }
                // Another upload made the table first, or it was changed or deleted meanwhile.
                Outcome::StartOver => {}
            }
        }
        Err(TableError::Contended { attempts: MAX_ROUNDS }.into())
    }

    /// The table of this name, or the place for one that this upload will make.
    async fn find_target(&self, upload: &UploadEntry) -> Result<Target, IngestError> {
        match self.catalog.tables().find(&upload.table).await {
            Ok(entry) => {
                if let Some(target) = self.find_existing(upload, entry).await? {
                    return Ok(target);
                }
            }
            Err(CatalogError::TableNotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        // What cannot be read takes no name.
        let shape = self.pipeline.infer(upload).await?;
        let wanted = sluice_catalog::NewTable {
            name: upload.table.clone(),
            zone: ZoneName::Raw,
            format: TableFormat::Delta,
            partition_by: upload.options.partition_by.clone(),
            owner: upload.principal.clone(),
        };
        let entry = self.catalog.tables().reserve(&wanted).await?;
        match self.find_existing(upload, entry.clone()).await? {
            Some(target) => Ok(target),
            None => Ok(Target { table: self.shelf.get(&entry), entry, shape, exists: false }),
        }
    }

    async fn find_existing(&self, upload: &UploadEntry, entry: TableEntry) -> Result<Option<Target>, IngestError> {
        let table = self.shelf.get(&entry);
        let shape = self.existing_shape(upload, &table).await?;
        Ok(shape.map(|shape| Target { entry, table, shape, exists: true }))
    }

    /// The shape of the table as it is, checked against what the upload asks for; none if there is no version yet.
    async fn existing_shape(&self, entry: &UploadEntry, table: &Table) -> Result<Option<Shape>, IngestError> {
        let description = match table.describe(None).await {
            Ok(description) => description,
            Err(TableError::NotCreated) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (actual, asked) = (&description.partition_by, &entry.options.partition_by);
        let same = actual.len() == asked.len() && actual.iter().zip(asked).all(|(a, b)| a.eq_ignore_ascii_case(b));
        if !asked.is_empty() && !same {
            return Err(IngestError::OtherPartitioning { actual: actual.join(", "), asked: asked.join(", ") });
        }
        Ok(Some(Shape { schema: description.schema, partition_by: description.partition_by }))
    }

    async fn commit(&self, entry: &UploadEntry, target: &Target, written: Written) -> Result<Outcome, IngestError> {
        let is_reserved = target.entry.state == TableState::Reserved;
        let ready =
            Ready { table: target.entry.id, is_reserved, upload: entry.clone(), shape: target.shape.clone(), written };
        if target.exists {
            return self.queue.append(&target.table, ready).await;
        }
        let Shape { schema, partition_by } = target.shape.clone();
        let new = NewTable { name: target.entry.name.to_string(), schema, partition_by };
        self.queue.create(&target.table, new, ready).await
    }

    /// Whether an earlier try of this upload got as far as a commit.
    async fn find_committed(&self, entry: &UploadEntry) -> Result<Option<(TableEntry, CommittedEntry)>, IngestError> {
        let (Some(sequence), Some(id), Some(writer)) = (entry.sequence, entry.table_id, &entry.writer) else {
            return Ok(None);
        };
        let target = self.catalog.tables().find_by_id(id).await?;
        let table = self.shelf.get(&target);
        let _turn = table.take_turn().await;
        let found = table.find_committed(writer, sequence, &entry.id.to_string()).await?;
        Ok(found.map(|found| (target, found)))
    }

    /// Write down what the log says of an upload that was cut off in the midst of its commit.
    async fn settle(
        &self,
        entry: &UploadEntry,
        target: &TableEntry,
        found: CommittedEntry,
    ) -> Result<Receipt, IngestError> {
        let id = entry.id.to_string();
        let rows = found.uploads().iter().find(|part| part.id == id).map_or(0, |part| part.rows);
        let (version, rows) = (found.version, RowCounts::all_committed(rows));
        let committed = CommittedUploads {
            table: target.id,
            entry: LogRecord { version, content: found.text() },
            uploads: vec![(entry.id, CommittedUpload { version, rows, committed_at: Utc::now() })],
        };
        self.queue.register(&self.shelf.get(target), target.id, version, entry).await?;
        let mut entries = self.catalog.uploads().commit(&committed).await?;
        entries.pop().and_then(|entry| self.receipt(&entry)).ok_or_else(|| IngestError::lost_task("receipt"))
    }

    pub(crate) fn receipt(&self, entry: &UploadEntry) -> Option<Receipt> {
        let (version, rows, committed_at) = (entry.version?, entry.rows?, entry.committed_at?);
        let duration_ms = (committed_at - entry.started_at).num_milliseconds().max(0).unsigned_abs();
        Some(Receipt {
            upload_id: entry.id,
            table: entry.table.clone(),
            version,
            options: entry.options.clone(),
            landed: entry.landed.clone(),
            rows,
            committed_at,
            duration_ms,
            raw_object: self.pipeline.zones.get(ZoneName::Raw).url_of(&entry.landed.raw_path).into(),
        })
    }
}
