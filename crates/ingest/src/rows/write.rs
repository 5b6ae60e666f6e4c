//! A group becomes one original, one set of files and one commit; each of its requests gets its own answer.
//!
//! Invariant: what is wrong with one request takes that one out and leaves the others in.
//! Invariant: the original and the data files are durable before the ledger and then the log know of the group.

use std::sync::Arc;

use sluice_catalog::{CatalogError, Entered, Obstacle};
use sluice_domain::{ErrorKind, Failure as _, RowCounts, StoredFailure, TableRef, UploadId};
use sluice_table::TableError;
use uuid::Uuid;

use super::{
    check::{check, fits},
    error::RowsError,
    group::Group,
    request::Waiting,
    targets::{Known, Targets},
};
use crate::{
    IngestError,
    commit_queue::{Outcome, Ready},
    in_flight::{Claim, InFlight, Subject},
    road::{Road, Target},
};

/// How often a group is written anew because the table changed meanwhile.
const MAX_ROUNDS: u32 = 3;

/// Writes groups.
pub(crate) struct GroupWriter {
    pub(super) road: Arc<Road>,
    in_flight: InFlight,
    pub(crate) targets: Targets,
}

/// How it goes on with the requests that have no answer yet.
enum Step {
    Done,
    /// Without one that was taken out.
    Without(Vec<Waiting>),
    /// From the beginning: the table is not what it was.
    Again(Vec<Waiting>),
    /// Those that go alone by themselves, and the others.
    Apart(Vec<Waiting>),
    /// In two halves: something is wrong with one of them.
    Halved(Vec<Waiting>),
}

impl GroupWriter {
    pub(crate) fn new(road: Arc<Road>, in_flight: InFlight) -> Self {
        let targets = Targets::new(Arc::clone(&road));
        Self { road, in_flight, targets }
    }

    /// Bring requests to their answers.
    pub(super) async fn commit(&self, table: &TableRef, requests: Vec<Waiting>) {
        let mut left = vec![requests];
        while let Some(mut group) = left.pop() {
            let mut rounds = 0;
            loop {
                match self.step(table, group).await {
                    Step::Done => break,
                    Step::Without(rest) => group = rest,
                    Step::Again(rest) => (group, rounds) = (rest, rounds + 1),
                    Step::Apart(rest) => {
                        let (alone, rest) = rest.into_iter().partition(|request| request.is_alone);
                        left.extend(Vec::into_iter(alone).map(|request| vec![request]));
                        left.push(rest);
                        break;
                    }
                    Step::Halved(mut rest) => {
                        let half = rest.split_off(rest.len() / 2);
                        left.extend([half, rest]);
                        break;
                    }
                }
                if rounds >= MAX_ROUNDS {
                    fail_all(group, &TableError::Contended { attempts: MAX_ROUNDS }.into());
                    break;
                }
            }
        }
    }

    async fn step(&self, table: &TableRef, requests: Vec<Waiting>) -> Step {
        let known = match self.targets.find(table).await {
            Ok(known) => known,
            Err(error) => return fail_all(requests, &error),
        };
        let mut requests = self.fitting(known.as_ref(), requests);
        // What a suite says of all rows together, it says of those of one request.
        let has_suite = known.as_ref().is_some_and(|known| known.target.terms.suite.is_some());
        requests.iter_mut().for_each(|request| request.is_alone |= has_suite);
        if requests.is_empty() {
            return Step::Done;
        }
        if requests.len() > 1 && requests.iter().any(|request| request.is_alone) {
            return Step::Apart(requests);
        }
        let id = UploadId(Uuid::now_v7());
        let Some(claim) = self.in_flight.claim(Subject::Upload(id)) else { return Step::Again(requests) };
        if let Err(error) = self.road.pipeline.check_space() {
            return fail_all(requests, &error.into());
        }
        let group = Group::of(id, table, &requests);
        match known.map(|known| known.target) {
            Some(target) if target.takes_rows_as_they_are() && requests.iter().all(|request| !request.is_alone) => {
                self.append(&target, group, requests, claim).await
            }
            _ => self.make(group, requests, claim).await,
        }
    }

    /// Check those again that were checked against other columns, and answer those that do not fit these.
    fn fitting(&self, known: Option<&Known>, requests: Vec<Waiting>) -> Vec<Waiting> {
        let Some(known) = known else { return requests };
        let (schema, limits) = (&known.target.shape.schema, &self.road.pipeline.settings.decode);
        let mut fitting = Vec::with_capacity(requests.len());
        for mut request in requests {
            if !request.is_alone && !fits(request.batch.as_ref(), schema) {
                match check(request.format, &request.lines, Some(known), request.bad_rows, limits) {
                    Ok(checked) => (request.batch, request.is_alone) = (checked.batch, checked.is_alone),
                    Err(error) => {
                        request.failed(error.into());
                        continue;
                    }
                }
            }
            fitting.push(request);
        }
        fitting
    }

    /// Add a group to a table that is there.
    async fn append(&self, target: &Target, group: Group, requests: Vec<Waiting>, _claim: Claim) -> Step {
        let written = match tokio::try_join!(self.keep(&group), self.write(target, &group, &requests)) {
            Ok(((), written)) => written,
            Err(error) => return fail_all(requests, &error),
        };
        let id = group.entered.upload.id;
        let files: Vec<String> = written.files.iter().map(|file| file.path().to_owned()).collect();
        let ready = Ready {
            table: target.entry.id,
            is_reserved: false,
            upload: group.entry(self.road.catalog.node()),
            shape: target.shape.clone(),
            written,
            offsets: group.offsets(),
            group: Some(group.entered.clone()),
        };
        match self.road.queue.append(&target.table, ready).await {
            Ok(Outcome::Committed(entry)) => {
                self.road.committed_group(&entry, requests.len());
                answer_all(requests, id, entry.version, entry.committed_at);
                Step::Done
            }
            Ok(Outcome::StartOver) => {
                self.targets.forget(&target.entry.name);
                self.give_up(id, "the table changed before the commit").await;
                Step::Again(requests)
            }
            Ok(Outcome::Stopped { number, obstacle }) => {
                self.remove(&group, target, &files).await;
                without(requests, Some(number), |request| stop(request, obstacle))
            }
            Ok(Outcome::Behind { app_id, newest }) => {
                self.give_up(id, "the table has later rows of a channel of it").await;
                without(requests, group.of_channel(&app_id), |request| request.duplicate(newest))
            }
            Err(error) => self.failed(&group, requests, &error).await,
        }
    }

    /// Make the table with a group.
    async fn make(&self, group: Group, requests: Vec<Waiting>, _claim: Claim) -> Step {
        if let Err(error) = self.keep(&group).await {
            return fail_all(requests, &error);
        }
        let entry = match self.road.catalog.row_groups().land_group(&group.entered).await {
            Ok(Entered::All(entry)) => entry,
            Ok(Entered::Stopped { number, obstacle, .. }) => {
                self.remove_original(&group).await;
                return without(requests, Some(number), |request| stop(request, obstacle));
            }
            Err(error) => return fail_all(requests, &error.into()),
        };
        match self.road.finish(entry, group.is_asked_again()).await {
            Ok(receipt) => {
                self.road.finish_quarantined(&self.in_flight, &receipt).await;
                // Its columns may be others now.
                self.targets.forget(&receipt.table);
                for request in requests {
                    let all = RowCounts::all_committed(request.record.rows);
                    let rows = if request.is_alone { receipt.rows } else { all };
                    request.taken(receipt.upload_id, receipt.version, rows, receipt.committed_at);
                }
                Step::Done
            }
            Err(failure) if failure.error.is_final() && requests.len() > 1 => Step::Halved(requests),
            Err(failure) => fail_all(requests, &failure.error),
        }
    }

    /// A commit that failed: what is known of it goes into the ledger.
    async fn failed(&self, group: &Group, requests: Vec<Waiting>, error: &IngestError) -> Step {
        let id = group.entered.upload.id;
        match self.road.write_down(id, group.is_asked_again(), error).await {
            Ok(()) | Err(IngestError::Catalog(CatalogError::UploadNotFound { .. })) => {}
            Err(error) => tracing::error!(upload.id = %id, %error, "could not write down that an upload failed"),
        }
        if error.is_final() && requests.len() > 1 { Step::Halved(requests) } else { fail_all(requests, error) }
    }

    /// Say that a group that was entered is not in the table, and goes there as another upload.
    async fn give_up(&self, id: UploadId, detail: &str) {
        let failure =
            StoredFailure { kind: ErrorKind::Conflict, code: "begun-anew".to_owned(), detail: detail.to_owned() };
        match self.road.catalog.uploads().fail(id, &failure).await {
            Ok(()) | Err(CatalogError::UploadNotFound { .. }) => {}
            Err(error) => tracing::error!(upload.id = %id, %error, "could not write down that an upload failed"),
        }
    }
}

/// The requests without this one, which is answered.
fn without(mut requests: Vec<Waiting>, number: Option<usize>, answer: impl FnOnce(Waiting)) -> Step {
    match number.filter(|number| *number < requests.len()) {
        Some(number) => {
            answer(requests.remove(number));
            Step::Without(requests)
        }
        None => Step::Again(requests),
    }
}

fn stop(request: Waiting, obstacle: Obstacle) {
    let error = match (obstacle, request.channel.clone(), request.record.offset) {
        (Obstacle::ChannelBusy(_), Some(channel), _) => RowsError::ChannelBusy(channel),
        (Obstacle::ChannelFenced, Some(channel), Some(offset)) => RowsError::Fenced { channel, epoch: offset.epoch },
        _ => IngestError::KeyInFlight.into(),
    };
    request.failed(error);
}

fn answer_all(
    requests: Vec<Waiting>,
    id: UploadId,
    version: Option<u64>,
    committed_at: Option<chrono::DateTime<chrono::Utc>>,
) {
    let Some((version, committed_at)) = version.zip(committed_at) else {
        drop(fail_all(requests, &IngestError::lost_task("receipt")));
        return;
    };
    for request in requests {
        request.committed(id, version, committed_at);
    }
}

/// Tell each request of the failure of their group.
fn fail_all(requests: Vec<Waiting>, error: &IngestError) -> Step {
    tracing::warn!(?error, code = error.code(), requests = requests.len(), "a group of requests failed");
    for request in requests {
        request.failed(RowsError::copy_of(error));
    }
    Step::Done
}
