//! The gate of a run: the suite of its target is asked of the rows on their way to the files.
//!
//! Invariant: what a gate blocks was never in the target's folder.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use async_trait::async_trait;
use chrono::{SubsecRound as _, Utc};
use sluice_domain::{
    Criticality, CuratedFigures, CuratedRun, GateAction, PipelineGate, QualityResult, QualitySubject, RunQuality,
    StoredFailure, Suite, TableEntry, Validation,
};
use sluice_quality::Evaluation;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

use crate::{Curate, CurateError, rows::BATCHES_AHEAD, shape::Shape};

/// The tag of tables on which so much depends that a gate that says nothing of it takes them for critical.
const CRITICAL_TAG: &str = "critical";

/// Makes the suites of tables ready to be asked.
#[async_trait]
pub trait Suites: Send + Sync {
    /// Begin to ask a suite of rows with these columns, which are all that the table will have, or some of them.
    async fn begin(&self, suite: &Suite, columns: &SchemaRef, is_partial: bool) -> Result<Evaluation, StoredFailure>;
}

/// A suite that is being asked.
pub(crate) struct Asked {
    judging: JoinHandle<Validation>,
    has_threshold: bool,
}

impl Curate {
    /// Have the suite of the target look at rows before they go on; without a gate, or a suite, they go on as they are.
    pub(crate) async fn ask(
        &self,
        run: &CuratedRun,
        shape: &Shape,
        target: Option<&TableEntry>,
        rows: mpsc::Receiver<RecordBatch>,
    ) -> Result<(mpsc::Receiver<RecordBatch>, Option<Asked>), CurateError> {
        let Some((entry, _)) = target.zip(run.definition.gate.as_ref()) else { return Ok((rows, None)) };
        let Some(suite) = self.catalog().quality().suite(entry.id).await? else { return Ok((rows, None)) };
        let begun = self.inner.lake.suites.begin(&suite, &shape.written, shape.is_partial()).await;
        let evaluation = begun.map_err(CurateError::Other)?;
        let (sender, seen) = mpsc::channel(BATCHES_AHEAD);
        let judging = spawn_blocking(move || look(evaluation, rows, &sender));
        Ok((seen, Some(Asked { judging, has_threshold: suite.threshold().is_some() })))
    }

    /// What the gate of a run says of its rows, which are so many of those that came; the report is kept.
    ///
    /// # Errors
    /// [`CurateError::Gate`] where they are not to be published.
    pub(crate) async fn judge(
        &self,
        run: &CuratedRun,
        target: Option<&TableEntry>,
        asked: Option<Asked>,
        (came, stayed): (u64, u64),
    ) -> Result<Option<RunQuality>, CurateError> {
        let Some(gate) = &run.definition.gate else { return Ok(None) };
        let mut gate = gate.clone();
        let (mut validation, mut has_threshold) = (None, false);
        if let Some((asked, entry)) = asked.zip(target) {
            has_threshold = asked.has_threshold;
            let found = asked.judging.await.map_err(CurateError::fault)?;
            self.keep_report(run, entry, &found).await?;
            if !has_threshold && self.is_critical(&gate, entry).await? {
                gate.criticality = Some(Criticality::Critical);
            }
            validation = Some(found);
        }
        let mut quality = gate.judge(validation.as_ref(), has_threshold, (came, stayed));
        let is_good = quality.passed();
        if validation.is_none() && gate.needs_suite() {
            let what = "the target has no suite yet: the gate had nothing to ask";
            quality.complaints.push(what.to_owned());
        }
        // Where there is nothing to ask, nothing could ever make the target that a suite is of.
        match gate.on_failure {
            GateAction::Block if !is_good => Err(CurateError::Gate { quality: Box::new(quality) }),
            _ => Ok(Some(quality)),
        }
    }

    /// Say which version has the rows that a report is about.
    pub(crate) async fn publish_report(&self, run: &CuratedRun, figures: &CuratedFigures) -> Result<(), CurateError> {
        match (&figures.quality, figures.version_out) {
            (Some(_), Some(version)) => Ok(self.catalog().quality().publish(run.id, version).await?),
            _ => Ok(()),
        }
    }

    async fn keep_report(
        &self,
        run: &CuratedRun,
        target: &TableEntry,
        validation: &Validation,
    ) -> Result<(), CurateError> {
        let result = QualityResult {
            subject: QualitySubject::Run(run.id),
            version: None,
            checked_at: Utc::now().trunc_subsecs(6),
            validation: validation.clone(),
        };
        Ok(self.catalog().quality().record(target.id, &result).await?)
    }

    /// Whether a gate that names no threshold is that of a table on which much depends.
    async fn is_critical(&self, gate: &PipelineGate, target: &TableEntry) -> Result<bool, CurateError> {
        if gate.criticality.is_some() || gate.min_score.is_some() {
            return Ok(false);
        }
        let notes = self.catalog().annotations().notes(target.id).await?;
        Ok(notes.table.tags.iter().any(|tag| tag.as_str() == CRITICAL_TAG))
    }
}

/// Show rows to a suite, and hand them on.
fn look(
    mut evaluation: Evaluation,
    mut rows: mpsc::Receiver<RecordBatch>,
    sender: &mpsc::Sender<RecordBatch>,
) -> Validation {
    while let Some(batch) = rows.blocking_recv() {
        evaluation.look(&batch);
        if sender.blocking_send(batch).is_err() {
            // The writer stopped, and knows why.
            break;
        }
    }
    evaluation.finish()
}
