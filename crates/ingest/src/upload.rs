//! The ingestion service: takes uploads, answers repeated ones, resumes what a crash cut off, and drains at the end.
//!
//! Invariant: what is spawned here runs to its end whether or not the client still listens.

use std::{path::Path, sync::Arc, time::Duration};

use sluice_catalog::Catalog;
use sluice_domain::{
    Grant, IdempotencyKey, PlainSnapshot, ReadOptions, Receipt, TableEntry, TableFormat, TableRef, UploadEntry,
    UploadId,
};
use sluice_storage::Zones;
use sluice_table::{Description, Shelf, VersionEntry, describe_plain};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    Body, IngestError, IngestMetrics, IngestSettings, ProgressBoard, TailCheck, UploadFailure,
    commit_queue::CommitQueue,
    descriptions::Descriptions,
    in_flight::{Claim, InFlight, Subject},
    land::Intake,
    pipeline::Pipeline,
    plain::PlainTables,
    road::Road,
    rows::{Gatherer, GroupWriter},
    upkeep::{Bell, Upkeep},
};

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
    /// Whether the answer may come before the commit, once the bytes are durable.
    pub respond_async: bool,
}

/// What came of an upload by the time of the answer.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Its rows are in the table by this request.
    Committed(Receipt),
    /// Its rows are in the table by an earlier request.
    Replayed(Receipt),
    /// Its bytes are durable, and it will be finished whatever happens.
    Landed(Box<UploadEntry>),
}

/// The ingestion service. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    pub(crate) road: Arc<Road>,
    pub(crate) in_flight: InFlight,
    pub(crate) rows: Arc<Gatherer>,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) partial_dir: Arc<Path>,
    pub(crate) running: TaskTracker,
    pub(crate) stopping: CancellationToken,
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

impl Ingest {
    /// The service over this lake; scratch files go into `scratch_dir`, which must exist.
    ///
    /// # Errors
    /// The processes that decode cannot be started.
    pub fn new(
        settings: IngestSettings,
        lake: Lake,
        metrics: IngestMetrics,
        scratch_dir: &Path,
    ) -> std::io::Result<Self> {
        if !settings.plain_tables.is_usable() {
            let reason = "ingest.plain_tables.prefix names no folder that plain tables can have for themselves";
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, reason));
        }
        let places = Arc::new(Semaphore::new(settings.concurrent_uploads));
        let Lake { zones, catalog, shelf } = lake;
        let tails = Arc::new(TailCheck::new(catalog.clone()));
        let (bell, wanted) = Bell::new(&settings.upkeep);
        let upkeep = Upkeep { settings: settings.upkeep.clone(), catalog: catalog.clone(), shelf: Arc::clone(&shelf) };
        let queue = CommitQueue::new(catalog.clone(), Arc::clone(&tails), bell);
        let partial_dir = settings.resumable.dir.clone().unwrap_or_else(|| scratch_dir.join("partial"));
        std::fs::create_dir_all(&partial_dir)?;
        let pipeline = Pipeline::new(settings, zones, scratch_dir.to_owned())?;
        let plain = PlainTables::new(catalog.clone());
        let descriptions = Descriptions::new(catalog.clone(), Arc::clone(&shelf));
        let road = Arc::new(Road { pipeline, catalog, shelf, metrics, queue, tails, plain, descriptions });
        let (in_flight, running, stopping) = (InFlight::default(), TaskTracker::new(), CancellationToken::new());
        let writer = GroupWriter::new(Arc::clone(&road), in_flight.clone());
        let rows = Arc::new(Gatherer::new(writer, road.pipeline.settings.rows.clone(), running.clone()));
        tokio::spawn(upkeep.run(wanted, CancellationToken::clone(&stopping)));
        Ok(Self { road, in_flight, rows, places, partial_dir: partial_dir.into(), running, stopping })
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
        if request.table.table.is_quarantine() {
            return Err(IngestError::reserved_name(&request.table).into());
        }
        let place = self.take_place()?;
        self.road.pipeline.check_space().map_err(IngestError::from)?;
        let _key = match &request.idempotency_key {
            Some(key) => Some(self.in_flight.claim(Subject::Key(key.clone())).ok_or(IngestError::KeyInFlight)?),
            None => None,
        };
        let intake = Intake::new(body, &self.road.pipeline.settings);
        let known = self.find_known(&request).await?;
        // Claimed before the ledger knows it: nobody else may take it for one that came to a halt.
        let id = known.as_ref().map_or_else(|| UploadId(Uuid::now_v7()), |entry| entry.id);
        let claim = self.in_flight.claim(Subject::Upload(id)).ok_or(IngestError::KeyInFlight)?;
        let entry = match known {
            None => self.road.land(id, grant, &request, intake).await?,
            Some(entry) => {
                check_same(&entry, &request, intake).await?;
                // Read again: it may have come to its outcome before it was claimed.
                let entry = self.road.catalog.uploads().find(id).await?;
                if let Some(failure) = entry.failure {
                    return Err(UploadFailure { upload_id: Some(entry.id), error: failure.into() });
                }
                if let Some(receipt) = self.receipt(&entry) {
                    return Ok(Outcome::Replayed(receipt));
                }
                self.own(entry).await?
            }
        };
        let (landed, respond_async) = (entry.clone(), request.respond_async);
        let asked_again = respond_async || request.idempotency_key.is_some();
        let finishing = self.finish(entry, asked_again, (place, claim));
        if respond_async {
            return Ok(Outcome::Landed(Box::new(landed)));
        }
        finishing.await.map(Outcome::Committed)
    }

    /// The right to take the bytes of an upload, for as long as it is held.
    pub(crate) fn take_place(&self) -> Result<OwnedSemaphorePermit, IngestError> {
        let limit = self.road.pipeline.settings.concurrent_uploads;
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| IngestError::TooManyUploads { limit })
    }

    /// How far the uploads are that this server works on.
    pub fn progress(&self) -> &ProgressBoard {
        &self.road.pipeline.progress
    }

    /// The receipt of a committed upload.
    pub fn receipt(&self, entry: &UploadEntry) -> Option<Receipt> {
        self.road.receipt(entry)
    }

    /// Describe a table of any format at its newest version.
    ///
    /// # Errors
    /// The table's, the catalog's, or the store's.
    pub async fn describe(&self, entry: &TableEntry) -> Result<Description, IngestError> {
        match self.plain_snapshot(entry).await? {
            Some(snapshot) => Ok(describe_plain(&snapshot, None)?),
            None => self.road.descriptions.newest(entry).await,
        }
    }

    /// The versions of a table of any format, those below `before` or the newest, newest first.
    ///
    /// # Errors
    /// The table's, the catalog's, or the store's.
    pub async fn versions(
        &self,
        entry: &TableEntry,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<VersionEntry>, IngestError> {
        match entry.format {
            TableFormat::Parquet => self.road.plain.versions(entry, before, limit).await,
            TableFormat::Delta => Ok(self.road.shelf.get(entry).versions(before, limit).await?),
        }
    }

    /// What a reader needs to know of a plain table; none of a table with a log, which tells it itself.
    ///
    /// # Errors
    /// The catalog's; a failure of kind [`sluice_domain::ErrorKind::TooLarge`] for a table of too many files.
    pub async fn plain_snapshot(&self, entry: &TableEntry) -> Result<Option<Arc<PlainSnapshot>>, IngestError> {
        match entry.format {
            TableFormat::Parquet => Ok(Some(self.road.plain.snapshot(entry).await?)),
            TableFormat::Delta => Ok(None),
        }
    }

    /// Wait until every upload under way has an outcome, for as long as the grace allows; says whether all have.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.stopping.cancel();
        self.running.close();
        tokio::time::timeout(grace, self.running.wait()).await.is_ok()
    }

    /// The entry as this server's; another server that works on it must have ended.
    pub(crate) async fn own(&self, entry: UploadEntry) -> Result<UploadEntry, IngestError> {
        let catalog = &self.road.catalog;
        if !catalog.is_foreign(&entry) {
            return Ok(entry);
        }
        catalog.take_over().await?;
        let entry = catalog.uploads().find(entry.id).await?;
        if catalog.is_foreign(&entry) { Err(IngestError::KeyInFlight) } else { Ok(entry) }
    }

    async fn find_known(&self, request: &UploadRequest) -> Result<Option<UploadEntry>, IngestError> {
        match &request.idempotency_key {
            Some(key) => Ok(self.road.catalog.uploads().find_by_key(&key.scope, &key.key).await?),
            None => Ok(None),
        }
    }

    /// Start to finish a landed upload; the work goes on if nobody waits for it.
    pub(crate) fn finish(
        &self,
        entry: UploadEntry,
        asked_again: bool,
        held: (OwnedSemaphorePermit, Claim),
    ) -> impl Future<Output = Result<Receipt, UploadFailure>> + use<> {
        let (ingest, id) = (self.clone(), entry.id);
        let task = self.running.spawn(async move {
            let outcome = ingest.road.finish(entry, asked_again).await;
            if let Ok(receipt) = &outcome {
                ingest.finish_quarantined(receipt).await;
            }
            drop(held);
            outcome
        });
        async move {
            task.await.unwrap_or_else(|error| {
                tracing::error!(%error, upload.id = %id, "an upload ended without an outcome");
                Err(UploadFailure { upload_id: Some(id), error: IngestError::lost_task("task") })
            })
        }
    }
}

/// Whether the request is the one that its key was used for.
async fn check_same(known: &UploadEntry, request: &UploadRequest, intake: Intake<'_>) -> Result<(), IngestError> {
    if !known.options.is_asked_by(&request.options) {
        return Err(IngestError::KeyReused("an upload with other options"));
    }
    if intake.digest().await?.sha256 != known.landed.sha256 {
        return Err(IngestError::KeyReused("another body"));
    }
    Ok(())
}
