//! Uploads whose bytes the client puts straight into the object store.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use sluice_domain::{Action, Delivery, Resource};
use sluice_ingest::{Announced, Announcement, ResumableError};

use crate::{
    App,
    auth::Authenticated,
    body::UploadBody,
    extract::{JsonBody, Params, TableParams, TablePath, UploadPath},
    problem::{Problem, Problems},
    read_options::UploadParams,
    routes::uploads::{answer, respond_async},
    wire::{DirectBody, DirectView, ReceiptView, UploadView},
};

/// The digits of a SHA-256.
const SHA256_DIGITS: usize = 64;

/// Announce an upload whose bytes the client puts straight into the object store, and get the request that does it.
///
/// Where the raw zone is not in S3 the answer is 409: tus, at `/api/v1/tus`, is the way then. The rows are in the table
/// only after `complete`.
#[utoipa::path(post, path = "/api/v1/tables/{namespace}/{table}/uploads/presigned", tag = "ingest",
    params(TableParams, UploadParams), request_body = DirectBody,
    responses((status = 201, description = "The bytes can be put", body = DirectView,
        headers(("Location" = String, description = "The upload"))), Problems))]
pub(super) async fn announce_direct_upload(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(table): TablePath,
    Params(params): Params<UploadParams>,
    JsonBody(wanted): JsonBody<DirectBody>,
) -> Result<Response, Problem> {
    let grant = caller.require(Action::Append, &Resource::Table(table.clone()))?;
    let sha256 = wanted.sha256.map(sha256_of).transpose()?;
    let known = UploadBody::announced(wanted.media_type, None, wanted.content_encoding);
    let (options, file_name) = (params.options(&known)?, params.file_name(&known)?);
    let wanted = Announcement { table, options, file_name, note: None, size_bytes: wanted.size_bytes, sha256 };
    let direct = app.ingest.announce_direct(&grant, wanted).await?;
    let location = [(header::LOCATION, format!("/api/v1/uploads/{}", direct.partial.id))];
    // It is a secret of the caller's, and works for a while only.
    let uncached = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, location, uncached, Json(DirectView::from(direct))).into_response())
}

fn sha256_of(text: String) -> Result<String, Problem> {
    let is_one = text.len() == SHA256_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bad = || Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-body", "sha256 is not 64 hexadecimal digits");
    if is_one { Ok(text.to_ascii_lowercase()) } else { Err(bad()) }
}

/// Say that the bytes are in the object store: they are read, compared, and their rows are added to the table.
///
/// Asked again, it gives the outcome again. With `Prefer: respond-async` the answer is 202 once the bytes are compared.
#[utoipa::path(post, path = "/api/v1/uploads/{upload_id}/complete", tag = "ingest",
    params(("upload_id" = uuid::Uuid, Path, description = "The upload"),
        ("Prefer" = Option<String>, Header,
         description = "`respond-async`: answer 202 once the bytes are known to be right, before the rows are in the table")),
    responses((status = 201, description = "The rows are in the table", body = ReceiptView,
            headers(("Location" = String, description = "The upload"),
                ("Idempotent-Replayed" = Option<String>, description = "`true` on the receipt of an earlier request"))),
        (status = 202, description = "The bytes are right and the upload will be finished", body = UploadView,
            headers(("Location" = String, description = "The upload"),
                ("Preference-Applied" = String, description = "`respond-async`"))),
        Problems))]
pub(super) async fn complete_upload(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    UploadPath(id): UploadPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = app.ingest.find_announced(id).await?;
    caller.require(Action::Append, &Resource::Table(found.table().clone()))?;
    let is_pieces = matches!(&found, Announced::Partial(partial) if partial.delivery == Delivery::Resumable);
    if found.principal() != caller.name {
        return Err(ResumableError::NotFound { upload: id }.into());
    }
    if is_pieces {
        let detail = "the bytes of this upload come by tus: the last piece completes it";
        return Err(Problem::new(StatusCode::CONFLICT, "not-direct", detail));
    }
    match app.ingest.complete(id, respond_async(&headers)).await {
        Ok(outcome) => Ok(answer(&app, outcome)),
        Err(ResumableError::Failed(failure)) => Err(failure.into()),
        Err(error) => Err(error.into()),
    }
}
