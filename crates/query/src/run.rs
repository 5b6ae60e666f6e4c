//! One running query.
//!
//! Invariant: a query ends at its deadline, at its row limit if it has one, or when it is dropped, whichever comes
//! first, and its place is free only once it has ended.

use std::{sync::Arc, time::Instant};

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray},
    datatypes::{DataType, SchemaRef},
};
use datafusion::{
    error::DataFusionError,
    physical_plan::{ExecutionPlan, execute_stream},
};
use futures::TryStreamExt;
use sluice_domain::TableRef;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant as Deadline, timeout_at},
};

use crate::{
    QueryError, QueryStats, engine::Engine, interruption::Stop, planner::Planned, redaction::Redaction, stats::Scanned,
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

/// A query that runs, and its rows as they come. Dropping it cancels the query.
#[derive(Debug)]
pub struct QueryRun {
    /// The tables that are read, and at which version.
    pub tables: Vec<(TableRef, u64)>,
    schema: SchemaRef,
    plan: Arc<dyn ExecutionPlan>,
    batches: mpsc::Receiver<RecordBatch>,
    /// Ends with whether rows were left out; none once that is known.
    driver: Option<JoinHandle<Result<bool, QueryError>>>,
    rows: u64,
    truncated: bool,
    clock: Clock,
    stop: Stop,
}

impl QueryRun {
    /// Begin to run a plan; `place` is given back when it has ended.
    pub(crate) fn start<P: Send + 'static>(
        engine: &Engine,
        planned: Planned,
        row_limit: Option<u64>,
        clock: Clock,
        place: P,
    ) -> Self {
        let (sender, batches) = mpsc::channel(1);
        let (schema, plan, stop) = (planned.plan.schema(), Arc::clone(&planned.plan), planned.stop.clone());
        let driver = engine.spawn(async move {
            let _place = place;
            match timeout_at(clock.deadline, drive(planned, row_limit, sender)).await {
                // What a query says after its deadline is only that it was ended.
                Err(_) => Err(clock.timed_out()),
                Ok(Err(_)) if Deadline::now() >= clock.deadline => Err(clock.timed_out()),
                Ok(outcome) => outcome,
            }
        });
        Self { tables: Vec::new(), schema, plan, batches, driver: Some(driver), rows: 0, truncated: true, clock, stop }
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
        match timeout_at(self.clock.deadline, self.batches.recv()).await {
            Ok(Some(batch)) => {
                self.rows += batch.num_rows() as u64;
                Ok(Some(batch))
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
            self.truncated = driver.await.map_err(QueryError::fault)??;
        }
        Ok(None)
    }

    /// End the query, whether or not all its rows were read, and say what it cost.
    pub fn finish(self) -> QueryStats {
        let scanned = Scanned::of(self.plan.as_ref());
        QueryStats {
            files_scanned: scanned.files,
            bytes_scanned: scanned.bytes,
            rows: self.rows,
            truncated: self.truncated,
            elapsed_ms: u64::try_from(self.clock.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn cancel(&self) {
        self.stop.stop();
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

impl Drop for QueryRun {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Send rows until there are no more (false) or the limit leaves some out (true).
async fn drive(
    planned: Planned,
    row_limit: Option<u64>,
    sender: mpsc::Sender<RecordBatch>,
) -> Result<bool, QueryError> {
    let Planned { plan, context, redaction, explains, .. } = planned;
    let failed = |error: DataFusionError| QueryError::running(error, &redaction);
    let mut stream = execute_stream(plan, context).map_err(failed)?;
    let mut left = row_limit.and_then(|rows| usize::try_from(rows).ok()).unwrap_or(usize::MAX);
    while let Some(batch) = stream.try_next().await.map_err(failed)? {
        let kept = batch.num_rows().min(left);
        left -= kept;
        let truncated = kept < batch.num_rows();
        if kept > 0 {
            let batch = batch.slice(0, kept);
            let batch = if explains { redacted(&batch, &redaction).map_err(failed)? } else { batch };
            if sender.send(batch).await.is_err() {
                return Ok(true);
            }
        }
        if truncated {
            return Ok(true);
        }
    }
    Ok(false)
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
