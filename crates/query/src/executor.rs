//! Runs a query on the threads of this process.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use sluice_domain::TableRef;
use tokio::{runtime::Handle, time::timeout_at};

use crate::{
    Extent, OpenedTable, QueryError, QueryRun, QuerySettings, TableAddress, TableOpener,
    engine::Engine,
    interruption::Stop,
    place::{Place, hold, watch_tasks},
    planner::Planning,
    run::Clock,
    statement::ReadOnly,
    views::ParsedView,
};

/// A table that a query may read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WantedTable {
    /// The name in the query.
    pub(crate) name: TableRef,
    /// The table that it means.
    pub(crate) address: TableAddress,
    /// The rows to read.
    pub(crate) extent: Extent,
    /// Whether the statement must be right over new rows of it alone.
    pub(crate) is_incremental: bool,
}

/// How a statement is planned.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Manner {
    /// What its parameters stand for.
    pub(crate) parameters: BTreeMap<String, i64>,
    /// Whether it is planned for little memory.
    pub(crate) is_frugal: bool,
}

/// A query whose names are resolved.
pub(crate) struct Resolved {
    pub(crate) statement: ReadOnly,
    pub(crate) tables: Vec<WantedTable>,
    /// How it is planned.
    pub(crate) manner: Manner,
    /// The views that it reads, each after those that it reads itself.
    pub(crate) views: Vec<ParsedView>,
    /// What is asked of it.
    pub(crate) wish: Wish,
}

/// What is asked of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wish {
    /// Its rows, so many of them; all where it does not say.
    Rows(Option<u64>),
    /// What its columns come from, as rows.
    Lineage,
    /// Its columns, and no rows: whether it can be run at all.
    Columns,
}

impl Wish {
    /// How many rows are wanted; all without it.
    pub(crate) fn row_limit(self) -> Option<u64> {
        match self {
            Self::Rows(limit) => limit,
            Self::Lineage | Self::Columns => None,
        }
    }
}

/// Opens, plans and runs.
pub(crate) struct Executor {
    engine: Arc<Engine>,
    settings: Arc<QuerySettings>,
    opener: Arc<dyn TableOpener>,
}

impl Executor {
    /// Run queries on these threads over the tables that `opener` opens.
    pub(crate) fn new(engine: Arc<Engine>, settings: Arc<QuerySettings>, opener: Arc<dyn TableOpener>) -> Self {
        watch_tasks();
        Self { engine, settings, opener }
    }

    /// Threads of one's own for this many queries.
    ///
    /// # Errors
    /// What the system says where it gives no threads.
    pub(crate) fn alone(settings: Arc<QuerySettings>, opener: Arc<dyn TableOpener>) -> io::Result<Self> {
        let engine = Arc::new(Engine::start(settings.concurrency, settings.threads())?);
        Ok(Self::new(engine, settings, opener))
    }

    /// The threads.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Plan a query and begin to run it.
    pub(crate) async fn start(&self, query: Resolved, clock: Clock, place: Place) -> Result<QueryRun, QueryError> {
        let Resolved { statement, tables, manner, views, wish } = query;
        let incremental: BTreeSet<TableRef> =
            tables.iter().filter(|table| table.is_incremental).map(|table| table.name.clone()).collect();
        let tables = timeout_at(clock.deadline, self.open(tables)).await.map_err(|_| clock.timed_out())??;
        let versions = tables.iter().map(|(name, table)| (name.clone(), table.version)).collect();

        let (held, settings) = (Arc::clone(&place), Arc::clone(&self.settings));
        let stop = Stop::at(clock.deadline.into_std());
        let requests = Handle::current();
        let planning = Planning { statement, tables, incremental, manner, views, wish, requests, stop };
        let step = async move { hold(held, Box::pin(planning.plan(&settings))).await };
        let planned = timeout_at(clock.deadline, self.engine.plan(step)).await.map_err(|_| clock.timed_out())??;

        let mut run = QueryRun::start(&self.engine, planned, wish.row_limit(), clock, place);
        run.tables = versions;
        Ok(run)
    }

    async fn open(&self, wanted: Vec<WantedTable>) -> Result<BTreeMap<TableRef, OpenedTable>, QueryError> {
        let mut tables = BTreeMap::new();
        for WantedTable { name, address, extent, .. } in wanted {
            match self.opener.open(&address, extent).await {
                Ok(opened) => tables.insert(name, opened),
                Err(failure) => return Err(QueryError::Table { table: name, failure }),
            };
        }
        Ok(tables)
    }
}
