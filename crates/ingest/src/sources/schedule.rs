//! The runs that begin by themselves, and those that another server left.
//!
//! Invariant: a run is worked on once at a time, by the server whose it is.

use std::{panic::AssertUnwindSafe, time::Duration};

use chrono::Utc;
use futures::FutureExt as _;
use sluice_catalog::Begun;
use sluice_domain::{RunCause, RunCounts, RunOutcome, RunState, SourceRun, StoredFailure};

use super::{SourceError, Sources};
use crate::in_flight::Subject;

/// How many runs are taken up, or begun, in one pass.
const MAX_PER_PASS: u32 = 1000;

impl Sources {
    /// Take up the runs that were cut off, and begin those that are due from now on, until the server stops.
    pub fn start(&self) {
        let sources = self.clone();
        let pause = Duration::from_secs(self.settings.poll_seconds.max(1));
        tokio::spawn(async move {
            loop {
                if let Err(error) = sources.pass().await {
                    tracing::warn!(%error, "could not look for runs of sources");
                }
                if tokio::time::timeout(pause, sources.ingest.stopping.cancelled()).await.is_ok() {
                    break;
                }
            }
        });
    }

    async fn pass(&self) -> Result<(), SourceError> {
        let catalog = &self.ingest.road.catalog;
        for run in catalog.source_runs().unfinished(MAX_PER_PASS).await? {
            self.spawn(run);
        }
        for source in catalog.sources().due(Utc::now(), MAX_PER_PASS).await? {
            if let Begun::Started(run) = catalog.source_runs().begin(&source, RunCause::Schedule, None).await? {
                self.spawn(run);
            }
        }
        Ok(())
    }

    /// Work on a run, unless that is being done; its end is written down whether or not anybody waits for it.
    pub(super) fn spawn(&self, run: SourceRun) {
        let Some(claim) = self.ingest.in_flight.claim(Subject::Run(run.id)) else { return };
        let sources = self.clone();
        self.ingest.running.spawn(async move {
            let stopping = sources.ingest.stopping.clone();
            tokio::select! {
                biased;
                // Whoever starts next goes on with it.
                () = stopping.cancelled() => {}
                () = sources.work_on(&run) => {}
            }
            drop(claim);
        });
    }

    async fn work_on(&self, run: &SourceRun) {
        let Ok(_slot) = self.slots.acquire().await else { return };
        // It may have ended before it was claimed.
        match self.ingest.road.catalog.source_runs().find(run.id).await {
            Ok(Some(found)) if found.state == RunState::Running => {}
            _ => return,
        }
        let outcome = AssertUnwindSafe(Box::pin(self.outcome(run))).catch_unwind().await.unwrap_or_else(|_| {
            let failure = StoredFailure::from(&SourceError::internal("the run ended without an answer"));
            RunOutcome { failure: Some(failure), counts: RunCounts::default() }
        });
        let (id, failure) = (run.id, outcome.failure.as_ref());
        let state = if failure.is_none() { RunState::Succeeded } else { RunState::Failed };
        self.ingest.road.metrics.ended_run(state);
        match failure {
            None => tracing::info!(run.id = %id, rows = outcome.counts.rows.committed, "a run of a source succeeded"),
            Some(failure) => tracing::warn!(run.id = %id, %failure, "a run of a source failed"),
        }
        let runs = self.ingest.road.catalog.source_runs();
        if let Err(error) = runs.finish(id, &outcome, self.settings.keep_runs).await {
            tracing::error!(run.id = %id, %error, "could not write down that a run of a source ended");
        }
    }

    async fn outcome(&self, run: &SourceRun) -> RunOutcome {
        let failed = |error: &SourceError, counts| RunOutcome { failure: Some(StoredFailure::from(error)), counts };
        let source = match self.ingest.road.catalog.sources().find_by_id(run.source).await {
            Ok(Some(source)) => source,
            Ok(None) => return failed(&SourceError::internal("the source is gone"), RunCounts::default()),
            Err(error) => return failed(&error.into(), RunCounts::default()),
        };
        match self.execute(&source, run).await {
            Ok(outcome) => outcome,
            Err(error) => {
                let counts = self.counts(&source, run).await.map(|(counts, _)| counts);
                failed(&error, counts.unwrap_or_default())
            }
        }
    }
}
