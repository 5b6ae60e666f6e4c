//! A worker while it has a query.
//!
//! Invariant: the place of a query is held until its worker is ready again or gone.

use std::{io, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    frame::Frame,
    message::{Reply, Request},
    pool::Pool,
    process::Worker,
};
use crate::{QueryError, place::Place};

/// How long a worker may take, after the end of a query's rows, to end what still computes.
const SETTLING: Duration = Duration::from_secs(1);

/// How long the end of an answer waits for its worker to be ready.
const ALL_BUT_READY: Duration = Duration::from_millis(5);

/// A worker and the place of its query. Dropping it kills the worker.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    /// None once it was taken out.
    held: Option<(Worker, Place)>,
}

impl Lease {
    pub(crate) fn new(pool: Arc<Pool>, worker: Worker, place: Place) -> Self {
        Self { pool, held: Some((worker, place)) }
    }

    /// Give the worker a query, and wait until it has taken it.
    pub(crate) async fn begin(&mut self, query: &Request) -> io::Result<()> {
        match &mut self.held {
            Some((worker, _)) => worker.begin(query).await,
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Give up the worker, and keep the place.
    pub(crate) async fn dissolve(mut self) -> Result<Place, QueryError> {
        let (mut worker, place) = self.held.take().ok_or_else(|| QueryError::fault("a lease holds nothing"))?;
        worker.kill().await;
        Ok(place)
    }

    /// The next frame of its answer.
    pub(crate) async fn receive(&mut self) -> Result<Frame, QueryError> {
        let received = match &mut self.held {
            Some((worker, _)) => worker.receive().await,
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        match received {
            Ok(frame) => Ok(frame),
            Err(lost) => Err(self.lost(lost).await),
        }
    }

    /// Why the query has no answer whose worker was lost.
    pub(crate) async fn lost(&mut self, lost: io::Error) -> QueryError {
        match &mut self.held {
            Some((worker, _)) => worker.end(lost).await,
            None => QueryError::fault(lost),
        }
    }

    /// The query has ended: the worker is kept if it becomes ready soon. Ends at once, unless it is all but ready: then
    /// the next query of the same client finds it.
    pub(crate) async fn settle(mut self) {
        let Some((mut worker, place)) = self.held.take() else { return };
        let pool = Arc::clone(&self.pool);
        let settling = self.pool.engine().spawn(async move {
            match timeout(SETTLING, worker.reply()).await {
                Ok(Ok(Reply::Ready { worn: false })) => pool.give_back(worker),
                _ => {
                    worker.kill().await;
                    pool.refill(place).await;
                }
            }
        });
        // It goes on, whether or not it is waited for.
        let _ = timeout(ALL_BUT_READY, settling).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((mut worker, place)) = self.held.take() else { return };
        let pool = Arc::clone(&self.pool);
        self.pool.engine().spawn(async move {
            worker.kill().await;
            pool.refill(place).await;
        });
    }
}
