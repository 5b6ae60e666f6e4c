//! The history of a table: its versions and those of its schema.

use axum::{Json, extract::State};
use sluice_domain::{Action, PageRequest, PageToken, Resource};

use crate::{
    App,
    auth::Authenticated,
    extract::{PageParams, Params, TableParams, TablePath},
    problem::{Problem, Problems},
    wire::{SchemaPage, SchemaVersionView, VersionPage},
};

/// List the versions of a table's schema, newest first.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/schema/history", tag = "catalog",
    params(TableParams, PageParams),
    responses((status = 200, description = "A page of schema versions", body = SchemaPage), Problems))]
pub(super) async fn list_schemas(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    Params(page): Params<PageParams>,
) -> Result<Json<SchemaPage>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let entry = app.catalog.tables().find(&name).await?;
    let schemas = app.catalog.schemas();
    let page = schemas.list(entry.id, &page.request()?).await?;
    let next_page_token = page.next.as_ref().map(ToString::to_string);
    // The last version of the page is told by what came before it, which the next page begins with.
    let before = match (page.next, page.items.last()) {
        (Some(token), Some(_)) => schemas.list(entry.id, &PageRequest { size: 1, token: Some(token) }).await?.items,
        _ => Vec::new(),
    };
    let befores = page.items.iter().skip(1).chain(&before).cloned().map(Some).chain([None]).collect::<Vec<_>>();
    let items = page.items.into_iter().zip(&befores);
    let items = items.map(|(version, before)| SchemaVersionView::new(version, before.as_ref(), &entry.partition_by));
    Ok(Json(SchemaPage { items: items.collect::<Result<_, _>>()?, next_page_token }))
}

/// List the versions of a table, newest first.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/versions", tag = "catalog",
    params(TableParams, PageParams),
    responses((status = 200, description = "A page of versions", body = VersionPage), Problems))]
pub(super) async fn list_versions(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    Params(page): Params<PageParams>,
) -> Result<Json<VersionPage>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let entry = app.catalog.tables().find(&name).await?;
    let page = page.request()?;
    let before = page.token.as_ref().map(|token| token.key().parse::<u64>()).transpose();
    let before = before.map_err(|_| Problem::bad_request("bad-page-token", "the page token is not of this listing"))?;
    let versions = app.ingest.versions(&entry, before, page.size).await?;
    let last = versions.last().map(|entry| entry.version).filter(|version| *version > 0);
    let more = last.filter(|_| versions.len() == page.size as usize);
    let next_page_token = more.map(|version| PageToken::after(version.to_string()).to_string());
    Ok(Json(VersionPage { items: versions.into_iter().map(Into::into).collect(), next_page_token }))
}
