//! One try of a run, and what may end it.
//!
//! Invariant: a try that is ended before its commit leaves the target as it was; a commit that has begun is not ended.

use std::{future::Future, time::Duration};

use sluice_domain::{CuratedRun, RunId};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{Curate, CurateError, commit::Done};

/// How often it is looked whether another server was asked to end a run.
const CANCEL_PAUSE: Duration = Duration::from_secs(1);

/// What may end a run before its time.
pub(crate) struct Watch {
    pub(crate) run: RunId,
    pub(crate) token: CancellationToken,
    pub(crate) deadline: Instant,
    pub(crate) timeout_seconds: u32,
}

impl Watch {
    /// Do a part of a run that may be given up at any moment.
    pub(crate) async fn during<T>(
        &self,
        curate: &Curate,
        work: impl Future<Output = Result<T, CurateError>>,
    ) -> Result<T, CurateError> {
        tokio::select! {
            biased;
            () = self.token.cancelled() => Err(CurateError::Cancelled),
            () = sleep_until(self.deadline) => Err(CurateError::TimedOut { seconds: self.timeout_seconds }),
            done = work => done,
            () = self.asked(curate) => Err(CurateError::Cancelled),
        }
    }

    /// How long the run may go on.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Wait until the catalog says that somebody asked to end the run.
    async fn asked(&self, curate: &Curate) {
        loop {
            sleep(CANCEL_PAUSE).await;
            if let Ok(Some(run)) = curate.catalog().pipelines().find_run(self.run).await
                && run.cancel_asked
            {
                return;
            }
        }
    }
}

impl Curate {
    /// Try a run once; gives what it came to.
    pub(crate) async fn attempt(&self, run: &mut CuratedRun, watch: &Watch) -> Result<Done, CurateError> {
        let reading = watch.during(self, Box::pin(self.reading(run))).await?;
        if let Some(figures) = reading.nothing() {
            return Ok(Done::without_commit(figures));
        }
        let ready = watch.during(self, Box::pin(self.bring(run, &reading, watch.left()))).await?;
        Box::pin(self.commit(run, ready)).await
    }
}
