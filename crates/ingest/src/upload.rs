//! The ingestion service: takes uploads, answers repeated ones, resumes what a crash cut off, and drains at the end.
//!
//! Invariant: what is spawned here runs to its end whether or not the client still listens.

use std::{path::Path, sync::Arc, time::Duration};

use sluice_catalog::Catalog;
use sluice_domain::{Grant, IdempotencyKey, ReadOptions, Receipt, TableRef, UploadEntry};
use sluice_storage::Zones;
use sluice_table::Shelf;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::{
    Body, IngestError, IngestMetrics, IngestSettings, UploadFailure,
    in_flight::{InFlight, KeyClaim},
    land::Intake,
    pipeline::Pipeline,
    road::Road,
};

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
        let intake = Intake::new(body, &self.road.pipeline.settings);
        let entry = match self.find_known(&request).await? {
            None => self.road.land(grant, request, intake).await?,
            Some(entry) => {
                check_same(&entry, &request, intake).await?;
                if let Some(failure) = entry.failure {
                    return Err(UploadFailure { upload_id: Some(entry.id), error: failure.into() });
                }
                if let Some(receipt) = self.receipt(&entry) {
                    return Ok(Outcome { receipt, replayed: true });
                }
                entry
            }
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
                match road.finish(entry, true).await {
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

    async fn finish(
        &self,
        entry: UploadEntry,
        place: OwnedSemaphorePermit,
        claim: Option<KeyClaim>,
    ) -> Result<Receipt, UploadFailure> {
        let (road, id, keyed) = (Arc::clone(&self.road), entry.id, claim.is_some());
        let task = self.running.spawn(async move {
            let outcome = road.finish(entry, keyed).await;
            drop((place, claim));
            outcome
        });
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, upload.id = %id, "an upload ended without an outcome");
            Err(UploadFailure { upload_id: Some(id), error: IngestError::lost_task("task") })
        })
    }
}

/// Whether the request is the one that its key was used for.
async fn check_same(known: &UploadEntry, request: &UploadRequest, intake: Intake<'_>) -> Result<(), IngestError> {
    if known.options != request.options {
        return Err(IngestError::KeyReused("an upload with other options"));
    }
    if intake.digest().await?.sha256 != known.landed.sha256 {
        return Err(IngestError::KeyReused("another body"));
    }
    Ok(())
}
