//! The body of an upload: the file itself, or the `file` part of a form, as one stream with what is known about it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use multer::{Constraints, Field, Multipart};
use sluice_ingest::BodyError;

use crate::problem::Problem;

/// How much of a form may come before its file begins, in bytes.
const MAX_PREAMBLE_BYTES: usize = 64 * 1024;
/// How long the beginning of the file may take to come.
const PREAMBLE_TIME: Duration = Duration::from_secs(30);
/// The part of a form that is the file.
const FILE_PART: &str = "file";

/// An upload's body before anything of it was read.
pub(crate) struct UploadBody {
    /// What the client says the bytes are.
    pub(crate) media_type: Option<String>,
    /// The client's name of the file.
    pub(crate) file_name: Option<String>,
    /// How the bytes are compressed, as far as headers tell.
    pub(crate) encoding: Option<String>,
    /// The bytes.
    pub(crate) bytes: sluice_ingest::Body<'static>,
}

impl UploadBody {
    /// The body of this request, which must not be announced as longer than the limit.
    pub(crate) async fn open(request: Request, limit_bytes: u64) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        refuse_too_large(&parts.headers, limit_bytes)?;
        let media_type = header_text(&parts.headers, header::CONTENT_TYPE)?;
        let encoding = header_text(&parts.headers, header::CONTENT_ENCODING)?;
        match media_type.as_deref().map(multer::parse_boundary) {
            Some(Ok(boundary)) => Self::from_form(body, boundary, encoding).await,
            Some(Err(_)) if media_type.as_deref().is_some_and(is_form) => {
                Err(Problem::bad_request("bad-form", "the multipart/form-data has no boundary"))
            }
            _ => Ok(Self { media_type, file_name: None, encoding, bytes: pieces(body).boxed() }),
        }
    }

    /// The body of a request with a few rows: never a form, never compressed.
    pub(crate) fn of_rows(request: Request) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let media_type = header_text(&parts.headers, header::CONTENT_TYPE)?;
        let encoding = header_text(&parts.headers, header::CONTENT_ENCODING)?;
        if let Some(encoding) = encoding.filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            let detail = format!("rows are not taken with Content-Encoding {encoding:?}; compressed files are uploads");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", detail));
        }
        Ok(Self { media_type, file_name: None, encoding: None, bytes: pieces(body).boxed() })
    }

    /// What is known of a body that comes by other requests.
    pub(crate) fn announced(media_type: Option<String>, file_name: Option<String>, encoding: Option<String>) -> Self {
        Self { media_type, file_name, encoding, bytes: stream::empty().boxed() }
    }

    async fn from_form(body: Body, boundary: String, encoding: Option<String>) -> Result<Self, Problem> {
        if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            let detail = "a form cannot be compressed as a whole; compress the file and name it .gz or .zst";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", detail));
        }
        let constraints = Constraints::new().allowed_fields(vec![FILE_PART]);
        let preamble = Arc::new(Preamble::default());
        let mut form = Multipart::with_constraints(preamble.watch(pieces(body)), boundary, constraints);
        let field = tokio::time::timeout(PREAMBLE_TIME, form.next_field()).await;
        let field = field.map_err(|_| BodyError::TooSlow { seconds: PREAMBLE_TIME.as_secs() })?;
        let field = field.map_err(|error| Problem::bad_request("bad-form", error.to_string()))?;
        preamble.end();
        let field = field.ok_or_else(|| Problem::bad_request("bad-form", "the form has no part named file"))?;
        Ok(Self {
            media_type: field.content_type().map(ToString::to_string),
            file_name: field.file_name().map(str::to_owned),
            encoding: None,
            bytes: file_pieces(form, field).boxed(),
        })
    }
}

/// Bounds what comes before the file of a form: the form's reader would keep it in memory until it finds the file.
#[derive(Default)]
struct Preamble {
    size_bytes: AtomicUsize,
    ended: AtomicBool,
}

impl Preamble {
    fn watch(
        self: &Arc<Self>,
        pieces: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
    ) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
        let preamble = Arc::clone(self);
        pieces.map(move |piece| {
            let piece = piece?;
            if !preamble.ended.load(Ordering::Relaxed)
                && preamble.size_bytes.fetch_add(piece.len(), Ordering::Relaxed) > MAX_PREAMBLE_BYTES
            {
                return Err(BodyError::Broken { reason: "no file begins in the form's first 64 KiB".into() });
            }
            Ok(piece)
        })
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn is_form(media_type: &str) -> bool {
    media_type.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

fn refuse_too_large(headers: &HeaderMap, limit_bytes: u64) -> Result<(), Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match announced {
        Some(size_bytes) if size_bytes > limit_bytes => Err(BodyError::TooLarge { limit_bytes }.into()),
        _ => Ok(()),
    }
}

pub(crate) fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<String>, Problem> {
    let text = headers.get(&name).map(|value| value.to_str().map(str::to_owned)).transpose();
    text.map_err(|_| Problem::bad_request("bad-header", format!("the header {name} is not plain text")))
}

pub(crate) fn pieces(body: Body) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    body.into_data_stream().map_err(|error| BodyError::Broken { reason: error.to_string() })
}

/// The pieces of the form's file; a second file would be lost without a word, so it is an error.
fn file_pieces(
    form: Multipart<'static>,
    file: Field<'static>,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    let broken = |error: multer::Error| BodyError::Broken { reason: error.to_string() };
    stream::try_unfold((form, Some(file)), move |(mut form, file)| async move {
        let Some(mut file) = file else { return Ok(None) };
        if let Some(piece) = file.chunk().await.map_err(broken)? {
            return Ok(Some((piece, (form, Some(file)))));
        }
        drop(file);
        match form.next_field().await.map_err(broken)? {
            None => Ok(None),
            Some(_) => Err(BodyError::Broken { reason: "the form has more than one part".into() }),
        }
    })
}
