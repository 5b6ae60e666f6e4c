//! Uploads: files into tables, their receipts and their original bytes.

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use object_store::path::Path;
use sluice_domain::{
    Action, Caller, ErrorKind, Failure, IdempotencyKey, Progress, Receipt, Resource, UploadEntry, UploadId, ZoneName,
};
use sluice_ingest::{Announced, Outcome, ResumableError, UploadRequest};
use sluice_storage::{StorageError, read_object};

use crate::{
    App,
    auth::Authenticated,
    body::UploadBody,
    extract::{PageParams, Params, TableParams, TablePath, UploadPath},
    problem::{Problem, Problems},
    read_options::UploadParams,
    wire::{JsonRows, Octets, ReceiptView, UploadForm, UploadPage, UploadView},
};

/// The header that makes an upload repeatable.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The header that marks the receipt of an earlier request.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The header that asks for an answer before the commit, and the one that grants it.
const PREFER: &str = "prefer";
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const RESPOND_ASYNC: &str = "respond-async";
/// The longest key.
const MAX_KEY_BYTES: usize = 255;

/// Add one file to a table, exactly once per `Idempotency-Key`; the first one makes the table.
///
/// The body is the file, or a form with the part `file`. Its bytes are kept unchanged in the raw zone; its rows are in
/// the table when the answer is 201, all of them but those that the receipt counts otherwise. What changes or removes
/// rows that are there asks for the right to manage. With `Prefer: respond-async` the answer is 202 as soon as the bytes are durable.
#[utoipa::path(post, path = "/api/v1/tables/{namespace}/{table}/uploads", tag = "ingest",
    params(TableParams, UploadParams,
        ("Idempotency-Key" = Option<String>, Header, max_length = 255, pattern = "^[!-~]+$",
         description = "Makes the request repeatable: the same key and body give the same receipt and commit nothing"),
        ("Content-Encoding" = Option<String>, Header, description = "`gzip`, `zstd`, `bzip2`, `xz` or `snappy` (framed)"),
        ("Prefer" = Option<String>, Header,
         description = "`respond-async`: answer 202 once the bytes are durable, before the rows are in the table")),
    request_body(description = "The file", content(
        (Octets = "text/csv"), (Octets = "application/x-ndjson"), (JsonRows = "application/json"),
        (Octets = "text/tab-separated-values"), (Octets = "application/vnd.apache.parquet"),
        (Octets = "application/vnd.apache.arrow.stream"), (Octets = "application/vnd.apache.arrow.file"),
        (Octets = "application/avro"), (Octets = "application/zip"), (Octets = "application/octet-stream"),
        (UploadForm = "multipart/form-data"))),
    responses((status = 201, description = "The rows are in the table", body = ReceiptView,
        headers(("Location" = String, description = "The upload"),
                ("Idempotent-Replayed" = Option<String>, description = "`true` on the receipt of an earlier request"))),
        (status = 202, description = "The bytes are durable and the upload will be finished; ask for its outcome",
         body = UploadView, headers(("Location" = String, description = "The upload"),
                ("Preference-Applied" = String, description = "`respond-async`"))),
        Problems))]
pub(super) async fn create_upload(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(table): TablePath,
    Params(params): Params<UploadParams>,
    request: Request,
) -> Result<Response, Problem> {
    let grant = caller.require(Action::Append, &Resource::Table(table.clone()))?;
    // The name as it is kept, not the path as it was written: one table has many spellings.
    let scope = format!("{} POST /api/v1/tables/{}/{}/uploads", caller.name, table.namespace, table.table);
    let idempotency_key = idempotency_key(request.headers(), scope)?;
    let respond_async = respond_async(request.headers());
    let body = UploadBody::open(request, app.max_body_bytes).await?;
    let (options, file_name) = (params.options(&body)?, params.file_name(&body)?);
    if options.write.changes_rows() {
        caller.require(Action::Manage, &Resource::Table(table.clone()))?;
    }
    let file = file_name.clone();
    let request = UploadRequest { table, options, file_name, idempotency_key, respond_async };
    let appended = app.ingest.append(&grant, request, body.bytes).await;
    let outcome = appended.map_err(|failure| Problem::from(failure).with_file_name(file))?;
    Ok(answer(&app, outcome))
}

pub(super) fn answer(app: &App, outcome: Outcome) -> Response {
    let yes = HeaderValue::from_static("true");
    let (id, status, mark, body) = match outcome {
        Outcome::Committed(receipt) => (receipt.upload_id, StatusCode::CREATED, None, receipt_body(receipt)),
        Outcome::Replayed(receipt) => {
            (receipt.upload_id, StatusCode::CREATED, Some((REPLAYED, yes)), receipt_body(receipt))
        }
        Outcome::Landed(entry) => {
            let applied = (PREFERENCE_APPLIED, HeaderValue::from_static(RESPOND_ASYNC));
            (entry.id, StatusCode::ACCEPTED, Some(applied), Json(view(app, *entry)).into_response())
        }
    };
    let mut response = (status, [(header::LOCATION, format!("/api/v1/uploads/{id}"))], body).into_response();
    response.headers_mut().extend(mark);
    response
}

fn receipt_body(receipt: Receipt) -> Response {
    Json(ReceiptView::from(receipt)).into_response()
}

/// Whether `Prefer` (RFC 7240) asks for an answer before the commit.
pub(super) fn respond_async(headers: &HeaderMap) -> bool {
    let values = headers.get_all(PREFER).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|preference| preference.trim().eq_ignore_ascii_case(RESPOND_ASYNC))
}

pub(super) fn idempotency_key(headers: &HeaderMap, scope: String) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value
        .to_str()
        .ok()
        .filter(|key| !key.is_empty() && key.len() <= MAX_KEY_BYTES && key.bytes().all(|byte| byte.is_ascii_graphic()));
    let key = key.ok_or_else(|| {
        let detail = format!("Idempotency-Key is not 1 to {MAX_KEY_BYTES} visible ASCII characters");
        Problem::bad_request("bad-idempotency-key", detail)
    })?;
    Ok(Some(IdempotencyKey { scope, key: key.to_owned() }))
}

/// List the uploads into a table, newest first, failed ones included.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/uploads", tag = "ingest",
    params(TableParams, PageParams),
    responses((status = 200, description = "A page of uploads", body = UploadPage), Problems))]
pub(super) async fn list_uploads(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    Params(page): Params<PageParams>,
) -> Result<Json<UploadPage>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let page = app.catalog.uploads().list(&name, &page.request()?).await?;
    let page = page.map(|entry| view(&app, entry));
    Ok(Json(UploadPage { items: page.items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// Say what became of an upload.
#[utoipa::path(get, path = "/api/v1/uploads/{upload_id}", tag = "ingest",
    params(("upload_id" = uuid::Uuid, Path, description = "The upload")),
    responses((status = 200, description = "The upload", body = UploadView), Problems))]
pub(super) async fn get_upload(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    UploadPath(id): UploadPath,
) -> Result<Json<UploadView>, Problem> {
    let found = find_announced(&app, &caller, id).await?;
    Ok(Json(view_of(&app, found)))
}

/// Give back the original bytes of an upload, as they came in (compressed, if they were).
#[utoipa::path(get, path = "/api/v1/uploads/{upload_id}/content", tag = "ingest",
    params(("upload_id" = uuid::Uuid, Path, description = "The upload")),
    responses((status = 200, description = "The original bytes", body = Octets,
        content_type = "application/octet-stream"),
        Problems))]
pub(super) async fn get_upload_content(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    UploadPath(id): UploadPath,
) -> Result<Response, Problem> {
    let entry = find(&app, &caller, id).await?;
    let (store, size_bytes) = (app.zones.get(ZoneName::Raw).store(), entry.landed.size_bytes);
    check_there(&app, &entry).await?;
    let path = Path::from(entry.landed.raw_path.as_str());
    let bytes = read_object(store, path, size_bytes).await.map_err(MissingContent)?;
    let file_name = entry.landed.raw_path.rsplit('/').next().unwrap_or_default();
    let headers = [
        // Whatever was sent, no browser takes it for a page.
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size_bytes.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file_name}\"")),
        (header::ETAG, format!("\"{}\"", entry.landed.sha256)),
    ];
    Ok((headers, Body::from_stream(bytes)).into_response())
}

/// Tell of bytes that a rule archived or removed.
async fn check_there(app: &App, entry: &UploadEntry) -> Result<(), Problem> {
    let object = app.catalog.stored_objects().find(&entry.landed.raw_path).await?;
    if let Some(expired_at) = object.expired_at {
        let detail =
            format!("a lifecycle rule removed the bytes at {expired_at}; their hash is {}", entry.landed.sha256);
        return Err(Problem::new(StatusCode::GONE, "content-expired", detail));
    }
    if object.class.is_readable() || object.simulated {
        return Ok(());
    }
    let detail = format!("a lifecycle rule archived the bytes as {}: they have to be restored first", object.class);
    Err(Problem::new(StatusCode::CONFLICT, "content-archived", detail))
}

/// The bytes of an upload cannot be given back. That they are missing is no fault of who asks for them.
#[derive(Debug, thiserror::Error)]
#[error("the bytes of the upload could not be read")]
struct MissingContent(#[source] StorageError);

impl Failure for MissingContent {
    fn kind(&self) -> ErrorKind {
        match self.0.kind() {
            ErrorKind::Unavailable => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        }
    }

    fn code(&self) -> &str {
        self.0.code()
    }
}

async fn find(app: &App, caller: &Caller, id: UploadId) -> Result<UploadEntry, Problem> {
    let entry = app.catalog.uploads().find(id).await?;
    // To a caller who does not see the namespace, its uploads do not exist either.
    if !caller.sees(&entry.table.namespace) {
        return Err(sluice_catalog::CatalogError::UploadNotFound { upload: id }.into());
    }
    caller.require(Action::Read, &Resource::Table(entry.table.clone()))?;
    Ok(entry)
}

/// An upload that the caller may see, whether it has landed or not.
pub(super) async fn find_announced(app: &App, caller: &Caller, id: UploadId) -> Result<Announced, Problem> {
    let found = app.ingest.find_announced(id).await?;
    if !caller.sees(&found.table().namespace) {
        return Err(ResumableError::NotFound { upload: id }.into());
    }
    caller.require(Action::Read, &Resource::Table(found.table().clone()))?;
    Ok(found)
}

/// What is told of an upload, with how far it is.
pub(super) fn view_of(app: &App, found: Announced) -> UploadView {
    match found {
        Announced::Partial(partial) => {
            let progress = app.ingest.progress().find(partial.id).unwrap_or_else(|| Progress::from(&*partial));
            UploadView::partial(*partial, progress)
        }
        Announced::Landed(entry) => view(app, *entry),
    }
}

fn view(app: &App, entry: UploadEntry) -> UploadView {
    let receipt = app.ingest.receipt(&entry);
    let known = Progress::from(&entry);
    let shown = app.ingest.progress().find(entry.id).filter(|_| !known.phase.is_last());
    UploadView::new(entry, receipt, shown.unwrap_or(known))
}
