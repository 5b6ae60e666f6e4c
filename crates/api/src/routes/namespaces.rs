//! Namespaces.

use axum::{Json, extract::State};
use sluice_domain::{Action, Resource};

use crate::{
    App,
    auth::Authenticated,
    extract::{NamespacePath, PageParams, Params},
    problem::{Problem, Problems},
    wire::{NamespacePage, NamespaceView},
};

/// List the namespaces.
#[utoipa::path(get, path = "/api/v1/namespaces", tag = "catalog", params(PageParams),
    responses((status = 200, description = "A page of namespaces", body = NamespacePage), Problems))]
pub(super) async fn list_namespaces(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(page): Params<PageParams>,
) -> Result<Json<NamespacePage>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let page = app.catalog.tables().list_namespaces(caller.namespaces.as_deref(), &page.request()?).await?;
    Ok(Json(page.into()))
}

/// Describe a namespace.
#[utoipa::path(get, path = "/api/v1/namespaces/{namespace}", tag = "catalog",
    params(("namespace" = String, Path, description = "The namespace", pattern = "^[A-Za-z_][A-Za-z0-9_-]{0,127}$")),
    responses((status = 200, description = "The namespace", body = NamespaceView), Problems))]
pub(super) async fn get_namespace(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    NamespacePath(name): NamespacePath,
) -> Result<Json<NamespaceView>, Problem> {
    caller.require(Action::Read, &Resource::Namespace(name.clone()))?;
    Ok(Json(app.catalog.tables().find_namespace(&name).await?.into()))
}
