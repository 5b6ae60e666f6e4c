//! The frame of the OpenAPI document; the routes fill it.

use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::problem::Problem;

/// Title, tags and shared parts.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sluice",
        description = "Data-lake ingestion and catalog: files in over HTTP, typed Delta tables out, one catalog and SQL \
                       over them. Every failure is an `application/problem+json` document.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "ingest", description = "Files into tables, and what became of them"),
        (name = "sources", description = "Places that data is pulled from, and their runs"),
        (name = "pipelines", description = "What makes curated tables out of others by SQL"),
        (name = "views", description = "Statements that are read under a name, like tables"),
        (name = "catalog", description = "Namespaces, tables, schemas, versions"),
        (name = "discovery", description = "Finding tables, and hearing what happens to them"),
        (name = "lineage", description = "Where data comes from and where it goes"),
        (name = "lifecycle", description = "What becomes of data as it grows old"),
        (name = "quality", description = "Suites of rules, what came of them, and profiles"),
        (name = "query", description = "Read-only SQL"),
        (name = "monitoring", description = "Runs, freshness, service levels and alerts"),
        (name = "operations", description = "Health and metrics")
    ),
    components(schemas(Problem)),
    modifiers(&BearerKey),
    security((), ("bearer_key" = []))
)]
pub(crate) struct Frame;

struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A static key from the server's settings; not needed where authentication is off"))
            .build();
        let components = openapi.components.get_or_insert_with(Default::default);
        components.add_security_scheme("bearer_key", SecurityScheme::Http(scheme));
    }
}
