//! What can be said about where a source pulls from.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use crate::{ErrorKind, Failure, RecordPath};

/// The longest text of one field, in bytes.
const MAX_TEXT_BYTES: usize = 2048;
/// How many headers or parameters a source can have.
const MAX_PAIRS: usize = 32;
/// How many wildcards a pattern can have: they bound what a match costs.
const MAX_WILDCARDS: usize = 16;
/// Headers that would carry a secret in clear text, or that belong to the connection.
const RESERVED_HEADERS: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "range",
];

/// A field of a source that is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is not acceptable: {reason}")]
pub struct SourceSettingsError {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl SourceSettingsError {
    /// The error of this field.
    pub fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self { field, reason: reason.into() }
    }
}

impl Failure for SourceSettingsError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    fn code(&self) -> &'static str {
        "bad-source"
    }
}

/// What becomes of a file that is not what it was when it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangedFiles {
    /// It fails, and nothing of it is taken: its rows may be in the table already.
    #[default]
    Report,
    /// It is taken as a new file.
    Take,
}

/// A folder of the server's host or a prefix of an object store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderSource {
    /// An absolute path, or `s3://bucket/prefix`.
    pub location: String,
    /// Which files, by their paths below the location: `*` within a name, `**` across folders.
    #[serde(default = "every_file")]
    pub pattern: String,
    /// What becomes of a file that changed after it was taken.
    #[serde(default)]
    pub changed: ChangedFiles,
    /// Whether files that failed are tried again by the next run.
    #[serde(default)]
    pub retry_failed: bool,
    /// For how long a file of a folder must have been left alone, in seconds.
    #[serde(default = "settle_seconds")]
    pub settle_seconds: u32,
    /// How many files one run takes, the oldest first.
    #[serde(default = "max_files")]
    pub max_files: u32,
}

fn every_file() -> String {
    "**".to_owned()
}

fn settle_seconds() -> u32 {
    10
}

fn max_files() -> u32 {
    1000
}

impl FolderSource {
    pub(super) fn check(&self) -> Result<(), SourceSettingsError> {
        text("folder.location", &self.location)?;
        text("folder.pattern", &self.pattern)?;
        if self.pattern.matches(['*', '?', '[']).count() > MAX_WILDCARDS {
            return Err(SourceSettingsError::new("folder.pattern", format!("more than {MAX_WILDCARDS} wildcards")));
        }
        within("folder.settle_seconds", self.settle_seconds, 0..=86_400)?;
        within("folder.max_files", self.max_files, 1..=10_000)
    }
}

/// Where a bearer token comes from; the token itself is never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenRef {
    /// A variable of the server's environment that the settings allow.
    Env(String),
    /// A file of the folder that the settings name.
    File(String),
}

/// How an API gives out its records in pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Paging {
    /// By numbers, until a page is empty or short.
    Page(PagePaging),
    /// By a text of each page that leads to the next one.
    Cursor {
        /// Where in a page it is; a page without it is the last one.
        field: String,
        /// The parameter that it is sent as.
        param: String,
    },
    /// By the address of the next page, of the same origin.
    Link {
        /// Where in a page it is; by default it is the `Link` header with `rel="next"`.
        #[serde(default)]
        field: Option<String>,
    },
}

/// Pages by numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PagePaging {
    /// The parameter of the page's number.
    pub page_param: String,
    /// The number of the first page.
    pub first: u32,
    /// The parameter of the page's length.
    pub limit_param: String,
    /// How many records a page has; one with fewer is the last.
    pub limit: u32,
}

impl Default for PagePaging {
    fn default() -> Self {
        Self { page_param: "page".to_owned(), first: 1, limit_param: "limit".to_owned(), limit: 100 }
    }
}

/// How a run goes on where the one before it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatermarkRule {
    /// The field of a record whose greatest value is kept.
    pub column: String,
    /// The parameter that it is sent as.
    pub param: String,
    /// What the first run sends.
    #[serde(default)]
    pub initial: Option<String>,
}

/// A JSON API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSource {
    /// The address, of a host that the settings allow.
    pub url: String,
    /// Parameters that are sent with every request.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Headers that are sent with every request, none of them secret.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The bearer token.
    #[serde(default)]
    pub token: Option<TokenRef>,
    /// How there are pages; by default there is one.
    #[serde(default)]
    pub paging: Option<Paging>,
    /// What makes runs incremental; by default each takes everything.
    #[serde(default)]
    pub watermark: Option<WatermarkRule>,
    /// How long an answer may take, in seconds.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u32,
    /// How often a page is tried before the run fails.
    #[serde(default = "tries")]
    pub tries: u32,
    /// The wait after the first failure, in milliseconds; each further one is twice as long.
    #[serde(default = "backoff_ms")]
    pub backoff_ms: u32,
    /// The wait between two pages, in milliseconds.
    #[serde(default = "pause_ms")]
    pub pause_ms: u32,
    /// How many pages one run fetches; with more it fails.
    #[serde(default = "max_pages")]
    pub max_pages: u32,
    /// How large a page can be, in bytes.
    #[serde(default = "max_page_bytes")]
    pub max_page_bytes: u32,
}

fn timeout_seconds() -> u32 {
    30
}

fn tries() -> u32 {
    3
}

fn backoff_ms() -> u32 {
    1000
}

fn pause_ms() -> u32 {
    100
}

fn max_pages() -> u32 {
    10_000
}

fn max_page_bytes() -> u32 {
    32 << 20
}

impl HttpSource {
    pub(super) fn check(&self) -> Result<(), SourceSettingsError> {
        text("http.url", &self.url)?;
        pairs("http.query", &self.query)?;
        pairs("http.headers", &self.headers)?;
        let reserved = |name: &&String| RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str());
        if let Some(name) = self.headers.keys().find(reserved) {
            let reason = format!("{name:?} is not for definitions; a secret is a token, named by its place");
            return Err(SourceSettingsError::new("http.headers", reason));
        }
        match &self.token {
            Some(TokenRef::Env(name) | TokenRef::File(name)) => text("http.token", name)?,
            None => {}
        }
        if let Some(watermark) = &self.watermark {
            text("http.watermark.column", &watermark.column)?;
            text("http.watermark.param", &watermark.param)?;
            watermark.initial.as_deref().map_or(Ok(()), |initial| text("http.watermark.initial", initial))?;
        }
        self.check_paging()?;
        within("http.timeout_seconds", self.timeout_seconds, 1..=600)?;
        within("http.tries", self.tries, 1..=10)?;
        within("http.backoff_ms", self.backoff_ms, 1..=60_000)?;
        within("http.pause_ms", self.pause_ms, 0..=60_000)?;
        within("http.max_pages", self.max_pages, 1..=1_000_000)?;
        within("http.max_page_bytes", self.max_page_bytes, 1..=256 << 20)
    }

    fn check_paging(&self) -> Result<(), SourceSettingsError> {
        match &self.paging {
            None => Ok(()),
            Some(Paging::Page(page)) => {
                text("http.paging.page.page_param", &page.page_param)?;
                text("http.paging.page.limit_param", &page.limit_param)?;
                within("http.paging.page.limit", page.limit, 1..=1_000_000)
            }
            Some(Paging::Cursor { field, param }) => {
                text("http.paging.cursor.param", param)?;
                path("http.paging.cursor.field", field)
            }
            Some(Paging::Link { field }) => {
                field.as_deref().map_or(Ok(()), |field| path("http.paging.link.field", field))
            }
        }
    }
}

fn text(field: &'static str, text: &str) -> Result<(), SourceSettingsError> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
        let reason = format!("it does not have 1 to {MAX_TEXT_BYTES} bytes without control characters");
        return Err(SourceSettingsError::new(field, reason));
    }
    Ok(())
}

fn pairs(field: &'static str, pairs: &BTreeMap<String, String>) -> Result<(), SourceSettingsError> {
    if pairs.len() > MAX_PAIRS {
        return Err(SourceSettingsError::new(field, format!("there are more than {MAX_PAIRS}")));
    }
    pairs.iter().try_for_each(|(name, value)| {
        text(field, name)?;
        if value.is_empty() { Ok(()) } else { text(field, value) }
    })
}

fn path(field: &'static str, text: &str) -> Result<(), SourceSettingsError> {
    let parsed = text.parse::<RecordPath>();
    parsed.map(drop).map_err(|_| SourceSettingsError::new(field, "it is no way through a JSON document"))
}

fn within(field: &'static str, number: u32, range: RangeInclusive<u32>) -> Result<(), SourceSettingsError> {
    if range.contains(&number) {
        return Ok(());
    }
    Err(SourceSettingsError::new(field, format!("{number} is not between {} and {}", range.start(), range.end())))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn http(text: &str) -> Result<(), String> {
        let source: HttpSource = serde_json::from_str(text).map_err(|error| error.to_string())?;
        source.check().map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_is_as_clients_expect_it() {
        let text = r#"{"url": "https://x/orders", "paging": {"page": {}}, "token": {"env": "T"}}"#;
        let source: HttpSource = serde_json::from_str(text).unwrap();
        assert_eq!((source.timeout_seconds, source.tries, source.backoff_ms, source.pause_ms), (30, 3, 1000, 100));
        assert_eq!(source.paging, Some(Paging::Page(PagePaging::default())));
        source.check().unwrap();
    }

    #[rstest]
    #[case(r#"{"url": "", "tries": 1}"#, "http.url")]
    #[case(r#"{"url": "http://x", "tries": 0}"#, "http.tries")]
    #[case(r#"{"url": "http://x", "headers": {"Authorization": "Bearer s"}}"#, "http.headers")]
    #[case(r#"{"url": "http://x", "headers": {"a": "b\r\nc: d"}}"#, "http.headers")]
    #[case(r#"{"url": "http://x", "paging": {"page": {"limit": 0}}}"#, "http.paging.page.limit")]
    #[case(r#"{"url": "http://x", "paging": {"cursor": {"field": "", "param": "c"}}}"#, "http.paging.cursor.field")]
    #[case(r#"{"url": "http://x", "paging": {"token": {}}}"#, "token")]
    #[case(r#"{"url": "http://x", "max_page_bytes": 999999999}"#, "http.max_page_bytes")]
    fn what_makes_no_sense_is_refused_by_name(#[case] text: &str, #[case] name: &str) {
        let error = http(text).unwrap_err();
        assert!(error.contains(name), "{error}");
    }

    #[test]
    fn a_pattern_cannot_cost_much() {
        let folder = |pattern: &str| FolderSource {
            pattern: pattern.to_owned(),
            ..serde_json::from_str(r#"{"location": "/srv/drop"}"#).unwrap()
        };
        folder("**/*.csv").check().unwrap();
        let error = folder(&"*a".repeat(MAX_WILDCARDS + 1)).check().unwrap_err();
        assert_eq!(error.field, "folder.pattern");
    }
}
