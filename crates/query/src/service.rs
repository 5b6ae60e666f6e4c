//! The road of a query: guard, place, statement, tables, plan, rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::datatypes::SchemaRef;
use sluice_domain::{Caller, TableRef, lineage::SqlLineage};
use tokio::{
    sync::Semaphore,
    time::{Instant as Deadline, timeout, timeout_at},
};

use crate::{
    QueryError, QueryRun, QuerySettings, TableOpener, TableResolver, WorkerProgram,
    engine::Engine,
    executor::{Executor, Manner, Resolved, Wish},
    guard, lineage,
    place::{Place, hold},
    run::Clock,
    statement,
    views::Resolution,
    worker::{Job, Pool},
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
    /// The tables of which the statement must be right over new rows alone, and after which version those came that are
    /// read; where it is none, all are.
    pub incremental: BTreeMap<TableRef, Option<u64>>,
    /// The columns of tables that are not there yet: enough to plan with. They have no rows.
    pub assumed: BTreeMap<TableRef, SchemaRef>,
    /// What `$name` stands for in the text: moments, in microseconds of Unix time, by name.
    pub parameters: BTreeMap<String, i64>,
    /// Whether it is planned for little memory, which is slower: it is not split, and goes in small steps.
    pub is_frugal: bool,
    /// How long it may run, the reading of its result included; what the settings say where it is none.
    pub timeout: Option<Duration>,
}

impl QueryRequest {
    /// A query of which only the text is said.
    pub fn of(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), ..Self::default() }
    }
}

/// What a query would answer with.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its columns.
    pub schema: SchemaRef,
    /// The tables that it reads, and at which version.
    pub tables: Vec<(TableRef, u64)>,
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
    resolver: Arc<dyn TableResolver>,
    runner: Runner,
    engine: Arc<Engine>,
    /// One permit for each query that runs or waits.
    admitted: Arc<Semaphore>,
    /// One permit for each query that runs.
    running: Arc<Semaphore>,
}

/// Where queries run.
enum Runner {
    /// On the engine's threads.
    Here(Executor),
    /// In processes of their own.
    Workers(Arc<Pool>),
}

impl QueryService {
    /// Run queries in this process: one that exhausts it ends it.
    ///
    /// # Errors
    /// What the system says where it gives no threads.
    pub fn in_process(
        settings: QuerySettings,
        resolver: Arc<dyn TableResolver>,
        opener: Arc<dyn TableOpener>,
    ) -> io::Result<Self> {
        let (settings, engine) = started(settings)?;
        let executor = Executor::new(Arc::clone(&engine), Arc::clone(&settings), opener);
        Ok(Self::over(settings, resolver, engine, Runner::Here(executor)))
    }

    /// Run each query in a process of its own, which is this program.
    ///
    /// # Errors
    /// What the system says where it gives no threads, or no folder for spilled data.
    pub fn in_workers(
        settings: QuerySettings,
        resolver: Arc<dyn TableResolver>,
        program: WorkerProgram,
    ) -> io::Result<Self> {
        let (settings, engine) = started(settings)?;
        let pool = Pool::new(Arc::clone(&settings), program, Arc::clone(&engine))?;
        Ok(Self::over(settings, resolver, engine, Runner::Workers(Arc::new(pool))))
    }

    fn over(
        settings: Arc<QuerySettings>,
        resolver: Arc<dyn TableResolver>,
        engine: Arc<Engine>,
        runner: Runner,
    ) -> Self {
        let running = places(&settings);
        let admitted = running.saturating_add(settings.queue).min(Semaphore::MAX_PERMITS);
        Self {
            admitted: Arc::new(Semaphore::new(admitted)),
            running: Arc::new(Semaphore::new(running)),
            settings,
            resolver,
            runner,
            engine,
        }
    }

    /// Plan a query and begin to run it.
    ///
    /// # Errors
    /// Any [`QueryError`]; those about values come later, from [`QueryRun::next_batch`].
    pub async fn run(&self, caller: &Caller, request: QueryRequest) -> Result<QueryRun, QueryError> {
        let wish = Wish::Rows(self.settings.row_limit(request.row_limit));
        self.begin(caller, request, wish).await
    }

    /// Tell what the columns of a query's result come from; the query itself is not run.
    ///
    /// # Errors
    /// Any [`QueryError`] but those about values.
    pub async fn lineage(&self, caller: &Caller, request: QueryRequest) -> Result<SqlLineage, QueryError> {
        let mut run = self.begin(caller, request, Wish::Lineage).await?;
        let mut told = SqlLineage { tables: run.tables.clone(), ..SqlLineage::default() };
        while let Some(rows) = run.next_batch().await? {
            lineage::read(&rows, &mut told)?;
        }
        Ok(told)
    }

    /// Plan a query to its end, and tell its columns; the query itself is not run.
    ///
    /// # Errors
    /// Any [`QueryError`] but those about values, with its place in the text as far as that is known.
    pub async fn describe(&self, caller: &Caller, request: QueryRequest) -> Result<Described, QueryError> {
        let mut run = self.begin(caller, request, Wish::Columns).await?;
        while run.next_batch().await?.is_some() {}
        Ok(Described { schema: run.schema(), tables: run.tables.clone() })
    }

    async fn begin(&self, caller: &Caller, request: QueryRequest, wish: Wish) -> Result<QueryRun, QueryError> {
        let tokens = guard::tokenize(&request.sql, self.settings.max_sql_bytes)?;
        let place = self.place().await?;
        let clock = self.clock(request.timeout);

        let held = Arc::clone(&place);
        let statement = self.engine.plan(async move { hold(held, async { statement::parse(tokens) }).await }).await?;
        let max_sql_bytes = self.settings.max_sql_bytes;
        let resolution = Resolution::new(&*self.resolver, &self.engine, max_sql_bytes, &request);
        let resolving = timeout_at(clock.deadline, resolution.of(caller, &statement));
        let (tables, wanted) = resolving.await.map_err(|_| clock.timed_out())??;
        let QueryRequest { sql, parameters, is_frugal, .. } = request;
        let manner = Manner { parameters, is_frugal };
        match &self.runner {
            Runner::Here(executor) => {
                let mut views = Vec::with_capacity(wanted.len());
                for view in wanted {
                    views.push(view.parse(&self.engine, max_sql_bytes).await?);
                }
                let resolved = Resolved { statement, tables, manner, views, wish };
                Box::pin(executor.start(resolved, clock, place)).await
            }
            Runner::Workers(pool) => {
                let job = Job::new((sql, manner), (tables, wanted), wish, clock);
                pool.start(job, clock, place).await
            }
        }
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

    fn clock(&self, asked: Option<Duration>) -> Clock {
        let timeout_seconds = asked.map_or(self.settings.timeout_seconds, |asked| asked.as_secs().max(1));
        let deadline = Deadline::now() + Duration::from_secs(timeout_seconds);
        Clock { started: Instant::now(), deadline, timeout_seconds }
    }

    /// The tables and views that a statement names.
    ///
    /// # Errors
    /// Those of a text that is no query.
    pub async fn named(&self, sql: &str) -> Result<BTreeSet<TableRef>, QueryError> {
        let tokens = guard::tokenize(sql, self.settings.max_sql_bytes)?;
        let statement = self.engine.plan(async move { statement::parse(tokens) }).await?;
        Ok(statement.tables.into_values().collect())
    }
}

fn started(settings: QuerySettings) -> io::Result<(Arc<QuerySettings>, Arc<Engine>)> {
    let engine = Engine::start(places(&settings), settings.threads())?;
    Ok((Arc::new(settings), Arc::new(engine)))
}

/// How many queries run at once.
fn places(settings: &QuerySettings) -> usize {
    settings.concurrency.clamp(1, Semaphore::MAX_PERMITS)
}
