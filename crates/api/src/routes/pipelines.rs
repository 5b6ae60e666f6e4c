//! Pipelines that make curated tables, and the runs that they are asked for.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
};
use serde::Deserialize;
use sluice_catalog::{NewPipeline, RunFilter};
use sluice_curate::CurateError;
use sluice_domain::{AccessError, Action, Caller, Grant, Pipeline, PipelineName, Resource, RunId, RunKind};
use utoipa::IntoParams;

use crate::{
    App,
    auth::Authenticated,
    extract::{JsonBody, OptionalJsonBody, PageParams, Params},
    named_path::{Named, RunIdPath},
    problem::{Problem, Problems},
    routes::uploads::{REPLAYED, idempotency_key},
    wire::{PipelineBody, PipelinePage, PipelineRunPage, PipelineRunView, PipelineView, RunBody},
};

/// The longest wait for the end of a run, in seconds.
const MAX_WAIT_SECONDS: u64 = 60;
const PREFER: &str = "prefer";
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How a pipeline is defined.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DefineParams {
    /// Only tell what would come of it.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// List the pipelines.
#[utoipa::path(get, path = "/api/v1/pipelines", tag = "pipelines", params(PageParams),
    responses((status = 200, description = "A page of pipelines", body = PipelinePage), Problems))]
pub(super) async fn list_pipelines(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(page): Params<PageParams>,
) -> Result<Json<PipelinePage>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let page = app.catalog.pipelines().list(caller.namespaces.as_deref(), &page.request()?).await?;
    let page = page.map(PipelineView::from);
    Ok(Json(PipelinePage { items: page.items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// Show a pipeline.
#[utoipa::path(get, path = "/api/v1/pipelines/{name}", tag = "pipelines",
    params(("name" = String, Path, description = "The pipeline", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,256}$")),
    responses((status = 200, description = "The pipeline", body = PipelineView), Problems))]
pub(super) async fn get_pipeline(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<PipelineName>,
) -> Result<Json<PipelineView>, Problem> {
    let pipeline = app.curate.find(&name).await?;
    require(&caller, Action::Read, &pipeline)?;
    Ok(Json(pipeline.into()))
}

/// Define a pipeline, or say anew what one is.
///
/// It needs the right to manage the target and to read every input. The statement is planned against the tables as they
/// are: what does not fit is told with its line and column. With `dry_run` the answer is what it would be, and nothing is
/// changed.
#[utoipa::path(put, path = "/api/v1/pipelines/{name}", tag = "pipelines", request_body = PipelineBody,
    params(("name" = String, Path, description = "The pipeline", pattern = "^[A-Za-z0-9_][A-Za-z0-9_-]{0,256}$"),
        DefineParams),
    responses((status = 200, description = "The pipeline is as said, or would be", body = PipelineView),
        (status = 201, description = "The pipeline was made", body = PipelineView), Problems))]
pub(super) async fn define_pipeline(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<PipelineName>,
    Params(params): Params<DefineParams>,
    JsonBody(body): JsonBody<PipelineBody>,
) -> Result<(StatusCode, Json<PipelineView>), Problem> {
    let definition = body.definition()?;
    let grant = caller.require(Action::Manage, &Resource::Table(definition.target.clone()))?;
    if let Some(present) = app.catalog.pipelines().find(&name).await? {
        require(&caller, Action::Manage, &present)?;
    }
    let new = NewPipeline { name, definition, principal: grant.principal().to_owned(), is_trial: params.dry_run };
    let (pipeline, is_made) = app.curate.define(&caller, &grant, new).await?;
    Ok((if is_made && !params.dry_run { StatusCode::CREATED } else { StatusCode::OK }, Json(pipeline.into())))
}

/// Delete a pipeline. Its target and the history of its runs stay.
#[utoipa::path(delete, path = "/api/v1/pipelines/{name}", tag = "pipelines",
    params(("name" = String, Path, description = "The pipeline", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,256}$")),
    responses((status = 204, description = "The pipeline is deleted"), Problems))]
pub(super) async fn delete_pipeline(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<PipelineName>,
) -> Result<StatusCode, Problem> {
    let pipeline = app.curate.find(&name).await?;
    let grant = require(&caller, Action::Manage, &pipeline)?;
    app.curate.delete(&grant, &pipeline).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begin a run of a pipeline, once per `Idempotency-Key`; 409 while another one is under way. `Prefer: wait=30` has the
/// answer wait for the end of the run, for so many seconds at the most. The body may be left out.
#[utoipa::path(post, path = "/api/v1/pipelines/{name}/runs", tag = "pipelines", request_body = Option<RunBody>,
    params(("name" = String, Path, description = "The pipeline", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,256}$"),
        ("Idempotency-Key" = Option<String>, Header, max_length = 255, pattern = "^[!-~]+$",
            description = "Makes the request repeatable: the same key gives the same run and begins none"),
        ("Prefer" = Option<String>, Header, description = "`wait=30`: wait for the end, 60 seconds at the most")),
    responses((status = 202, description = "The run has begun, or ended within the wait", body = PipelineRunView,
        headers(("Location" = String, description = "The run"),
            ("Preference-Applied" = Option<String>, description = "The wait"),
            ("Idempotent-Replayed" = Option<String>, description = "`true` on the run of an earlier request"))),
        Problems))]
pub(super) async fn run_pipeline(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<PipelineName>,
    headers: HeaderMap,
    OptionalJsonBody(body): OptionalJsonBody<RunBody>,
) -> Result<(StatusCode, HeaderMap, Json<PipelineRunView>), Problem> {
    let pipeline = app.curate.find(&name).await?;
    let grant = require(&caller, Action::Append, &pipeline)?;
    let key = idempotency_key(&headers, String::new())?.map(|key| key.key);
    let (run, is_known) = app.curate.run(&grant, &pipeline, body.wish()?, key).await?;
    let mut answer = HeaderMap::new();
    answer.extend(format!("/api/v1/runs/{}", run.id).parse().ok().map(|at| (header::LOCATION, at)));
    answer.extend(is_known.then(|| (REPLAYED, header::HeaderValue::from_static("true"))));
    answer.extend(waited(&app, &headers, run.id).await?);
    Ok((StatusCode::ACCEPTED, answer, Json(app.monitor.run(run.id).await?.into())))
}

/// List the runs of a pipeline, the last begun first.
#[utoipa::path(get, path = "/api/v1/pipelines/{name}/runs", tag = "pipelines",
    params(("name" = String, Path, description = "The pipeline", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,256}$"),
        PageParams),
    responses((status = 200, description = "A page of runs", body = PipelineRunPage), Problems))]
pub(super) async fn list_runs_of_pipeline(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<PipelineName>,
    Params(page): Params<PageParams>,
) -> Result<Json<PipelineRunPage>, Problem> {
    let pipeline = app.curate.find(&name).await?;
    require(&caller, Action::Read, &pipeline)?;
    let filter =
        RunFilter { pipeline: Some(pipeline.name), visible: caller.namespaces.clone(), ..RunFilter::default() };
    let page = app.monitor.runs(&filter, &page.request()?).await?.map(PipelineRunView::from);
    Ok(Json(PipelineRunPage { items: page.items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// Ask to end a run of a pipeline; its target stays as it was. A run that commits already ends by itself.
#[utoipa::path(post, path = "/api/v1/runs/{run_id}/cancel", tag = "pipelines",
    params(("run_id" = uuid::Uuid, Path, description = "The run"),
        ("Prefer" = Option<String>, Header, description = "`wait=30`: wait for the end, 60 seconds at the most")),
    responses((status = 202, description = "The run is about to end, or has ended as asked", body = PipelineRunView,
        headers(("Preference-Applied" = Option<String>, description = "The wait"))), Problems))]
pub(super) async fn cancel_run(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    RunIdPath(id): RunIdPath,
    headers: HeaderMap,
) -> Result<(StatusCode, HeaderMap, Json<PipelineRunView>), Problem> {
    let run = app.monitor.run(id).await?;
    let grant = super::runs::require(&caller, Action::Append, &run)?;
    if run.kind != RunKind::Pipeline {
        let detail = format!("a run of the kind {} cannot be cancelled here", run.kind);
        return Err(Problem::new(StatusCode::CONFLICT, "run-not-cancellable", detail));
    }
    app.curate.cancel(&grant, id).await?;
    let mut answer = HeaderMap::new();
    answer.extend(waited(&app, &headers, id).await?);
    Ok((StatusCode::ACCEPTED, answer, Json(app.monitor.run(id).await?.into())))
}

/// Wait for the end of a run as `Prefer` asks; gives the header that says so.
async fn waited(
    app: &App,
    headers: &HeaderMap,
    run: RunId,
) -> Result<Option<(HeaderName, header::HeaderValue)>, Problem> {
    let Some(seconds) = preferred_wait(headers)? else { return Ok(None) };
    // As many as wait for events of uploads: where there is no place, the answer comes at once.
    let Ok(_place) = app.listeners.try_acquire() else { return Ok(None) };
    app.curate.wait(run, Duration::from_secs(seconds)).await?;
    Ok(format!("wait={seconds}").parse().ok().map(|value| (PREFERENCE_APPLIED, value)))
}

/// The seconds of `wait` among the preferences (RFC 7240); more than are waited for count as the most.
fn preferred_wait(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let values = headers.get_all(PREFER).into_iter().filter_map(|value| value.to_str().ok());
    for preference in values.flat_map(|value| value.split([',', ';'])) {
        let Some((name, value)) = preference.split_once('=') else { continue };
        if !name.trim().eq_ignore_ascii_case("wait") {
            continue;
        }
        let seconds: u64 = value.trim().trim_matches('"').parse().map_err(|_| {
            Problem::bad_request("bad-parameter", "Prefer: wait is not a whole number of seconds".to_owned())
        })?;
        return Ok(Some(seconds.min(MAX_WAIT_SECONDS)));
    }
    Ok(None)
}

/// Ask for the right to do something with a pipeline: it is the right over its target.
pub(super) fn require(caller: &Caller, action: Action, pipeline: &Pipeline) -> Result<Grant, Problem> {
    caller.require(action, &Resource::Table(pipeline.definition.target.clone())).map_err(|error| match error {
        // It is no news of theirs that there is one.
        AccessError::Invisible => CurateError::NotFound { name: pipeline.name.clone() }.into(),
        error => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("wait=30", Some(30))]
    #[case("respond-async, Wait = \"5\"", Some(5))]
    #[case("respond-async; wait=3600", Some(60))]
    #[case("respond-async", None)]
    fn a_wait_is_found_among_the_preferences(#[case] text: &str, #[case] seconds: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(PREFER, text.parse().unwrap());
        assert_eq!(preferred_wait(&headers).unwrap(), seconds);
    }

    #[test]
    fn a_wait_that_is_no_number_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(PREFER, "wait=soon".parse().unwrap());
        assert!(preferred_wait(&headers).is_err());
    }
}
