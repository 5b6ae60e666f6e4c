//! Runs of pipelines: of uploads, of sources, of pipelines of the lake, and those that other programs report.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sluice_catalog::RunFilter;
use sluice_domain::{AccessError, Action, Caller, Grant, PipelineName, PipelineRun, Resource, TableRef};
use utoipa::IntoParams;

use crate::{
    App,
    auth::Authenticated,
    extract::{JsonBody, PageParams, Params},
    named_path::{RunIdPath, require_everywhere},
    problem::{Problem, Problems},
    routes::uploads::{REPLAYED, idempotency_key},
    wire::{HealthView, PipelineRunBody, PipelineRunPage, PipelineRunView, RunReportBody},
};

/// The hours that a summary looks back where the caller does not say.
const DEFAULT_HOURS: u32 = 24;
/// The most hours that it looks back: a year.
const MAX_HOURS: u32 = 366 * 24;

/// Which runs are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RunQuery {
    /// Those of one pipeline: one of the lake, a reported one, a source, or `namespace.table` for the uploads of a table.
    pipeline: Option<String>,
    /// Those that fill one table, `namespace.table`.
    table: Option<String>,
    /// Those of one status.
    #[param(pattern = "^(RUNNING|SUCCESS|FAILED|WARNING|CANCELLED)$")]
    status: Option<String>,
    /// Those that began then or later.
    since: Option<DateTime<Utc>>,
    /// How many entries at the most.
    #[param(minimum = 1, maximum = 1000)]
    page_size: Option<u32>,
    /// Where to resume: `next_page_token` of the page before.
    page_token: Option<String>,
}

impl RunQuery {
    fn filter(&self, caller: &Caller) -> Result<RunFilter, Problem> {
        let bad = |name: &str, reason: String| Problem::bad_request("bad-parameter", format!("{name}: {reason}"));
        let table = self.table.as_deref().map(str::parse::<TableRef>).transpose();
        Ok(RunFilter {
            pipeline: self.pipeline.as_deref().map(parse_pipeline).transpose()?,
            table: table.map_err(|error| bad("table", error.to_string()))?,
            status: self.status.as_deref().map(str::parse).transpose().map_err(|error| bad("status", error))?,
            since: self.since,
            visible: caller.namespaces.clone(),
        })
    }
}

pub(super) fn parse_pipeline(text: &str) -> Result<PipelineName, Problem> {
    text.parse().map_err(|error| Problem::bad_request("bad-parameter", format!("pipeline: {error}")))
}

/// List runs: uploads, runs of sources and of pipelines, and what other programs report, the last begun first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "monitoring", params(RunQuery),
    responses((status = 200, description = "A page of runs", body = PipelineRunPage), Problems))]
pub(super) async fn list_pipeline_runs(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(query): Params<RunQuery>,
) -> Result<Json<PipelineRunPage>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let filter = query.filter(&caller)?;
    let page = PageParams::new(query.page_size, query.page_token).request()?;
    let page = app.monitor.runs(&filter, &page).await?.map(PipelineRunView::from);
    Ok(Json(PipelineRunPage { items: page.items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// Show a run.
#[utoipa::path(get, path = "/api/v1/runs/{run_id}", tag = "monitoring", params(("run_id" = uuid::Uuid, Path, description = "The run")),
    responses((status = 200, description = "The run", body = PipelineRunView), Problems))]
pub(super) async fn get_pipeline_run(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    RunIdPath(id): RunIdPath,
) -> Result<Json<PipelineRunView>, Problem> {
    let run = app.monitor.run(id).await?;
    require(&caller, Action::Read, &run)?;
    Ok(Json(run.into()))
}

/// Report that another program began a run, or what came of one, once per `Idempotency-Key`.
#[utoipa::path(post, path = "/api/v1/runs", tag = "monitoring", request_body = PipelineRunBody,
    params(("Idempotency-Key" = Option<String>, Header, max_length = 255, pattern = "^[!-~]+$",
        description = "Makes the request repeatable: the same key of the same caller gives the same run")),
    responses((status = 201, description = "The run is entered", body = PipelineRunView,
        headers(("Location" = String, description = "The run"))),
        (status = 200, description = "The run of an earlier request with this key", body = PipelineRunView,
        headers(("Idempotent-Replayed" = String, description = "`true`"))), Problems))]
pub(super) async fn report_pipeline_run(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    JsonBody(body): JsonBody<PipelineRunBody>,
) -> Result<(StatusCode, HeaderMap, Json<PipelineRunView>), Problem> {
    let run = body.run()?;
    let grant = match &run.table {
        Some(table) => caller.require(Action::Append, &Resource::Table(table.clone()))?,
        None => require_everywhere(&caller, Action::Append)?,
    };
    let key = idempotency_key(&headers, String::new())?.map(|key| key.key);
    let begun = app.monitor.begin_run(run, grant.principal(), key.as_deref()).await?;
    let mut headers = HeaderMap::new();
    headers.extend(format!("/api/v1/runs/{}", begun.run.id).parse().ok().map(|at| (header::LOCATION, at)));
    headers.extend(begun.is_known.then(|| (REPLAYED, header::HeaderValue::from_static("true"))));
    let status = if begun.is_known { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, headers, Json(begun.run.into())))
}

/// Report how a run of another program goes on, or ended. One that has ended does not change: the same report again is
/// answered as before, any other with 409.
#[utoipa::path(patch, path = "/api/v1/runs/{run_id}", tag = "monitoring", request_body = RunReportBody,
    params(("run_id" = uuid::Uuid, Path, description = "The run")),
    responses((status = 200, description = "The run as it is now", body = PipelineRunView), Problems))]
pub(super) async fn update_pipeline_run(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    RunIdPath(id): RunIdPath,
    JsonBody(body): JsonBody<RunReportBody>,
) -> Result<Json<PipelineRunView>, Problem> {
    require(&caller, Action::Append, &app.monitor.run(id).await?)?;
    Ok(Json(app.monitor.report_run(id, &body.into()).await?.into()))
}

/// Which pipeline, and how far back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthQuery {
    /// The pipeline.
    pipeline: String,
    /// How far back to look. Default: 24.
    #[param(minimum = 1, maximum = 8784)]
    hours: Option<u32>,
}

/// Sum up how the runs of a pipeline turned out lately.
#[utoipa::path(get, path = "/api/v1/runs/health", tag = "monitoring", params(HealthQuery),
    responses((status = 200, description = "The summary", body = HealthView), Problems))]
pub(super) async fn get_pipeline_health(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(query): Params<HealthQuery>,
) -> Result<Json<HealthView>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let pipeline = parse_pipeline(&query.pipeline)?;
    let hours = query.hours.unwrap_or(DEFAULT_HOURS);
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(Problem::bad_request("bad-parameter", format!("hours is not between 1 and {MAX_HOURS}")));
    }
    let health = app.monitor.health(&pipeline, hours, caller.namespaces).await?;
    Ok(Json(HealthView::new(pipeline, hours, health)))
}

/// Ask for a right over a run: it is the right over its table, and without one belongs to who is not confined.
pub(super) fn require(caller: &Caller, action: Action, run: &PipelineRun) -> Result<Grant, Problem> {
    Ok(match &run.table {
        Some(table) => caller.require(action, &Resource::Table(table.clone()))?,
        None if caller.namespaces.is_some() => return Err(AccessError::Invisible.into()),
        None => caller.require(action, &Resource::Catalog)?,
    })
}
