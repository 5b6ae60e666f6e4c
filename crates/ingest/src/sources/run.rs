//! One run of a source: what earlier ones left is settled, then the source is looked through and what it has is taken.
//!
//! Invariant: a content goes the road of every upload, and its ledger row and the note that it was seen are one
//! transaction, so that a run that is begun again, by whomever, takes nothing twice.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use object_store::{ObjectStoreExt as _, path::Path};
use sluice_catalog::NewUpload;
use sluice_domain::{
    ErrorKind, PageRequest, Pull, PullState, RowCounts, RunCounts, RunOutcome, Source, SourceId, SourceKind, SourceRun,
    StoredFailure, UploadId, UploadState, ZoneName,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    SourceError, Sources,
    client::{ApiClient, allowed_url, token},
    files::Files,
    folder::{FILE_CHANGED, FolderPlace, pattern},
    http::{HttpPlace, Spool},
    location::Location,
    pull::{Content, Place, Refusal},
};
use crate::{BodyError, IngestError, in_flight::Subject, land::Intake, road::raw_path};

/// How many contents are taken at once where their order makes no difference: they share commits.
const AT_ONCE: usize = 4;
/// How long a run waits for the uploads of earlier ones.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it looks.
const SETTLE_PAUSE: Duration = Duration::from_millis(100);
/// How many uploads of earlier runs are settled at once.
const MAX_UNSETTLED: u32 = 1000;

impl Sources {
    /// Do what is left to be done of a run.
    pub(super) async fn execute(&self, source: &Source, run: &SourceRun) -> Result<RunOutcome, SourceError> {
        self.settle(source.id).await?;
        let mut place = self.place(source, run).await?;
        let found = place.look().await?;
        let (place, mut postponed) = (&*place, Vec::new());
        let in_any_order = self.sample_options(&source.definition)?.write.is_plain_append();
        let mut pulls = found.pulls;
        if let Some(oldest) = pulls.pop_front() {
            // Where there is no table yet it is this one that makes it, whichever is faster.
            postponed.extend(self.take(place, source, oldest).await?);
        }
        let taking = stream::iter(pulls).map(|pull| self.take(place, source, pull));
        let mut taken = taking.buffered(if in_any_order { AT_ONCE } else { 1 });
        while let Some(refused) = taken.try_next().await? {
            postponed.extend(refused);
        }
        let (ledger, failure) = self.counts(source, run).await?;
        let counts = RunCounts {
            files_found: found.counts.files_found,
            files_waiting: found.counts.files_waiting,
            files_changed: found.counts.files_changed,
            files_failed: ledger.files_failed + postponed.len() as u64,
            pages: ledger.pages.max(found.counts.pages),
            ..ledger
        };
        // As of the rows of an upload: where none is good, the first one's problem is that of all.
        let nothing_taken = counts.files_taken == 0 && counts.rows == RowCounts::default();
        let failure = failure.or_else(|| postponed.into_iter().next()).filter(|_| nothing_taken);
        Ok(RunOutcome { failure, counts })
    }

    async fn place(&self, source: &Source, run: &SourceRun) -> Result<Box<dyn Place>, SourceError> {
        let (pipeline, catalog) = (&self.ingest.road.pipeline, self.ingest.road.catalog.clone());
        Ok(match source.definition.kind.clone() {
            SourceKind::Folder(folder) => {
                let location = self.checked_location(&folder.location)?;
                Box::new(FolderPlace {
                    pattern: pattern(&folder)?,
                    files: Files::at(location, &self.storage).await?,
                    folder,
                    source: source.clone(),
                    run: run.id,
                    catalog,
                    options_of: self.options_of,
                })
            }
            SourceKind::Http(http) => {
                let token = http.token.as_ref().map(|named| token(named, &self.settings.http)).transpose()?;
                pipeline.check_space()?;
                Box::new(HttpPlace {
                    url: allowed_url(&http, &self.settings.http)?,
                    client: ApiClient::new(&http, token.as_deref())?,
                    options: self.sample_options(&source.definition)?,
                    source: http,
                    run: run.clone(),
                    catalog,
                    spool: Spool { dir: pipeline.scratch_dir.clone(), max_bytes: pipeline.settings.max_body_bytes },
                    pages: None,
                })
            }
        })
    }

    /// Where the files of a source are; never among those of the lake.
    pub(super) fn checked_location(&self, text: &str) -> Result<Location, SourceError> {
        let location = Location::parse(text, &self.settings)?;
        if location.overlaps(&self.ingest.road.pipeline.zones) {
            let reason = "files of the lake are among those of this place";
            return Err(sluice_domain::SourceSettingsError::new("folder.location", reason).into());
        }
        Ok(location)
    }

    /// Bring the uploads of earlier runs to their outcomes: they say where this one begins.
    async fn settle(&self, source: SourceId) -> Result<(), SourceError> {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        loop {
            let unsettled = self.ingest.road.catalog.pulls().unsettled(source, MAX_UNSETTLED).await?;
            let Some(first) = unsettled.first() else { return Ok(()) };
            if Instant::now() >= deadline {
                let detail = format!("the upload {first} of an earlier run has no outcome yet");
                let code = "upload-unsettled".to_owned();
                return Err(IngestError::from(StoredFailure { kind: ErrorKind::Unavailable, code, detail }).into());
            }
            self.ingest.road.catalog.take_over().await?;
            for upload in unsettled {
                match self.ingest.finish_unclaimed(upload).await {
                    // An upload that failed for good is settled.
                    Err(error) if !error.is_final() => return Err(error.into()),
                    _ => {}
                }
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    }

    /// Take one content; gives why it is left for the next run, if it is.
    async fn take(&self, place: &dyn Place, source: &Source, pull: Pull) -> Result<Option<StoredFailure>, SourceError> {
        let refusal = match place.open(&pull).await {
            // Boxed: whoever runs it need not know what it is made of.
            Ok(content) => match self.land(source, &pull, content).boxed().await {
                Ok(()) => return Ok(None),
                Err(error) => refusal_of(error, &pull)?,
            },
            Err(refusal) => refusal,
        };
        match refusal {
            Refusal::ForNow(failure) => {
                tracing::warn!(source.name = %source.name, file.path = pull.position, %failure, "a file is left for now");
                Ok(Some(failure))
            }
            Refusal::ForGood(failure) => {
                self.ingest.road.catalog.pulls().refuse(&pull, &failure).await?;
                Ok(None)
            }
        }
    }

    /// Bring one content down the road of every upload.
    async fn land(&self, source: &Source, pull: &Pull, content: Content) -> Result<(), SourceError> {
        let (ingest, pipeline) = (&self.ingest, &self.ingest.road.pipeline);
        let permit = Arc::clone(&ingest.places).acquire_owned().await;
        let permit = permit.map_err(|_| SourceError::internal("there are no places for uploads any more"))?;
        pipeline.check_space()?;
        let id = UploadId(Uuid::now_v7());
        let claim = ingest.in_flight.claim(Subject::Upload(id)).ok_or(IngestError::KeyInFlight)?;
        let table = &source.definition.table;
        let (started_at, raw_path) = (Utc::now(), raw_path(table, &content.options, id));
        let raw = pipeline.zones.get(ZoneName::Raw);
        let landed = Intake::new(content.body, &pipeline.settings).land(raw, raw_path.clone()).await?;
        let new = NewUpload {
            id,
            table: table.clone(),
            principal: source.principal.clone(),
            idempotency_key: None,
            file_name: content.file_name,
            options: pipeline.resolve(&content.options, &landed).await?,
            landed,
            started_at,
        };
        let Some(entry) = ingest.road.catalog.pulls().land(&new, pull).await? else {
            // Somebody else has taken it.
            let removed = raw.store().delete(&Path::from(raw_path)).await;
            return Ok(removed.map_err(sluice_storage::StorageError::from)?);
        };
        let Err(failure) = ingest.finish(entry, true, (permit, claim)).await else { return Ok(()) };
        match ingest.road.catalog.uploads().find(id).await?.state {
            UploadState::Failed => Ok(()),
            _ => Err(failure.error.into()),
        }
    }

    /// What the ledger says of a run, and its first failure.
    pub(super) async fn counts(
        &self,
        source: &Source,
        run: &SourceRun,
    ) -> Result<(RunCounts, Option<StoredFailure>), SourceError> {
        let is_file = u64::from(matches!(source.definition.kind, SourceKind::Folder(_)));
        let (mut counts, mut first) = (RunCounts::default(), None);
        let mut request = PageRequest { size: PageRequest::MAX_SIZE, token: None };
        loop {
            let page = self.ingest.road.catalog.pulls().list(run.id, &request).await?;
            for entry in page.items {
                counts.pages += entry.pull.pages;
                match entry.failure() {
                    Some(failure) if failure.code == FILE_CHANGED => counts.files_changed += 1,
                    Some(failure) => {
                        counts.files_failed += is_file;
                        first.get_or_insert_with(|| failure.clone());
                    }
                    None => {}
                }
                if let PullState::Uploaded(uploaded) = entry.state
                    && let Some(rows) = uploaded.rows
                {
                    counts.files_taken += is_file;
                    add(&mut counts.rows, &rows);
                }
            }
            let Some(next) = page.next else { return Ok((counts, first)) };
            request.token = Some(next);
        }
    }
}

fn add(sum: &mut RowCounts, rows: &RowCounts) {
    sum.committed += rows.committed;
    sum.quarantined += rows.quarantined;
    sum.deduplicated += rows.deduplicated;
    sum.rejected += rows.rejected;
}

/// What is wrong with the content alone; any other failure is that of the run.
fn refusal_of(error: SourceError, pull: &Pull) -> Result<Refusal, SourceError> {
    let named = |failure: StoredFailure| {
        let detail = format!("{}: {}", pull.position, failure.detail);
        StoredFailure { detail, ..failure }
    };
    match error {
        SourceError::Ingest(IngestError::Body(error @ (BodyError::Empty | BodyError::TooLarge { .. }))) => {
            Ok(Refusal::ForGood(named(StoredFailure::from(&error))))
        }
        SourceError::Ingest(IngestError::Body(error)) => Ok(Refusal::ForNow(named(StoredFailure::from(&error)))),
        SourceError::Ingest(error) if error.is_final() => Ok(Refusal::ForGood(named(StoredFailure::from(&error)))),
        error => Err(error),
    }
}
