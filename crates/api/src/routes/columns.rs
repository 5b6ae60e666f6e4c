//! The columns of a table in the words of people and of other engines.

use arrow::ipc::writer::StreamWriter;
use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;
use sluice_domain::{Action, DdlTable, Dialect, Resource, TableRef, json_schema};
use utoipa::IntoParams;

use crate::{
    App,
    auth::Authenticated,
    extract::{JsonBody, Params, TableParams, TablePath},
    problem::{Problem, Problems},
    wire::{ColumnChangeBody, ColumnNotesView, ColumnsView, CompatibilityView, SchemaBody},
};

/// Show the columns of a table with what is said of them.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/columns", tag = "catalog", params(TableParams),
    responses((status = 200, description = "The columns", body = ColumnsView), Problems))]
pub(super) async fn list_columns(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
) -> Result<Json<ColumnsView>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let entry = app.catalog.tables().find(&name).await?;
    let (description, notes) = (app.ingest.describe(&entry).await?, app.catalog.annotations().notes(entry.id).await?);
    Ok(Json(ColumnsView::new(&description, &notes, &caller)?))
}

/// Show a column with what is said of it, and what it inherits.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/columns/{column}", tag = "catalog",
    params(TableParams, ("column" = String, Path, description = "The column")),
    responses((status = 200, description = "The column", body = ColumnNotesView), Problems))]
pub(super) async fn get_column(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    path: Result<Path<(String, String, String)>, PathRejection>,
) -> Result<Json<ColumnNotesView>, Problem> {
    let (name, column) = table_and_column(path)?;
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let entry = app.catalog.tables().find(&name).await?;
    let (description, notes) = (app.ingest.describe(&entry).await?, app.catalog.annotations().notes(entry.id).await?);
    let found = ColumnsView::new(&description, &notes, &caller)?.into_column(&column);
    found.map(Json).ok_or_else(|| no_column(&name, &column))
}

/// Say what a column is: description, tags, classification.
#[utoipa::path(patch, path = "/api/v1/tables/{namespace}/{table}/columns/{column}", tag = "catalog",
    params(TableParams, ("column" = String, Path, description = "The column")), request_body = ColumnChangeBody,
    responses((status = 200, description = "The columns", body = ColumnsView), Problems))]
pub(super) async fn annotate_column(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    path: Result<Path<(String, String, String)>, PathRejection>,
    JsonBody(change): JsonBody<ColumnChangeBody>,
) -> Result<Json<ColumnsView>, Problem> {
    let (name, column) = table_and_column(path)?;
    let grant = caller.require(Action::Manage, &Resource::Table(name.clone()))?;
    let entry = app.catalog.tables().find(&name).await?;
    let description = app.ingest.describe(&entry).await?;
    if description.schema.field_with_name(&column).is_err() {
        return Err(no_column(&name, &column));
    }
    let notes = app.catalog.annotations().annotate(entry.id, &column, change.change()?, grant.principal()).await?;
    Ok(Json(ColumnsView::new(&description, &notes, &caller)?))
}

fn table_and_column(
    path: Result<Path<(String, String, String)>, PathRejection>,
) -> Result<(TableRef, String), Problem> {
    let Path((namespace, table, column)) = path.map_err(|error| Problem::bad_request("bad-path", error.body_text()))?;
    let name = TableRef::parse(&namespace, &table);
    Ok((name.map_err(|error| Problem::bad_request("illegal-name", error.to_string()))?, column))
}

fn no_column(table: &TableRef, column: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", format!("{table} has no column {column:?}"))
}

/// Say whether columns would fit a table, before an upload brings them. Nothing is changed.
#[utoipa::path(post, path = "/api/v1/tables/{namespace}/{table}/schema/check", tag = "catalog", params(TableParams),
    request_body = SchemaBody,
    responses((status = 200, description = "What would become of the columns", body = CompatibilityView), Problems))]
pub(super) async fn check_schema(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    JsonBody(body): JsonBody<SchemaBody>,
) -> Result<Json<CompatibilityView>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    Ok(Json(app.ingest.check_schema(&name, &body.declaration()?).await?.into()))
}

/// For which engine.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DdlParams {
    /// `athena`, `hive`, `spark` or `duckdb`. Default: `athena`.
    #[param(pattern = "^(athena|hive|spark|duckdb)$")]
    dialect: Option<String>,
    /// Whether a table of the name may be there already. Default: false.
    if_not_exists: Option<bool>,
}

/// Give the statement that makes the table known to another engine.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/ddl", tag = "catalog", params(TableParams, DdlParams),
    responses((status = 200, description = "The statement", body = String, content_type = "application/sql"), Problems))]
pub(super) async fn get_ddl(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    Params(params): Params<DdlParams>,
) -> Result<Response, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let bad = |error: sluice_domain::DdlError| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-dialect", error.to_string())
    };
    let dialect: Dialect = params.dialect.as_deref().unwrap_or("athena").parse().map_err(bad)?;
    let entry = app.catalog.tables().find(&name).await?;
    let (description, location) = (app.ingest.describe(&entry).await?, app.location(&entry));
    let table = DdlTable {
        name: &name,
        format: entry.format,
        schema: &description.schema,
        partition_by: &description.partition_by,
        location: location.trim_end_matches('/'),
        if_not_exists: params.if_not_exists.unwrap_or_default(),
    };
    let statement = table.statement(dialect).map_err(bad)?;
    Ok(([(header::CONTENT_TYPE, "application/sql")], statement).into_response())
}

/// Give the JSON Schema of a record of the table.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/schema/json-schema", tag = "catalog",
    params(TableParams),
    responses((status = 200, description = "The JSON Schema", body = Object, content_type = "application/schema+json"),
        Problems))]
pub(super) async fn get_json_schema(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
) -> Result<Response, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let entry = app.catalog.tables().find(&name).await?;
    let schema: Value = json_schema(&name.to_string(), &app.ingest.describe(&entry).await?.schema);
    Ok(([(header::CONTENT_TYPE, "application/schema+json")], schema.to_string()).into_response())
}

/// Give the Arrow schema of the table: an Arrow IPC stream without rows.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/schema/arrow", tag = "catalog", params(TableParams),
    responses((status = 200, description = "The stream", body = crate::wire::Octets,
        content_type = "application/vnd.apache.arrow.stream"), Problems))]
pub(super) async fn get_arrow_schema(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
) -> Result<Response, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let entry = app.catalog.tables().find(&name).await?;
    let schema = app.ingest.describe(&entry).await?.schema;
    let stream = StreamWriter::try_new(Vec::new(), &schema).and_then(StreamWriter::into_inner);
    let stream =
        stream.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/vnd.apache.arrow.stream")], stream).into_response())
}
