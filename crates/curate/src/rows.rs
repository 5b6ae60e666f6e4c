//! The rows of a run: from the query service into files, or into the source of a merge, in bounded memory.
//!
//! Invariant: nothing of what is written here is in the target before a commit names it.

use std::{sync::Arc, time::Duration};

use arrow::datatypes::SchemaRef;
use sluice_catalog::{CatalogError, NewTable};
use sluice_domain::{
    Action, Caller, CompiledStatement, CuratedFigures, CuratedRun, Interval, NamespaceName, PipelineDefinition,
    PipelineHistory, PipelineMode, TableEntry, TableFormat, TableRef, ZoneName,
};
use sluice_query::{QueryRequest, QueryRun, RowLimit};
use sluice_table::{
    DataFile, History, MergeRule, RowChanges, Source, SourceWriter, StagedFiles, TableError, TableWriter, Transaction,
};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};
use uuid::Uuid;

use crate::{Curate, CurateError, incremental::Reading, intervals::parameters, shape::Shape};

/// How many batches wait for the writer.
pub(crate) const BATCHES_AHEAD: usize = 2;

/// Rows that wait for their commit.
pub(crate) enum Brought {
    /// Durable files below the target's folder.
    Files(Vec<DataFile>),
    /// Rows that are to be merged.
    Source(Arc<Source>),
}

/// What a run is about to commit.
pub(crate) struct Ready {
    pub(crate) entry: TableEntry,
    pub(crate) shape: Shape,
    pub(crate) brought: Brought,
    /// How many rows take effect, where that is known before the commit.
    pub(crate) rows_out: u64,
    /// What it has read.
    pub(crate) figures: CuratedFigures,
    /// What the commit says of how far the inputs are read.
    pub(crate) bookmarks: Vec<Transaction>,
    /// Whether the rows take the place of all that the target has.
    pub(crate) is_refresh: bool,
}

/// What takes the rows.
enum Writing {
    Files(JoinHandle<Result<StagedFiles, TableError>>),
    Source(JoinHandle<Result<Source, TableError>>),
}

impl Curate {
    /// Read the rows of a run, and write them where its commit finds them. Where they take too much
    /// memory, the statement is planned again, to spill sooner.
    pub(crate) async fn bring(
        &self,
        run: &CuratedRun,
        reading: &Reading,
        left: Duration,
    ) -> Result<Ready, CurateError> {
        match self.bring_with(run, reading, (left, false)).await {
            Err(error) if error.needs_memory() => {
                tracing::info!(run.id = %run.id, pipeline.name = %run.name, "a run begins anew with little memory");
                self.bring_with(run, reading, (left, true)).await
            }
            brought => brought,
        }
    }

    async fn bring_with(
        &self,
        run: &CuratedRun,
        reading: &Reading,
        (left, is_frugal): (Duration, bool),
    ) -> Result<Ready, CurateError> {
        let statement = run.definition.check()?;
        let target = self.target(&run.definition.target).await?;
        let request = QueryRequest {
            sql: statement.sql.clone(),
            row_limit: RowLimit::None,
            versions: reading.versions.clone(),
            incremental: reading.since.clone(),
            parameters: parameters(run.wish.interval.unwrap_or_else(|| Interval::until(run.started_at))),
            timeout: Some(left),
            is_frugal,
            ..QueryRequest::default()
        };
        let of_statement = |error| CurateError::of_statement(&statement, error);
        let mut query = self.inner.lake.queries.run(&reader(run), request).await.map_err(of_statement)?;
        let definition = reading.definition(&run.definition);
        let shape = Shape::plan(&definition, &query.schema(), target.description.as_ref())?;
        let whole: Vec<(TableRef, u64)> =
            query.tables.iter().filter(|(input, _)| reading.is_whole(input)).cloned().collect();
        let mut figures = reading.figures();
        figures.rows_in += self.rows_of(&whole).await?;
        figures.versions_in = query.tables.iter().cloned().collect();
        let bookmarks = self.bookmarks(run, reading, &figures.versions_in).await?;
        let (sender, rows) = mpsc::channel(BATCHES_AHEAD);
        let (rows, asked) = self.ask(run, &shape, target.entry.as_ref(), rows).await?;
        let writing = self.begin_writing(run, &shape, rows)?;
        let fed = feed(&mut query, &shape, &statement, sender).await;
        let written = written(writing).await;
        let rows = fed?;
        let written = written?;
        figures.bytes_in = query.finish().bytes_scanned;
        figures.quality = self.judge(run, target.entry.as_ref(), asked, (figures.rows_in, rows)).await?;
        let entry = self.reserved(run, &shape, target.entry).await?;
        let is_refresh = reading.is_refresh;
        let (brought, rows_out) = self.uploaded(run, &shape, &entry, (written, is_refresh)).await?;
        Ok(Ready { entry, shape, brought, rows_out, figures, bookmarks, is_refresh })
    }

    fn begin_writing(
        &self,
        run: &CuratedRun,
        shape: &Shape,
        mut rows: mpsc::Receiver<arrow::array::RecordBatch>,
    ) -> Result<Writing, CurateError> {
        if run.definition.mode != PipelineMode::Merge {
            return Ok(Writing::Files(self.writer(run, shape, &shape.written)?.feed(rows)));
        }
        let keys: Vec<&str> = shape.keys.iter().map(String::as_str).collect();
        // In a history a key that is missing is one, too: whoever has none has one row that holds.
        let missing_is_value = run.definition.history.is_some();
        let rule = MergeRule { missing_is_value, ..MergeRule::upsert(&keys) };
        let mut source = SourceWriter::open(rule, &shape.written, &self.inner.lake.scratch_dir)?;
        Ok(Writing::Source(spawn_blocking(move || {
            while let Some(batch) = rows.blocking_recv() {
                source.write(&batch)?;
            }
            source.finish()
        })))
    }

    /// A writer of files that no other try of a run names alike.
    fn writer(&self, run: &CuratedRun, shape: &Shape, columns: &SchemaRef) -> Result<TableWriter, CurateError> {
        let lake = &self.inner.lake;
        let prefix = format!("{}.{}", run.id, Uuid::new_v4());
        let settings = lake.writer.for_table(&shape.layout);
        let folder = lake.scratch_dir.clone();
        Ok(TableWriter::open(settings, columns, &shape.partition_by, prefix, folder)?)
    }

    /// The target's entry; one that is not there yet gets its name and its place.
    async fn reserved(
        &self,
        run: &CuratedRun,
        shape: &Shape,
        entry: Option<TableEntry>,
    ) -> Result<TableEntry, CurateError> {
        if let Some(entry) = entry {
            return Ok(entry);
        }
        let new = NewTable {
            name: run.definition.target.clone(),
            zone: ZoneName::Curated,
            format: TableFormat::Delta,
            partition_by: shape.partition_by.clone(),
            folder: None,
            owner: run.definition.owner.clone().unwrap_or_else(|| run.principal.clone()),
        };
        Ok(self.catalog().tables().reserve(&new).await?)
    }

    async fn uploaded(
        &self,
        run: &CuratedRun,
        shape: &Shape,
        entry: &TableEntry,
        (written, is_refresh): (Written, bool),
    ) -> Result<(Brought, u64), CurateError> {
        let table = self.inner.lake.shelf.get(entry);
        let (staged, rows_out) = match written {
            Written::Source(source) if shape.base.is_some() && !is_refresh => {
                return Ok((Brought::Source(Arc::from(source)), 0));
            }
            Written::Files(staged) => {
                let rows = staged.rows();
                (staged, rows)
            }
            Written::Source(source) => {
                let (writer, schema) = (self.writer(run, shape, &shape.after)?, Arc::clone(&shape.after));
                let source = Arc::from(source);
                let history = history(run, &source);
                let writing = spawn_blocking(move || match history {
                    Some(history) => history.write_first(&schema, writer),
                    None => source.write_first(&schema, writer),
                });
                let (staged, RowChanges { inserted, .. }) = writing.await.map_err(CurateError::fault)??;
                (staged, inserted)
            }
        };
        Ok((Brought::Files(staged.upload(table.folder()).await?), rows_out))
    }

    /// How many rows these tables have at these versions, as far as they tell.
    async fn rows_of(&self, tables: &[(TableRef, u64)]) -> Result<u64, CurateError> {
        let mut rows = 0;
        for (name, version) in tables {
            let entry = match self.catalog().tables().find(name).await {
                Ok(entry) if entry.format == TableFormat::Delta => entry,
                Ok(_) | Err(CatalogError::TableNotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            rows += self.inner.lake.shelf.get(&entry).describe(Some(*version)).await?.rows.unwrap_or_default();
        }
        Ok(rows)
    }
}

/// The rows of a run that keeps those before them.
pub(crate) fn history(run: &CuratedRun, source: &Arc<Source>) -> Option<History> {
    let PipelineHistory { close_missing } = run.definition.history?;
    Some(History { source: Arc::clone(source), at: run.started_at, close_missing })
}

/// What the writer made of the rows.
enum Written {
    Files(StagedFiles),
    Source(Box<Source>),
}

async fn written(writing: Writing) -> Result<Written, CurateError> {
    Ok(match writing {
        Writing::Files(writing) => Written::Files(writing.await.map_err(CurateError::fault)??),
        Writing::Source(writing) => Written::Source(Box::new(writing.await.map_err(CurateError::fault)??)),
    })
}

/// Hand the rows of a query to the writer, until there are no more or the writer has stopped; gives how many there were.
async fn feed(
    query: &mut QueryRun,
    shape: &Shape,
    statement: &CompiledStatement,
    sender: mpsc::Sender<arrow::array::RecordBatch>,
) -> Result<u64, CurateError> {
    let mut rows = 0;
    while let Some(batch) = query.next_batch().await.map_err(|error| CurateError::of_statement(statement, error))? {
        rows += batch.num_rows() as u64;
        if batch.num_rows() > 0 && sender.send(shape.conform(&batch)?).await.is_err() {
            // The writer stopped, and knows why.
            break;
        }
    }
    Ok(rows)
}

/// Whoever reads for a run: with the rights of who defined the pipeline, checked when it was saved, over the namespaces
/// of its inputs.
pub(crate) fn reader(run: &CuratedRun) -> Caller {
    reader_for(&run.definition, &run.principal)
}

/// Whoever reads for a pipeline of this definer.
pub(crate) fn reader_for(definition: &PipelineDefinition, principal: &str) -> Caller {
    let namespaces: Vec<NamespaceName> = definition.inputs.iter().map(|input| input.namespace.clone()).collect();
    Caller { name: principal.to_owned(), actions: vec![Action::Read], namespaces: Some(namespaces) }
}
