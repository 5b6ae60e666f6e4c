//! One running query.
//!
//! Invariant: a query ends at its deadline, at its row limit if it has one, or when it is dropped, whichever comes
//! first, and its place is free only once it has ended.

use std::{sync::Arc, time::Instant};

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray},
    datatypes::{DataType, SchemaRef},
};
use datafusion::{error::DataFusionError, physical_plan::execute_stream};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use sluice_domain::TableRef;
use tokio::{
    sync::mpsc,
    time::{Instant as Deadline, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    QueryError, QueryStats,
    engine::Engine,
    interruption::Stop,
    place::{Place, hold},
    planner::Planned,
    redaction::Redaction,
    stats::Scanned,
};

/// Until when a query may run, and since when it does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) started: Instant,
    pub(crate) deadline: Deadline,
    pub(crate) timeout_seconds: u64,
}

impl Clock {
    /// The error of a query that is past its deadline.
    pub(crate) fn timed_out(&self) -> QueryError {
        QueryError::TimedOut { seconds: self.timeout_seconds }
    }
}

/// Some rows, and what was read so far.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) rows: RecordBatch,
    pub(crate) scanned: Scanned,
}

/// How a query ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// Whether rows were left out.
    pub(crate) truncated: bool,
    pub(crate) scanned: Scanned,
}

/// What makes a query's rows: dropping it ends the query.
pub(crate) type Driver = AbortOnDropHandle<Result<Ended, QueryError>>;

/// A query that runs, and its rows as they come. Dropping it cancels the query.
#[derive(Debug)]
pub struct QueryRun {
    /// The tables that are read, and at which version.
    pub tables: Vec<(TableRef, u64)>,
    schema: SchemaRef,
    pieces: mpsc::Receiver<Piece>,
    /// None once it has ended.
    driver: Option<Driver>,
    /// What ends it while it computes, where it does so in this process.
    stop: Option<Stop>,
    clock: Clock,
    rows: u64,
    ended: Ended,
}

impl QueryRun {
    /// The run of a query whose rows come from `driver` through `pieces`.
    pub(crate) fn new(schema: SchemaRef, pieces: mpsc::Receiver<Piece>, driver: Driver, clock: Clock) -> Self {
        let ended = Ended { truncated: true, scanned: Scanned::default() };
        Self { tables: Vec::new(), schema, pieces, driver: Some(driver), stop: None, clock, rows: 0, ended }
    }

    /// Begin to run a plan; `place` is given back when it has ended.
    pub(crate) fn start(engine: &Engine, planned: Planned, row_limit: Option<u64>, clock: Clock, place: Place) -> Self {
        let (sender, pieces) = mpsc::channel(1);
        let (schema, stop) = (planned.plan.schema(), planned.stop.clone());
        let driving = hold(place, async move {
            match timeout_at(clock.deadline, drive(planned, row_limit, sender)).await {
                // What a query says after its deadline is only that it was ended.
                Err(_) => Err(clock.timed_out()),
                Ok(Err(_)) if Deadline::now() >= clock.deadline => Err(clock.timed_out()),
                Ok(outcome) => outcome,
            }
        });
        let driver = AbortOnDropHandle::new(engine.spawn(driving));
        let mut run = Self::new(schema, pieces, driver, clock);
        run.stop = Some(stop);
        run
    }

    /// The columns of the result.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The next rows; none when there are no more.
    ///
    /// # Errors
    /// [`QueryError::Evaluation`], [`QueryError::TimedOut`], [`QueryError::MemoryExceeded`] and
    /// [`QueryError::Execution`]; the query has ended then.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        match timeout_at(self.clock.deadline, self.pieces.recv()).await {
            Ok(Some(piece)) => {
                self.rows += piece.rows.num_rows() as u64;
                self.ended.scanned = piece.scanned;
                Ok(Some(piece.rows))
            }
            Ok(None) => self.conclude().await,
            Err(_) => {
                self.cancel();
                Err(self.clock.timed_out())
            }
        }
    }

    async fn conclude(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        if let Some(driver) = self.driver.take() {
            self.ended = driver.await.map_err(QueryError::fault)??;
        }
        Ok(None)
    }

    /// End the query, whether or not all its rows were read, and say what it cost.
    pub fn finish(self) -> QueryStats {
        QueryStats {
            files_scanned: self.ended.scanned.files,
            bytes_scanned: self.ended.scanned.bytes,
            rows: self.rows,
            truncated: self.ended.truncated,
            elapsed_ms: u64::try_from(self.clock.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// How the query ended, as far as is known.
    pub(crate) fn ended(&self) -> Ended {
        self.ended
    }

    fn cancel(&mut self) {
        self.driver = None;
        if let Some(stop) = &self.stop {
            stop.stop();
        }
    }
}

impl Drop for QueryRun {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Send rows until there are no more or the limit leaves some out.
async fn drive(planned: Planned, row_limit: Option<u64>, sender: mpsc::Sender<Piece>) -> Result<Ended, QueryError> {
    let Planned { plan, context, redaction, explains, .. } = planned;
    let failed = |error: DataFusionError| QueryError::running(error, &redaction);
    let ended = |truncated| Ended { truncated, scanned: Scanned::of(plan.as_ref()) };
    let mut stream = execute_stream(Arc::clone(&plan), context).map_err(failed)?;
    let mut left = row_limit.and_then(|rows| usize::try_from(rows).ok()).unwrap_or(usize::MAX);
    while let Some(batch) = stream.try_next().await.map_err(failed)? {
        let kept = batch.num_rows().min(left);
        left -= kept;
        let truncated = kept < batch.num_rows();
        if kept > 0 {
            let batch = batch.slice(0, kept);
            let rows = if explains { redacted(&batch, &redaction).map_err(failed)? } else { batch };
            if sender.send(Piece { rows, scanned: Scanned::of(plan.as_ref()) }).await.is_err() {
                return Ok(ended(true));
            }
        }
        if truncated {
            return Ok(ended(true));
        }
    }
    Ok(ended(false))
}

/// A plan as text, without the places of files.
fn redacted(batch: &RecordBatch, redaction: &Redaction) -> Result<RecordBatch, DataFusionError> {
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8 => {
            let texts = column.as_string::<i32>().iter().map(|text| text.map(|text| redaction.text(text)));
            Arc::new(texts.collect::<StringArray>()) as Arc<dyn Array>
        }
        _ => Arc::clone(column),
    });
    Ok(RecordBatch::try_new(batch.schema(), columns.collect())?)
}
