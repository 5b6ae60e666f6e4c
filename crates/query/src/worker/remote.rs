//! A query that runs in a worker, as the server sees it.

use std::{sync::Arc, time::Duration};

use arrow::{array::RecordBatch, datatypes::SchemaRef, error::ArrowError};
use sluice_domain::TableRef;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout_at,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    frame::{Frame, decode},
    message::{Job, Reply, Request},
    pool::Pool,
    rows::RowsReader,
};
use crate::{
    QueryError, QueryRun,
    place::Place,
    run::{Clock, Ended, Piece},
};

/// How long after its deadline a query that does not end by itself is killed.
const GRACE: Duration = Duration::from_millis(500);

/// What is known of a query once it runs.
struct Started {
    schema: SchemaRef,
    tables: Vec<(TableRef, u64)>,
}

/// Hand a query to a worker, and wait until it runs.
pub(crate) async fn start(pool: Arc<Pool>, job: Job, clock: Clock, place: Place) -> Result<QueryRun, QueryError> {
    let clock = Clock { deadline: clock.deadline + GRACE, ..clock };
    let (begun, started) = oneshot::channel();
    let (sender, pieces) = mpsc::channel(1);
    let answer = Answer { rows: RowsReader::default(), tables: None, begun: Some(begun), sender };
    let driving = drive(Arc::clone(&pool), job, place, answer);
    let driving = async move { timeout_at(clock.deadline, driving).await.unwrap_or_else(|_| Err(clock.timed_out())) };
    let driver = AbortOnDropHandle::new(pool.engine().spawn(driving));
    match timeout_at(clock.deadline, started).await {
        Ok(Ok(Started { schema, tables })) => {
            let mut run = QueryRun::new(schema, pieces, driver, clock);
            run.tables = tables;
            Ok(run)
        }
        Ok(Err(_)) => match driver.await.map_err(QueryError::fault)? {
            Ok(_) => Err(QueryError::fault("a worker ended a query that it had not begun")),
            Err(error) => Err(error),
        },
        Err(_) => Err(clock.timed_out()),
    }
}

async fn drive(pool: Arc<Pool>, job: Job, place: Place, mut answer: Answer) -> Result<Ended, QueryError> {
    let mut lease = pool.lease(&Request::Run(job), place).await?;
    loop {
        let outcome = match lease.receive().await? {
            Frame::Rows(scanned, ipc) => {
                for rows in answer.read(ipc).map_err(QueryError::fault)? {
                    if answer.sender.send(Piece { rows, scanned }).await.is_err() {
                        return Err(QueryError::fault("nobody wants the rows"));
                    }
                }
                continue;
            }
            Frame::Message(message) => match decode(&message).map_err(QueryError::fault)? {
                Reply::Started { tables } => {
                    answer.tables = Some(tables);
                    continue;
                }
                Reply::Finished(ended) => Ok(ended),
                Reply::Failed(error) => Err(error.into()),
                Reply::Ready { .. } | Reply::Taken => {
                    return Err(QueryError::fault("a worker ended a query without a word"));
                }
            },
        };
        lease.settle().await;
        return outcome;
    }
}

/// The rows of an answer as they come.
struct Answer {
    rows: RowsReader,
    /// None before the worker has told, and once that was passed on.
    tables: Option<Vec<(TableRef, u64)>>,
    begun: Option<oneshot::Sender<Started>>,
    sender: mpsc::Sender<Piece>,
}

impl Answer {
    fn read(&mut self, ipc: Vec<u8>) -> Result<Vec<RecordBatch>, ArrowError> {
        let batches = self.rows.read(ipc)?;
        if let Some(schema) = self.rows.schema()
            && let Some(tables) = self.tables.take()
            && let Some(begun) = self.begun.take()
        {
            // Whoever asked may have gone away: the driver ends with them.
            let _ = begun.send(Started { schema, tables });
        }
        Ok(batches)
    }
}
