//! Uploads in pieces: tus 1.0.0, as its clients speak it.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures::TryStreamExt as _;
use sluice_domain::{Action, Caller, Delivery, PartialUpload, Resource, UploadId};
use sluice_ingest::{Announced, Announcement, ChecksumAlgorithm, Piece, ResumableError};

use crate::{
    App,
    auth::Authenticated,
    body::{header_text, pieces},
    extract::UploadPath,
    problem::{Problem, Problems},
    tus::{self, Metadata, SameVersion},
};

/// The status of a piece whose sum is not the one that was sent.
const CHECKSUM_MISMATCH: u16 = 460;

/// Say what of tus is spoken here.
#[utoipa::path(options, path = "/api/v1/tus", tag = "ingest",
    responses((status = 204, description = "What is spoken", headers(
        ("Tus-Version" = String, description = "`1.0.0`"), ("Tus-Extension" = String, description = "The extensions"),
        ("Tus-Max-Size" = u64, description = "How many bytes an upload may have"),
        ("Tus-Checksum-Algorithm" = String, description = "The sums that pieces can be sent with"))), Problems))]
pub(super) async fn describe_tus(State(app): State<App>, Authenticated(_caller): Authenticated) -> Response {
    let algorithms = ChecksumAlgorithm::ALL.map(ChecksumAlgorithm::as_str).join(",");
    let headers = [
        (tus::VERSIONS, tus::VERSION.to_owned()),
        (tus::EXTENSION, tus::EXTENSIONS.to_owned()),
        (tus::MAX_SIZE, app.max_body_bytes.to_string()),
        (tus::CHECKSUM_ALGORITHM, algorithms),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Create an upload whose bytes come in pieces, perhaps with the first piece.
///
/// `Upload-Metadata` names the `table` (`namespace.table`), `filename` and `filetype`, and any parameter of an upload by
/// one request by its name; a key that is none of these is refused.
#[utoipa::path(post, path = "/api/v1/tus", tag = "ingest",
    params(("Tus-Resumable" = String, Header, pattern = "^1[.]0[.]0$", description = "`1.0.0`"),
        ("Upload-Length" = u64, Header, description = "How many bytes there will be"),
        ("Upload-Metadata" = Option<String>, Header,
         description = "Keys, each with its value in Base64, separated by commas; `table` must be among them"),
        ("Upload-Checksum" = Option<String>, Header, description = "An algorithm and the sum of the piece in Base64")),
    request_body(description = "The first piece, or nothing", content_type = "application/offset+octet-stream"),
    responses((status = 201, description = "The upload can go on", headers(
            ("Location" = String, description = "Where its pieces go"),
            ("Link" = String, description = "Where its outcome is told, `rel=\"status\"`"),
            ("Upload-Offset" = u64, description = "How many bytes are durable"),
            ("Upload-Expires" = String, description = "When it is given up"))),
        (status = 412, description = "Another version of tus", body = Problem, content_type = "application/problem+json"),
        (status = 460, description = "The piece has another sum", body = Problem,
         content_type = "application/problem+json"),
        Problems))]
pub(super) async fn create_tus_upload(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let size_bytes = tus::length(&parts.headers)?;
    tus::check_version(&parts.headers)?;
    let Metadata { table, params, body: known, note } = Metadata::read(&parts.headers)?;
    let grant = caller.require(Action::Append, &Resource::Table(table.clone()))?;
    let (options, file_name) = (params.options(&known)?, params.file_name(&known)?);
    let wanted = Announcement { table, options, file_name, note: Some(note), size_bytes, sha256: None };
    let first = first_piece(&parts.headers, body, size_bytes)?;
    let mut partial = app.ingest.announce(&grant, wanted).await.map_err(refused)?;
    if let Some(first) = first {
        partial = begin(&app, partial.id, first).await?;
    }
    let location = (header::LOCATION, format!("{}/{}", tus::PATH, partial.id));
    let headers = headers_of(&Announced::Partial(Box::new(partial)));
    Ok((StatusCode::CREATED, [location], headers).into_response())
}

fn first_piece(headers: &HeaderMap, body: Body, size_bytes: u64) -> Result<Option<Piece>, Problem> {
    match header_text(headers, header::CONTENT_TYPE)?.as_deref() {
        Some(tus::PIECE) => piece(headers, body, 0, size_bytes).map(Some),
        _ => Ok(None),
    }
}

/// Take the first piece. Where that fails its client does not know the upload, so that nobody could go on with it.
async fn begin(app: &App, id: UploadId, first: Piece) -> Result<PartialUpload, Problem> {
    let error = match app.ingest.receive(id, first).await {
        Ok(partial) => return Ok(partial),
        Err(error) => error,
    };
    match app.ingest.find_announced(id).await.map_err(refused)? {
        // It lands as soon as what it waits for is back.
        Announced::Partial(partial) if partial.is_whole() => Ok(*partial),
        _ => {
            app.ingest.terminate(id).await.map_err(refused)?;
            Err(refused(error))
        }
    }
}

/// Say how many bytes of an upload are durable.
#[utoipa::path(head, path = "/api/v1/tus/{upload_id}", tag = "ingest",
    params(("upload_id" = uuid::Uuid, Path, description = "The upload"),
        ("Tus-Resumable" = String, Header, pattern = "^1[.]0[.]0$", description = "`1.0.0`")),
    responses((status = 200, description = "How far it is", headers(
            ("Upload-Offset" = u64, description = "How many bytes are durable"),
            ("Upload-Length" = u64, description = "How many there will be"),
            ("Upload-Metadata" = String, description = "What its creator said of it"),
            ("Upload-Expires" = Option<String>, description = "When it is given up"))),
        (status = 412, description = "Another version of tus", body = Problem, content_type = "application/problem+json"),
        Problems))]
pub(super) async fn get_tus_upload(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    UploadPath(id): UploadPath,
    _version: SameVersion,
) -> Result<Response, Problem> {
    let uncached = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let found = find(&app, &caller, id).await?;
    let (length, note) = match &found {
        Announced::Partial(partial) => (partial.size_bytes, partial.note.clone()),
        Announced::Landed(entry) => (entry.landed.size_bytes, Some(tus::note_of(entry))),
    };
    let note = note.and_then(|note| HeaderValue::try_from(note).ok()).map(|note| [(tus::METADATA, note)]);
    let mut response = ([uncached, (tus::LENGTH, length.into())], headers_of(&found)).into_response();
    response.headers_mut().extend(note.into_iter().flatten());
    Ok(response)
}

/// Add a piece to an upload; with the last one its rows are on their way into the table.
///
/// The answer comes when the bytes are durable: those of the last piece in the raw zone. The upload's id is the one of the
/// ledger, where its outcome is told.
#[utoipa::path(patch, path = "/api/v1/tus/{upload_id}", tag = "ingest",
    params(("upload_id" = uuid::Uuid, Path, description = "The upload"),
        ("Tus-Resumable" = String, Header, pattern = "^1[.]0[.]0$", description = "`1.0.0`"),
        ("Upload-Offset" = u64, Header, description = "Where the piece begins: where the bytes end"),
        ("Upload-Checksum" = Option<String>, Header, description = "An algorithm and the sum of the piece in Base64")),
    request_body(description = "The piece", content_type = "application/offset+octet-stream"),
    responses((status = 204, description = "The piece is durable", headers(
            ("Upload-Offset" = u64, description = "How many bytes are durable"),
            ("Link" = String, description = "Where its outcome is told, `rel=\"status\"`"),
            ("Upload-Expires" = Option<String>, description = "When it is given up"))),
        (status = 412, description = "Another version of tus", body = Problem, content_type = "application/problem+json"),
        (status = 460, description = "The piece has another sum", body = Problem,
         content_type = "application/problem+json"),
        Problems))]
pub(super) async fn append_tus_piece(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    UploadPath(id): UploadPath,
    _version: SameVersion,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let found = find(&app, &caller, id).await?;
    if header_text(&parts.headers, header::CONTENT_TYPE)?.as_deref() != Some(tus::PIECE) {
        let detail = format!("a piece has the Content-Type {}", tus::PIECE);
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail));
    }
    let offset = tus::bytes(&parts.headers, &tus::OFFSET)?;
    let after = match found {
        Announced::Partial(partial) => {
            let piece = piece(&parts.headers, body, offset, partial.size_bytes)?;
            let after = app.ingest.receive(id, piece).await.map_err(refused)?;
            Announced::Partial(Box::new(after))
        }
        landed => add_nothing(landed, body, offset).await?,
    };
    Ok((StatusCode::NO_CONTENT, headers_of(&after)).into_response())
}

/// A client that did not hear the answer to the last piece may ask once more.
async fn add_nothing(landed: Announced, body: Body, given_bytes: u64) -> Result<Announced, Problem> {
    let actual_bytes = offset_of(&landed);
    if given_bytes != actual_bytes {
        return Err(refused(ResumableError::OtherOffset { actual_bytes, given_bytes }));
    }
    match pieces(body).try_next().await? {
        Some(bytes) if !bytes.is_empty() => {
            Err(sluice_ingest::BodyError::TooLarge { limit_bytes: actual_bytes }.into())
        }
        _ => Ok(landed),
    }
}

/// End an upload that has not landed, and remove its bytes.
#[utoipa::path(delete, path = "/api/v1/tus/{upload_id}", tag = "ingest",
    params(("upload_id" = uuid::Uuid, Path, description = "The upload"),
        ("Tus-Resumable" = String, Header, pattern = "^1[.]0[.]0$", description = "`1.0.0`")),
    responses((status = 204, description = "The upload is ended"),
        (status = 412, description = "Another version of tus", body = Problem, content_type = "application/problem+json"),
        Problems))]
pub(super) async fn terminate_tus_upload(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    UploadPath(id): UploadPath,
    _version: SameVersion,
) -> Result<StatusCode, Problem> {
    find(&app, &caller, id).await?;
    app.ingest.terminate(id).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

/// An upload of the caller's own, which it may still add to; to everybody else it does not exist.
async fn find(app: &App, caller: &Caller, id: UploadId) -> Result<Announced, Problem> {
    let found = app.ingest.find_announced(id).await.map_err(refused)?;
    caller.require(Action::Append, &Resource::Table(found.table().clone()))?;
    let is_direct = matches!(&found, Announced::Partial(partial) if partial.delivery == Delivery::Presigned);
    if is_direct || found.principal() != caller.name {
        return Err(refused(ResumableError::NotFound { upload: id }));
    }
    Ok(found)
}

fn piece(headers: &HeaderMap, body: Body, offset_bytes: u64, size_bytes: u64) -> Result<Piece, Problem> {
    let announced = header_text(headers, header::CONTENT_LENGTH)?.and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| offset_bytes.saturating_add(length) > size_bytes) {
        let detail = format!("the piece goes beyond the {size_bytes} bytes of the upload");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail));
    }
    let body = Box::pin(pieces(body));
    Ok(Piece { offset_bytes, checksum: tus::checksum(headers)?, body })
}

fn offset_of(found: &Announced) -> u64 {
    match found {
        Announced::Partial(partial) => partial.offset_bytes,
        Announced::Landed(entry) => entry.landed.size_bytes,
    }
}

/// How far the upload is, when it is given up, and where its outcome is told.
fn headers_of(found: &Announced) -> HeaderMap {
    let id = match found {
        Announced::Partial(partial) => partial.id,
        Announced::Landed(entry) => entry.id,
    };
    let expires = match found {
        Announced::Partial(partial) if !partial.is_whole() => Some(tus::http_date(partial.expires_at)),
        _ => None,
    };
    let link = format!("</api/v1/uploads/{id}>; rel=\"status\"");
    let texts = [(tus::EXPIRES, expires), (header::LINK, Some(link))];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text?).ok()?)));
    let offset: (HeaderName, HeaderValue) = (tus::OFFSET, offset_of(found).into());
    std::iter::once(offset).chain(texts).collect()
}

/// The problem of a failure; a wrong sum has a status of the protocol's own.
fn refused(error: ResumableError) -> Problem {
    let mismatch = StatusCode::from_u16(CHECKSUM_MISMATCH).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
    match error {
        ResumableError::OtherChecksum { algorithm } => {
            let detail = ResumableError::OtherChecksum { algorithm }.to_string();
            Problem::new(mismatch, "other-checksum", detail)
        }
        ResumableError::Failed(failure) => failure.into(),
        error => error.into(),
    }
}
