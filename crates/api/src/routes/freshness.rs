//! How fresh tables are, and what is expected of them.

use axum::{Json, extract::State, http::StatusCode};
use sluice_domain::{Action, Resource, parse_duration};

use crate::{
    App,
    auth::Authenticated,
    extract::{JsonBody, PageParams, Params, TableParams, TablePath},
    problem::{Problem, Problems},
    wire::{FreshnessBody, FreshnessPage, FreshnessView},
};

/// List how fresh the tables are.
#[utoipa::path(get, path = "/api/v1/freshness", tag = "monitoring", params(PageParams),
    responses((status = 200, description = "A page of tables", body = FreshnessPage), Problems))]
pub(super) async fn list_freshness(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(page): Params<PageParams>,
) -> Result<Json<FreshnessPage>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let page = app.monitor.all_freshness(caller.namespaces.as_deref(), &page.request()?).await?;
    let page = page.map(FreshnessView::from);
    Ok(Json(FreshnessPage { items: page.items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// Show how fresh a table is.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/freshness", tag = "monitoring", params(TableParams),
    responses((status = 200, description = "How fresh it is", body = FreshnessView), Problems))]
pub(super) async fn get_freshness(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
) -> Result<Json<FreshnessView>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    Ok(Json(app.monitor.freshness(&name).await?.into()))
}

/// Say how often a table is expected to change.
#[utoipa::path(put, path = "/api/v1/tables/{namespace}/{table}/freshness", tag = "monitoring", params(TableParams),
    request_body = FreshnessBody,
    responses((status = 200, description = "It is expected as said", body = FreshnessView),
        (status = 201, description = "Nothing was expected before; it is not judged yet", body = FreshnessView),
        Problems))]
pub(super) async fn expect_freshness(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    JsonBody(body): JsonBody<FreshnessBody>,
) -> Result<(StatusCode, Json<FreshnessView>), Problem> {
    let grant = caller.require(Action::Manage, &Resource::Table(name.clone()))?;
    let seconds = parse_duration(&body.expected_every).map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-freshness", format!("expected_every: {error}"))
    })?;
    let is_new = app.monitor.expect_freshness(&name, seconds, grant.principal()).await?;
    let view = FreshnessView::from(app.monitor.freshness(&name).await?);
    Ok(if is_new { (StatusCode::CREATED, Json(view.unjudged())) } else { (StatusCode::OK, Json(view)) })
}

/// Expect nothing of a table any more.
#[utoipa::path(delete, path = "/api/v1/tables/{namespace}/{table}/freshness", tag = "monitoring", params(TableParams),
    responses((status = 204, description = "Nothing is expected any more"), Problems))]
pub(super) async fn forget_freshness(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
) -> Result<StatusCode, Problem> {
    caller.require(Action::Manage, &Resource::Table(name.clone()))?;
    app.monitor.forget_freshness(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
