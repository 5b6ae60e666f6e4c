//! Pipelines as callers see them: defined, run, cancelled.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use sluice_catalog::{Catalog, CatalogError, CuratedBegun, NewCuratedRun, NewPipeline, PipelineDefined};
use sluice_domain::{
    Action, Caller, CompiledStatement, CuratedRun, Grant, Pipeline, PipelineCause, PipelineDefinition, PipelineName,
    PipelineSettingsError, Resource, RunId, RunStatus, RunWish, StoredFailure, TableEntry, TableFormat, TableRef,
};
use sluice_query::{QueryService, position_of};
use sluice_table::{Description, Shelf, TableError, WriterSettings};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    CurateError, CurateSettings, Suites,
    intervals::{check_takes_intervals, planned},
    shape::Shape,
};

/// How often a run that is waited for is looked at.
const WAIT_PAUSE: Duration = Duration::from_millis(100);

/// Says whether a table's log is whole.
#[async_trait]
pub trait LogCheck: Send + Sync {
    /// Look at the log before anything is decided by it.
    async fn check_log(&self, table: &TableEntry) -> Result<(), StoredFailure>;
}

/// What pipelines work with.
#[derive(Clone)]
pub struct Lake {
    /// What exists.
    pub catalog: Catalog,
    /// The open tables.
    pub shelf: Arc<Shelf>,
    /// SQL.
    pub queries: Arc<QueryService>,
    /// Whether logs are whole.
    pub logs: Arc<dyn LogCheck>,
    /// The suites of tables.
    pub suites: Arc<dyn Suites>,
    /// Where scratch files lie.
    pub scratch_dir: PathBuf,
    /// How files are written.
    pub writer: WriterSettings,
}

/// The pipelines of a lake. Cheap to clone.
#[derive(Clone)]
pub struct Curate {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) lake: Lake,
    pub(crate) settings: CurateSettings,
    /// One permit for each run that goes on.
    pub(crate) slots: Semaphore,
    /// What ends the runs that this server works on.
    pub(crate) claims: Mutex<HashMap<RunId, CancellationToken>>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
}

/// A target as it is now.
pub(crate) struct Target {
    /// What the catalog says of it; none where it does not have it.
    pub(crate) entry: Option<TableEntry>,
    /// Its newest version; none before its first one.
    pub(crate) description: Option<Description>,
}

impl Curate {
    /// The pipelines of this lake; nothing runs yet.
    pub fn new(lake: Lake, settings: CurateSettings) -> Self {
        let slots = Semaphore::new(settings.concurrent_runs.clamp(1, Semaphore::MAX_PERMITS));
        let (claims, tasks, stopping) = (Mutex::default(), TaskTracker::new(), CancellationToken::new());
        Self { inner: Arc::new(Inner { lake, settings, slots, claims, tasks, stopping }) }
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.inner.lake.catalog
    }

    /// Make a pipeline, or say anew what it is; says whether it was made. Its statement is planned as the caller's. A trial
    /// tells what would come of it, and leaves everything as it is.
    ///
    /// # Errors
    /// Why it cannot be: [`CurateError::Settings`], [`CurateError::Statement`], [`CurateError::Misfit`],
    /// [`CurateError::Graph`]; what the query service and the catalog say.
    pub async fn define(&self, caller: &Caller, _: &Grant, new: NewPipeline) -> Result<(Pipeline, bool), CurateError> {
        if new.name.as_str().contains('.') {
            let reason = "a name with a dot is that of a table: leave it out";
            return Err(PipelineSettingsError::new("name", reason).into());
        }
        let definition = self.checked(caller, new.definition).await?;
        let target = definition.target.clone();
        let new = NewPipeline { definition, ..new };
        let limit = self.inner.settings.max_pipelines;
        match self.catalog().pipelines().define(&new, limit).await? {
            PipelineDefined::Made(pipeline) => Ok((pipeline, true)),
            PipelineDefined::Changed(pipeline) => Ok((pipeline, false)),
            PipelineDefined::TooMany => Err(CurateError::too_many(limit)),
            PipelineDefined::TargetTaken(owner) => Err(CurateError::target_taken(&target, &owner)),
            PipelineDefined::Cycle(names) => Err(CurateError::cycle(&names)),
        }
    }

    /// The definition with every table that its statement reads, if it can be run as things are.
    async fn checked(
        &self,
        caller: &Caller,
        mut definition: PipelineDefinition,
    ) -> Result<PipelineDefinition, CurateError> {
        let statement = definition.check()?;
        let described = self.described(caller, planned(&definition, &statement), 0).await;
        let described = described.map_err(|error| CurateError::of_statement(&statement, error))?;
        // What the statement names, and the tables below the views among that: their rows are what it reads.
        let named = self.inner.lake.queries.named(&statement.sql).await;
        let named = named.map_err(|error| CurateError::of_statement(&statement, error))?;
        let below: BTreeSet<TableRef> = described.tables.into_iter().map(|(table, _)| table).collect();
        self.check_inputs(caller, &definition, (&named, &below), &statement).await?;
        self.check_incremental(&definition).await?;
        let is_below = |table: &&TableRef| !named.contains(*table);
        definition.below = below.iter().filter(is_below).cloned().collect();
        let missing = named.into_iter().filter(|table| !definition.inputs.contains(table));
        let missing: Vec<TableRef> = missing.collect();
        definition.inputs.extend(missing);
        let target = self.target(&definition.target).await?;
        Shape::plan(&definition, &described.schema, target.description.as_ref())?;
        Ok(definition)
    }

    async fn check_inputs(
        &self,
        caller: &Caller,
        definition: &PipelineDefinition,
        (named, below): (&BTreeSet<TableRef>, &BTreeSet<TableRef>),
        statement: &CompiledStatement,
    ) -> Result<(), CurateError> {
        if below.contains(&definition.target) {
            let reason = format!("the statement reads {}, which it fills", definition.target);
            return Err(PipelineSettingsError::new("target", reason).into());
        }
        let stranger = named.iter().find(|table| !definition.inputs.contains(table));
        if let Some(stranger) = stranger.filter(|_| !definition.inputs.is_empty()) {
            let reason = format!("it reads {stranger}, which is not among the inputs");
            return Err(CurateError::at(statement, position_of(&statement.sql, stranger), reason));
        }
        for input in definition.inputs.iter().filter(|input| !named.contains(*input)) {
            let is_seen = caller.require(Action::Read, &Resource::Table(input.clone())).is_ok();
            match self.catalog().tables().find(input).await {
                Ok(_) if is_seen => {}
                Ok(_) | Err(CatalogError::TableNotFound { .. }) => {
                    return Err(PipelineSettingsError::new("inputs", format!("there is no table {input}")).into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The target of a pipeline as it is now.
    pub(crate) async fn target(&self, name: &TableRef) -> Result<Target, CurateError> {
        let entry = match self.catalog().tables().find(name).await {
            Ok(entry) => entry,
            Err(CatalogError::TableNotFound { .. }) if self.catalog().views().find(name).await?.is_some() => {
                return Err(PipelineSettingsError::new("target", format!("{name} is a view")).into());
            }
            Err(CatalogError::TableNotFound { .. }) => return Ok(Target { entry: None, description: None }),
            Err(error) => return Err(error.into()),
        };
        if entry.format != TableFormat::Delta {
            let reason = format!("{name} is a table of plain Parquet files, which takes uploads only");
            return Err(PipelineSettingsError::new("target", reason).into());
        }
        let description = match self.inner.lake.shelf.get(&entry).describe(None).await {
            Ok(description) => Some(description),
            Err(TableError::NotCreated) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Target { entry: Some(entry), description })
    }

    /// The pipeline of this name.
    ///
    /// # Errors
    /// [`CurateError::NotFound`], or the catalog's.
    pub async fn find(&self, name: &PipelineName) -> Result<Pipeline, CurateError> {
        let found = self.catalog().pipelines().find(name).await?;
        found.ok_or_else(|| CurateError::NotFound { name: name.clone() })
    }

    /// Forget a pipeline. Its target and its runs stay.
    ///
    /// # Errors
    /// [`CurateError::Busy`] while a run of it is under way.
    pub async fn delete(&self, _: &Grant, pipeline: &Pipeline) -> Result<(), CurateError> {
        if self.catalog().pipelines().forget(pipeline.id).await? {
            return Ok(());
        }
        let under_way = self.catalog().pipelines().running(pipeline.id).await?;
        Err(under_way.map_or_else(
            || CurateError::NotFound { name: pipeline.name.clone() },
            |run| CurateError::Busy { run: run.id },
        ))
    }

    /// Begin a run that does what is wished; says whether it was begun by an earlier request with the same key.
    ///
    /// # Errors
    /// [`CurateError::Busy`] while one is under way, [`CurateError::State`] where the pipeline is not enabled,
    /// [`CurateError::Settings`] for a time that it cannot run for.
    pub async fn run(
        &self,
        grant: &Grant,
        pipeline: &Pipeline,
        wish: RunWish,
        key: Option<String>,
    ) -> Result<(CuratedRun, bool), CurateError> {
        if wish.interval.is_some() {
            check_takes_intervals(&pipeline.definition)?;
        }
        match self.begin(pipeline, (PipelineCause::Request, wish), grant.principal(), key).await? {
            CuratedBegun::Started(run) => Ok((run, false)),
            CuratedBegun::Known(run) => Ok((run, true)),
            CuratedBegun::Busy(run) => Err(CurateError::Busy { run: run.id }),
            CuratedBegun::Gone => Err(CurateError::NotFound { name: pipeline.name.clone() }),
        }
    }

    pub(crate) async fn begin(
        &self,
        pipeline: &Pipeline,
        (cause, wish): (PipelineCause, RunWish),
        principal: &str,
        key: Option<String>,
    ) -> Result<CuratedBegun, CurateError> {
        if !pipeline.definition.enabled {
            return Err(CurateError::disabled(&pipeline.name));
        }
        let seen = self.newest_versions(&pipeline.definition.sources()).await?;
        let new = NewCuratedRun { pipeline: pipeline.id, cause, wish, principal: principal.to_owned(), key, seen };
        let begun = self.catalog().pipelines().begin_run(&new).await?;
        if let CuratedBegun::Started(run) = &begun {
            self.spawn(run.clone());
        }
        Ok(begun)
    }

    /// Ask to end a run. One that commits already goes its way.
    ///
    /// # Errors
    /// [`CurateError::RunNotFound`]; [`CurateError::State`] for one that has ended otherwise.
    pub async fn cancel(&self, _: &Grant, id: RunId) -> Result<CuratedRun, CurateError> {
        let run = self.catalog().pipelines().cancel_run(id).await?.ok_or(CurateError::RunNotFound { run: id })?;
        match run.status {
            RunStatus::Running => {
                if let Some(token) = self.claims().get(&id) {
                    token.cancel();
                }
                Ok(run)
            }
            RunStatus::Cancelled => Ok(run),
            status => Err(CurateError::ended(status)),
        }
    }

    /// Wait for the end of a run, for so long at the most.
    ///
    /// # Errors
    /// [`CurateError::RunNotFound`], or the catalog's.
    pub async fn wait(&self, id: RunId, patience: Duration) -> Result<(), CurateError> {
        let deadline = Instant::now() + patience;
        loop {
            let run = self.catalog().pipelines().find_run(id).await?.ok_or(CurateError::RunNotFound { run: id })?;
            if run.status.has_ended() || Instant::now() >= deadline || self.inner.stopping.is_cancelled() {
                return Ok(());
            }
            tokio::time::sleep_until(deadline.min(Instant::now() + WAIT_PAUSE)).await;
        }
    }

    /// End what goes on, and wait for it: the next start goes on with the runs.
    pub async fn stop(&self) {
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}
