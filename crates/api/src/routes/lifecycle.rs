//! Lifecycle rules, plans and runs. They are about the whole lake, and for keys that see all of it.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Datelike as _, Utc};
use serde::Deserialize;
use sluice_domain::{AccessError, Action, Caller, Grant, LifecycleRule, PlanCause, Resource};
use sluice_lifecycle::PlanWish;
use utoipa::IntoParams;

use crate::{
    App,
    auth::Authenticated,
    extract::{
        JsonBody, LifecyclePlanParams, LifecyclePlanPath, LifecycleRuleParams, LifecycleRulePath, PageParams, Params,
    },
    problem::{Problem, Problems},
    wire::{
        LifecycleRuleBody, LifecycleRulePage, LifecycleRuleView, LifecycleRunPage, PlanDetail, PlanView, ZoneList,
        ZoneView,
    },
};

/// The years in which a plan can be as of.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=9999;

/// List the zones of the lake.
#[utoipa::path(get, path = "/api/v1/zones", tag = "lifecycle",
    responses((status = 200, description = "The zones", body = ZoneList), Problems))]
pub(super) async fn list_zones(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
) -> Result<Json<ZoneList>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    Ok(Json(ZoneList { items: app.lifecycle.zones().into_iter().map(ZoneView::from).collect() }))
}

/// List the lifecycle rules.
#[utoipa::path(get, path = "/api/v1/lifecycle/rules", tag = "lifecycle", params(PageParams),
    responses((status = 200, description = "A page of rules", body = LifecycleRulePage), Problems))]
pub(super) async fn list_lifecycle_rules(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(page): Params<PageParams>,
) -> Result<Json<LifecycleRulePage>, Problem> {
    require(&caller, Action::Read)?;
    let page = app.lifecycle.rules(&page.request()?).await?.map(LifecycleRuleView::from);
    Ok(Json(LifecycleRulePage { items: page.items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// Show a lifecycle rule.
#[utoipa::path(get, path = "/api/v1/lifecycle/rules/{name}", tag = "lifecycle", params(LifecycleRuleParams),
    responses((status = 200, description = "The rule", body = LifecycleRuleView), Problems))]
pub(super) async fn get_lifecycle_rule(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    LifecycleRulePath(name): LifecycleRulePath,
) -> Result<Json<LifecycleRuleView>, Problem> {
    require(&caller, Action::Read)?;
    Ok(Json(app.lifecycle.find_rule(&name).await?.into()))
}

/// Make a lifecycle rule, or say anew what one says. Nothing is done by that: plans are, and what applies them.
#[utoipa::path(put, path = "/api/v1/lifecycle/rules/{name}", tag = "lifecycle", params(LifecycleRuleParams),
    request_body = LifecycleRuleBody,
    responses((status = 200, description = "The rule is as said", body = LifecycleRuleView),
        (status = 201, description = "The rule was made", body = LifecycleRuleView), Problems))]
pub(super) async fn define_lifecycle_rule(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    LifecycleRulePath(name): LifecycleRulePath,
    JsonBody(body): JsonBody<LifecycleRuleBody>,
) -> Result<(StatusCode, Json<LifecycleRuleView>), Problem> {
    let grant = require(&caller, Action::Manage)?;
    let (rule, is_made) = app.lifecycle.define(&grant, &name, &LifecycleRule::from(body)).await?;
    Ok((if is_made { StatusCode::CREATED } else { StatusCode::OK }, Json(rule.into())))
}

/// Delete a lifecycle rule. What was done by it stays done.
#[utoipa::path(delete, path = "/api/v1/lifecycle/rules/{name}", tag = "lifecycle", params(LifecycleRuleParams),
    responses((status = 204, description = "The rule is deleted"), Problems))]
pub(super) async fn delete_lifecycle_rule(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    LifecycleRulePath(name): LifecycleRulePath,
) -> Result<StatusCode, Problem> {
    let grant = require(&caller, Action::Manage)?;
    app.lifecycle.delete_rule(&grant, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// As of when a plan is made.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanParams {
    /// The instant that ages are counted from; the present without it. What is not due by the present is skipped when
    /// the plan is applied.
    as_of: Option<DateTime<Utc>>,
}

/// Say what the rules would do: nothing is done, and the plan is kept for a while, to be applied as it is.
#[utoipa::path(post, path = "/api/v1/lifecycle/plan", tag = "lifecycle", params(PlanParams),
    responses((status = 201, description = "The plan; its items are under its id", body = PlanView), Problems))]
pub(super) async fn plan_lifecycle(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(params): Params<PlanParams>,
) -> Result<(StatusCode, Json<PlanView>), Problem> {
    let grant = require(&caller, Action::Manage)?;
    if params.as_of.is_some_and(|as_of| !YEARS.contains(&as_of.year())) {
        return Err(Problem::bad_request("bad-parameter", "as_of is not between the years 1970 and 9999"));
    }
    let wish = PlanWish { cause: PlanCause::Request, as_of: params.as_of };
    Ok((StatusCode::CREATED, Json(app.lifecycle.plan(&grant, &wish).await?.into())))
}

/// Show a lifecycle plan and its items, with what came of them.
#[utoipa::path(get, path = "/api/v1/lifecycle/plans/{plan_id}", tag = "lifecycle",
    params(LifecyclePlanParams, PageParams),
    responses((status = 200, description = "The plan with a page of its items", body = PlanDetail), Problems))]
pub(super) async fn get_lifecycle_plan(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    LifecyclePlanPath(id): LifecyclePlanPath,
    Params(page): Params<PageParams>,
) -> Result<Json<PlanDetail>, Problem> {
    require(&caller, Action::Read)?;
    let page = page.request()?;
    let plan = app.lifecycle.find_plan(id).await?;
    Ok(Json(PlanDetail::new(plan, app.lifecycle.items(id, &page).await?)))
}

/// Apply a plan: just its items, each checked again right before it. Asked again, it goes on or is as it was.
#[utoipa::path(post, path = "/api/v1/lifecycle/plans/{plan_id}/apply", tag = "lifecycle", params(LifecyclePlanParams),
    responses((status = 202, description = "The plan is being applied, or was", body = PlanView), Problems))]
pub(super) async fn apply_lifecycle_plan(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    LifecyclePlanPath(id): LifecyclePlanPath,
) -> Result<(StatusCode, Json<PlanView>), Problem> {
    let grant = require(&caller, Action::Manage)?;
    Ok((StatusCode::ACCEPTED, Json(app.lifecycle.apply(&grant, id).await?.into())))
}

/// List the plans that were begun, newest first.
#[utoipa::path(get, path = "/api/v1/lifecycle/runs", tag = "lifecycle", params(PageParams),
    responses((status = 200, description = "A page of runs", body = LifecycleRunPage), Problems))]
pub(super) async fn list_lifecycle_runs(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(page): Params<PageParams>,
) -> Result<Json<LifecycleRunPage>, Problem> {
    require(&caller, Action::Read)?;
    let page = app.lifecycle.runs(&page.request()?).await?.map(PlanView::from);
    Ok(Json(LifecycleRunPage { items: page.items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// Ask for a right over the whole lake: there is none for a key that is confined to some namespaces.
fn require(caller: &Caller, action: Action) -> Result<Grant, Problem> {
    let grant = caller.require(action, &Resource::Catalog)?;
    if caller.namespaces.is_some() { Err(AccessError::Invisible.into()) } else { Ok(grant) }
}
