//! Sources on the wire.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sluice_domain::{FolderSource, HttpSource, Source, SourceDefinition, SourceKind, TableRef};
use utoipa::ToSchema;

use crate::{problem::Problem, read_options::UploadParams};

/// What a source is: a table, and either `folder` or `http`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceBody {
    /// The table that it feeds, `namespace.table`.
    #[schema(value_type = String, example = "sales.orders")]
    table: TableRef,
    /// Files of a folder of the server's host, or of a prefix of a bucket: each becomes an upload of its own, once.
    #[serde(default)]
    #[schema(value_type = Option<FolderView>)]
    folder: Option<FolderSource>,
    /// A JSON API: the pages of a run become one upload.
    #[serde(default)]
    #[schema(value_type = Option<HttpView>)]
    http: Option<HttpSource>,
    /// The parameters of its uploads, all those of `POST …/uploads` but `file_name`.
    #[serde(default)]
    #[schema(value_type = UploadParams)]
    options: Map<String, Value>,
    /// After how many seconds from its last run's start it runs again; absent: only when it is asked to.
    #[serde(default)]
    #[schema(minimum = 1)]
    every_seconds: Option<u32>,
}

impl SourceBody {
    /// What it says.
    pub(crate) fn definition(self) -> Result<SourceDefinition, Problem> {
        let kind = match (self.folder, self.http) {
            (Some(folder), None) => SourceKind::Folder(folder),
            (None, Some(http)) => SourceKind::Http(http),
            _ => {
                let detail = "a source has either folder or http";
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-source", detail));
            }
        };
        let Self { table, options, every_seconds, .. } = self;
        Ok(SourceDefinition { table, kind, options, every_seconds })
    }
}

/// Files of a folder or a prefix. What is absent has its default.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the fields are read by the document only")]
struct FolderView {
    /// An absolute path below one of the server's `sources.folders`, or `s3://bucket/prefix` of one of its
    /// `sources.buckets`.
    #[schema(example = "/srv/drop/orders", min_length = 1, max_length = 2048)]
    location: String,
    /// Which files, by their paths below the location: `*` within a name, `**` across folders. Hidden names and links
    /// are passed over. Default: `**`.
    #[schema(example = "**/*.csv", min_length = 1, max_length = 2048)]
    pattern: Option<String>,
    /// What becomes of a file that changed after it was taken: `report` (the default; it is left alone) or `take` (as a
    /// new file).
    #[schema(pattern = "^(report|take)$")]
    changed: Option<String>,
    /// Whether files that failed are tried again by the next run. Default: false.
    retry_failed: Option<bool>,
    /// For how long a file of a folder must have been left alone, in seconds. Default: 10.
    #[schema(maximum = 86400)]
    settle_seconds: Option<u32>,
    /// How many files one run takes, the oldest first. Default: 1000.
    #[schema(minimum = 1, maximum = 10000)]
    max_files: Option<u32>,
}

/// A JSON API. Its records are where `options.record_path` says. What is absent has its default.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the fields are read by the document only")]
struct HttpView {
    /// The address, of one of the server's `sources.http.hosts`.
    #[schema(example = "https://api.example.com/orders", min_length = 1, max_length = 2048)]
    url: String,
    /// Parameters that are sent with every request.
    query: Option<BTreeMap<String, String>>,
    /// Headers that are sent with every request, none of them secret.
    headers: Option<BTreeMap<String, String>>,
    /// The bearer token: a variable of the server's environment, or a file of its folder of tokens.
    token: Option<TokenView>,
    /// How there are pages; absent: there is one.
    paging: Option<PagingView>,
    /// What makes runs incremental; absent: each takes everything.
    watermark: Option<WatermarkView>,
    /// How long an answer may take, in seconds. Default: 30.
    #[schema(minimum = 1, maximum = 600)]
    timeout_seconds: Option<u32>,
    /// How often a page is tried before the run fails. Default: 3.
    #[schema(minimum = 1, maximum = 10)]
    tries: Option<u32>,
    /// The wait after the first failure, in milliseconds; each further one is twice as long, or what `Retry-After` says.
    /// Default: 1000.
    #[schema(minimum = 1, maximum = 60000)]
    backoff_ms: Option<u32>,
    /// The wait between two pages, in milliseconds. Default: 100.
    #[schema(maximum = 60000)]
    pause_ms: Option<u32>,
    /// How many pages one run fetches; with more it fails. Default: 10000.
    #[schema(minimum = 1, maximum = 1000000)]
    max_pages: Option<u32>,
    /// How large a page can be, in bytes. Default: 33554432.
    #[schema(minimum = 1, maximum = 268435456)]
    max_page_bytes: Option<u32>,
}

/// Where a token is.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "the variants are read by the document only")]
enum TokenView {
    /// A variable that the server's `sources.http.token_variables` names.
    Env(String),
    /// A file in the server's `sources.http.token_dir`.
    File(String),
}

/// How an API gives out its records in pages.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "the variants are read by the document only")]
enum PagingView {
    /// By numbers, until a page is empty or short.
    Page(PagePagingView),
    /// By a text of each page that is sent back for the next one.
    Cursor(CursorView),
    /// By the address of the next page, of the same origin.
    Link(LinkView),
}

/// Pages by numbers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the fields are read by the document only")]
struct PagePagingView {
    /// The parameter of the page's number. Default: `page`.
    page_param: Option<String>,
    /// The number of the first page. Default: 1.
    first: Option<u32>,
    /// The parameter of the page's length. Default: `limit`.
    limit_param: Option<String>,
    /// How many records a page has; one with fewer is the last. Default: 100.
    #[schema(minimum = 1, maximum = 1000000)]
    limit: Option<u32>,
}

/// Pages by cursors.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the fields are read by the document only")]
struct CursorView {
    /// Where in a page the cursor is, as a record path; a page without it is the last one.
    #[schema(example = "meta.next_cursor")]
    field: String,
    /// The parameter that it is sent as.
    #[schema(example = "cursor")]
    param: String,
}

/// Pages by links.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the fields are read by the document only")]
struct LinkView {
    /// Where in a page the link is, as a record path. Default: it is the `Link` header with `rel="next"`.
    field: Option<String>,
}

/// How a run goes on where the one before it ended.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the fields are read by the document only")]
struct WatermarkView {
    /// The field of a record whose greatest value is kept.
    #[schema(example = "updated_at")]
    column: String,
    /// The parameter that it is sent as.
    #[schema(example = "start_date")]
    param: String,
    /// What the first run sends; absent: nothing.
    initial: Option<String>,
}

/// A source.
#[derive(Serialize, ToSchema)]
pub(crate) struct SourceView {
    /// The name.
    #[schema(example = "orders")]
    name: String,
    /// The table that it feeds, `namespace.table`.
    #[schema(example = "sales.orders")]
    table: String,
    /// `folder` or `http`.
    #[schema(example = "folder")]
    kind: &'static str,
    /// Where the files are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<FolderView>)]
    folder: Option<FolderSource>,
    /// Where the API is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<HttpView>)]
    http: Option<HttpSource>,
    /// The parameters of its uploads.
    #[schema(value_type = UploadParams)]
    options: Map<String, Value>,
    /// After how many seconds from its last run's start it runs again.
    #[serde(skip_serializing_if = "Option::is_none")]
    every_seconds: Option<u32>,
    /// Who defined it last: its uploads are theirs.
    principal: String,
    /// The watermark that its next run begins at.
    #[serde(skip_serializing_if = "Option::is_none")]
    watermark: Option<String>,
    /// When it runs by itself the next time.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_run_at: Option<DateTime<Utc>>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was defined last.
    updated_at: DateTime<Utc>,
}

impl From<Source> for SourceView {
    fn from(source: Source) -> Self {
        let SourceDefinition { table, kind, options, every_seconds } = source.definition;
        let name_of_kind = kind.as_str();
        let (folder, http) = match kind {
            SourceKind::Folder(folder) => (Some(folder), None),
            SourceKind::Http(http) => (None, Some(http)),
        };
        Self {
            name: source.name.to_string(),
            table: table.to_string(),
            kind: name_of_kind,
            folder,
            http,
            options,
            every_seconds,
            principal: source.principal,
            watermark: source.watermark,
            next_run_at: source.next_run_at,
            created_at: source.created_at,
            updated_at: source.updated_at,
        }
    }
}

/// A page of sources.
#[derive(Serialize, ToSchema)]
pub(crate) struct SourcePage {
    /// The sources, by name.
    pub(crate) items: Vec<SourceView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}
