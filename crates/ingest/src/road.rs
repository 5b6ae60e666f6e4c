//! The stations of one upload: land, ledger, pipeline, commit, receipt.
//!
//! Invariant: an upload that may have been committed before is looked up in the log first, so its rows are in it once.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use futures::FutureExt as _;
use sluice_catalog::{Catalog, CatalogError, CommittedUpload, CommittedUploads, NewUpload};
use sluice_domain::{
    Grant, LogRecord, Progress, ReadOptions, Receipt, StoredFailure, TableEntry, TableFormat, TableRef, Terms,
    UploadEntry, UploadId, UploadState, ZoneName,
};
use sluice_table::{CommitFailure, CommittedEntry, Shelf, Table, TableError};

use crate::{
    IngestError, IngestMetrics, TailCheck, UploadFailure, UploadRequest,
    asked::{check_asked, check_format},
    commit_queue::{CommitQueue, Outcome, counts_in},
    descriptions::Descriptions,
    land::Intake,
    pipeline::{Pipeline, Shape},
    plain::PlainTables,
    quarantine,
    write_mode::{TargetFacts, check_mode},
};

mod write;

/// How often an upload starts over because others made or changed the table first.
const MAX_ROUNDS: u32 = 5;

/// Everything that an upload passes on its way.
pub(crate) struct Road {
    pub(crate) pipeline: Pipeline,
    pub(crate) catalog: Catalog,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) metrics: IngestMetrics,
    pub(crate) queue: CommitQueue,
    pub(crate) tails: Arc<TailCheck>,
    pub(crate) plain: PlainTables,
    pub(crate) descriptions: Descriptions,
}

/// Where an upload goes, and what the rows of that table look like.
pub(crate) struct Target {
    pub(crate) entry: TableEntry,
    pub(crate) table: Arc<Table>,
    pub(crate) shape: Shape,
    /// What the table asks of its uploads.
    pub(crate) terms: Arc<Terms>,
    /// Whether the table has a version already.
    exists: bool,
}

impl Target {
    /// Whether rows go into its files as they are, neither sorted nor with columns that are computed, nor held to a
    /// suite.
    pub(crate) fn takes_rows_as_they_are(&self) -> bool {
        let layout = &self.shape.layout;
        let is_plain_road = layout.derived.is_empty() && layout.sort_by.is_empty() && self.terms.suite.is_none();
        self.entry.format == TableFormat::Delta && is_plain_road
    }
}

/// Where in the raw zone the bytes of an upload lie.
pub(crate) fn raw_path(table: &TableRef, options: &ReadOptions, id: UploadId) -> String {
    let (TableRef { namespace, table }, format) = (table, options.format);
    format!("uploads/{namespace}/{table}/{id}.{format}{}", options.compression.extension())
}

impl Road {
    pub(crate) async fn land(
        &self,
        id: UploadId,
        grant: &Grant,
        request: &UploadRequest,
        mut intake: Intake<'_>,
    ) -> Result<UploadEntry, IngestError> {
        let started_at = Utc::now();
        let raw_path = raw_path(&request.table, &request.options, id);
        let along = self.read_along(id, request, &mut intake).await?;
        let landed = intake.land(self.pipeline.zones.get(ZoneName::Raw), raw_path).await?;
        let options = match &along {
            Some((options, _)) => options.clone(),
            None => self.pipeline.resolve(&request.options, &landed).await?,
        };
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
        let entry = self.catalog.uploads().land(&upload).await?;
        if let Some((_, along)) = along {
            self.pipeline.ahead.keep(id, along);
        }
        Ok(entry)
    }

    /// Bring a landed upload to its outcome, and write that down. One that may be asked for again, by its client or
    /// at the next start, stays open where it may still succeed.
    pub(crate) async fn finish(&self, entry: UploadEntry, asked_again: bool) -> Result<Receipt, UploadFailure> {
        let id = entry.id;
        let table = entry.table.clone();
        let _shown = self.pipeline.progress.begin(id, Progress::from(&entry));
        let _ahead = self.pipeline.ahead.of(id);
        let error = match Box::pin(self.place(entry)).await {
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

    pub(crate) async fn write_down(
        &self,
        id: UploadId,
        asked_again: bool,
        error: &IngestError,
    ) -> Result<(), IngestError> {
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
        let mut turn = None;
        for _ in 0..MAX_ROUNDS {
            let target = self.find_target(&entry).await?;
            if target.exists {
                self.pipeline.ahead.forget(entry.id);
            }
            let facts = TargetFacts {
                exists: target.exists,
                partition_by: &target.shape.partition_by,
                format: target.entry.format,
            };
            check_mode(&entry, &facts)?;
            let outcome = match target.entry.format {
                TableFormat::Parquet => Box::pin(self.place_plain(&entry, &target)).await?,
                TableFormat::Delta => self.write(&entry, &target).boxed().await?,
            };
            match outcome {
                Outcome::Committed(entry) => {
                    return self.receipt(&entry).ok_or_else(|| IngestError::lost_task("receipt"));
                }
                // Another upload made the table first, or it was changed or deleted meanwhile. Of those that give it
                // columns one at a time does so from now on: the others would find it changed again.
                Outcome::StartOver if turn.is_none() => turn = Some(target.table.take_columns_turn().await),
                Outcome::StartOver => {}
                // Only groups are stopped, before they are entered; this one was.
                Outcome::Stopped { .. } => return Err(IngestError::lost_task("commit")),
                Outcome::Behind { app_id, newest } => {
                    return Err(TableError::from(CommitFailure::OffsetTaken { app_id, newest }).into());
                }
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
        let shape = match upload.table.table.is_quarantine() {
            true => quarantine::shape(),
            false => self.pipeline.infer(upload).await?,
        };
        let format = upload.options.table_format.unwrap_or(TableFormat::Delta);
        let plain_tables = &self.pipeline.settings.plain_tables;
        let wanted = sluice_catalog::NewTable {
            name: upload.table.clone(),
            zone: ZoneName::Raw,
            format,
            partition_by: upload.options.partition_by.clone(),
            folder: (format == TableFormat::Parquet).then(|| plain_tables.folder(&upload.table.table)),
            owner: upload.principal.clone(),
        };
        let entry = self.catalog.tables().reserve(&wanted).await?;
        match self.find_existing(upload, entry.clone()).await? {
            Some(target) => Ok(target),
            None => Ok(Target { table: self.shelf.get(&entry), entry, shape, terms: Arc::default(), exists: false }),
        }
    }

    /// The table of this name as it is; none if it has no version yet.
    pub(crate) async fn find_table(&self, name: &TableRef) -> Result<Option<Target>, IngestError> {
        let entry = match self.catalog.tables().find(name).await {
            Ok(entry) => entry,
            Err(CatalogError::TableNotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let table = self.shelf.get(&entry);
        let shape = match entry.format {
            TableFormat::Delta => self.existing_shape(&table).await?,
            TableFormat::Parquet => self.plain_shape(&entry).await?,
        };
        self.existing(entry, table, shape).await
    }

    async fn existing(
        &self,
        entry: TableEntry,
        table: Arc<Table>,
        shape: Option<Shape>,
    ) -> Result<Option<Target>, IngestError> {
        let Some(shape) = shape else { return Ok(None) };
        let terms = match entry.format {
            TableFormat::Delta => self.catalog.contracts().terms(entry.id).await?,
            // Their columns are those of their first upload.
            TableFormat::Parquet => {
                let suite = self.catalog.contracts().terms(entry.id).await?.suite;
                Terms { suite, ..Terms::default() }
            }
        };
        Ok(Some(Target { entry, table, shape, terms: Arc::new(terms), exists: true }))
    }

    /// Tell of a group of requests that is committed.
    pub(crate) fn committed_group(&self, entry: &UploadEntry, requests: usize) {
        let Some(receipt) = self.receipt(entry) else { return };
        let taken = Duration::from_millis(receipt.duration_ms);
        self.metrics.committed(&receipt.table, receipt.options.format, receipt.landed.size_bytes, taken);
        self.metrics.committed_group(requests, receipt.rows.committed);
        tracing::debug!(
            upload.id = %entry.id, table.name = %entry.table, table.version = receipt.version, requests,
            rows = receipt.rows.committed, duration_ms = receipt.duration_ms, "committed a group of requests"
        );
    }

    async fn find_existing(&self, upload: &UploadEntry, entry: TableEntry) -> Result<Option<Target>, IngestError> {
        check_format(&upload.options, entry.format)?;
        let table = self.shelf.get(&entry);
        let shape = match entry.format {
            TableFormat::Delta => self.existing_shape(&table).await?,
            TableFormat::Parquet => self.plain_shape(&entry).await?,
        };
        if let Some(shape) = &shape {
            check_asked(&upload.options, &shape.partition_by, &shape.layout)?;
        }
        self.existing(entry, table, shape).await
    }

    /// The shape of the table as it is; none if there is no version yet.
    async fn existing_shape(&self, table: &Table) -> Result<Option<Shape>, IngestError> {
        match table.describe(None).await {
            Ok(found) => {
                Ok(Some(Shape { schema: found.schema, partition_by: found.partition_by, layout: found.layout }))
            }
            Err(TableError::NotCreated) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The same of a plain table, as its files were written.
    async fn plain_shape(&self, entry: &TableEntry) -> Result<Option<Shape>, IngestError> {
        let latest = self.catalog.schemas().latest(entry.id).await?;
        Ok(latest.map(|latest| Shape::of_plain(latest.schema, &entry.partition_by)))
    }

    /// Whether an earlier try of this upload got as far as a commit.
    async fn find_committed(&self, entry: &UploadEntry) -> Result<Option<(TableEntry, CommittedEntry)>, IngestError> {
        let (Some(sequence), Some(id), Some(writer)) = (entry.sequence, entry.table_id, &entry.writer) else {
            return Ok(None);
        };
        let target = self.catalog.tables().find_by_id(id).await?;
        if target.format == TableFormat::Parquet {
            // Its commits are the catalog's own, which is what the entry says.
            return Ok(None);
        }
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
        let (version, rows) = (found.version, counts_in(&found, entry));
        let committed = CommittedUploads {
            table: target.id,
            entry: LogRecord { version, content: found.text() },
            uploads: vec![(entry.id, CommittedUpload { version, rows, committed_at: Utc::now() })],
            quarantined: quarantine::upload_of(entry).into_iter().collect(),
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
            effect: entry.prepared.as_ref().and_then(|prepared| prepared.effect.clone()),
            quality: entry.prepared.as_ref().and_then(|prepared| prepared.quality.clone()),
            committed_at,
            duration_ms,
            raw_object: self.pipeline.zones.get(ZoneName::Raw).url_of(&entry.landed.raw_path).into(),
        })
    }
}
