//! The suites of tables: set, asked on demand, proposed.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use chrono::{SubsecRound as _, Utc};
use sluice_domain::{Format, Grant, QualityResult, QualitySubject, Suite, SuiteError, TableRef, Terms};
use sluice_quality::{Evaluation, Profile, ProfileLimits, Profiler, check_against};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::{
    answers::{AskTable, answers},
    asked::{AskedSuite, conditions},
    scans::scan,
};
use crate::{DecodeError, Ingest, IngestError, SchemaError, pipeline::joined};

impl Ingest {
    /// Put a suite in the place of the table's.
    ///
    /// # Errors
    /// [`SchemaError::Suite`] naming what cannot be asked of the table's columns; the catalog's.
    pub async fn set_suite(&self, grant: &Grant, name: &TableRef, suite: &Suite) -> Result<(), SchemaError> {
        let catalog = &self.road.catalog;
        let entry = catalog.tables().find(name).await?;
        if name.table.is_quarantine() {
            let reason = "a quarantine takes whatever its table does not";
            return Err(SuiteError::new("table", reason).into());
        }
        let schema = self.road.rows_of(&entry).await?.schema;
        let checked = suite.clone();
        let checking = spawn_blocking(move || check_against(&checked, &schema, &conditions(&checked, &schema)));
        joined(checking, "check of a suite").await??;
        catalog.quality().set_suite(entry.id, suite, grant.principal()).await?;
        self.rows.writer.targets.forget(name);
        Ok(())
    }

    /// Begin to ask a suite of rows with these columns that somebody else brings; `is_partial` where their table has
    /// others, too.
    ///
    /// # Errors
    /// The thread that plans its conditions failed.
    pub async fn begin_suite(
        &self,
        suite: &Suite,
        columns: &SchemaRef,
        is_partial: bool,
    ) -> Result<Evaluation, IngestError> {
        let terms = Terms { suite: Some(suite.clone()), ..Terms::default() };
        let references = self.road.references(&terms).await;
        let asked = AskedSuite { suite: suite.clone(), now: Utc::now().trunc_subsecs(6), references, is_partial };
        let columns = Arc::clone(columns);
        joined(spawn_blocking(move || asked.begin_run(&columns)), "plan of a suite").await
    }

    /// Ask the suite of a table of the rows that it has now, and keep what comes of it. Queries over the whole table are
    /// run by `asker`.
    ///
    /// # Errors
    /// [`SchemaError::Suite`] where the table has none; the table's, the catalog's, or the store's.
    pub async fn check_quality(&self, name: &TableRef, asker: &dyn AskTable) -> Result<QualityResult, SchemaError> {
        let catalog = &self.road.catalog;
        let entry = catalog.tables().find(name).await?;
        let suite = catalog.quality().suite(entry.id).await?;
        let suite = suite.ok_or_else(|| SuiteError::new("suite", "the table has none yet"))?;
        let rows = self.road.rows_of(&entry).await?;
        let answers = answers(asker, &suite, name, rows.version).await;
        let _slot = self.road.pipeline.slot().await;
        let terms = Terms { suite: Some(suite.clone()), ..Terms::default() };
        let references = self.road.references(&terms).await;
        let now = Utc::now().trunc_subsecs(6);
        let asked = AskedSuite { suite, now, references, is_partial: false };
        let (version, schema) = (rows.version, Arc::clone(&rows.schema));
        let validation = scan(rows, None, move |batches| {
            let mut evaluation = asked.begin_table(&schema, answers);
            batches.for_each(|batch| drop(evaluation.look(&batch)));
            evaluation.finish()
        });
        let validation = validation.await?;
        self.road.metrics.judged(name, &validation);
        let subject = QualitySubject::Table(Uuid::now_v7());
        let result = QualityResult { subject, version: Some(version), checked_at: now, validation };
        catalog.quality().record(entry.id, &result).await?;
        Ok(result)
    }

    /// Tell what a table holds, from one scan; and of which version that is true.
    ///
    /// # Errors
    /// The table's, the catalog's, or the store's.
    pub async fn profile(&self, name: &TableRef) -> Result<(u64, Profile), SchemaError> {
        let entry = self.road.catalog.tables().find(name).await?;
        let _slot = self.road.pipeline.slot().await;
        let rows = self.road.rows_of(&entry).await?;
        let (version, schema) = (rows.version, Arc::clone(&rows.schema));
        let profile = scan(rows, None, move |mut batches| {
            let mut profiler = Profiler::new(&schema, ProfileLimits::default());
            batches.try_for_each(|batch| profiler.look(&batch)).map(|()| profiler.finish())
        });
        let unfit = |reason: String| IngestError::from(DecodeError::malformed(Format::Parquet, reason));
        Ok((version, profile.await?.map_err(unfit)?))
    }
}
