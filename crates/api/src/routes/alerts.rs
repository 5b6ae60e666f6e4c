//! Alerts, the rules that raise them, and the channels that they go to.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use sluice_domain::{Action, Resource, RuleName};
use utoipa::IntoParams;

use crate::{
    App,
    auth::Authenticated,
    extract::{JsonBody, PageParams, Params},
    named_path::{Named, require_everywhere},
    problem::{Problem, Problems},
    wire::{
        AlertChannelPage, AlertChannelView, AlertPage, AlertRuleBody, AlertRulePage, AlertRuleView, AlertView,
        ChannelTestView,
    },
};

/// Which alerts are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertQuery {
    /// Those about one pipeline or table.
    subject: Option<String>,
    /// How many entries at the most.
    #[param(minimum = 1, maximum = 1000)]
    page_size: Option<u32>,
    /// Where to resume: `next_page_token` of the page before.
    page_token: Option<String>,
}

/// List the alerts, newest first, with what became of them.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "monitoring", params(AlertQuery),
    responses((status = 200, description = "A page of alerts", body = AlertPage), Problems))]
pub(super) async fn list_alerts(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(query): Params<AlertQuery>,
) -> Result<Json<AlertPage>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let page = PageParams::new(query.page_size, query.page_token).request()?;
    let page = app.monitor.alerts(caller.namespaces.as_deref(), query.subject.as_deref(), &page).await?;
    let page = page.map(AlertView::from);
    Ok(Json(AlertPage { items: page.items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// List the alert rules, those included that are there from the beginning.
#[utoipa::path(get, path = "/api/v1/alerts/rules", tag = "monitoring",
    responses((status = 200, description = "The rules", body = AlertRulePage), Problems))]
pub(super) async fn list_alert_rules(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
) -> Result<Json<AlertRulePage>, Problem> {
    require_everywhere(&caller, Action::Read)?;
    let items = app.monitor.rules().await?.into_iter().map(AlertRuleView::from).collect();
    Ok(Json(AlertRulePage { items }))
}

/// Show an alert rule.
#[utoipa::path(get, path = "/api/v1/alerts/rules/{rule}", tag = "monitoring",
    params(("rule" = String, Path, description = "The rule", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")),
    responses((status = 200, description = "The rule", body = AlertRuleView), Problems))]
pub(super) async fn get_alert_rule(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<RuleName>,
) -> Result<Json<AlertRuleView>, Problem> {
    require_everywhere(&caller, Action::Read)?;
    Ok(Json(app.monitor.rule(&name).await?.into()))
}

/// Define an alert rule, or say anew what one is.
#[utoipa::path(put, path = "/api/v1/alerts/rules/{rule}", tag = "monitoring",
    params(("rule" = String, Path, description = "The rule", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")),
    request_body = AlertRuleBody,
    responses((status = 200, description = "The rule is as said", body = AlertRuleView),
        (status = 201, description = "The rule was made", body = AlertRuleView), Problems))]
pub(super) async fn define_alert_rule(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<RuleName>,
    JsonBody(body): JsonBody<AlertRuleBody>,
) -> Result<(StatusCode, Json<AlertRuleView>), Problem> {
    let grant = require_everywhere(&caller, Action::Manage)?;
    let rule = body.rule(name);
    let is_new = app.monitor.define_rule(&rule, grant.principal()).await?;
    let view = app.monitor.rule(&rule.name).await?.into();
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(view)))
}

/// Delete an alert rule; one that was there from the beginning is then as it was.
#[utoipa::path(delete, path = "/api/v1/alerts/rules/{rule}", tag = "monitoring",
    params(("rule" = String, Path, description = "The rule", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")),
    responses((status = 204, description = "What was said of it is forgotten"), Problems))]
pub(super) async fn delete_alert_rule(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<RuleName>,
) -> Result<StatusCode, Problem> {
    require_everywhere(&caller, Action::Manage)?;
    app.monitor.forget_rule(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the channels that the server's settings have; their addresses and secrets are not shown.
#[utoipa::path(get, path = "/api/v1/alerts/channels", tag = "monitoring",
    responses((status = 200, description = "The channels", body = AlertChannelPage), Problems))]
pub(super) async fn list_alert_channels(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
) -> Result<Json<AlertChannelPage>, Problem> {
    require_everywhere(&caller, Action::Read)?;
    let channels = app.monitor.channels().map(|(name, kind)| AlertChannelView { name: name.to_owned(), kind });
    Ok(Json(AlertChannelPage { items: channels.collect() }))
}

/// Send a test alert to a channel, at once and once, and tell what came of it.
#[utoipa::path(post, path = "/api/v1/alerts/channels/{channel}/test", tag = "monitoring",
    params(("channel" = String, Path, description = "The channel", pattern = "^[a-z0-9_-]{1,64}$")),
    responses((status = 200, description = "What came of it", body = ChannelTestView), Problems))]
pub(super) async fn test_alert_channel(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(channel): Named<String>,
) -> Result<Json<ChannelTestView>, Problem> {
    require_everywhere(&caller, Action::Manage)?;
    Ok(Json(app.monitor.test_channel(&channel).await?.into()))
}
