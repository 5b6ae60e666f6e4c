//! Views: statements that are read under a name.

use axum::{Json, extract::State, http::StatusCode};
use sluice_curate::CurateError;
use sluice_domain::{Action, Caller, Resource, TableRef, ViewDefinition};
use sluice_query::ViewStatement;

use crate::{
    App,
    auth::Authenticated,
    extract::{JsonBody, PageParams, Params},
    named_path::Named,
    problem::{Problem, Problems},
    wire::{ViewBody, ViewPage, ViewView},
};

/// List the views.
#[utoipa::path(get, path = "/api/v1/views", tag = "views", params(PageParams),
    responses((status = 200, description = "A page of views", body = ViewPage), Problems))]
pub(super) async fn list_views(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(page): Params<PageParams>,
) -> Result<Json<ViewPage>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let page = app.catalog.views().list(caller.namespaces.as_deref(), &page.request()?).await?;
    let page = page.map(ViewView::from);
    Ok(Json(ViewPage { items: page.items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// Show a view.
#[utoipa::path(get, path = "/api/v1/views/{name}", tag = "views",
    params(("name" = String, Path, description = "The view, `namespace.name`", pattern = "^[A-Za-z_][A-Za-z0-9_-]{0,127}[.][A-Za-z_][A-Za-z0-9_-]{0,127}$")),
    responses((status = 200, description = "The view", body = ViewView), Problems))]
pub(super) async fn get_view(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<TableRef>,
) -> Result<Json<ViewView>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    Ok(Json(app.curate.find_view(&name).await?.into()))
}

/// Define a view, or say anew what one is.
///
/// Queries, pipelines, suites and other views name it like a table. It needs the right to manage the view and to read
/// what its statement names. Afterwards the view reads with the rights of who defined it: the right to read the view is
/// enough to read it.
#[utoipa::path(put, path = "/api/v1/views/{name}", tag = "views", request_body = ViewBody,
    params(("name" = String, Path, description = "The view, `namespace.name`", pattern = "^[A-Za-z_][A-Za-z0-9_-]{0,127}[.][A-Za-z_][A-Za-z0-9_-]{0,127}$")),
    responses((status = 200, description = "The view is as said", body = ViewView),
        (status = 201, description = "The view was made", body = ViewView), Problems))]
pub(super) async fn define_view(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<TableRef>,
    JsonBody(body): JsonBody<ViewBody>,
) -> Result<(StatusCode, Json<ViewView>), Problem> {
    let grant = caller.require(Action::Manage, &Resource::Table(name.clone()))?;
    let (view, is_made) = app.curate.define_view(&caller, &grant, name, body.into()).await?;
    Ok((if is_made { StatusCode::CREATED } else { StatusCode::OK }, Json(view.into())))
}

/// Delete a view. What reads it cannot be read until there is one of its name again.
#[utoipa::path(delete, path = "/api/v1/views/{name}", tag = "views",
    params(("name" = String, Path, description = "The view, `namespace.name`", pattern = "^[A-Za-z_][A-Za-z0-9_-]{0,127}[.][A-Za-z_][A-Za-z0-9_-]{0,127}$")),
    responses((status = 204, description = "The view is deleted"), Problems))]
pub(super) async fn delete_view(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<TableRef>,
) -> Result<StatusCode, Problem> {
    let grant = caller.require(Action::Manage, &Resource::Table(name.clone()))?;
    app.curate.delete_view(&grant, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Carry out a statement about a view.
pub(super) async fn run_statement(app: &App, caller: &Caller, statement: ViewStatement) -> Result<(), Problem> {
    match statement {
        ViewStatement::Create { name, sql, replaces } => {
            let grant = caller.require(Action::Manage, &Resource::Table(name.clone()))?;
            let present = app.catalog.views().find(&name).await?;
            if present.is_some() && !replaces {
                let detail = format!("there is a view {name} already: write CREATE OR REPLACE VIEW");
                return Err(Problem::new(StatusCode::CONFLICT, "view-exists", detail));
            }
            let description = present.and_then(|view| view.definition.description);
            app.curate.define_view(caller, &grant, name, ViewDefinition { sql, description }).await?;
        }
        ViewStatement::Drop { name, if_exists } => {
            let grant = caller.require(Action::Manage, &Resource::Table(name.clone()))?;
            match app.curate.delete_view(&grant, &name).await {
                Err(CurateError::ViewNotFound { .. }) if if_exists => {}
                outcome => outcome?,
            }
        }
    }
    Ok(())
}
