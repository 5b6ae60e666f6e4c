//! Quality: the suite of a table, what came of it, and what the table holds.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_domain::{Action, Resource, Suite};
use sluice_quality::{ViewFormat, export, needs, parse_suite, propose};
use utoipa::IntoParams;

use crate::{
    App,
    auth::Authenticated,
    extract::{JsonBody, PageParams, Params, TableParams, TablePath},
    problem::{Problem, Problems},
    suite_queries::AsCaller,
    wire::{ProfileView, QualityResultPage, QualityResultView, SuiteView, VerdictView, result_view},
};

/// In which shape to show a suite.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SuiteParams {
    /// `great_expectations` for the suite as Great Expectations reads it.
    #[param(pattern = "^great_expectations$")]
    format: Option<String>,
}

impl SuiteParams {
    fn show(&self, suite: &Suite) -> Result<Json<Value>, Problem> {
        match self.format.as_deref() {
            None => Ok(Json(json!(suite))),
            Some("great_expectations") => Ok(Json(export(suite))),
            Some(_) => Err(Problem::bad_request("bad-parameter", "format can be great_expectations, or left out")),
        }
    }
}

/// In which shape to show results.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ResultParams {
    /// `great_expectations` (the default), `checks`, `monitor`, `report` or `validator`.
    #[param(pattern = "^(great_expectations|checks|monitor|report|validator)$")]
    format: Option<String>,
}

/// Which results to show, and in which shape.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ResultsParams {
    /// `great_expectations` (the default), `checks`, `monitor`, `report` or `validator`.
    #[param(pattern = "^(great_expectations|checks|monitor|report|validator)$")]
    format: Option<String>,
    /// How many entries at the most.
    #[param(minimum = 1, maximum = 1000)]
    page_size: Option<u32>,
    /// Where to resume: `next_page_token` of the page before.
    page_token: Option<String>,
}

fn shape(format: Option<&String>) -> Result<ViewFormat, Problem> {
    let format = format.map(|format| format.parse()).transpose();
    Ok(format.map_err(|reason: String| Problem::bad_request("bad-parameter", reason))?.unwrap_or_default())
}

/// Show the suite of a table.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/quality", tag = "quality",
    params(TableParams, SuiteParams),
    responses((status = 200, description = "The suite; one without rules where none was set", body = SuiteView), Problems))]
pub(super) async fn get_suite(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    Params(params): Params<SuiteParams>,
) -> Result<Json<Value>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let entry = app.catalog.tables().find(&name).await?;
    let suite = app.catalog.quality().suite(entry.id).await?;
    params.show(&suite.unwrap_or_else(|| Suite { name: name.to_string(), ..Suite::default() }))
}

/// Hold a table to a suite, in the place of the one before: ours, or one of Great Expectations (0.x or 1.x).
///
/// Uploads are held to it from now on. Rules with the action `quarantine` decide about single rows; `reject` refuses
/// whole uploads; `block` keeps the table from being published; `warn` is noted in the receipt. Queries over the whole
/// table, in which `{batch}` stands for it, are asked by checks alone: they warn or block. `increasing` and `decreasing`
/// mean the order of the rows in an upload, and that of the files' names, and of the rows in each, in a table.
#[utoipa::path(put, path = "/api/v1/tables/{namespace}/{table}/quality", tag = "quality", params(TableParams),
    request_body = SuiteView, responses((status = 200, description = "The suite", body = SuiteView), Problems))]
pub(super) async fn set_suite(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<Suite>, Problem> {
    let grant = caller.require(Action::Manage, &Resource::Table(name.clone()))?;
    let suite = parse_suite(&body)?;
    // What others have in their tables is told by whether rules are kept.
    for other in needs(&suite).tables.keys().filter_map(|other| other.parse().ok()) {
        caller.require(Action::Read, &Resource::Table(other))?;
    }
    app.catalog.tables().find(&name).await?;
    AsCaller { app: &app, caller: &caller }.plan_all(&suite, &name).await?;
    app.ingest.set_suite(&grant, &name, &suite).await?;
    Ok(Json(suite))
}

/// Ask the suite of a table of the rows that it has now, and keep what comes of it. Its queries over the whole table run
/// as the caller's own.
#[utoipa::path(post, path = "/api/v1/tables/{namespace}/{table}/quality/check", tag = "quality",
    params(TableParams, ResultParams),
    responses((status = 200, description = "What came of it", body = QualityResultView), Problems))]
pub(super) async fn check_quality(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    Params(params): Params<ResultParams>,
) -> Result<Json<Value>, Problem> {
    caller.require(Action::Manage, &Resource::Table(name.clone()))?;
    let shape = shape(params.format.as_ref())?;
    let asker = AsCaller { app: &app, caller: &caller };
    Ok(Json(result_view(&app.ingest.check_quality(&name, &asker).await?, &name, shape)))
}

/// List what came of the suite of a table: of uploads, and of checks. The newest 100 are kept.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/quality/results", tag = "quality",
    params(TableParams, ResultsParams),
    responses((status = 200, description = "A page of results", body = QualityResultPage), Problems))]
pub(super) async fn list_quality_results(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    Params(params): Params<ResultsParams>,
) -> Result<Json<QualityResultPage>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let shape = shape(params.format.as_ref())?;
    let page = PageParams::new(params.page_size, params.page_token).request()?;
    let entry = app.catalog.tables().find(&name).await?;
    let page = app.catalog.quality().results(entry.id, &page).await?.map(|one| result_view(&one, &name, shape));
    Ok(Json(QualityResultPage { items: page.items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// Tell whether a table may be published: whether no broken rule that blocks, and no score that is too low, stands
/// against it.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/quality/verdict", tag = "quality", params(TableParams),
    responses((status = 200, description = "The verdict", body = VerdictView), Problems))]
pub(super) async fn get_verdict(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
) -> Result<Json<VerdictView>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let entry = app.catalog.tables().find(&name).await?;
    Ok(Json(VerdictView::new(&app.catalog.quality().verdict(entry.id).await?, &name)))
}

/// Tell what a table holds, column by column, from one scan of its newest version.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/profile", tag = "quality", params(TableParams),
    responses((status = 200, description = "The profile", body = ProfileView), Problems))]
pub(super) async fn profile_table(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
) -> Result<Json<ProfileView>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let (version, profile) = app.ingest.profile(&name).await?;
    Ok(Json(ProfileView::new(version, profile)))
}

/// Propose a suite for a table from its profile: columns that hardly miss values have none missing, numbers keep their
/// type and range, texts of few values are among those.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/profile/suite", tag = "quality",
    params(TableParams, SuiteParams),
    responses((status = 200, description = "The suite, to be looked at and set", body = SuiteView), Problems))]
pub(super) async fn propose_suite(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    Params(params): Params<SuiteParams>,
) -> Result<Json<Value>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    let (_, profile) = app.ingest.profile(&name).await?;
    params.show(&propose(&name.to_string(), &profile))
}
