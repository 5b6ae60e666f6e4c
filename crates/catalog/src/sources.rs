//! Sources, their runs, and what the runs pulled.
//!
//! Invariant: a source has one run at a time, which one server works on until that has ended.
//! Invariant: a content at a position becomes one upload, in the transaction that enters the upload; another one only
//! after that failed.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{
    NamespaceName, Page, PageRequest, Pull, PullEntry, RunCause, RunId, RunOutcome, Source, SourceDefinition, SourceId,
    SourceName, SourceRun, StoredFailure, UploadEntry, UploadId,
};

use crate::{CatalogError, NewUpload};

/// A source as it is to be.
#[derive(Debug, Clone)]
pub struct NewSource {
    /// The name.
    pub name: SourceName,
    /// What it is.
    pub definition: SourceDefinition,
    /// Who says so.
    pub principal: String,
}

/// What came of defining a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defined {
    /// It is new.
    Made(Source),
    /// It was there.
    Changed(Source),
    /// There are as many as there can be.
    TooMany,
}

/// The sources.
#[async_trait]
pub trait Sources: Send + Sync {
    /// Make a source, unless there are as many as the limit, or say anew what the one of this name is.
    async fn define(&self, new: &NewSource, limit: u32) -> Result<Defined, CatalogError>;

    /// The source of this name.
    async fn find(&self, name: &SourceName) -> Result<Option<Source>, CatalogError>;

    /// The source of this id.
    async fn find_by_id(&self, id: SourceId) -> Result<Option<Source>, CatalogError>;

    /// Those whose tables are in one of these namespaces (none: all), by name. The token is the last name.
    async fn list(&self, visible: Option<&[NamespaceName]>, page: &PageRequest) -> Result<Page<Source>, CatalogError>;

    /// Those that are to run by themselves by now and do not, the longest due first, this many at the most.
    async fn due(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<Source>, CatalogError>;

    /// Forget a source, its runs and what it has seen, unless a run of it is under way; says whether it is forgotten.
    async fn forget(&self, id: SourceId) -> Result<bool, CatalogError>;
}

/// What came of the wish for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It began, as one that this server works on.
    Started(SourceRun),
    /// It began by an earlier request with the same key.
    Known(SourceRun),
    /// Another one is under way.
    Busy(SourceRun),
}

/// The runs of sources.
#[async_trait]
pub trait SourceRuns: Send + Sync {
    /// Begin a run at the watermark of the source, and put the time of the next one off.
    async fn begin(&self, source: &Source, cause: RunCause, key: Option<&str>) -> Result<Begun, CatalogError>;

    /// One run.
    async fn find(&self, id: RunId) -> Result<Option<SourceRun>, CatalogError>;

    /// Those of a source, newest first. The token is the last id.
    async fn list(&self, source: SourceId, page: &PageRequest) -> Result<Page<SourceRun>, CatalogError>;

    /// Those that this server is to work on, the oldest first, this many at the most.
    async fn unfinished(&self, limit: u32) -> Result<Vec<SourceRun>, CatalogError>;

    /// Say that a run has ended, and how; doing it again changes nothing. Of ended runs the newest `keep` are kept.
    async fn finish(&self, id: RunId, outcome: &RunOutcome, keep: u32) -> Result<(), CatalogError>;
}

/// What the runs pulled.
#[async_trait]
pub trait Pulls: Send + Sync {
    /// Enter the upload that a pull became, landed, as one that this server works on. None, and nothing is entered,
    /// where the run is this server's no more, or another upload has the content of this position and did not fail.
    async fn land(&self, new: &NewUpload, pull: &Pull) -> Result<Option<UploadEntry>, CatalogError>;

    /// Say that a pull became no upload, and why; nothing is changed where one has its content.
    async fn refuse(&self, pull: &Pull, failure: &StoredFailure) -> Result<(), CatalogError>;

    /// What is known of these positions, each with its every content.
    async fn seen(&self, source: SourceId, positions: &[String]) -> Result<Vec<PullEntry>, CatalogError>;

    /// The uploads of a source that are neither committed nor failed, the oldest first, this many at the most.
    async fn unsettled(&self, source: SourceId, limit: u32) -> Result<Vec<UploadId>, CatalogError>;

    /// The pulls of a run, by position. The token is the last position and its fingerprint.
    async fn list(&self, run: RunId, page: &PageRequest) -> Result<Page<PullEntry>, CatalogError>;
}
