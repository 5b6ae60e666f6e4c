//! What is asked of pipelines, and how they kept to it.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sluice_domain::{Action, PipelineName, Resource, ServiceLevel};
use utoipa::IntoParams;

use crate::{
    App,
    auth::Authenticated,
    extract::{JsonBody, Params},
    named_path::{Named, require_everywhere},
    problem::{Problem, Problems},
    routes::runs::parse_pipeline,
    wire::{ServiceLevelBody, ServiceLevelPage, ServiceLevelReportView, ServiceLevelView},
};

/// Which pipeline, and since when.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportQuery {
    /// One pipeline. Default: all that had runs.
    pipeline: Option<String>,
    /// The runs that began then or later. Default: those of the last 24 hours, or as the server is set.
    since: Option<DateTime<Utc>>,
}

/// Report how pipelines kept to their service levels.
#[utoipa::path(get, path = "/api/v1/sla", tag = "monitoring", params(ReportQuery),
    responses((status = 200, description = "The report", body = ServiceLevelReportView), Problems))]
pub(super) async fn report_service_levels(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(query): Params<ReportQuery>,
) -> Result<Json<ServiceLevelReportView>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let pipeline = query.pipeline.as_deref().map(parse_pipeline).transpose()?;
    let (reports, levels) =
        app.monitor.service_level_report(pipeline.as_ref(), query.since, caller.namespaces.clone()).await?;
    // What is asked of pipelines whose runs the caller does not see is no business of theirs.
    let seen = |level: &ServiceLevel| {
        caller.namespaces.is_none() || reports.iter().any(|report| report.pipeline == level.pipeline)
    };
    let levels = levels.into_iter().filter(seen).collect();
    Ok(Json(ServiceLevelReportView::new(reports, levels)))
}

/// List what is asked of pipelines.
#[utoipa::path(get, path = "/api/v1/sla/definitions", tag = "monitoring",
    responses((status = 200, description = "What is asked", body = ServiceLevelPage), Problems))]
pub(super) async fn list_service_levels(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
) -> Result<Json<ServiceLevelPage>, Problem> {
    require_everywhere(&caller, Action::Read)?;
    let items = app.monitor.service_levels().await?.into_iter().map(ServiceLevelView::from).collect();
    Ok(Json(ServiceLevelPage { items }))
}

/// Say what is asked of a pipeline; of `default`, what is asked of all that have nothing of their own.
#[utoipa::path(put, path = "/api/v1/sla/definitions/{pipeline}", tag = "monitoring",
    params(("pipeline" = String, Path, description = "The pipeline", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,256}$")),
    request_body = ServiceLevelBody,
    responses((status = 200, description = "It is asked as said", body = ServiceLevelView),
        (status = 201, description = "Nothing was asked before", body = ServiceLevelView), Problems))]
pub(super) async fn define_service_level(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(pipeline): Named<PipelineName>,
    JsonBody(body): JsonBody<ServiceLevelBody>,
) -> Result<(StatusCode, Json<ServiceLevelView>), Problem> {
    let grant = require_everywhere(&caller, Action::Manage)?;
    let level = ServiceLevel { pipeline, targets: body.into() };
    let is_new = app.monitor.define_service_level(&level, grant.principal()).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(level.into())))
}

/// Ask nothing of a pipeline any more.
#[utoipa::path(delete, path = "/api/v1/sla/definitions/{pipeline}", tag = "monitoring",
    params(("pipeline" = String, Path, description = "The pipeline", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,256}$")),
    responses((status = 204, description = "Nothing is asked any more"), Problems))]
pub(super) async fn forget_service_level(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(pipeline): Named<PipelineName>,
) -> Result<StatusCode, Problem> {
    require_everywhere(&caller, Action::Manage)?;
    app.monitor.forget_service_level(&pipeline).await?;
    Ok(StatusCode::NO_CONTENT)
}
