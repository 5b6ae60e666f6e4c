//! What a table should look like: its declared schema, and the contract with its uploads.

use axum::{Json, extract::State, http::StatusCode};
use sluice_domain::{Action, Contract, Resource, TableEntry};

use crate::{
    App,
    auth::Authenticated,
    extract::{JsonBody, TableParams, TablePath},
    problem::{Problem, Problems},
    wire::{ContractView, SchemaBody, SchemaView},
};

/// Show the columns of a table as they would be declared.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/schema", tag = "catalog", params(TableParams),
    responses((status = 200, description = "The schema", body = SchemaView), Problems))]
pub(super) async fn get_schema(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
) -> Result<Json<SchemaView>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    view(&app, app.catalog.tables().find(&name).await?).await
}

/// Declare the columns of a table: make it, or add columns and widen types.
///
/// A table that exists keeps every column that it has: a declaration that would drop, rename or narrow one is refused.
#[utoipa::path(put, path = "/api/v1/tables/{namespace}/{table}/schema", tag = "catalog", params(TableParams),
    request_body = SchemaBody,
    responses((status = 200, description = "The table exists and has the columns", body = SchemaView),
        (status = 201, description = "The table was made", body = SchemaView), Problems))]
pub(super) async fn declare_schema(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    JsonBody(body): JsonBody<SchemaBody>,
) -> Result<(StatusCode, Json<SchemaView>), Problem> {
    let grant = caller.require(Action::Manage, &Resource::Table(name.clone()))?;
    let (entry, is_made) = app.ingest.declare_schema(&grant, &name, &body.declaration()?).await?;
    let status = if is_made { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, view(&app, entry).await?))
}

/// Show what a table asks of its uploads.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/contract", tag = "catalog", params(TableParams),
    responses((status = 200, description = "The contract", body = ContractView), Problems))]
pub(super) async fn get_contract(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
) -> Result<Json<Contract>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let entry = app.catalog.tables().find(&name).await?;
    Ok(Json(app.catalog.contracts().terms(entry.id).await?.contract))
}

/// Say what a table asks of its uploads, in the place of what was said before.
#[utoipa::path(put, path = "/api/v1/tables/{namespace}/{table}/contract", tag = "catalog", params(TableParams),
    request_body = ContractView,
    responses((status = 200, description = "The contract", body = ContractView), Problems))]
pub(super) async fn set_contract(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    JsonBody(contract): JsonBody<Contract>,
) -> Result<Json<Contract>, Problem> {
    let grant = caller.require(Action::Manage, &Resource::Table(name.clone()))?;
    app.ingest.set_contract(&grant, &name, &contract).await?;
    Ok(Json(contract))
}

async fn view(app: &App, entry: TableEntry) -> Result<Json<SchemaView>, Problem> {
    let description = app.ingest.describe(&entry).await?;
    let terms = app.catalog.contracts().terms(entry.id).await?;
    let latest = app.catalog.schemas().latest(entry.id).await?;
    Ok(Json(SchemaView::new(&description, terms.coerce, latest.map(|latest| latest.number))))
}
