//! An HTTP API whose pages of one run become one upload: lines of JSON, the records as they came.
//!
//! Invariant: the pages are all there before a byte of them lands, so that a run without one of them lands nothing.

use std::{io::SeekFrom, path::PathBuf, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::Url;
use sluice_catalog::Catalog;
use sluice_domain::{
    Format, HttpSource, PagePaging, PageRequest, Paging, Pull, ReadOptions, RecordPath, RunCounts, SourceRun,
};
use tokio::{
    fs::File,
    io::{AsyncSeekExt as _, AsyncWriteExt as _},
};
use tokio_util::io::ReaderStream;

use super::{
    SourceError,
    client::{Answer, ApiClient},
    page::{PageContent, PageRules, read_page},
    pull::{Content, Found, Place, Refusal},
    watermark::is_later,
};
use crate::BodyError;

/// Where within its source the one pull of a run is.
const POSITION: &str = "pages";
/// How much of the pages is read at once when they land, in bytes.
const READ_BYTES: usize = 1 << 20;

/// What the pages of a run are kept in, until they land.
pub(super) struct Spool {
    pub(super) dir: PathBuf,
    pub(super) max_bytes: u64,
}

/// One run over the pages of an API.
pub(super) struct HttpPlace {
    pub(super) source: HttpSource,
    pub(super) url: Url,
    pub(super) client: ApiClient,
    pub(super) options: ReadOptions,
    pub(super) run: SourceRun,
    pub(super) catalog: Catalog,
    pub(super) spool: Spool,
    pub(super) pages: Option<File>,
}

/// How far a run over pages has come.
struct Walk {
    file: File,
    size_bytes: u64,
    pages: u64,
    records: u64,
    watermark: Option<String>,
}

#[async_trait]
impl Place for HttpPlace {
    async fn look(&mut self) -> Result<Found, SourceError> {
        let first = PageRequest { size: 1, token: None };
        if !self.catalog.pulls().list(self.run.id, &first).await?.items.is_empty() {
            // The server that began this run ended after its pages had landed.
            return Ok(Found::default());
        }
        let walk = self.walk().await?;
        let mut found = Found { counts: RunCounts { pages: walk.pages, ..RunCounts::default() }, ..Found::default() };
        if walk.records > 0 {
            found.pulls.push_back(Pull {
                run: self.run.id,
                position: POSITION.to_owned(),
                fingerprint: self.run.id.to_string(),
                pages: walk.pages,
                watermark: walk.watermark,
            });
            self.pages = Some(walk.file);
        }
        Ok(found)
    }

    async fn open(&self, _: &Pull) -> Result<Content, Refusal> {
        let rewound = async {
            let mut file = self.pages.as_ref().ok_or(std::io::ErrorKind::NotFound)?.try_clone().await?;
            file.seek(SeekFrom::Start(0)).await?;
            Ok::<File, std::io::Error>(file)
        };
        let file = rewound.await.map_err(|error| {
            Refusal::ForNow(sluice_domain::StoredFailure::from(&SourceError::internal(error.to_string())))
        })?;
        let body = ReaderStream::with_capacity(file, READ_BYTES);
        let body = body.map_err(|error| BodyError::Broken { reason: error.to_string() }).boxed();
        Ok(Content { file_name: None, options: lines(self.options.clone()), body })
    }
}

/// The options of the upload: what the source makes of the pages are lines, without a way to them.
fn lines(mut options: ReadOptions) -> ReadOptions {
    options.format = Format::Ndjson;
    options.json.record_path = None;
    options
}

impl HttpPlace {
    /// Fetch page after page into a file without a name.
    async fn walk(&self) -> Result<Walk, SourceError> {
        let file = tempfile::tempfile_in(&self.spool.dir).map_err(disk)?;
        let watermark = self.run.watermark_before.clone();
        let mut walk = Walk { file: File::from_std(file), size_bytes: 0, pages: 0, records: 0, watermark };
        let mut url = self.address(&self.first_page());
        loop {
            walk.pages += 1;
            let of_page = |reason: String| SourceError::Api { page: walk.pages, reason };
            if walk.pages > u64::from(self.source.max_pages) {
                return Err(of_page(format!("there are more than max_pages={}", self.source.max_pages)));
            }
            let answer = self.client.get(&url).await.map_err(of_page)?;
            let next_link = answer.next_link.clone();
            let page = self.read(answer).await?.map_err(of_page)?;
            let next = self.next_page(&url, &page, (walk.pages, next_link)).map_err(of_page)?;
            walk.take(page, self.spool.max_bytes).await?;
            match next {
                None => break,
                Some(next) => url = next,
            }
            tokio::time::sleep(Duration::from_millis(self.source.pause_ms.into())).await;
        }
        walk.file.flush().await.map_err(disk)?;
        Ok(walk)
    }

    /// Read a page where it may take its time.
    async fn read(&self, answer: Answer) -> Result<Result<PageContent, String>, SourceError> {
        let rules = PageRules {
            records: self.options.json.record_path.clone(),
            next: self.next_field(),
            watermark: self.source.watermark.as_ref().map(|rule| rule.column.clone()),
        };
        let body: Bytes = answer.body;
        let reading = tokio::task::spawn_blocking(move || read_page(&rules, &body));
        reading.await.map_err(|_| SourceError::internal("the reader of a page ended without an answer"))
    }

    fn next_field(&self) -> Option<RecordPath> {
        match self.source.paging.as_ref()? {
            Paging::Cursor { field, .. } | Paging::Link { field: Some(field) } => field.parse().ok(),
            Paging::Page(_) | Paging::Link { field: None } => None,
        }
    }

    fn first_page(&self) -> Vec<(String, String)> {
        match &self.source.paging {
            Some(Paging::Page(paging)) => numbered(paging, 0),
            _ => Vec::new(),
        }
    }

    /// The address of a page: the source's own parameters, the watermark, and these.
    fn address(&self, page: &[(String, String)]) -> Url {
        let mut url = self.url.clone();
        let begins_at = self.source.watermark.as_ref().and_then(|rule| {
            let value = self.run.watermark_before.as_ref().or(rule.initial.as_ref())?;
            Some((rule.param.clone(), value.clone()))
        });
        let own = self.source.query.iter().map(|(name, value)| (name.clone(), value.clone()));
        let pairs: Vec<_> = own.chain(begins_at).chain(page.iter().cloned()).collect();
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        url
    }

    /// Where the page after this one is; none after the last.
    fn next_page(
        &self,
        url: &Url,
        page: &PageContent,
        (pages, next_link): (u64, Option<String>),
    ) -> Result<Option<Url>, String> {
        match &self.source.paging {
            None => Ok(None),
            Some(Paging::Page(paging)) => {
                let is_last = page.records < u64::from(paging.limit);
                Ok((!is_last).then(|| self.address(&numbered(paging, pages))))
            }
            Some(Paging::Cursor { param, .. }) => {
                let next = page.next.as_ref().map(|cursor| self.address(&[(param.clone(), cursor.clone())]));
                self.moved(url, next)
            }
            Some(Paging::Link { field }) => {
                let link = if field.is_some() { page.next.clone() } else { next_link };
                let next = link.map(|link| url.join(&link).map_err(|error| format!("its next link: {error}")));
                self.moved(url, next.transpose()?)
            }
        }
    }

    /// The next address, which must be another one of the same origin.
    fn moved(&self, url: &Url, next: Option<Url>) -> Result<Option<Url>, String> {
        match next {
            Some(next) if next.origin() != self.url.origin() => Err("its next link leads to another origin".to_owned()),
            Some(next) if next == *url => Err("it leads to itself".to_owned()),
            next => Ok(next),
        }
    }
}

/// The parameters of the page that comes after so many others.
fn numbered(paging: &PagePaging, pages: u64) -> Vec<(String, String)> {
    let number = u64::from(paging.first) + pages;
    vec![(paging.page_param.clone(), number.to_string()), (paging.limit_param.clone(), paging.limit.to_string())]
}

impl Walk {
    async fn take(&mut self, page: PageContent, max_bytes: u64) -> Result<(), SourceError> {
        self.size_bytes += page.lines.len() as u64;
        if self.size_bytes > max_bytes {
            return Err(BodyError::TooLarge { limit_bytes: max_bytes }.into());
        }
        self.file.write_all(&page.lines).await.map_err(disk)?;
        self.records += page.records;
        if let Some(value) = page.watermark
            && self.watermark.as_ref().is_none_or(|greatest| is_later(&value, greatest))
        {
            self.watermark = Some(value);
        }
        Ok(())
    }
}

/// A failure of the disk that the pages are kept on.
fn disk(error: std::io::Error) -> SourceError {
    sluice_storage::StorageError::from(object_store::Error::Generic { store: "pages", source: Box::new(error) }).into()
}
