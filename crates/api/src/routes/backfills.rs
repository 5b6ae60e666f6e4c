//! Backfills: a pipeline runs for the parts of a range of time.

use axum::{Json, extract::State, http::StatusCode};
use sluice_domain::{Action, PipelineName};

use super::pipelines::require;
use crate::{
    App,
    auth::Authenticated,
    extract::JsonBody,
    named_path::Named,
    problem::{Problem, Problems},
    wire::{BackfillBody, BackfillView},
};

/// Have a pipeline run for each part of a range of time, one after the other; 409 while another backfill of it goes on.
///
/// The parts are entered durably: a server that ends in between goes on where it was. The first run that fails, or is
/// cancelled, ends the backfill. In the statement `$interval_start` and `$interval_end` are the ends of a part.
#[utoipa::path(post, path = "/api/v1/pipelines/{name}/backfill", tag = "pipelines", request_body = BackfillBody,
    params(("name" = String, Path, description = "The pipeline", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,256}$")),
    responses((status = 202, description = "The backfill is entered", body = BackfillView), Problems))]
pub(super) async fn begin_backfill(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<PipelineName>,
    JsonBody(body): JsonBody<BackfillBody>,
) -> Result<(StatusCode, Json<BackfillView>), Problem> {
    let pipeline = app.curate.find(&name).await?;
    let grant = require(&caller, Action::Append, &pipeline)?;
    let backfill = app.curate.begin_backfill(&grant, &pipeline, body.range()?).await?;
    Ok((StatusCode::ACCEPTED, Json(backfill.into())))
}

/// Show the newest backfill of a pipeline.
#[utoipa::path(get, path = "/api/v1/pipelines/{name}/backfill", tag = "pipelines",
    params(("name" = String, Path, description = "The pipeline", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,256}$")),
    responses((status = 200, description = "The backfill", body = BackfillView), Problems))]
pub(super) async fn get_backfill(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<PipelineName>,
) -> Result<Json<BackfillView>, Problem> {
    let pipeline = app.curate.find(&name).await?;
    require(&caller, Action::Read, &pipeline)?;
    Ok(Json(app.curate.find_backfill(&pipeline).await?.into()))
}

/// End the backfill of a pipeline, and the run that goes on for it. The parts that are done stay.
#[utoipa::path(delete, path = "/api/v1/pipelines/{name}/backfill", tag = "pipelines",
    params(("name" = String, Path, description = "The pipeline", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,256}$")),
    responses((status = 200, description = "The backfill is cancelled, or had ended", body = BackfillView), Problems))]
pub(super) async fn cancel_backfill(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<PipelineName>,
) -> Result<Json<BackfillView>, Problem> {
    let pipeline = app.curate.find(&name).await?;
    let grant = require(&caller, Action::Append, &pipeline)?;
    Ok(Json(app.curate.cancel_backfill(&grant, &pipeline).await?.into()))
}
