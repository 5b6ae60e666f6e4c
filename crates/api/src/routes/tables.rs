//! Tables: what the catalog and the Delta logs say about them.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use sluice_domain::{Action, NamespaceName, Resource, TableEntry};
use utoipa::IntoParams;

use crate::{
    App,
    auth::Authenticated,
    extract::{JsonBody, PageParams, Params, TableParams, TablePath},
    problem::{Problem, Problems},
    routes::queries,
    wire::{PreviewView, TableChangeBody, TablePage, TableSummary, TableView},
};

/// Which tables to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TablesParams {
    /// Only those of this namespace.
    #[param(pattern = "^[A-Za-z_][A-Za-z0-9_-]{0,127}$")]
    namespace: Option<String>,
    /// How many entries at the most.
    #[param(minimum = 1, maximum = 1000)]
    page_size: Option<u32>,
    /// Where to resume: `next_page_token` of the page before.
    page_token: Option<String>,
}

/// List the tables.
#[utoipa::path(get, path = "/api/v1/tables", tag = "catalog", params(TablesParams),
    responses((status = 200, description = "A page of tables", body = TablePage), Problems))]
pub(super) async fn list_tables(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(params): Params<TablesParams>,
) -> Result<Json<TablePage>, Problem> {
    let namespace = params.namespace.map(NamespaceName::try_from).transpose();
    let namespace = namespace.map_err(|error| Problem::bad_request("illegal-name", error.to_string()))?;
    caller.require(Action::Read, &namespace.clone().map_or(Resource::Catalog, Resource::Namespace))?;
    let page = PageParams::new(params.page_size, params.page_token).request()?;
    let page = app.catalog.tables().list(namespace.as_ref(), caller.namespaces.as_deref(), &page).await?;
    let page = page.map(|entry| {
        let location = app.location(&entry);
        TableSummary::new(entry, location)
    });
    Ok(Json(TablePage { items: page.items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// Describe a table: columns, newest version, size, location.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}", tag = "catalog", params(TableParams),
    responses((status = 200, description = "The table", body = TableView), Problems))]
pub(super) async fn get_table(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
) -> Result<Json<TableView>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let entry = app.catalog.tables().find(&name).await?;
    view(&app, entry).await
}

/// Change what the catalog says about a table.
#[utoipa::path(patch, path = "/api/v1/tables/{namespace}/{table}", tag = "catalog", params(TableParams),
    request_body = TableChangeBody,
    responses((status = 200, description = "The table", body = TableView), Problems))]
pub(super) async fn change_table(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    JsonBody(change): JsonBody<TableChangeBody>,
) -> Result<Json<TableView>, Problem> {
    let grant = caller.require(Action::Manage, &Resource::Table(name.clone()))?;
    let entry = app.catalog.tables().change(&name, change.change()?, grant.principal()).await?;
    view(&app, entry).await
}

/// Delete a table. Its rows stay where they are, and it can be restored.
#[utoipa::path(delete, path = "/api/v1/tables/{namespace}/{table}", tag = "catalog", params(TableParams),
    responses((status = 204, description = "The table is deleted"), Problems))]
pub(super) async fn delete_table(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
) -> Result<StatusCode, Problem> {
    caller.require(Action::Manage, &Resource::Table(name.clone()))?;
    app.catalog.tables().delete(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Restore the table of this name that was deleted last.
#[utoipa::path(post, path = "/api/v1/tables/{namespace}/{table}/restore", tag = "catalog", params(TableParams),
    responses((status = 200, description = "The table", body = TableView), Problems))]
pub(super) async fn restore_table(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
) -> Result<Json<TableView>, Problem> {
    caller.require(Action::Manage, &Resource::Table(name.clone()))?;
    let entry = app.catalog.tables().restore(&name).await?;
    view(&app, entry).await
}

/// How many rows to show.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviewParams {
    /// How many rows at the most. Default: 20.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
}

/// Show some rows of a table.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/preview", tag = "catalog",
    params(TableParams, PreviewParams),
    responses((status = 200, description = "Some rows", body = PreviewView), Problems))]
pub(super) async fn preview_table(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    Params(params): Params<PreviewParams>,
) -> Result<Json<PreviewView>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let limit = params.limit.unwrap_or(20);
    if !(1..=1000).contains(&limit) {
        return Err(Problem::bad_request("bad-parameter", "limit is not between 1 and 1000"));
    }
    queries::preview(&app, &caller, &name, limit).await.map(Json)
}

async fn view(app: &App, entry: TableEntry) -> Result<Json<TableView>, Problem> {
    let description = app.ingest.describe(&entry).await?;
    let notes = app.catalog.annotations().notes(entry.id).await?;
    let location = app.location(&entry);
    Ok(Json(TableView::new(entry, location, &description, &notes)?))
}
