//! A run from its beginning to its end: tries with pauses between them, and what is written down of it.
//!
//! Invariant: a run is worked on once at a time, by the server whose it is.
//! Invariant: of a run that has ended everything that is told was true before: its commit, its flows, its figures.

use std::{
    collections::{BTreeSet, HashMap},
    panic::AssertUnwindSafe,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use chrono::Utc;
use futures::FutureExt as _;
use sluice_domain::{
    CuratedFigures, CuratedOutcome, CuratedRun, ErrorKind, Failure as _, RunId, RunQuality, RunStatus, StoredFailure,
    backoff,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{Curate, CurateError, attempt::Watch, commit::Done, error::GATE_CODE};

/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(600);

impl Curate {
    pub(crate) fn claims(&self) -> MutexGuard<'_, HashMap<RunId, CancellationToken>> {
        self.inner.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Work on a run, unless that is being done; its end is written down whether or not anybody waits for it.
    pub(crate) fn spawn(&self, run: CuratedRun) {
        let (curate, token) = (self.clone(), CancellationToken::new());
        {
            let mut claims = self.claims();
            if claims.contains_key(&run.id) {
                return;
            }
            claims.insert(run.id, token.clone());
        }
        self.inner.tasks.spawn(async move {
            tokio::select! {
                biased;
                // Whoever starts next goes on with it.
                () = curate.inner.stopping.cancelled() => {}
                () = curate.work_on(run.id, token) => {}
            }
            curate.claims().remove(&run.id);
        });
    }

    async fn work_on(&self, id: RunId, token: CancellationToken) {
        // One that is cancelled while it waits needs no place to end.
        let _slot = tokio::select! {
            biased;
            () = token.cancelled() => None,
            slot = self.inner.slots.acquire() => slot.ok(),
        };
        // It may have ended before it was claimed.
        let mut run = match self.catalog().pipelines().find_run(id).await {
            Ok(Some(run)) if !run.status.has_ended() => run,
            _ => return,
        };
        let tries = AssertUnwindSafe(Box::pin(self.tries(&mut run, token))).catch_unwind().await;
        let outcome = tries.unwrap_or_else(|_| Err(CurateError::fault("the run ended without an answer")));
        let (outcome, live) = match outcome {
            Ok(done) => (self.succeeded(&run, done.figures).await, done.live),
            // The commit of the last try may stand all the same.
            Err(error) => match self.find_committed(&run).await {
                Ok(Some(done)) => (self.succeeded(&run, done.figures).await, done.live),
                Err(unknown) if unknown.may_pass() => {
                    return tracing::warn!(run.id = %id, %unknown, "it is not known whether a run is committed");
                }
                _ => (failed(&run, &error), BTreeSet::new()),
            },
        };
        let keep = self.inner.settings.keep_runs;
        if let Err(error) = self.catalog().pipelines().finish_run(id, &outcome, &live, keep).await {
            tracing::error!(run.id = %id, %error, "could not write down that a run of a pipeline ended");
        }
    }

    /// Try a run as often as its pipeline says.
    async fn tries(&self, run: &mut CuratedRun, token: CancellationToken) -> Result<Done, CurateError> {
        let definition = run.definition.clone();
        let gone = (Utc::now() - run.started_at).to_std().unwrap_or_default();
        let left = Duration::from_secs(definition.timeout_seconds.into()).saturating_sub(gone);
        let deadline = Instant::now() + left;
        let watch = Watch { run: run.id, token, deadline, timeout_seconds: definition.timeout_seconds };
        loop {
            // Whatever cut an earlier try off, its commit may stand.
            if let Some(done) = self.find_committed(run).await? {
                return Ok(done);
            }
            let tries = self.catalog().pipelines().count_attempt(run.id).await?;
            let tries = tries.ok_or_else(|| CurateError::fault("the run is another server's by now"))?;
            if tries > definition.retries + 1 {
                let reason = format!("the run was cut off in each of its {} tries", tries - 1);
                return Err(CurateError::State { code: "run-cut-off", reason });
            }
            let error = match self.attempt(run, &watch).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if !error.may_pass() || tries > definition.retries {
                return Err(error);
            }
            let pause = pause(definition.retry_seconds, tries);
            tracing::warn!(run.id = %run.id, pipeline.name = %run.name, %error, tries, "a run is tried again");
            let paused = async {
                sleep(pause).await;
                Ok(())
            };
            watch.during(self, paused).await?;
        }
    }

    /// Tell of a run that is committed.
    async fn succeeded(&self, run: &CuratedRun, figures: CuratedFigures) -> CuratedOutcome {
        let told = match self.publish_report(run, &figures).await {
            Ok(()) => self.declare_flows(run, &figures).await,
            Err(error) => Err(error),
        };
        let (status, failure) = match told {
            Ok(()) => match figures.quality.as_ref().and_then(complaint) {
                Some(complaint) => (RunStatus::Warning, Some(complaint)),
                None => (RunStatus::Success, None),
            },
            Err(error) => {
                tracing::warn!(run.id = %run.id, %error, "the flows of a run could not be declared");
                let failure = StoredFailure::from(&error);
                let detail = format!("the rows are in the target, but its lineage is not told: {}", failure.detail);
                (RunStatus::Warning, Some(StoredFailure { detail, ..failure }))
            }
        };
        tracing::info!(
            run.id = %run.id, pipeline.name = %run.name, table.version = figures.version_out,
            rows = figures.rows_out, "a run of a pipeline went through"
        );
        CuratedOutcome { status, figures, failure }
    }
}

/// What a gate lets pass and warns of.
fn complaint(quality: &RunQuality) -> Option<StoredFailure> {
    let (kind, code, detail) = (ErrorKind::Invalid, GATE_CODE.to_owned(), quality.complaints.join("; "));
    (!quality.passed()).then_some(StoredFailure { kind, code, detail })
}

fn failed(run: &CuratedRun, error: &CurateError) -> CuratedOutcome {
    let status = if matches!(error, CurateError::Cancelled) { RunStatus::Cancelled } else { RunStatus::Failed };
    let mut failure = StoredFailure::from(error);
    if failure.kind == ErrorKind::Internal {
        failure.detail = "a fault of the server; its log has the details under the id of the run".to_owned();
    }
    tracing::warn!(
        run.id = %run.id, pipeline.name = %run.name, code = error.code(), ?error, "a run of a pipeline did not go through"
    );
    let quality = match error {
        CurateError::Gate { quality } => Some(quality.as_ref().clone()),
        _ => None,
    };
    let figures = CuratedFigures { quality, ..CuratedFigures::default() };
    CuratedOutcome { status, figures, failure: Some(failure) }
}

/// Twice as long after each try.
fn pause(first_seconds: u32, tries: u32) -> Duration {
    backoff(Duration::from_secs(first_seconds.into()), tries, MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let seconds: Vec<u64> = [1, 2, 3, 4, 40].map(|tries| pause(10, tries).as_secs()).into();
        assert_eq!(seconds, [10, 20, 40, 80, 600]);
        assert_eq!(pause(0, 5), Duration::ZERO);
    }
}
