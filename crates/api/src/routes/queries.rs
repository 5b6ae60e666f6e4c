//! SQL.

use std::collections::BTreeMap;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sluice_domain::{Action, Caller, Resource, TableRef};
use sluice_query::{OutputFormat, QueryError, QueryRequest, QueryRun, RowLimit, RowWriter, ViewStatement};

use crate::{
    App,
    auth::Authenticated,
    extract::JsonBody,
    problem::{Problem, Problems},
    wire::{Octets, PreviewView, QueryBody, QueryColumn, QueryView},
};

/// The media type of Arrow IPC streams.
const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";
/// The largest result that is given as one JSON document, in bytes.
const MAX_JSON_BYTES: usize = 64 << 20;

/// Run one read-only statement over the tables and views, named `namespace.table`.
///
/// `CREATE [OR REPLACE] VIEW namespace.name AS SELECT …` and `DROP VIEW [IF EXISTS] namespace.name` do what `PUT` and
/// `DELETE` of the view do, and answer with no columns.
///
/// The answer is JSON, CSV or an Arrow stream, as `Accept` says. A failure in the middle of a CSV or Arrow answer
/// breaks it off.
#[utoipa::path(post, path = "/api/v1/queries", tag = "query", request_body = QueryBody,
    responses((status = 200, description = "The result", content(
            (QueryView = "application/json"), (String = "text/csv"),
            (Octets = "application/vnd.apache.arrow.stream"))),
        (status = 406, description = "None of the accepted media types can be given", body = Problem,
         content_type = "application/problem+json"),
        Problems))]
pub(super) async fn run_query(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    JsonBody(body): JsonBody<QueryBody>,
) -> Result<Response, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    if let Some(statement) = ViewStatement::parse(&body.sql)? {
        super::views::run_statement(&app, &caller, statement).await?;
        return Ok(Json(nothing()?).into_response());
    }
    let format = accepted(&headers)?;
    let row_limit = row_limit(format, body.row_limit);
    let request =
        QueryRequest { sql: body.sql, row_limit, versions: versions(body.versions)?, ..QueryRequest::default() };
    let run = app.queries.run(&caller, request).await?;
    match format {
        OutputFormat::Csv => streamed(run, format, "text/csv; charset=utf-8").await,
        OutputFormat::Arrow => streamed(run, format, ARROW_STREAM).await,
        OutputFormat::Json | OutputFormat::Ndjson => Ok(Json(document(run, &caller).await?).into_response()),
    }
}

/// A stream is whole unless the caller says otherwise; a document is not.
fn row_limit(format: OutputFormat, wished: Option<u64>) -> RowLimit {
    let unsaid = match format {
        OutputFormat::Csv | OutputFormat::Arrow => RowLimit::None,
        OutputFormat::Json | OutputFormat::Ndjson => RowLimit::Default,
    };
    wished.map_or(unsaid, RowLimit::AtMost)
}

fn versions(named: BTreeMap<String, u64>) -> Result<BTreeMap<TableRef, u64>, Problem> {
    let parse = |(name, version): (String, u64)| Ok((name.parse::<TableRef>()?, version));
    let versions = named.into_iter().map(parse).collect::<Result<_, sluice_domain::NameError>>();
    versions.map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "illegal-name", error.to_string()))
}

/// The first media type of `Accept` that can be given, JSON where everything is accepted.
fn accepted(headers: &HeaderMap) -> Result<OutputFormat, Problem> {
    let text = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let format = text.split(',').find_map(|range| {
        match range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/json" | "application/*" | "*/*" | "" => Some(OutputFormat::Json),
            "text/csv" | "text/*" => Some(OutputFormat::Csv),
            ARROW_STREAM => Some(OutputFormat::Arrow),
            _ => None,
        }
    });
    format.ok_or_else(|| {
        let detail = format!("a result can be application/json, text/csv or {ARROW_STREAM}");
        Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", detail)
    })
}

/// The whole result as one JSON document; what is beyond its largest size is cut off and said to be.
async fn document(mut run: QueryRun, caller: &Caller) -> Result<QueryView, Problem> {
    // Below a view there may be tables that the caller does not see.
    let seen = run.tables.iter().filter(|(name, _)| caller.sees(&name.namespace));
    let tables = seen.map(|(name, version)| (name.to_string(), *version)).collect();
    let Rows { columns, rows, row_count, cut_off } = rows(&mut run).await?;
    let stats = run.finish();
    Ok(QueryView {
        columns,
        rows,
        row_count,
        truncated: stats.truncated || cut_off,
        tables,
        files_scanned: stats.files_scanned,
        bytes_scanned: stats.bytes_scanned,
        elapsed_ms: stats.elapsed_ms,
    })
}

/// Some rows of the newest version of a table.
pub(super) async fn preview(app: &App, caller: &Caller, name: &TableRef, limit: u64) -> Result<PreviewView, Problem> {
    let TableRef { namespace, table } = name;
    let sql = format!("SELECT * FROM \"{namespace}\".\"{table}\" LIMIT {limit}");
    let request = QueryRequest { sql, row_limit: RowLimit::AtMost(limit), ..QueryRequest::default() };
    let mut run = app.queries.run(caller, request).await?;
    let version = run.tables.first().map_or(0, |(_, version)| *version);
    let Rows { columns, rows, .. } = rows(&mut run).await?;
    Ok(PreviewView { columns, rows, version })
}

/// The rows of a statement of the server's own, as values of a type that has their columns.
pub(super) async fn typed<T: DeserializeOwned>(
    app: &App,
    caller: &Caller,
    sql: String,
    limit: u64,
) -> Result<Vec<T>, Problem> {
    let request = QueryRequest { sql, row_limit: RowLimit::AtMost(limit), ..QueryRequest::default() };
    let mut run = app.queries.run(caller, request).await?;
    let Rows { rows, .. } = rows(&mut run).await?;
    serde_json::from_str(rows.get()).map_err(|error| {
        tracing::error!(%error, "the rows of a statement are not as they should be");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the rows could not be read")
    })
}

struct Rows {
    columns: Vec<QueryColumn>,
    rows: Box<RawValue>,
    row_count: u64,
    cut_off: bool,
}

async fn rows(run: &mut QueryRun) -> Result<Rows, Problem> {
    let mut writer = RowWriter::new(OutputFormat::Json, &run.schema())?;
    let column = |field: &std::sync::Arc<arrow::datatypes::Field>| QueryColumn {
        name: field.name().clone(),
        data_type: field.data_type().to_string(),
    };
    let columns = writer.schema().fields().iter().map(column).collect();
    let (mut json, mut row_count, mut cut_off) = (Vec::new(), 0, false);
    while let Some(batch) = run.next_batch().await? {
        json.extend_from_slice(&writer.write(&batch)?);
        row_count += batch.num_rows() as u64;
        if json.len() > MAX_JSON_BYTES {
            cut_off = true;
            break;
        }
    }
    json.extend_from_slice(&writer.finish()?);
    Ok(Rows { columns, rows: raw(json)?, row_count, cut_off })
}

fn raw(json: Vec<u8>) -> Result<Box<RawValue>, Problem> {
    let text = String::from_utf8(json).map_err(|error| error.to_string());
    let raw = text.and_then(|text| RawValue::from_string(text).map_err(|error| error.to_string()));
    raw.map_err(|error| {
        tracing::error!(error, "a result was not written as JSON");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the result could not be written as JSON")
    })
}

/// The answer to a statement that has no rows.
fn nothing() -> Result<QueryView, Problem> {
    Ok(QueryView {
        columns: Vec::new(),
        rows: raw(b"[]".to_vec())?,
        row_count: 0,
        truncated: false,
        tables: BTreeMap::new(),
        files_scanned: 0,
        bytes_scanned: 0,
        elapsed_ms: 0,
    })
}

/// The result as a stream, once its first rows are there: what fails before them is a problem.
async fn streamed(mut run: QueryRun, format: OutputFormat, media_type: &'static str) -> Result<Response, Problem> {
    let mut writer = RowWriter::new(format, &run.schema())?;
    let first = match run.next_batch().await? {
        Some(batch) => (writer.write(&batch)?, Some((run, writer))),
        None => (writer.finish()?, None),
    };
    let rest = stream::try_unfold(first.1, next_piece);
    let pieces = futures::StreamExt::chain(stream::iter([Ok(first.0)]), rest);
    Ok(([(header::CONTENT_TYPE, media_type)], Body::from_stream(pieces)).into_response())
}

type Rest = Option<(QueryRun, RowWriter)>;

async fn next_piece(rest: Rest) -> Result<Option<(Bytes, Rest)>, QueryError> {
    let Some((mut run, mut writer)) = rest else { return Ok(None) };
    match run.next_batch().await {
        Ok(Some(batch)) => Ok(Some((writer.write(&batch)?, Some((run, writer))))),
        Ok(None) => Ok(Some((writer.finish()?, None))),
        Err(error) => {
            tracing::warn!(%error, "a result broke off");
            Err(error)
        }
    }
}
