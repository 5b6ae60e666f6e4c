//! Sources that pull, and their runs.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use serde::Deserialize;
use sluice_domain::{AccessError, Action, Caller, Grant, PageRequest, Resource, Source, SourceRun};
use sluice_ingest::SourceError;
use utoipa::IntoParams;

use crate::{
    App,
    auth::Authenticated,
    extract::{JsonBody, PageParams, Params, RunParams, RunPath, SourceParams, SourcePath},
    problem::{Problem, Problems},
    routes::uploads::{REPLAYED, idempotency_key},
    wire::{PullPage, PullView, RunPage, RunView, SourceBody, SourcePage, SourceView},
};

/// How many of a run's uploads are named with it.
const NAMED_UPLOADS: u32 = 100;
/// The longest wait for the end of a run, in seconds.
const MAX_WAIT_SECONDS: u32 = 60;

/// List the sources.
#[utoipa::path(get, path = "/api/v1/sources", tag = "sources", params(PageParams),
    responses((status = 200, description = "A page of sources", body = SourcePage), Problems))]
pub(super) async fn list_sources(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(page): Params<PageParams>,
) -> Result<Json<SourcePage>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let page = app.catalog.sources().list(caller.namespaces.as_deref(), &page.request()?).await?;
    let page = page.map(SourceView::from);
    Ok(Json(SourcePage { items: page.items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// Show a source.
#[utoipa::path(get, path = "/api/v1/sources/{source}", tag = "sources", params(SourceParams),
    responses((status = 200, description = "The source", body = SourceView), Problems))]
pub(super) async fn get_source(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    SourcePath(name): SourcePath,
) -> Result<Json<SourceView>, Problem> {
    let source = app.sources.find(&name).await?;
    require(&caller, Action::Read, &source)?;
    Ok(Json(source.into()))
}

/// Define a source, or say anew what one is; it keeps its table, its kind and its location.
///
/// It needs the right to manage the table, and whatever it pulls from must be allowed by the server's settings.
#[utoipa::path(put, path = "/api/v1/sources/{source}", tag = "sources", params(SourceParams), request_body = SourceBody,
    responses((status = 200, description = "The source is as said", body = SourceView),
        (status = 201, description = "The source was made", body = SourceView), Problems))]
pub(super) async fn define_source(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    SourcePath(name): SourcePath,
    JsonBody(body): JsonBody<SourceBody>,
) -> Result<(StatusCode, Json<SourceView>), Problem> {
    let definition = body.definition()?;
    let grant = caller.require(Action::Manage, &Resource::Table(definition.table.clone()))?;
    if let Some(present) = app.catalog.sources().find(&name).await? {
        require(&caller, Action::Manage, &present)?;
    }
    let (source, is_made) = app.sources.define(&grant, name, definition).await?;
    Ok((if is_made { StatusCode::CREATED } else { StatusCode::OK }, Json(source.into())))
}

/// Delete a source and forget what it has seen. What it brought stays in the table.
#[utoipa::path(delete, path = "/api/v1/sources/{source}", tag = "sources", params(SourceParams),
    responses((status = 204, description = "The source is deleted"), Problems))]
pub(super) async fn delete_source(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    SourcePath(name): SourcePath,
) -> Result<StatusCode, Problem> {
    let source = app.sources.find(&name).await?;
    let grant = require(&caller, Action::Manage, &source)?;
    app.sources.delete(&grant, &source).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begin a run of a source, once per `Idempotency-Key`; 409 while another one is under way.
#[utoipa::path(post, path = "/api/v1/sources/{source}/runs", tag = "sources",
    params(SourceParams, ("Idempotency-Key" = Option<String>, Header, max_length = 255, pattern = "^[!-~]+$",
        description = "Makes the request repeatable: the same key gives the same run and begins none")),
    responses((status = 202, description = "The run has begun", body = RunView,
        headers(("Location" = String, description = "The run"),
            ("Idempotent-Replayed" = Option<String>, description = "`true` on the run of an earlier request"))),
        Problems))]
pub(super) async fn run_source(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    SourcePath(name): SourcePath,
    headers: HeaderMap,
) -> Result<(StatusCode, HeaderMap, Json<RunView>), Problem> {
    let source = app.sources.find(&name).await?;
    let mut grant = require(&caller, Action::Append, &source)?;
    if app.sources.sample_options(&source.definition)?.write.changes_rows() {
        grant = require(&caller, Action::Manage, &source)?;
    }
    let key = idempotency_key(&headers, String::new())?.map(|key| key.key);
    let (run, is_known) = app.sources.run(&grant, &source, key.as_deref()).await?;
    let location = format!("/api/v1/sources/{name}/runs/{}", run.id);
    let mut headers = HeaderMap::new();
    headers.extend(location.parse().ok().map(|location| (header::LOCATION, location)));
    headers.extend(is_known.then(|| (REPLAYED, header::HeaderValue::from_static("true"))));
    Ok((StatusCode::ACCEPTED, headers, Json(view(&app, &source, run).await?)))
}

/// List the runs of a source.
#[utoipa::path(get, path = "/api/v1/sources/{source}/runs", tag = "sources", params(SourceParams, PageParams),
    responses((status = 200, description = "A page of runs", body = RunPage), Problems))]
pub(super) async fn list_runs(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    SourcePath(name): SourcePath,
    Params(page): Params<PageParams>,
) -> Result<Json<RunPage>, Problem> {
    let source = app.sources.find(&name).await?;
    require(&caller, Action::Read, &source)?;
    let page = app.catalog.source_runs().list(source.id, &page.request()?).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for run in page.items {
        items.push(view(&app, &source, run).await?);
    }
    Ok(Json(RunPage { items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// Whether to wait for the end of a run.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitParams {
    /// Answer when the run has ended, or after so many seconds. Default: 0.
    #[param(maximum = 60)]
    wait_seconds: Option<u32>,
}

/// Show a run of a source, at once or when it has ended.
#[utoipa::path(get, path = "/api/v1/sources/{source}/runs/{run_id}", tag = "sources", params(RunParams, WaitParams),
    responses((status = 200, description = "The run", body = RunView), Problems))]
pub(super) async fn get_run(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    RunPath(name, id): RunPath,
    Params(params): Params<WaitParams>,
) -> Result<Json<RunView>, Problem> {
    let source = app.sources.find(&name).await?;
    require(&caller, Action::Read, &source)?;
    let seconds = params.wait_seconds.unwrap_or_default();
    if seconds > MAX_WAIT_SECONDS {
        let detail = format!("wait_seconds is not between 0 and {MAX_WAIT_SECONDS}");
        return Err(Problem::bad_request("bad-parameter", detail));
    }
    // As many as wait for events of uploads: where there is no place, the answer comes at once.
    let place = app.listeners.try_acquire();
    let wait = Duration::from_secs(if place.is_ok() { seconds.into() } else { 0 });
    let run = app.sources.find_run(&source, id, wait).await?;
    Ok(Json(view(&app, &source, run).await?))
}

/// List what a run pulled: its files, or the pages of its API, and what became of them.
#[utoipa::path(get, path = "/api/v1/sources/{source}/runs/{run_id}/pulls", tag = "sources",
    params(RunParams, PageParams),
    responses((status = 200, description = "A page of pulls", body = PullPage), Problems))]
pub(super) async fn list_pulls(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    RunPath(name, id): RunPath,
    Params(page): Params<PageParams>,
) -> Result<Json<PullPage>, Problem> {
    let source = app.sources.find(&name).await?;
    require(&caller, Action::Read, &source)?;
    let run = app.sources.find_run(&source, id, Duration::ZERO).await?;
    let page = app.catalog.pulls().list(run.id, &page.request()?).await?.map(PullView::from);
    Ok(Json(PullPage { items: page.items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// Ask for the right to do something with a source: it is the right over its table.
fn require(caller: &Caller, action: Action, source: &Source) -> Result<Grant, Problem> {
    caller.require(action, &Resource::Table(source.definition.table.clone())).map_err(|error| match error {
        // It is no news of theirs that there is one.
        AccessError::Invisible => SourceError::NotFound { name: source.name.clone() }.into(),
        error => error.into(),
    })
}

async fn view(app: &App, source: &Source, run: SourceRun) -> Result<RunView, Problem> {
    let counts = app.sources.run_counts(source, &run).await?;
    let pulls = app.catalog.pulls().list(run.id, &PageRequest { size: NAMED_UPLOADS, token: None }).await?;
    Ok(RunView::new(source, run, &counts, &pulls.items))
}
