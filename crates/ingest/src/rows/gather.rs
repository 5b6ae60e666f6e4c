//! Requests that wait for a group, table by table: one task for each table that somebody writes to.
//!
//! Invariant: what is queued is taken by a task that runs; a task ends only while nothing is queued for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sluice_domain::TableRef;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::Instant,
};
use tokio_util::task::TaskTracker;

use super::{RowsSettings, error::RowsError, request::Waiting, write::GroupWriter};

/// What one permit stands for: a semaphore counts no further than 32 bits.
const UNIT_BYTES: usize = 1024;

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT_BYTES).min(Semaphore::MAX_PERMITS)
}

/// Gathers requests into groups and has them written.
pub(crate) struct Gatherer {
    pub(crate) writer: GroupWriter,
    settings: RowsSettings,
    places: Arc<Semaphore>,
    /// Of the bytes that wait, a permit for each [`UNIT_BYTES`].
    room: Arc<Semaphore>,
    queues: Mutex<HashMap<TableRef, mpsc::Sender<Waiting>>>,
    running: TaskTracker,
}

impl Gatherer {
    pub(crate) fn new(writer: GroupWriter, settings: RowsSettings, running: TaskTracker) -> Self {
        let places = Arc::new(Semaphore::new(settings.waiting_requests));
        let room = Arc::new(Semaphore::new(units(settings.waiting_bytes)));
        Self { writer, settings, places, room, queues: Mutex::default(), running }
    }

    /// Room for a body of this length.
    pub(super) fn take_room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, RowsError> {
        let units = u32::try_from(units(bytes)).unwrap_or(u32::MAX);
        let limit = self.settings.waiting_bytes;
        let taken = Arc::clone(&self.room).try_acquire_many_owned(units);
        taken.map_err(|_| RowsError::TooMany { what: "bytes of requests", limit })
    }

    /// A place among the requests that are under way.
    pub(super) fn take_place(&self) -> Result<OwnedSemaphorePermit, RowsError> {
        let limit = self.settings.waiting_requests;
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| RowsError::TooMany { what: "requests", limit })
    }

    /// Queue a request, or have one written that goes alone; it is answered through its own channel.
    pub(super) fn push(self: &Arc<Self>, request: Waiting) -> Result<(), RowsError> {
        if request.is_alone {
            let gatherer = Arc::clone(self);
            self.running.spawn(async move { gatherer.writer.commit(&request.table.clone(), vec![request]).await });
            return Ok(());
        }
        let mut queues = self.lock();
        let too_many = |_| RowsError::TooMany { what: "requests", limit: self.settings.waiting_requests };
        if let Some(queue) = queues.get(&request.table) {
            return queue.try_send(request).map_err(too_many);
        }
        if queues.len() >= self.settings.tables {
            return Err(RowsError::TooMany { what: "tables", limit: self.settings.tables });
        }
        let table = request.table.clone();
        // Never full: whoever sends holds a place.
        let (queue, requests) = mpsc::channel(self.settings.waiting_requests.max(1));
        queue.try_send(request).map_err(too_many)?;
        queues.insert(table.clone(), queue);
        let gathering = Gathering { gatherer: Arc::clone(self), table, requests, left_over: None };
        self.running.spawn(gathering.run());
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TableRef, mpsc::Sender<Waiting>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of one table.
struct Gathering {
    gatherer: Arc<Gatherer>,
    table: TableRef,
    requests: mpsc::Receiver<Waiting>,
    /// The one that did not go into the last group.
    left_over: Option<Waiting>,
}

/// How much a group holds.
#[derive(Default)]
struct Size {
    requests: usize,
    rows: u64,
    bytes: u64,
}

impl Gathering {
    async fn run(mut self) {
        let mut writing = JoinSet::new();
        while let Some(first) = self.first(&mut writing).await {
            while writing.len() >= self.gatherer.settings.groups_in_flight.max(1) {
                writing.join_next().await;
            }
            let group = self.gather(first).await;
            let (gatherer, table) = (Arc::clone(&self.gatherer), self.table.clone());
            writing.spawn(async move { gatherer.writer.commit(&table, group).await });
        }
    }

    /// The first request of the next group; none when the task is to end.
    async fn first(&mut self, writing: &mut JoinSet<()>) -> Option<Waiting> {
        loop {
            if let Some(first) = self.left_over.take() {
                return Some(first);
            }
            if writing.is_empty() {
                match self.requests.try_recv() {
                    Ok(first) => return Some(first),
                    Err(_) if self.retire() => return None,
                    Err(_) => continue,
                }
            }
            tokio::select! {
                first = self.requests.recv() => return first,
                _ = writing.join_next() => {}
            }
        }
    }

    /// End the task unless somebody has queued something.
    fn retire(&self) -> bool {
        let mut queues = self.gatherer.lock();
        if !self.requests.is_empty() {
            return false;
        }
        queues.remove(&self.table);
        true
    }

    /// Take what is queued, and what comes until the first one has waited long enough.
    async fn gather(&mut self, first: Waiting) -> Vec<Waiting> {
        let settings = &self.gatherer.settings;
        let deadline = Instant::from_std(first.since) + settings.max_wait();
        let mut size = Size::default();
        size.add(&first);
        let mut group = vec![first];
        while size.has_room(settings) {
            let next = match self.requests.try_recv() {
                Ok(next) => Some(next),
                Err(_) => tokio::time::timeout_at(deadline, self.requests.recv()).await.ok().flatten(),
            };
            let Some(next) = next else { break };
            size.add(&next);
            if !size.is_within(settings) {
                self.left_over = Some(next);
                break;
            }
            group.push(next);
        }
        group
    }
}

impl Size {
    fn add(&mut self, request: &Waiting) {
        self.requests += 1;
        self.rows += request.record.rows;
        self.bytes += request.lines.len() as u64;
    }

    fn is_within(&self, settings: &RowsSettings) -> bool {
        self.requests <= settings.max_requests && self.rows <= settings.max_rows && self.bytes <= settings.max_bytes
    }

    fn has_room(&self, settings: &RowsSettings) -> bool {
        self.requests < settings.max_requests && self.rows < settings.max_rows && self.bytes < settings.max_bytes
    }
}
