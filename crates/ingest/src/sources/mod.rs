//! Sources that pull: their definitions, their runs, and the schedule.
//!
//! Owns what may be reached, what is looked for there, and how far each source is. What is found becomes uploads, which
//! go the road of all others.
//!
//! Invariant: a definition is checked when it is made and again by each run, for the settings may have changed.

mod error;
mod settings;

mod pull;

mod files;
mod folder;
mod location;

mod client;
mod http;
mod page;
mod watermark;

mod run;
mod schedule;

use std::{sync::Arc, time::Duration};

use sluice_catalog::{Begun, Defined, NewSource};
use sluice_domain::{
    Format, Grant, ReadOptions, RunCause, RunCounts, RunId, RunState, Source, SourceDefinition, SourceKind, SourceName,
    SourceRun, SourceSettingsError, StoredFailure,
};
use sluice_storage::StorageSettings;
use tokio::{sync::Semaphore, time::Instant};

use crate::{Ingest, IngestError};

pub use error::SourceError;
pub use settings::{HttpSourcesSettings, SourcesSettings};

/// How often a run that is waited for is looked at.
const WAIT_PAUSE: Duration = Duration::from_millis(200);
/// Parameters of uploads that a source has of its own.
const OWN_PARAMETERS: [&str; 1] = ["file_name"];

/// What is known of a file beside its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileHint<'f> {
    /// Its name.
    pub file_name: Option<&'f str>,
    /// Its media type.
    pub media_type: Option<&'f str>,
}

/// How an upload with these parameters would read such a file.
pub type OptionsOf =
    fn(&serde_json::Map<String, serde_json::Value>, &FileHint<'_>) -> Result<ReadOptions, StoredFailure>;

/// The sources of a lake. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    ingest: Ingest,
    settings: Arc<SourcesSettings>,
    storage: Arc<StorageSettings>,
    options_of: OptionsOf,
    slots: Arc<Semaphore>,
}

impl Sources {
    /// The sources whose uploads this service takes.
    pub fn new(ingest: Ingest, settings: SourcesSettings, storage: StorageSettings, options_of: OptionsOf) -> Self {
        let slots = Arc::new(Semaphore::new(settings.concurrent_runs.max(1)));
        Self { ingest, settings: Arc::new(settings), storage: Arc::new(storage), options_of, slots }
    }

    /// Make a source, or say anew what it is; says whether it was made.
    ///
    /// # Errors
    /// Why it cannot be: [`SourceError::Settings`], [`SourceError::NotAllowed`], [`SourceError::Fixed`].
    pub async fn define(
        &self,
        grant: &Grant,
        name: SourceName,
        definition: SourceDefinition,
    ) -> Result<(Source, bool), SourceError> {
        self.check(&definition)?;
        if let Some(present) = self.ingest.road.catalog.sources().find(&name).await? {
            check_same(&present.definition, &definition)?;
        }
        let new = NewSource { name, definition, principal: grant.principal().to_owned() };
        match self.ingest.road.catalog.sources().define(&new, self.settings.max_sources).await? {
            Defined::Made(source) => Ok((source, true)),
            Defined::Changed(source) => Ok((source, false)),
            Defined::TooMany => Err(SourceError::TooMany { limit: self.settings.max_sources }),
        }
    }

    fn check(&self, definition: &SourceDefinition) -> Result<(), SourceError> {
        if definition.table.table.is_quarantine() {
            return Err(IngestError::reserved_name(&definition.table).into());
        }
        if definition.every_seconds == Some(0) {
            return Err(SourceSettingsError::new("every_seconds", "it is not at least 1").into());
        }
        definition.kind.check()?;
        self.sample_options(definition)?;
        match &definition.kind {
            SourceKind::Folder(folder) => {
                folder::pattern(folder)?;
                self.checked_location(&folder.location)?;
            }
            SourceKind::Http(http) => {
                client::allowed_url(http, &self.settings.http)?;
                client::check_headers(http)?;
                http.token.as_ref().map(|named| client::token(named, &self.settings.http)).transpose()?;
            }
        }
        Ok(())
    }

    /// How what the source gives is read; of files without a format of their own, as if they were the likeliest ones.
    ///
    /// # Errors
    /// The parameters make no sense.
    pub fn sample_options(&self, definition: &SourceDefinition) -> Result<ReadOptions, SourceError> {
        let given = &definition.options;
        if let Some(name) = OWN_PARAMETERS.iter().find(|name| given.contains_key(**name)) {
            return Err(SourceSettingsError::new("options", format!("{name} is the source's own")).into());
        }
        let hint = match &definition.kind {
            SourceKind::Http(_) => FileHint { media_type: Some("application/json"), file_name: None },
            SourceKind::Folder(_) if given.contains_key("record_path") => {
                FileHint { file_name: Some("sample.json"), media_type: None }
            }
            SourceKind::Folder(_) => FileHint { file_name: Some("sample.csv"), media_type: None },
        };
        let options = (self.options_of)(given, &hint).map_err(IngestError::from)?;
        if matches!(definition.kind, SourceKind::Http(_)) && options.format != Format::Json {
            return Err(SourceSettingsError::new("options.format", "the pages of an API are json").into());
        }
        Ok(options)
    }

    /// The source of this name.
    ///
    /// # Errors
    /// [`SourceError::NotFound`].
    pub async fn find(&self, name: &SourceName) -> Result<Source, SourceError> {
        let found = self.ingest.road.catalog.sources().find(name).await?;
        found.ok_or_else(|| SourceError::NotFound { name: name.clone() })
    }

    /// Forget a source and what it has seen. What it brought stays.
    ///
    /// # Errors
    /// [`SourceError::Busy`] while a run of it is under way.
    pub async fn delete(&self, _: &Grant, source: &Source) -> Result<(), SourceError> {
        if self.ingest.road.catalog.sources().forget(source.id).await? {
            return Ok(());
        }
        let page = sluice_domain::PageRequest { size: 1, token: None };
        let newest = self.ingest.road.catalog.source_runs().list(source.id, &page).await?;
        Err(newest.items.first().map_or_else(
            || SourceError::NotFound { name: source.name.clone() },
            |run| SourceError::Busy { run: run.id },
        ))
    }

    /// Begin a run; says whether it was begun by an earlier request with the same key.
    ///
    /// # Errors
    /// [`SourceError::Busy`] while one is under way.
    pub async fn run(&self, _: &Grant, source: &Source, key: Option<&str>) -> Result<(SourceRun, bool), SourceError> {
        match self.ingest.road.catalog.source_runs().begin(source, RunCause::Request, key).await? {
            Begun::Started(run) => {
                self.spawn(run.clone());
                Ok((run, false))
            }
            Begun::Known(run) => Ok((run, true)),
            Begun::Busy(run) => Err(SourceError::Busy { run: run.id }),
        }
    }

    /// A run of a source, as it is when it has ended, or after so long at the most.
    ///
    /// # Errors
    /// [`SourceError::RunNotFound`].
    pub async fn find_run(&self, source: &Source, id: RunId, wait: Duration) -> Result<SourceRun, SourceError> {
        let deadline = Instant::now() + wait;
        loop {
            let run = self.ingest.road.catalog.source_runs().find(id).await?.filter(|run| run.source == source.id);
            let run = run.ok_or(SourceError::RunNotFound { run: id })?;
            let is_over = Instant::now() >= deadline || self.ingest.stopping.is_cancelled();
            if run.state != RunState::Running || is_over {
                return Ok(run);
            }
            tokio::time::sleep_until(deadline.min(Instant::now() + WAIT_PAUSE)).await;
        }
    }

    /// What a run has come to by now.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn run_counts(&self, source: &Source, run: &SourceRun) -> Result<RunCounts, SourceError> {
        match run.counts {
            Some(counts) => Ok(counts),
            None => Ok(self.counts(source, run).await?.0),
        }
    }
}

/// What was seen at one place says nothing of another.
fn check_same(present: &SourceDefinition, wanted: &SourceDefinition) -> Result<(), SourceError> {
    if present.table != wanted.table {
        return Err(SourceError::Fixed("table"));
    }
    match (&present.kind, &wanted.kind) {
        (SourceKind::Folder(present), SourceKind::Folder(wanted)) if present.location != wanted.location => {
            Err(SourceError::Fixed("location"))
        }
        (SourceKind::Folder(_), SourceKind::Folder(_)) | (SourceKind::Http(_), SourceKind::Http(_)) => Ok(()),
        _ => Err(SourceError::Fixed("kind")),
    }
}
