//! The workers that are warm.
//!
//! Invariant: there are no more workers than places for queries, besides those that are dying.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    lease::Lease,
    message::{Job, Request},
    process::{Worker, WorkerProgram},
    remote,
};
use crate::{QueryError, QueryRun, QuerySettings, engine::Engine, place::Place, run::Clock};

/// What the names of workers' folders for spilled data begin with.
const SPILL_PREFIX: &str = "query-worker-";

/// Workers that wait for queries.
pub(crate) struct Pool {
    settings: Arc<QuerySettings>,
    program: WorkerProgram,
    engine: Arc<Engine>,
    idle: Mutex<Vec<Worker>>,
    spill_dir: PathBuf,
    started: AtomicU64,
}

impl Pool {
    /// No workers yet; what those of a server that was killed have spilled is removed.
    pub(crate) fn new(settings: Arc<QuerySettings>, program: WorkerProgram, engine: Arc<Engine>) -> io::Result<Self> {
        let spill_dir = settings.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
        std::fs::create_dir_all(&spill_dir)?;
        let spill_dir = std::fs::canonicalize(spill_dir)?;
        remove_spilled(&spill_dir)?;
        Ok(Self { settings, program, engine, idle: Mutex::default(), spill_dir, started: AtomicU64::new(0) })
    }

    /// Run a query in a worker.
    pub(crate) async fn start(self: &Arc<Self>, job: Job, clock: Clock, place: Place) -> Result<QueryRun, QueryError> {
        remote::start(Arc::clone(self), job, clock, place).await
    }

    /// Where the server's side of queries runs.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// A worker that has taken this query, for the holder of a place.
    pub(crate) async fn lease(self: Arc<Self>, query: &Request, mut place: Place) -> Result<Lease, QueryError> {
        while let Some(warm) = self.take_idle() {
            let mut lease = Lease::new(Arc::clone(&self), warm, place);
            match lease.begin(query).await {
                Ok(()) => return Ok(lease),
                // It died while it waited, which is no fault of this query.
                Err(_) => place = lease.dissolve().await?,
            }
        }
        let fresh = self.start_worker().await?;
        let mut lease = Lease::new(self, fresh, place);
        match lease.begin(query).await {
            Ok(()) => Ok(lease),
            Err(lost) => Err(lease.lost(lost).await),
        }
    }

    fn take_idle(&self) -> Option<Worker> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop()).find_map(|mut worker| worker.is_alive().then_some(worker))
    }

    async fn start_worker(&self) -> Result<Worker, QueryError> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let spill_dir = self.spill_dir.join(format!("{SPILL_PREFIX}{}-{number}", std::process::id()));
        Worker::start(&self.program, &self.settings, spill_dir).await
    }

    /// Keep a worker that is ready for the next query.
    pub(crate) fn give_back(&self, worker: Worker) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.settings.concurrency.max(1) {
            idle.push(worker);
        }
    }

    /// Start a worker in the place of one that has ended, so that the next query finds one warm.
    pub(crate) async fn refill(&self, place: Place) {
        match self.start_worker().await {
            Ok(worker) => self.give_back(worker),
            Err(error) => tracing::warn!(%error, "a query worker could not be started"),
        }
        drop(place);
    }
}

fn remove_spilled(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(SPILL_PREFIX) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
