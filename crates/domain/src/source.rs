//! Sources: places that data is pulled from, their runs, and what the runs pulled.
//!
//! Invariant: what an older version stored can be read, and means what it meant then.

mod run;
mod settings;

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::TableRef;

pub use run::{Pull, PullEntry, PullState, RunCause, RunCounts, RunId, RunOutcome, RunState, SourceRun, UploadedPull};
pub use settings::{
    ChangedFiles, FolderSource, HttpSource, PagePaging, Paging, SourceSettingsError, TokenRef, WatermarkRule,
};

/// The longest name of a source, in characters.
const MAX_NAME_CHARS: usize = 128;

/// A name of a source that is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "source name {0:?} is not acceptable: use 1 to {MAX_NAME_CHARS} letters, digits, underscores, hyphens or dots, and \
     a letter, digit or underscore first"
)]
pub struct SourceNameError(String);

/// The name of a source in its lake. Case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceName(String);

impl SourceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceName {
    type Err = SourceNameError;
    fn from_str(text: &str) -> Result<Self, SourceNameError> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if first && plain && text.len() <= MAX_NAME_CHARS {
            Ok(Self(text.to_owned()))
        } else {
            Err(SourceNameError(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for SourceName {
    type Error = SourceNameError;
    fn try_from(text: String) -> Result<Self, SourceNameError> {
        text.parse()
    }
}

impl From<SourceName> for String {
    fn from(name: SourceName) -> String {
        name.0
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a source: another one after the source was deleted and made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub Uuid);

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a source pulls from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// Files of a folder of the server's host, or of a prefix of an object store.
    Folder(FolderSource),
    /// A JSON API, page by page.
    Http(HttpSource),
}

impl SourceKind {
    /// The kind's name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Folder(_) => "folder",
            Self::Http(_) => "http",
        }
    }

    /// Whether it can be a source at all.
    ///
    /// # Errors
    /// [`SourceSettingsError`], naming the field.
    pub fn check(&self) -> Result<(), SourceSettingsError> {
        match self {
            Self::Folder(folder) => folder.check(),
            Self::Http(http) => http.check(),
        }
    }
}

/// What a source is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceDefinition {
    /// The table that it feeds.
    pub table: TableRef,
    /// Where it pulls from.
    pub kind: SourceKind,
    /// The parameters of its uploads, as those of an upload are called.
    #[serde(default)]
    pub options: Map<String, Value>,
    /// After how many seconds from its last run's start it runs again; none: only when it is asked to.
    #[serde(default)]
    pub every_seconds: Option<u32>,
}

/// A source as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The id.
    pub id: SourceId,
    /// The name.
    pub name: SourceName,
    /// What it is.
    pub definition: SourceDefinition,
    /// Who defined it last: its uploads are theirs.
    pub principal: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was defined last.
    pub updated_at: DateTime<Utc>,
    /// When it runs by itself the next time.
    pub next_run_at: Option<DateTime<Utc>>,
    /// The watermark that its next run begins at.
    pub watermark: Option<String>,
}
