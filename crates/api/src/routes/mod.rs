//! Every route, and the router that holds them.

mod alerts;
mod backfills;
mod columns;
mod direct;
mod discovery;
mod events;
mod freshness;
mod lifecycle;
mod lineage;
mod lineage_export;
mod namespaces;
mod operations;
mod pipelines;
mod quality;
mod quarantine;
mod queries;
mod rows;
mod runs;
mod schemas;
mod service_levels;
mod sources;
mod tables;
mod tus;
mod uploads;
mod versions;
mod views;
mod webhooks;

use std::sync::Arc;

use axum::{Router, middleware, routing::get};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{App, openapi, request_context, same_origin, unread_body};

/// The routes with their descriptions.
fn described() -> OpenApiRouter<App> {
    let frame = OpenApiRouter::with_openapi(openapi::Frame::openapi());
    frame.merge(catalog()).merge(ingestion()).merge(curating()).merge(watching()).merge(querying())
}

/// What exists: a new route is a line here, or in the function of its kind.
fn catalog() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(namespaces::list_namespaces))
        .routes(routes!(namespaces::get_namespace))
        .routes(routes!(tables::list_tables))
        .routes(routes!(tables::get_table, tables::change_table, tables::delete_table))
        .routes(routes!(tables::restore_table))
        .routes(routes!(tables::preview_table))
        .routes(routes!(schemas::get_schema, schemas::declare_schema))
        .routes(routes!(schemas::get_contract, schemas::set_contract))
        .routes(routes!(columns::list_columns))
        .routes(routes!(columns::get_column, columns::annotate_column))
        .routes(routes!(columns::check_schema))
        .routes(routes!(columns::get_ddl))
        .routes(routes!(columns::get_json_schema))
        .routes(routes!(columns::get_arrow_schema))
        .routes(routes!(discovery::search_tables))
        .routes(routes!(discovery::list_popular_tables))
        .routes(routes!(discovery::list_changes))
        .routes(routes!(webhooks::list_change_webhooks))
        .routes(routes!(webhooks::get_change_webhook, webhooks::define_change_webhook, webhooks::delete_change_webhook))
        .routes(routes!(webhooks::test_change_webhook))
        .routes(routes!(quality::get_suite, quality::set_suite))
        .routes(routes!(quality::check_quality))
        .routes(routes!(quality::list_quality_results))
        .routes(routes!(quality::get_verdict))
        .routes(routes!(quality::profile_table))
        .routes(routes!(quality::propose_suite))
        .routes(routes!(versions::list_schemas))
        .routes(routes!(versions::list_versions))
}

/// What comes in.
fn ingestion() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(uploads::create_upload, uploads::list_uploads))
        .routes(routes!(uploads::get_upload))
        .routes(routes!(uploads::get_upload_content))
        .routes(routes!(quarantine::list_quarantine, quarantine::purge_quarantine))
        .routes(routes!(quarantine::replay_quarantine))
        .routes(routes!(rows::append_rows))
        .routes(routes!(rows::open_channel, rows::get_channel, rows::drop_channel))
        .routes(routes!(events::watch_upload))
        .routes(routes!(direct::announce_direct_upload))
        .routes(routes!(direct::complete_upload))
        .routes(routes!(tus::describe_tus, tus::create_tus_upload))
        .routes(routes!(tus::get_tus_upload, tus::append_tus_piece, tus::terminate_tus_upload))
        .routes(routes!(sources::list_sources))
        .routes(routes!(sources::get_source, sources::define_source, sources::delete_source))
        .routes(routes!(sources::list_runs, sources::run_source))
        .routes(routes!(sources::get_run))
        .routes(routes!(sources::list_pulls))
}

/// What is made of what is there.
fn curating() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(pipelines::list_pipelines))
        .routes(routes!(pipelines::get_pipeline, pipelines::define_pipeline, pipelines::delete_pipeline))
        .routes(routes!(pipelines::list_runs_of_pipeline, pipelines::run_pipeline))
        .routes(routes!(pipelines::cancel_run))
        .routes(routes!(backfills::get_backfill, backfills::begin_backfill, backfills::cancel_backfill))
        .routes(routes!(views::list_views))
        .routes(routes!(views::get_view, views::define_view, views::delete_view))
}

/// What is watched, and what becomes of it.
fn watching() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(runs::list_pipeline_runs, runs::report_pipeline_run))
        .routes(routes!(runs::get_pipeline_health))
        .routes(routes!(runs::get_pipeline_run, runs::update_pipeline_run))
        .routes(routes!(freshness::list_freshness))
        .routes(routes!(freshness::get_freshness, freshness::expect_freshness, freshness::forget_freshness))
        .routes(routes!(service_levels::report_service_levels))
        .routes(routes!(service_levels::list_service_levels))
        .routes(routes!(service_levels::define_service_level, service_levels::forget_service_level))
        .routes(routes!(alerts::list_alerts))
        .routes(routes!(alerts::list_alert_rules))
        .routes(routes!(alerts::get_alert_rule, alerts::define_alert_rule, alerts::delete_alert_rule))
        .routes(routes!(alerts::list_alert_channels))
        .routes(routes!(alerts::test_alert_channel))
        .routes(routes!(lifecycle::list_zones))
        .routes(routes!(lifecycle::list_lifecycle_rules))
        .routes(routes!(
            lifecycle::get_lifecycle_rule,
            lifecycle::define_lifecycle_rule,
            lifecycle::delete_lifecycle_rule
        ))
        .routes(routes!(lifecycle::plan_lifecycle))
        .routes(routes!(lifecycle::get_lifecycle_plan))
        .routes(routes!(lifecycle::apply_lifecycle_plan))
        .routes(routes!(lifecycle::list_lifecycle_runs))
}

/// What is asked, of tables and of the server.
fn querying() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(queries::run_query))
        .routes(routes!(lineage::trace_query))
        .routes(routes!(lineage::get_table_lineage))
        .routes(routes!(lineage::list_lineage, lineage::record_lineage_event))
        .routes(routes!(lineage::declare_lineage))
        .routes(routes!(lineage::list_run_events))
        .routes(routes!(lineage_export::export_lineage))
        .routes(routes!(operations::check_health))
        .routes(routes!(operations::check_readiness))
        .routes(routes!(operations::show_metrics))
}

/// The OpenAPI document of the routes.
pub fn document() -> utoipa::openapi::OpenApi {
    described().split_for_parts().1
}

/// The HTTP layer of connections that are too many: whatever is asked, the answer is to come again.
pub fn refusals() -> Router {
    Router::new().fallback(request_context::too_many_connections).layer(middleware::from_fn(request_context::surround))
}

/// The whole HTTP layer.
pub fn router(app: App) -> Router {
    let (routes, document) = described().split_for_parts();
    // Without this the page would ask a server on the internet to check the document.
    let config = Config::default().validator_url("none");
    let max_body_bytes = app.max_body_bytes;
    let routes = routes
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document).config(config))
        .route("/", get(operations::show_start))
        .fallback(request_context::no_route)
        .method_not_allowed_fallback(request_context::no_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&app.authenticator), same_origin::guard))
        .layer(CatchPanicLayer::custom(request_context::panicked))
        .layer(middleware::from_fn(request_context::surround))
        .layer(middleware::from_fn(unread_body::end_connection))
        .with_state(app);
    // Around the choice of a route, for the method that is meant may not be the one that is sent.
    Router::new().fallback_service(routes).layer(middleware::from_fn_with_state(max_body_bytes, crate::tus::surround))
}
