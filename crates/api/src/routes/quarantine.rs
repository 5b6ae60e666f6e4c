//! Quarantine: the rows that were set aside, sending them again, and throwing them away.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use sluice_domain::{Action, Caller, PageToken, Resource, TableRef, UploadId};
use sluice_ingest::{ReplayFormat, ReplayRequest};
use utoipa::IntoParams;
use uuid::Uuid;

use super::queries;
use crate::{
    App,
    auth::Authenticated,
    extract::{JsonBody, PageParams, Params, TableParams, TablePath},
    problem::{Problem, Problems},
    wire::{PurgeView, QuarantinePage, QuarantinedRow, ReplayBody, ReplayView},
};

/// How many rows are sent again at once.
const MAX_REPLAYED: u64 = 10_000;
/// How many of them may be named.
const MAX_NAMED: usize = 1000;
/// The columns of a quarantine.
const COLUMNS: &str = "upload_id, row_number, line, byte_offset, column_name, rule, reason, record, record_format, \
    quarantined_at";

/// Which quarantined rows to show.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct QuarantineParams {
    /// Those of this upload.
    upload_id: Option<Uuid>,
    /// A random sample of `page_size` rows rather than a page.
    sample: Option<bool>,
    /// How many rows at the most.
    #[param(minimum = 1, maximum = 1000)]
    page_size: Option<u32>,
    /// Where to resume: `next_page_token` of the page before.
    page_token: Option<String>,
}

/// List the rows of a table that were set aside, with their reasons; its table is `{table}__quarantine`, open to SQL.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/quarantine", tag = "ingest",
    params(TableParams, QuarantineParams),
    responses((status = 200, description = "A page of rows", body = QuarantinePage), Problems))]
pub(super) async fn list_quarantine(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    Params(params): Params<QuarantineParams>,
) -> Result<Json<QuarantinePage>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    app.catalog.tables().find(&name).await?;
    let page = PageParams::new(params.page_size, params.page_token).request()?;
    let of = params.upload_id.map_or_else(|| "true".to_owned(), |upload| format!("upload_id = '{upload}'"));
    let after = page.token.as_ref().map(|token| position(token.key())).transpose()?;
    let after = after.map_or_else(String::new, |(upload, row)| {
        format!(" AND (upload_id > '{upload}' OR upload_id = '{upload}' AND row_number > {row})")
    });
    let is_sample = params.sample.unwrap_or_default();
    let order = if is_sample { "random()" } else { "upload_id, row_number" };
    let size = page.size as usize;
    let mut items = rows(&app, &caller, &name, &format!("{of}{after} ORDER BY {order}"), size as u64 + 1).await?;
    let more = items.len() > size && !is_sample;
    items.truncate(size);
    let last = items.last().filter(|_| more).map(|row| format!("{}/{}", row.upload_id, row.row_number));
    Ok(Json(QuarantinePage { items, next_page_token: last.map(|last| PageToken::after(last).to_string()) }))
}

/// The upload and row of a page token.
fn position(key: &str) -> Result<(Uuid, u64), Problem> {
    let parts = key.split_once('/').and_then(|(upload, row)| Some((upload.parse().ok()?, row.parse().ok()?)));
    parts.ok_or_else(|| Problem::bad_request("bad-page-token", "the page token is not of this listing"))
}

/// The rows of a table's quarantine for which a condition is true; none where the table has no quarantine.
async fn rows(
    app: &App,
    caller: &Caller,
    table: &TableRef,
    condition: &str,
    limit: u64,
) -> Result<Vec<QuarantinedRow>, Problem> {
    let Some(quarantine) = table.quarantine() else { return Ok(Vec::new()) };
    match app.catalog.tables().find(&quarantine).await {
        Ok(_) => {}
        Err(sluice_catalog::CatalogError::TableNotFound { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    }
    let TableRef { namespace, table } = quarantine;
    let sql = format!("SELECT {COLUMNS} FROM \"{namespace}\".\"{table}\" WHERE {condition} LIMIT {limit}");
    queries::typed(app, caller, sql, limit).await
}

/// Send quarantined rows again, as they are or mended: after the table's columns or rules were changed, or with other
/// values. Each row gets into the table once; those that are bad still come back into quarantine.
#[utoipa::path(post, path = "/api/v1/tables/{namespace}/{table}/quarantine/replay", tag = "ingest",
    params(TableParams), request_body = ReplayBody,
    responses((status = 200, description = "The rows are in the table", body = ReplayView), Problems))]
pub(super) async fn replay_quarantine(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    JsonBody(body): JsonBody<ReplayBody>,
) -> Result<Json<ReplayView>, Problem> {
    let grant = caller.require(Action::Append, &Resource::Table(name.clone()))?;
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    check(&body)?;
    let source = UploadId(body.upload_id);
    let found = found(&app, &caller, &name, &body).await?;
    if found.values().all(Vec::is_empty) {
        let detail = "no such rows are in quarantine, or they were sent again before";
        return Err(Problem::new(StatusCode::NOT_FOUND, "nothing-to-replay", detail));
    }
    let (mut receipts, mut rows_replayed) = (Vec::new(), 0);
    for (format, rows) in found {
        rows_replayed += rows.len() as u64;
        let request = ReplayRequest { table: name.clone(), source, format, rows };
        receipts.push(app.ingest.replay(&grant, request).await?.into());
    }
    Ok(Json(ReplayView { rows_replayed, receipts }))
}

fn check(body: &ReplayBody) -> Result<(), Problem> {
    let bad = |detail: &str| Err(Problem::bad_request("bad-body", detail));
    let named = match (&body.rows, &body.records) {
        (Some(_), Some(_)) => return bad("`rows` and `records` exclude each other"),
        (Some(rows), None) => rows.clone(),
        (None, Some(records)) => records.iter().map(|record| record.row_number).collect(),
        (None, None) => return Ok(()),
    };
    match named.len() {
        0 => bad("no rows are named"),
        count if count > MAX_NAMED => bad("more than 1000 rows are named"),
        count if named.iter().collect::<BTreeSet<_>>().len() < count => bad("a row is named twice"),
        _ => Ok(()),
    }
}

type Found = BTreeMap<ReplayFormat, Vec<(u64, String)>>;

/// The rows that are wanted and were not replayed yet, by the format of their records.
async fn found(app: &App, caller: &Caller, name: &TableRef, body: &ReplayBody) -> Result<Found, Problem> {
    let mut mended: Option<BTreeMap<u64, String>> = body.records.as_ref().map(|records| {
        let text = |record| serde_json::Value::Object(record).to_string();
        records.iter().map(|mended| (mended.row_number, text(mended.record.clone()))).collect()
    });
    let wanted = body.rows.clone().or_else(|| mended.as_ref().map(|mended| mended.keys().copied().collect()));
    let named = wanted.map_or_else(String::new, |rows| {
        let rows: Vec<String> = rows.iter().map(u64::to_string).collect();
        format!(" AND row_number IN ({})", rows.join(", "))
    });
    let gone: BTreeSet<u64> = app.catalog.replays().replayed(UploadId(body.upload_id)).await?.into_iter().collect();
    let condition = format!("upload_id = '{}'{named} ORDER BY row_number", body.upload_id);
    let mut found = Found::new();
    for row in rows(app, caller, name, &condition, MAX_REPLAYED).await? {
        if gone.contains(&row.row_number) {
            continue;
        }
        let is_csv = row.record_format == "csv" && mended.is_none();
        let record = match &mut mended {
            Some(mended) => mended.remove(&row.row_number).unwrap_or_default(),
            None => row.record,
        };
        let format = if is_csv { ReplayFormat::Csv } else { ReplayFormat::Json };
        found.entry(format).or_default().push((row.row_number, record));
    }
    Ok(found)
}

/// Which quarantined rows to throw away.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PurgeParams {
    /// Those of this upload; by default all.
    upload_id: Option<Uuid>,
}

/// Throw quarantined rows away. The original bytes of their uploads stay in the raw zone.
#[utoipa::path(delete, path = "/api/v1/tables/{namespace}/{table}/quarantine", tag = "ingest",
    params(TableParams, PurgeParams),
    responses((status = 200, description = "The rows are gone", body = PurgeView), Problems))]
pub(super) async fn purge_quarantine(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    Params(params): Params<PurgeParams>,
) -> Result<Json<PurgeView>, Problem> {
    caller.require(Action::Manage, &Resource::Table(name.clone()))?;
    app.catalog.tables().find(&name).await?;
    let rows_purged = app.ingest.purge(&name, params.upload_id.map(UploadId)).await?;
    Ok(Json(PurgeView { rows_purged }))
}
