//! Health, readiness, metrics, and the way in.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use prometheus_client::encoding::text::encode;

use crate::{
    App,
    auth::Authenticated,
    problem::{Problem, Problems},
};

/// The media type of the OpenMetrics text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Say that the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()),
    responses((status = 200, description = "The process is alive", body = String, content_type = "text/plain")))]
pub(super) async fn check_health() -> &'static str {
    "ok\n"
}

/// Say whether requests can be served: the catalog answers, the store is not left alone because it fails, and the
/// server is not shutting down.
#[utoipa::path(get, path = "/readyz", tag = "operations", security(()),
    responses((status = 200, description = "Requests can be served", body = String, content_type = "text/plain"),
        (status = 503, description = "Requests cannot be served now", body = Problem,
         content_type = "application/problem+json")))]
pub(super) async fn check_readiness(State(app): State<App>) -> Result<&'static str, Problem> {
    if !app.readiness.is_given() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shutting-down", "the server is shutting down"));
    }
    app.zones.check_available()?;
    app.catalog.ping().await?;
    Ok("ready\n")
}

/// Show the metrics in the OpenMetrics text format.
///
/// They name tables of every namespace. Where there are keys, any key will do that is not confined to some namespaces.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "The metrics", body = String,
        content_type = "application/openmetrics-text"), Problems))]
pub(super) async fn show_metrics(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
) -> Result<Response, Problem> {
    if caller.namespaces.is_some() {
        let detail = "the metrics name tables of every namespace, and this key is confined to some";
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    let mut text = String::new();
    encode(&mut text, &app.metrics).map_err(|error| {
        tracing::error!(%error, "the metrics could not be written");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the metrics could not be written")
    })?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// Browsers that open the server land on its documentation.
pub(super) async fn show_start() -> Redirect {
    Redirect::temporary("/docs/")
}
