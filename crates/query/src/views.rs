//! Views: what their names mean, and how they come into the plan of a query.
//!
//! The server finds out which tables and views a query reads in the end, each with the rights of whoever it is read for:
//! the caller, or the reader of the view that names it. The texts of the views go with the query to where it is planned,
//! in an order in which each comes after those that it reads.
//!
//! Invariant: a name is resolved for everybody who reads it, however often that is.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::Arc,
};

use arrow::datatypes::{FieldRef, Schema};
use datafusion::{
    catalog::TableProvider,
    common::TableReference,
    datasource::ViewTable,
    error::{DataFusionError, Result as EngineResult},
    execution::context::SQLOptions,
    prelude::SessionContext,
};
use serde::{Deserialize, Serialize};
use sluice_domain::{Caller, ErrorKind, MAX_VIEW_DEPTH, TableRef};

use crate::{
    Extent, QueryError, QueryRequest, TableResolver,
    engine::Engine,
    executor::WantedTable,
    guard,
    statement::{self, ReadOnly},
};

/// The most views that a query reads in the end.
const MAX_VIEWS: usize = 100;
/// The most tables that a query names in the end, counted at each use of a view.
const MAX_SIZE: usize = 10_000;

/// A view that a query reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WantedView {
    /// Its name.
    pub(crate) name: TableRef,
    /// Its statement.
    pub(crate) sql: String,
}

/// A view whose statement has passed the guards.
pub(crate) struct ParsedView {
    /// Its name.
    pub(crate) name: TableRef,
    /// Its statement.
    pub(crate) statement: ReadOnly,
}

impl WantedView {
    /// Guard and parse the statement.
    ///
    /// # Errors
    /// [`QueryError::Plan`]: what was fine when the view was saved, and is not any more.
    pub(crate) async fn parse(self, engine: &Engine, max_sql_bytes: usize) -> Result<ParsedView, QueryError> {
        let Self { name, sql } = self;
        let parsed = match guard::tokenize(&sql, max_sql_bytes) {
            Ok(tokens) => engine.plan(async move { statement::parse(tokens) }).await,
            Err(error) => Err(error),
        };
        match parsed {
            Ok(statement) if statement.explains => Err(not_planned(&name, "it is an EXPLAIN")),
            Ok(statement) => Ok(ParsedView { name, statement }),
            Err(error @ (QueryError::TimedOut { .. } | QueryError::Execution(_))) => Err(error),
            Err(error) => Err(not_planned(&name, &error.reason())),
        }
    }
}

fn not_planned(name: &TableRef, reason: &str) -> QueryError {
    QueryError::Plan { message: format!("the view {name} cannot be read: {reason}") }
}

/// What the names of a query mean.
pub(crate) struct Resolution<'q> {
    resolver: &'q dyn TableResolver,
    engine: &'q Engine,
    max_sql_bytes: usize,
    /// Which rows of its tables are read.
    request: &'q QueryRequest,
    tables: BTreeMap<TableRef, WantedTable>,
    /// Each after those that it reads.
    views: Vec<WantedView>,
    /// How many tables each comes to.
    sizes: BTreeMap<TableRef, usize>,
}

type Resolving<'f, T> = Pin<Box<dyn Future<Output = Result<T, QueryError>> + Send + 'f>>;

impl<'q> Resolution<'q> {
    pub(crate) fn new(
        resolver: &'q dyn TableResolver,
        engine: &'q Engine,
        max_sql_bytes: usize,
        request: &'q QueryRequest,
    ) -> Self {
        let (tables, views, sizes) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        Self { resolver, engine, max_sql_bytes, request, tables, views, sizes }
    }

    /// The tables, and the views, that a statement reads in the end.
    ///
    /// # Errors
    /// [`QueryError::Table`] for a name that means nothing to whoever it is read for, and those about views.
    pub(crate) async fn of(
        mut self,
        caller: &Caller,
        statement: &ReadOnly,
    ) -> Result<(Vec<WantedTable>, Vec<WantedView>), QueryError> {
        let refused = |message: String| Err(QueryError::Plan { message });
        let QueryRequest { versions, incremental, .. } = self.request;
        let says_version = |name: &&TableRef| statement.versions.get(name).into_iter().flatten().any(Option::is_some);
        if let Some(fixed) = incremental.keys().find(says_version) {
            return refused(format!(
                "{fixed} is incremental, and is read VERSION AS OF a version that gets no new rows"
            ));
        }
        self.statement(caller, statement, 0).await?;
        if let Some(stranger) = versions.keys().find(|name| !self.tables.contains_key(name)) {
            return refused(format!("a version is given for {stranger}, which is not a table that is queried"));
        }
        if let Some(stranger) = incremental.keys().find(|name| !self.tables.contains_key(name)) {
            return refused(format!("{stranger} is incremental, and is not a table that is queried"));
        }
        Ok((self.tables.into_values().collect(), self.views))
    }

    /// Resolve the names of a statement; gives how many tables it comes to.
    fn statement<'f>(&'f mut self, caller: &'f Caller, statement: &'f ReadOnly, depth: usize) -> Resolving<'f, usize> {
        Box::pin(async move {
            let names: BTreeSet<&TableRef> = statement.tables.values().collect();
            let mut largest = 1;
            for name in names {
                let version = wanted_version(name, statement, &self.request.versions)?;
                largest = largest.max(self.name(caller, name, version, depth).await?);
            }
            let size = largest.saturating_mul(statement.relations.max(1));
            match size > MAX_SIZE {
                true => {
                    Err(QueryError::TooComplex { what: "tables, those of views included,", limit: MAX_SIZE as u64 })
                }
                false => Ok(size),
            }
        })
    }

    async fn name(
        &mut self,
        caller: &Caller,
        name: &TableRef,
        version: Option<u64>,
        depth: usize,
    ) -> Result<usize, QueryError> {
        let failure = match self.resolver.resolve(caller, name).await {
            Ok(address) => {
                let incremental = self.request.incremental.get(name);
                let extent = Extent { version, since: incremental.copied().flatten() };
                let is_incremental = incremental.is_some();
                let table = WantedTable { name: name.clone(), address, extent, is_incremental };
                return match self.tables.insert(name.clone(), table) {
                    Some(earlier) if earlier.extent != extent => Err(two_versions(name)),
                    _ => Ok(1),
                };
            }
            Err(failure) => failure,
        };
        let found = match failure.kind() {
            ErrorKind::NotFound => self.resolver.view(caller, name).await,
            _ => Ok(None),
        };
        let view = match (found, self.request.assumed.get(name)) {
            (Ok(Some(view)), _) => view,
            (Ok(None), Some(columns)) if version.is_none() => {
                if self.sizes.insert(name.clone(), 1).is_none() {
                    self.views.push(WantedView { name: name.clone(), sql: without_rows(columns) });
                }
                return Ok(1);
            }
            (Ok(None), _) => return Err(QueryError::Table { table: name.clone(), failure }),
            (Err(failure), _) => return Err(QueryError::Table { table: name.clone(), failure }),
        };
        if version.is_some() {
            return Err(QueryError::Plan { message: format!("{name} is a view, which has no versions") });
        }
        // Whoever it is read for may read it, whoever else did before.
        if let Some(size) = self.sizes.get(name) {
            return Ok(*size);
        }
        if depth == MAX_VIEW_DEPTH || self.views.len() == MAX_VIEWS {
            return Err(QueryError::TooComplex { what: "views", limit: MAX_VIEW_DEPTH.min(MAX_VIEWS) as u64 });
        }
        let wanted = WantedView { name: name.clone(), sql: view.sql };
        let parsed = wanted.clone().parse(self.engine, self.max_sql_bytes).await?;
        let size = self.statement(&view.reader, &parsed.statement, depth + 1).await?;
        self.sizes.insert(name.clone(), size);
        self.views.push(wanted);
        Ok(size)
    }
}

/// A statement whose result has these columns and no rows.
fn without_rows(columns: &Schema) -> String {
    let quoted = |text: &str, mark: char| format!("{mark}{}{mark}", text.replace(mark, &format!("{mark}{mark}")));
    let column = |field: &FieldRef| {
        let (name, data_type) = (quoted(field.name(), '"'), quoted(&field.data_type().to_string(), '\''));
        format!("arrow_cast(NULL, {data_type}) AS {name}")
    };
    let columns: Vec<String> = columns.fields().iter().map(column).collect();
    format!("SELECT {} WHERE false", columns.join(", "))
}

fn two_versions(name: &TableRef) -> QueryError {
    QueryError::Plan { message: format!("{name} is read at two versions; one query reads one") }
}

/// The one version that a table is read at by a statement.
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
        _ => Err(two_versions(name)),
    }
}

/// Plan views, and have a session know them under the names by which `statements` spell them.
///
/// # Errors
/// What the engine says of a view, with its name.
pub(crate) async fn register(
    session: &SessionContext,
    views: Vec<ParsedView>,
    spellings: &BTreeMap<TableReference, TableRef>,
) -> EngineResult<()> {
    for ParsedView { name, statement } in views {
        let planned = session.state().statement_to_plan(statement.statement).await;
        let plan = planned.map_err(|error| in_view(&name, &error))?;
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)?;
        let provider = Arc::new(ViewTable::new(plan, None));
        for (spelling, _) in spellings.iter().filter(|(_, meant)| **meant == name) {
            session.register_table(spelling.clone(), Arc::clone(&provider) as Arc<dyn TableProvider>)?;
        }
    }
    Ok(())
}

/// What the engine says of the statement of a view; its places are none of the query's.
fn in_view(name: &TableRef, error: &DataFusionError) -> DataFusionError {
    let message = error.strip_backtrace();
    DataFusionError::Plan(format!("the view {name} cannot be read: {message}"))
}
