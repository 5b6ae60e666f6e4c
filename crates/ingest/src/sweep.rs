//! Takes up uploads that nobody is working on: after a crash, and after an outage of the store.
//!
//! Invariant: an upload is read from the ledger again under its claim, so that one that was finished meanwhile is left
//! alone.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use sluice_domain::{
    ErrorKind, Failure as _, PageRequest, Receipt, TableEntry, TableFormat, UploadEntry, UploadId, UploadState,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Ingest, IngestError,
    in_flight::{InFlight, Subject},
    road::Road,
};

/// How many uploads one pass takes up.
const MAX_PER_PASS: u32 = 10_000;
/// How many are finished at once: they share commits, and the slots of the pipeline bound the rest.
const AT_ONCE: usize = 16;
/// The longest wait between two tries of one upload.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// When the uploads that could not be finished are tried again.
#[derive(Default)]
struct Waits(HashMap<UploadId, Wait>);

struct Wait {
    tries: u32,
    until: Instant,
}

impl Waits {
    fn is_over(&self, id: UploadId) -> bool {
        self.0.get(&id).is_none_or(|wait| Instant::now() >= wait.until)
    }

    /// Each wait is twice as long as the one before.
    fn begin(&mut self, id: UploadId, shortest: Duration) {
        let wait = self.0.entry(id).or_insert(Wait { tries: 0, until: Instant::now() });
        wait.until = Instant::now() + shortest.saturating_mul(1 << wait.tries.min(16)).min(LONGEST_WAIT);
        wait.tries += 1;
    }
}

impl Ingest {
    /// Take up every upload whose bytes landed and whose outcome is not settled; gives how many there are. They are
    /// worked off one after the other while new ones are served; what comes to a halt later is taken up again.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn resume(&self) -> Result<usize, IngestError> {
        self.running.spawn(self.clone().check_tables());
        tokio::spawn(self.clone().forget_requests(self.stopping.clone()));
        self.running.spawn(self.clone().sweep_partials());
        let unfinished = self.unfinished().await?;
        let count = unfinished.len();
        let ingest = self.clone();
        let first = self.running.spawn(async move {
            let mut waits = Waits::default();
            ingest.finish_all(unfinished, &mut waits).await;
            waits
        });
        let (ingest, stopping) = (self.clone(), self.stopping.clone());
        tokio::spawn(async move {
            let Ok(waits) = first.await else { return };
            ingest.sweep(waits, stopping).await;
        });
        Ok(count)
    }

    /// Look at the log of every table, so that a damaged one is known before somebody asks for it.
    async fn check_tables(self) {
        let mut page = PageRequest { size: PageRequest::MAX_SIZE, token: None };
        loop {
            let tables = match self.road.catalog.tables().list(None, None, &page).await {
                Ok(tables) => tables,
                Err(error) => return tracing::warn!(%error, "could not look at the logs of the tables"),
            };
            for entry in &tables.items {
                if self.stopping.is_cancelled() {
                    return;
                }
                if let Err(error) = self.check_log(entry).await {
                    tracing::error!(table.name = %entry.name, %error, "a table's log is not as it should be");
                }
            }
            let Some(next) = tables.next else { return };
            page.token = Some(next);
        }
    }

    /// Look whether the newest commit that the ledger knows of this table still stands in its log; once in a process. A plain table has none.
    ///
    /// # Errors
    /// [`sluice_table::TableError::UntrustedLog`]; the catalog's, or the store's.
    pub async fn check_log(&self, entry: &TableEntry) -> Result<(), IngestError> {
        if entry.format == TableFormat::Parquet {
            return Ok(());
        }
        self.road.tails.check(entry.id, &self.road.shelf.get(entry)).await
    }

    async fn sweep(&self, mut waits: Waits, stopping: CancellationToken) {
        while tokio::time::timeout(self.retry_pause(), stopping.cancelled()).await.is_err() {
            if let Err(error) = self.remove_all_replayed().await {
                tracing::warn!(%error, "could not take replayed rows out of quarantine");
            }
            self.running.track_future(self.clone().sweep_partials()).await;
            match self.unfinished().await {
                Ok(_) if stopping.is_cancelled() => break,
                Ok(unfinished) => {
                    waits.0.retain(|id, _| unfinished.iter().any(|entry| entry.id == *id));
                    self.running.track_future(self.finish_all(unfinished, &mut waits)).await;
                }
                Err(error) => tracing::warn!(%error, "could not look for unfinished uploads"),
            }
        }
    }

    fn retry_pause(&self) -> Duration {
        Duration::from_secs(self.road.pipeline.settings.retry_seconds.max(1))
    }

    async fn unfinished(&self) -> Result<Vec<UploadEntry>, IngestError> {
        let taken = self.road.catalog.take_over().await?;
        if taken > 0 {
            tracing::info!(uploads = taken, "took over the uploads of a server that ended");
        }
        Ok(self.road.catalog.uploads().unfinished(MAX_PER_PASS).await?)
    }

    async fn finish_all(&self, entries: Vec<UploadEntry>, waits: &mut Waits) {
        let due: Vec<UploadId> = entries.into_iter().map(|entry| entry.id).filter(|id| waits.is_over(*id)).collect();
        let mut finishing = stream::iter(due)
            .map(|id| {
                // In a task of its own: what panics over one upload must not keep the others waiting.
                let ingest = self.clone();
                let finishing = tokio::spawn(async move { ingest.finish_unclaimed(id).await });
                async move { (id, finishing.await) }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((id, outcome)) = finishing.next().await {
            if let Err(error) = outcome.unwrap_or_else(|_| Err(IngestError::lost_task("task"))) {
                tracing::warn!(upload.id = %id, %error, "could not finish an upload");
                // What the upload needs is away, through no fault of its own: it goes on as soon as that is back.
                if error.kind() != ErrorKind::Unavailable {
                    waits.begin(id, self.retry_pause());
                }
            }
        }
    }

    pub(crate) async fn finish_quarantined(&self, receipt: &Receipt) {
        self.road.finish_quarantined(&self.in_flight, receipt).await;
    }

    pub(crate) async fn finish_unclaimed(&self, id: UploadId) -> Result<(), IngestError> {
        self.road.finish_unclaimed(&self.in_flight, id).await
    }
}

impl Road {
    /// Bring the bad rows of a committed upload into quarantine. They are durable and in the ledger: what keeps them
    /// from it now is made up for later.
    pub(crate) async fn finish_quarantined(&self, in_flight: &InFlight, receipt: &Receipt) {
        let id = receipt.upload_id.of_quarantine();
        if receipt.rows.quarantined > 0
            && let Err(error) = Box::pin(self.finish_unclaimed(in_flight, id)).await
        {
            tracing::warn!(upload.id = %id, %error, "could not bring bad rows into quarantine yet");
        }
    }

    async fn finish_unclaimed(&self, in_flight: &InFlight, id: UploadId) -> Result<(), IngestError> {
        let Some(_claim) = in_flight.claim(Subject::Upload(id)) else { return Ok(()) };
        let entry = self.catalog.uploads().find(id).await?;
        if !matches!(entry.state, UploadState::Landed | UploadState::Committing) || self.catalog.is_foreign(&entry) {
            return Ok(());
        }
        let receipt = self.finish(entry, true).await.map_err(|failure| failure.error)?;
        tracing::debug!(upload.id = %id, table.version = receipt.version, "finished an upload of the ledger");
        self.finish_quarantined(in_flight, &receipt).await;
        Ok(())
    }
}
