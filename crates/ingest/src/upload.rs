//! The road of one upload: land, ledger, pipeline, commit, receipt; and its resumption after a crash.
//!
//! Invariant: what is spawned here runs to its end whether or not the client still listens.
//! Invariant: a sequence is handed out and committed under the table's turn, and an upload that had one before is
//! looked up in the log first; so its rows are in the table once.

use std::{path::Path, sync::Arc, time::Duration};

use chrono::Utc;
use sluice_catalog::{Catalog, CommittedUpload, NewSchemaVersion, NewUpload};
use sluice_domain::{
    Grant, IdempotencyKey, ReadOptions, Receipt, RowCounts, StoredFailure, TableEntry, TableFormat, TableRef,
    UploadEntry, UploadId, UploadState, ZoneName,
};
use sluice_storage::Zones;
use sluice_table::{Commit, CreateOutcome, NewTable, Shelf, Table, TableError, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::{
    Body, IngestError, IngestMetrics, IngestSettings, UploadFailure,
    in_flight::{InFlight, KeyClaim},
    land::Intake,
    pipeline::{Pipeline, Shape, Written},
};

/// The name under which commits stand in the Delta logs.
const APP_ID: &str = "sluice";
/// The tag of a commit that names the upload which made it.
pub const UPLOAD_TAG: &str = "sluice.upload_id";
/// How often an upload starts over because another one made the table first.
const MAX_ROUNDS: usize = 3;
/// How many unfinished uploads are resumed at start.
const MAX_RESUMED: u32 = 100_000;

/// An upload that is wanted.
#[derive(Debug, Clone)]
pub struct UploadRequest {
    /// The table to add to.
    pub table: TableRef,
    /// How the bytes are read.
    pub options: ReadOptions,
    /// The client's name of the file.
    pub file_name: Option<String>,
    /// What makes the request repeatable.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// A committed upload.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The receipt.
    pub receipt: Receipt,
    /// Whether it was committed by an earlier request.
    pub replayed: bool,
}

/// The ingestion service. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    road: Arc<Road>,
    in_flight: InFlight,
    places: Arc<Semaphore>,
    running: TaskTracker,
}

/// What uploads are put into.
#[derive(Clone)]
pub struct Lake {
    /// Where the zones are.
    pub zones: Arc<Zones>,
    /// What exists, and the ledger.
    pub catalog: Catalog,
    /// The open tables.
    pub shelf: Arc<Shelf>,
}

struct Road {
    pipeline: Pipeline,
    catalog: Catalog,
    shelf: Arc<Shelf>,
    metrics: IngestMetrics,
}

impl Ingest {
    /// The service over this lake; scratch files go into `scratch_dir`, which must exist.
    pub fn new(settings: IngestSettings, lake: Lake, metrics: IngestMetrics, scratch_dir: &Path) -> Self {
        let places = Arc::new(Semaphore::new(settings.concurrent_uploads));
        let Lake { zones, catalog, shelf } = lake;
        let pipeline = Pipeline::new(settings, zones, scratch_dir.to_owned());
        let road = Arc::new(Road { pipeline, catalog, shelf, metrics });
        Self { road, in_flight: InFlight::default(), places, running: TaskTracker::new() }
    }

    /// Take a body, keep it in the raw zone, and add its rows to the table.
    ///
    /// # Errors
    /// Why nothing was committed. Where the failure names an upload, its bytes are in the raw zone.
    pub async fn append(
        &self,
        grant: &Grant,
        request: UploadRequest,
        body: Body<'_>,
    ) -> Result<Outcome, UploadFailure> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| IngestError::TooManyUploads { limit: self.road.pipeline.settings.concurrent_uploads })?;
        let claim = match &request.idempotency_key {
            Some(key) => Some(self.in_flight.claim(key).ok_or(IngestError::KeyInFlight)?),
            None => None,
        };
        let known = self.find_known(&request).await?;
        let intake = Intake::new(body, &self.road.pipeline.settings);
        let entry = match known {
            Some(entry) => {
                self.check_same(&entry, &request, intake).await?;
                match (entry.state, &entry.failure) {
                    (UploadState::Committed, _) => {
                        let receipt = self.receipt(&entry).ok_or(IngestError::lost_task("receipt"))?;
                        return Ok(Outcome { receipt, replayed: true });
                    }
                    (UploadState::Failed, Some(failure)) => {
                        return Err(UploadFailure { upload_id: Some(entry.id), error: failure.clone().into() });
                    }
                    _ => entry,
                }
            }
            None => self.road.land(grant, request, intake).await?,
        };
        let receipt = self.finish(entry, place, claim).await?;
        Ok(Outcome { receipt, replayed: false })
    }

    /// The receipt of a committed upload.
    pub fn receipt(&self, entry: &UploadEntry) -> Option<Receipt> {
        self.road.receipt(entry)
    }

    /// Resume every upload whose bytes landed and whose outcome is not settled; gives how many there are.
    /// They are worked off one after the other while new ones are served.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn resume(&self) -> Result<usize, IngestError> {
        let unfinished = self.road.catalog.uploads().unfinished(MAX_RESUMED).await?;
        let count = unfinished.len();
        let claimed: Vec<_> = unfinished
            .into_iter()
            .map(|entry| (entry.idempotency_key.as_ref().and_then(|key| self.in_flight.claim(key)), entry))
            .collect();
        let road = Arc::clone(&self.road);
        self.running.spawn(async move {
            for (claim, entry) in claimed {
                let id = entry.id;
                match road.finish(entry).await {
                    Ok(receipt) => tracing::info!(upload.id = %id, version = receipt.version, "resumed an upload"),
                    Err(failure) => tracing::warn!(upload.id = %id, %failure, "could not resume an upload"),
                }
                drop(claim);
            }
        });
        Ok(count)
    }

    /// Wait until every upload under way has an outcome, for as long as the grace allows; says whether all have.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.running.close();
        tokio::time::timeout(grace, self.running.wait()).await.is_ok()
    }

    async fn find_known(&self, request: &UploadRequest) -> Result<Option<UploadEntry>, IngestError> {
        match &request.idempotency_key {
            Some(key) => Ok(self.road.catalog.uploads().find_by_key(&key.scope, &key.key).await?),
            None => Ok(None),
        }
    }

    async fn check_same(
        &self,
        known: &UploadEntry,
        request: &UploadRequest,
        intake: Intake<'_>,
    ) -> Result<(), IngestError> {
        if known.options != request.options {
            return Err(IngestError::KeyReused("an upload with other options"));
        }
        let digest = intake.digest().await?;
        if digest.sha256 != known.landed.sha256 {
            return Err(IngestError::KeyReused("another body"));
        }
        Ok(())
    }

    async fn finish(
        &self,
        entry: UploadEntry,
        place: OwnedSemaphorePermit,
        claim: Option<KeyClaim>,
    ) -> Result<Receipt, UploadFailure> {
        let (road, id) = (Arc::clone(&self.road), entry.id);
        let task = self.running.spawn(async move {
            let outcome = road.finish(entry).await;
            drop((place, claim));
            outcome
        });
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, upload.id = %id, "an upload ended without an outcome");
            Err(UploadFailure { upload_id: Some(id), error: IngestError::lost_task("task") })
        })
    }
}

impl Road {
    async fn land(
        &self,
        grant: &Grant,
        request: UploadRequest,
        intake: Intake<'_>,
    ) -> Result<UploadEntry, IngestError> {
        let (id, started_at) = (UploadId(Uuid::now_v7()), Utc::now());
        let (TableRef { namespace, table }, options) = (&request.table, &request.options);
        let (format, compression) = (options.format, options.compression.extension());
        let raw_path = format!("uploads/{namespace}/{table}/{id}.{format}{compression}");
        let landed = intake.land(self.pipeline.zones.get(ZoneName::Raw), raw_path).await?;
        let upload = NewUpload {
            id,
            table: request.table,
            principal: grant.principal().to_owned(),
            idempotency_key: request.idempotency_key,
            file_name: request.file_name,
            options: request.options,
            landed,
            started_at,
        };
        self.catalog.uploads().land(&upload).await?;
        Ok(self.catalog.uploads().find(id).await?)
    }

    /// Bring a landed upload to its outcome, and write that down.
    async fn finish(&self, entry: UploadEntry) -> Result<Receipt, UploadFailure> {
        let (id, keyed) = (entry.id, entry.idempotency_key.is_some());
        let table = entry.table.clone();
        let error = match self.place(entry).await {
            Ok(receipt) => {
                let taken = Duration::from_millis(receipt.duration_ms);
                self.metrics.committed(&receipt.table, receipt.format, receipt.landed.size_bytes, taken);
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
        if let Err(error) = self.write_down(id, keyed, &error).await {
            tracing::error!(upload.id = %id, %error, "could not write down that an upload failed");
        }
        Err(UploadFailure { upload_id: Some(id), error })
    }

    /// An upload that may still succeed stays open if its client can ask for it again, or if its commit may have taken.
    async fn write_down(&self, id: UploadId, keyed: bool, error: &IngestError) -> Result<(), IngestError> {
        if !error.is_final() && (keyed || self.catalog.uploads().find(id).await?.state == UploadState::Committing) {
            return Ok(());
        }
        Ok(self.catalog.uploads().fail(id, &StoredFailure::from(error)).await?)
    }

    async fn place(&self, entry: UploadEntry) -> Result<Receipt, IngestError> {
        if let Some((table, version)) = self.find_committed(&entry).await? {
            return self.settle(&entry, &table, version, None).await;
        }
        for _ in 0..MAX_ROUNDS {
            let target = self.reserve(&entry).await?;
            let table = self.shelf.get(&target);
            let (shape, exists) = match self.existing_shape(&entry, &table).await? {
                Some(shape) => (shape, true),
                None => (self.pipeline.infer(&entry).await?, false),
            };
            let written = self.pipeline.write(&entry, &shape, &table).await?;
            let rows = written.rows;
            if let Some(version) = self.commit(&entry, &target, &table, (shape, exists), written).await? {
                return self.settle(&entry, &target, version, Some(rows)).await;
            }
        }
        Err(TableError::Contended { attempts: MAX_ROUNDS as u32 }.into())
    }

    async fn reserve(&self, entry: &UploadEntry) -> Result<TableEntry, IngestError> {
        let table = sluice_catalog::NewTable {
            name: entry.table.clone(),
            zone: ZoneName::Raw,
            format: TableFormat::Delta,
            partition_by: entry.options.partition_by.clone(),
            owner: entry.principal.clone(),
        };
        Ok(self.catalog.tables().reserve(&table).await?)
    }

    /// The shape of the table as it is, checked against what the upload asks for; none if there is no version yet.
    async fn existing_shape(&self, entry: &UploadEntry, table: &Table) -> Result<Option<Shape>, IngestError> {
        if table.find_version().await?.is_none() {
            return Ok(None);
        }
        let description = table.describe(None).await?;
        let (actual, asked) = (&description.partition_by, &entry.options.partition_by);
        let same = actual.len() == asked.len() && actual.iter().zip(asked).all(|(a, b)| a.eq_ignore_ascii_case(b));
        if !asked.is_empty() && !same {
            return Err(IngestError::OtherPartitioning { actual: actual.join(", "), asked: asked.join(", ") });
        }
        Ok(Some(Shape { schema: description.schema, partition_by: description.partition_by }))
    }

    /// Commit the files; none if another upload made the table first, so that the files may not fit it.
    async fn commit(
        &self,
        entry: &UploadEntry,
        target: &TableEntry,
        table: &Table,
        (shape, exists): (Shape, bool),
        written: Written,
    ) -> Result<Option<u64>, IngestError> {
        let _turn = table.take_turn().await;
        let sequence = self.catalog.uploads().begin_commit(entry.id, target.id).await?;
        let tags = [
            (UPLOAD_TAG, entry.id.to_string()),
            ("sluice.sha256", entry.landed.sha256.clone()),
            ("sluice.principal", entry.principal.clone()),
        ];
        let commit = Commit {
            files: written.files,
            transaction: Transaction { app_id: APP_ID.into(), sequence },
            tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        };
        if exists {
            return Ok(Some(table.append(&commit).await?));
        }
        let new = NewTable { name: target.name.to_string(), schema: shape.schema, partition_by: shape.partition_by };
        Ok(match table.create(&new, &commit).await? {
            CreateOutcome::Created(version) => Some(version),
            CreateOutcome::Exists => None,
        })
    }

    /// Whether an earlier try of this upload got as far as a commit.
    async fn find_committed(&self, entry: &UploadEntry) -> Result<Option<(TableEntry, u64)>, IngestError> {
        let (Some(sequence), Some(id)) = (entry.sequence, entry.table_id) else { return Ok(None) };
        let target = self.catalog.tables().find_by_id(id).await?;
        let table = self.shelf.get(&target);
        let _turn = table.take_turn().await;
        let version = table.find_committed(&Transaction { app_id: APP_ID.into(), sequence }).await?;
        Ok(version.map(|version| (target, version)))
    }

    /// Write down what the log says: the table is there, its schema, the upload's version.
    async fn settle(
        &self,
        entry: &UploadEntry,
        target: &TableEntry,
        version: u64,
        rows: Option<u64>,
    ) -> Result<Receipt, IngestError> {
        let table = self.shelf.get(target);
        if version == 0 || rows.is_none() {
            let description = table.describe(Some(version)).await?;
            self.catalog.tables().activate(target.id, &description.partition_by).await?;
            let schema = NewSchemaVersion {
                table_id: target.id,
                table_version: version,
                schema: description.schema.as_ref().clone(),
                upload_id: Some(entry.id),
                principal: entry.principal.clone(),
            };
            self.catalog.schemas().record(&schema).await?;
        }
        let rows = match rows {
            Some(rows) => rows,
            None => table.versions(Some(version + 1), 1).await?.first().map_or(0, |version| version.rows_added),
        };
        let committed = CommittedUpload { version, rows: RowCounts::all_committed(rows), committed_at: Utc::now() };
        let entry = self.catalog.uploads().commit(entry.id, &committed).await?;
        self.receipt(&entry).ok_or_else(|| IngestError::lost_task("receipt"))
    }

    fn receipt(&self, entry: &UploadEntry) -> Option<Receipt> {
        let (version, rows, committed_at) = (entry.version?, entry.rows?, entry.committed_at?);
        let duration_ms = (committed_at - entry.started_at).num_milliseconds().max(0).unsigned_abs();
        Some(Receipt {
            upload_id: entry.id,
            table: entry.table.clone(),
            version,
            format: entry.options.format,
            landed: entry.landed.clone(),
            rows,
            committed_at,
            duration_ms,
            raw_object: self.pipeline.zones.get(ZoneName::Raw).url_of(&entry.landed.raw_path).into(),
        })
    }
}
