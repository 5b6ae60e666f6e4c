//! What a run reads of its inputs, and what its commit says of that.
//!
//! Invariant: the log of the target tells of each input up to which version it was read, in the commit with the rows.
//! Whatever the catalog says, no run reads new rows twice or passes any over.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use sluice_catalog::CatalogError;
use sluice_domain::{
    CuratedFigures, CuratedRun, Failure as _, OnRewrite, PipelineDefinition, PipelineMode, PipelineSettingsError,
    TableEntry, TableFormat, TableId, TableRef,
};
use sluice_table::{IncrementError, Table, Transaction};

use crate::{Curate, CurateError};

/// What a run reads of its inputs.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The inputs with a log, as they were when the run looked.
    ids: BTreeMap<TableRef, TableId>,
    /// The incremental inputs, and after which version the rows came that are read; where it is none, all are.
    pub(crate) since: BTreeMap<TableRef, Option<u64>>,
    /// The versions up to which the new rows are read.
    pub(crate) versions: BTreeMap<TableRef, u64>,
    /// How many new rows there are.
    pub(crate) new_rows: u64,
    /// Whether nothing is there to be read.
    is_empty: bool,
    /// Whether the rows take the place of all that the target has.
    pub(crate) is_refresh: bool,
}

impl Reading {
    /// All of every input. What a target keeps of the past is no result of its inputs: a refresh leaves it there.
    fn whole(definition: &PipelineDefinition, ids: BTreeMap<TableRef, TableId>, is_refresh: bool) -> Self {
        let is_refresh = is_refresh && definition.history.is_none();
        let since = definition.incremental.iter().map(|input| (input.clone(), None)).collect();
        Self { ids, since, is_refresh, ..Self::default() }
    }

    /// The pipeline as this run goes by it.
    pub(crate) fn definition<'d>(&self, definition: &'d PipelineDefinition) -> Cow<'d, PipelineDefinition> {
        if !self.is_refresh {
            return Cow::Borrowed(definition);
        }
        Cow::Owned(PipelineDefinition { mode: PipelineMode::Overwrite, ..definition.clone() })
    }

    /// Whether all rows of an input are read.
    pub(crate) fn is_whole(&self, input: &TableRef) -> bool {
        self.since.get(input).copied().flatten().is_none()
    }

    /// What the run has read, before anything of the rows is known.
    pub(crate) fn figures(&self) -> CuratedFigures {
        CuratedFigures {
            versions_in: self.versions.clone(),
            versions_since: self.since.iter().filter_map(|(input, since)| Some((input.clone(), (*since)?))).collect(),
            rows_in: self.new_rows,
            full_refresh: self.is_refresh,
            ..CuratedFigures::default()
        }
    }

    /// What the run comes to where there is nothing to do.
    pub(crate) fn nothing(&self) -> Option<CuratedFigures> {
        self.is_empty.then(|| self.figures())
    }
}

impl Curate {
    /// Check that the inputs can be read incrementally that are to be.
    pub(crate) async fn check_incremental(&self, definition: &PipelineDefinition) -> Result<(), CurateError> {
        for input in &definition.incremental {
            if self.catalog().tables().find(input).await?.format != TableFormat::Delta {
                let reason = format!("{input} is a table of plain Parquet files, which does not tell what is new");
                return Err(PipelineSettingsError::new("incremental", reason).into());
            }
        }
        Ok(())
    }

    /// Find out what a run is to read.
    pub(crate) async fn reading(&self, run: &CuratedRun) -> Result<Reading, CurateError> {
        let definition = &run.definition;
        let inputs = self.inputs_with_a_log(definition).await?;
        let ids: BTreeMap<TableRef, TableId> = inputs.iter().map(|(name, entry)| (name.clone(), entry.id)).collect();
        if definition.incremental.is_empty() || run.wish.full_refresh {
            return Ok(Reading::whole(definition, ids, run.wish.full_refresh));
        }
        match self.increments(run, &inputs).await {
            Ok(reading) => Ok(Reading { ids, ..reading }),
            Err(error) if error.code() == "needs-full-refresh" && definition.on_rewrite == OnRewrite::FullRefresh => {
                tracing::info!(run.id = %run.id, pipeline.name = %run.name, reason = %error, "a run reads all again");
                Ok(Reading::whole(definition, ids, true))
            }
            Err(error) => Err(error),
        }
    }

    /// What is new in the incremental inputs; all, where the target has nothing of this pipeline yet.
    async fn increments(
        &self,
        run: &CuratedRun,
        inputs: &BTreeMap<TableRef, TableEntry>,
    ) -> Result<Reading, CurateError> {
        let target = self.target_log(run).await?;
        let mut reading = Reading { is_empty: true, ..Reading::default() };
        for name in &run.definition.incremental {
            let entry = inputs.get(name).ok_or_else(|| CatalogError::TableNotFound { name: name.to_string() })?;
            let since = match &target {
                Some(target) => Some(self.bookmark(run, (name, entry.id), target).await?),
                None => None,
            };
            reading.since.insert(name.clone(), since);
            let Some(since) = since else {
                reading.is_empty = false;
                continue;
            };
            // A log that lost its tail reads as a whole one.
            self.inner.lake.logs.check_log(entry).await.map_err(CurateError::Other)?;
            let increment = self.inner.lake.shelf.get(entry).increment(since, None).await;
            let increment = increment.map_err(|error| untold(name, error))?;
            reading.versions.insert(name.clone(), increment.version);
            reading.new_rows += increment.rows;
            reading.is_empty &= increment.is_empty();
        }
        Ok(reading)
    }

    /// The target, if it has rows of this pipeline.
    async fn target_log(&self, run: &CuratedRun) -> Result<Option<Arc<Table>>, CurateError> {
        let entry = match self.catalog().tables().find(&run.definition.target).await {
            Ok(entry) if entry.format == TableFormat::Delta => entry,
            Ok(_) | Err(CatalogError::TableNotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        self.inner.lake.logs.check_log(&entry).await.map_err(CurateError::Other)?;
        let table = self.inner.lake.shelf.get(&entry);
        Ok(table.last_offset(&run.pipeline.app_id()).await?.map(|_| table))
    }

    /// Up to which version the rows of an input are in the target.
    async fn bookmark(
        &self,
        run: &CuratedRun,
        (name, id): (&TableRef, TableId),
        target: &Table,
    ) -> Result<u64, CurateError> {
        match target.last_offset(&run.pipeline.input_app_id(id)).await? {
            Some(version) => u64::try_from(version).map_err(CurateError::fault),
            None => Err(needs_full_refresh(name, "is not the table that earlier runs read")),
        }
    }

    /// What the commit of a run says of how far it has read its inputs.
    pub(crate) async fn bookmarks(
        &self,
        run: &CuratedRun,
        reading: &Reading,
        versions: &BTreeMap<TableRef, u64>,
    ) -> Result<Vec<Transaction>, CurateError> {
        let target = self.target_log(run).await?;
        let mut bookmarks = Vec::new();
        for (name, version) in versions {
            let Some(id) = reading.ids.get(name) else { continue };
            let app_id = run.pipeline.input_app_id(*id);
            let sequence = i64::try_from(*version).map_err(CurateError::fault)?;
            let last = match &target {
                Some(target) => target.last_offset(&app_id).await?,
                None => None,
            };
            match last {
                // The log keeps the highest: the next run would pass rows over.
                Some(last) if last > sequence && run.definition.incremental.contains(name) => {
                    let reason = format!(
                        "incremental: {name} is at version {version}, and earlier runs have read version {last}: it was \
                         set back. Delete the pipeline and define it again"
                    );
                    return Err(CurateError::State { code: "input-set-back", reason });
                }
                Some(last) if last >= sequence => {}
                _ => bookmarks.push(Transaction { app_id, sequence }),
            }
        }
        Ok(bookmarks)
    }

    async fn inputs_with_a_log(
        &self,
        definition: &PipelineDefinition,
    ) -> Result<BTreeMap<TableRef, TableEntry>, CurateError> {
        let mut entries = BTreeMap::new();
        for input in &definition.inputs {
            match self.catalog().tables().find(input).await {
                Ok(entry) if entry.format == TableFormat::Delta => drop(entries.insert(input.clone(), entry)),
                // The query says so of one that it needs.
                Ok(_) | Err(CatalogError::TableNotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(entries)
    }
}

fn untold(input: &TableRef, error: IncrementError) -> CurateError {
    match error {
        IncrementError::Untold { .. } => needs_full_refresh(input, &error.to_string()),
        IncrementError::Table(error) => error.into(),
    }
}

fn needs_full_refresh(input: &TableRef, reason: &str) -> CurateError {
    let reason = format!(
        "incremental: {input}: {reason}, so that it cannot be told which rows are new: ask for a run with full_refresh, \
         or let the pipeline do so by itself with on_rewrite"
    );
    CurateError::State { code: "needs-full-refresh", reason }
}
