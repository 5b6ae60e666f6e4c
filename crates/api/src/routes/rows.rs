//! Small writes: rows into tables by requests that are gathered into commits, and the channels that resume them.

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use sluice_domain::{Action, BadRowLimits, Fraction, Resource};
use sluice_ingest::{ChannelPlace, RowsOutcome, RowsReceipt, RowsRequest};
use utoipa::IntoParams;

use super::uploads::{REPLAYED, idempotency_key};
use crate::{
    App,
    auth::Authenticated,
    body::UploadBody,
    extract::{ChannelParams, ChannelPath, Params, TableParams, TablePath},
    problem::{Problem, Problems},
    wire::{ChannelView, JsonRows, Octets, RowsReceiptView},
};

/// Where rows get their channel to.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RowsParams {
    /// The channel that the rows are of; it must have been opened.
    #[param(pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
    channel: Option<String>,
    /// With `channel`: the offset of the last row. One that is not greater than the last committed offset adds nothing.
    offset: Option<i64>,
    /// With `channel`: the epoch in which it was opened; refused once somebody else has opened it.
    epoch: Option<i64>,
    /// With more bad rows than this, the request is refused as a whole; unlimited where one row at least is good.
    #[param(format = "uint64", minimum = 0)]
    max_bad_rows: Option<u64>,
    /// With a larger share of bad rows than this, the request is refused as a whole.
    #[param(example = 0.1, minimum = 0, maximum = 1)]
    max_bad_fraction: Option<f64>,
}

impl RowsParams {
    fn bad_rows(&self) -> Result<BadRowLimits, Problem> {
        let bad = || Problem::bad_request("bad-parameter", "max_bad_fraction is not a number from 0 to 1");
        let max_fraction = self.max_bad_fraction.map(|part| Fraction::new(part).ok_or_else(bad)).transpose()?;
        Ok(BadRowLimits { max_rows: self.max_bad_rows, max_fraction })
    }

    fn place(self) -> Result<Option<ChannelPlace>, Problem> {
        let bad = |detail: String| Problem::bad_request("bad-parameter", detail);
        match (self.channel, self.offset) {
            (Some(channel), Some(offset)) => {
                let channel = channel.parse().map_err(|error| bad(format!("{error}")))?;
                Ok(Some(ChannelPlace { channel, offset, epoch: self.epoch }))
            }
            (None, None) if self.epoch.is_none() => Ok(None),
            (Some(_), None) => Err(bad("channel needs offset".to_owned())),
            _ => Err(bad("offset and epoch need channel".to_owned())),
        }
    }
}

/// Add a few rows to a table, together with those of other requests; the first ones make the table.
///
/// The body is a JSON object, an array of objects, or one object a line. The rows are durable in the table when the answer
/// is 201: the original text, the data files, the table's log and the catalog are synced. Larger bodies are uploads. Rows
/// that are bad go to quarantine; the whole request is refused where none is good, or with `max_bad_rows=0`.
#[utoipa::path(post, path = "/api/v1/tables/{namespace}/{table}/rows", tag = "ingest",
    params(TableParams, RowsParams,
        ("Idempotency-Key" = Option<String>, Header, max_length = 255, pattern = "^[!-~]+$",
         description = "Makes the request repeatable: the same key and body give the same receipt and commit nothing")),
    request_body(description = "The rows", content(
        (JsonRows = "application/json"), (Octets = "application/x-ndjson"), (Octets = "application/vnd.apache.arrow.stream"),
        (Octets = "application/octet-stream"))),
    responses((status = 201, description = "The rows are in the table", body = RowsReceiptView,
        headers(("Location" = String, description = "The upload that gathered them"),
                ("Idempotent-Replayed" = Option<String>, description = "`true` on the receipt of an earlier request"))),
        (status = 200, description = "The channel is there or further already; nothing was added",
         body = RowsReceiptView), Problems))]
pub(super) async fn append_rows(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(table): TablePath,
    Params(params): Params<RowsParams>,
    request: Request,
) -> Result<Response, Problem> {
    let grant = caller.require(Action::Append, &Resource::Table(table.clone()))?;
    let scope = format!("{} POST /api/v1/tables/{}/{}/rows", caller.name, table.namespace, table.table);
    let key = idempotency_key(request.headers(), scope)?;
    let bad_rows = params.bad_rows()?;
    let channel = params.place()?;
    let body = UploadBody::of_rows(request)?;
    let request = RowsRequest { table, media_type: body.media_type, key, channel, bad_rows };
    Ok(answer(app.ingest.append_rows(&grant, request, body.bytes).await?))
}

fn answer(outcome: RowsOutcome) -> Response {
    let view = |receipt: RowsReceipt| Json(RowsReceiptView::from(receipt));
    match outcome {
        RowsOutcome::Duplicate(receipt) => view(receipt).into_response(),
        RowsOutcome::Committed(receipt) => (StatusCode::CREATED, location(&receipt), view(receipt)).into_response(),
        RowsOutcome::Replayed(receipt) => {
            let mark = [(REPLAYED, HeaderValue::from_static("true"))];
            (StatusCode::CREATED, location(&receipt), mark, view(receipt)).into_response()
        }
    }
}

fn location(receipt: &RowsReceipt) -> [(header::HeaderName, String); 1] {
    let id = receipt.upload_id.map(|id| id.to_string()).unwrap_or_default();
    [(header::LOCATION, format!("/api/v1/uploads/{id}"))]
}

/// Open a channel, or open it again: whoever opened it before is fenced off, and the offset to go on from is told.
#[utoipa::path(put, path = "/api/v1/tables/{namespace}/{table}/channels/{channel}", tag = "ingest",
    params(ChannelParams),
    responses((status = 200, description = "The channel is open", body = ChannelView), Problems))]
pub(super) async fn open_channel(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ChannelPath(table, channel): ChannelPath,
) -> Result<Json<ChannelView>, Problem> {
    let grant = caller.require(Action::Append, &Resource::Table(table.clone()))?;
    Ok(Json(app.ingest.open_channel(&grant, &table, &channel).await?.into()))
}

/// Say how far a channel is.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/channels/{channel}", tag = "ingest",
    params(ChannelParams),
    responses((status = 200, description = "The channel", body = ChannelView), Problems))]
pub(super) async fn get_channel(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ChannelPath(table, channel): ChannelPath,
) -> Result<Json<ChannelView>, Problem> {
    caller.require(Action::Append, &Resource::Table(table.clone()))?;
    Ok(Json(app.ingest.find_channel(&table, &channel).await?.into()))
}

/// Drop a channel: its rows stay, and one that is opened under its name begins anew.
#[utoipa::path(delete, path = "/api/v1/tables/{namespace}/{table}/channels/{channel}", tag = "ingest",
    params(ChannelParams),
    responses((status = 204, description = "The channel is dropped"), Problems))]
pub(super) async fn drop_channel(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ChannelPath(table, channel): ChannelPath,
) -> Result<StatusCode, Problem> {
    caller.require(Action::Append, &Resource::Table(table.clone()))?;
    app.ingest.drop_channel(&table, &channel).await?;
    Ok(StatusCode::NO_CONTENT)
}
