//! The road of a query: guard, place, statement, tables, plan, rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use sluice_domain::{Caller, TableRef};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant as Deadline, timeout, timeout_at},
};

use crate::{
    OpenedTable, QueryError, QueryRun, QuerySettings, TableSource,
    engine::Engine,
    guard,
    interruption::Stop,
    planner::Planning,
    run::Clock,
    statement::{self, ReadOnly},
};

/// What a caller asks.
#[derive(Debug, Clone, Default)]
pub struct QueryRequest {
    /// One `SELECT`, or `EXPLAIN` of one; tables are written `namespace.table`, or
    /// `namespace.table VERSION AS OF 3`.
    pub sql: String,
    /// How many rows are wanted at the most.
    pub row_limit: RowLimit,
    /// The versions that tables are read at, where the text does not say; others are read at their newest.
    pub versions: BTreeMap<TableRef, u64>,
}

/// How many rows a query answers at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowLimit {
    /// As many as the settings give to those who do not say.
    #[default]
    Default,
    /// So many, but never more than the settings allow.
    AtMost(u64),
    /// All, for answers that are read as a stream; the limits on time and memory hold.
    None,
}

/// Runs queries, so many at a time.
pub struct QueryService {
    settings: Arc<QuerySettings>,
    source: Arc<dyn TableSource>,
    engine: Engine,
    /// One permit for each query that runs or waits.
    admitted: Arc<Semaphore>,
    /// One permit for each query that runs.
    running: Arc<Semaphore>,
}

/// A query's place among those that run; shared by all its parts, given back by the last.
type Place = Arc<(OwnedSemaphorePermit, OwnedSemaphorePermit)>;

impl QueryService {
    /// Start the threads that queries run on.
    ///
    /// # Errors
    /// What the system says where it gives no threads.
    pub fn new(settings: QuerySettings, source: Arc<dyn TableSource>) -> io::Result<Self> {
        let running = settings.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let admitted = running.saturating_add(settings.queue).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            engine: Engine::start(running)?,
            admitted: Arc::new(Semaphore::new(admitted)),
            running: Arc::new(Semaphore::new(running)),
            settings: Arc::new(settings),
            source,
        })
    }

    /// Plan a query and begin to run it.
    ///
    /// # Errors
    /// Any [`QueryError`]; those about values come later, from [`QueryRun::next_batch`].
    pub async fn run(&self, caller: &Caller, request: QueryRequest) -> Result<QueryRun, QueryError> {
        let tokens = guard::tokenize(&request.sql, self.settings.max_sql_bytes)?;
        let place = self.place().await?;
        let clock = self.clock();
        let row_limit = self.settings.row_limit(request.row_limit);

        let held = Arc::clone(&place);
        let statement = self.engine.plan(async move { hold(held, async { statement::parse(tokens) }).await }).await?;
        let wanted = wanted_versions(&statement, &request.versions)?;
        let tables = timeout_at(clock.deadline, self.open(caller, wanted)).await.map_err(|_| clock.timed_out())??;
        let versions = tables.iter().map(|(name, table)| (name.clone(), table.version)).collect();

        let (held, settings) = (Arc::clone(&place), Arc::clone(&self.settings));
        let stop = Stop::at(clock.deadline.into_std());
        let planning = Planning { statement, tables, row_limit, requests: Handle::current(), stop };
        let step = async move { hold(held, Box::pin(planning.plan(&settings))).await };
        let planned = timeout_at(clock.deadline, self.engine.plan(step)).await.map_err(|_| clock.timed_out())??;

        let mut run = QueryRun::start(&self.engine, planned, row_limit, clock, place);
        run.tables = versions;
        Ok(run)
    }

    /// Wait for a place among those that run.
    async fn place(&self) -> Result<Place, QueryError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| QueryError::Busy)?;
        let patience = Duration::from_secs(self.settings.timeout_seconds);
        match timeout(patience, Arc::clone(&self.running).acquire_owned()).await {
            Ok(Ok(running)) => Ok(Arc::new((admitted, running))),
            _ => Err(QueryError::Busy),
        }
    }

    fn clock(&self) -> Clock {
        let timeout_seconds = self.settings.timeout_seconds;
        let deadline = Deadline::now() + Duration::from_secs(timeout_seconds);
        Clock { started: Instant::now(), deadline, timeout_seconds }
    }

    async fn open(
        &self,
        caller: &Caller,
        wanted: BTreeMap<TableRef, Option<u64>>,
    ) -> Result<BTreeMap<TableRef, OpenedTable>, QueryError> {
        let mut tables = BTreeMap::new();
        for (table, version) in wanted {
            match self.source.open(caller, &table, version).await {
                Ok(opened) => tables.insert(table, opened),
                Err(failure) => return Err(QueryError::Table { table, failure }),
            };
        }
        Ok(tables)
    }
}

/// Do a step of a query that holds its place until the step has ended.
async fn hold<T>(place: Place, step: impl Future<Output = T>) -> T {
    let done = step.await;
    drop(place);
    done
}

/// The one version that each table is read at.
fn wanted_versions(
    statement: &ReadOnly,
    pinned: &BTreeMap<TableRef, u64>,
) -> Result<BTreeMap<TableRef, Option<u64>>, QueryError> {
    let names: BTreeSet<&TableRef> = statement.tables.values().collect();
    if let Some(stranger) = pinned.keys().find(|name| !names.contains(name)) {
        return Err(QueryError::Plan { message: format!("a version is given for {stranger}, which is not queried") });
    }
    names.into_iter().map(|name| Ok((name.clone(), wanted_version(name, statement, pinned)?))).collect()
}

fn wanted_version(
    name: &TableRef,
    statement: &ReadOnly,
    pinned: &BTreeMap<TableRef, u64>,
) -> Result<Option<u64>, QueryError> {
    let pinned = pinned.get(name).copied();
    let asked = statement.versions.get(name).into_iter().flatten().map(|version| version.or(pinned));
    let mut versions: BTreeSet<Option<u64>> = asked.collect();
    match (versions.pop_first(), versions.is_empty()) {
        (first, true) => Ok(first.unwrap_or(pinned)),
        _ => Err(QueryError::Plan { message: format!("{name} is read at two versions; one query reads one") }),
    }
}
