//! Webhooks of the feed of changes.
//!
//! An address may be a secret, and what happens anywhere goes there: all of it needs the right to manage everything.

use axum::{Json, extract::State, http::StatusCode};
use sluice_domain::{Action, WebhookName};
use sluice_monitor::MonitorError;

use super::discovery::begin;
use crate::{
    App,
    auth::Authenticated,
    extract::{JsonBody, PageParams, Params},
    named_path::{Named, require_everywhere},
    problem::{Problem, Problems},
    wire::{WebhookBody, WebhookPage, WebhookTestView, WebhookView},
};

/// List the webhooks that changes are told to.
#[utoipa::path(get, path = "/api/v1/changes/webhooks", tag = "discovery", params(PageParams),
    responses((status = 200, description = "A page of webhooks", body = WebhookPage), Problems))]
pub(super) async fn list_change_webhooks(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(page): Params<PageParams>,
) -> Result<Json<WebhookPage>, Problem> {
    require_everywhere(&caller, Action::Manage)?;
    let page = app.monitor.webhooks(&page.request()?).await?.map(WebhookView::from);
    Ok(Json(WebhookPage { items: page.items, next_page_token: page.next.map(|token| token.to_string()) }))
}

/// Show a webhook: what it is told of, how far it has come, and how it goes.
#[utoipa::path(get, path = "/api/v1/changes/webhooks/{webhook}", tag = "discovery",
    params(("webhook" = String, Path, description = "The webhook", pattern = "^[a-z0-9_-]{1,64}$")),
    responses((status = 200, description = "The webhook", body = WebhookView), Problems))]
pub(super) async fn get_change_webhook(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<WebhookName>,
) -> Result<Json<WebhookView>, Problem> {
    require_everywhere(&caller, Action::Manage)?;
    Ok(Json(app.monitor.webhook(&name).await?.into()))
}

/// Define a webhook, or say anew what one is.
///
/// Each event of the feed that is for it is posted to its address as a CloudEvent, in order and at least once: a request
/// that is not answered with a success is sent again with growing pauses, and nothing behind it before; an event keeps its
/// `id`, and in the structured mode a request its `webhook-id`. `Retry-After` is kept. An answer of 410 disables the webhook, and so do days without a success; to define
/// it again begins where it was. With a secret, requests are signed as Standard Webhooks say (`webhook-id`,
/// `webhook-timestamp`, `webhook-signature`). Where events were forgotten before it had them, it goes on with the oldest
/// that is kept, and `missed` tells of the others.
#[utoipa::path(put, path = "/api/v1/changes/webhooks/{webhook}", tag = "discovery",
    params(("webhook" = String, Path, description = "The webhook", pattern = "^[a-z0-9_-]{1,64}$")),
    request_body = WebhookBody,
    responses((status = 200, description = "The webhook is as said", body = WebhookView),
        (status = 201, description = "The webhook was made", body = WebhookView), Problems))]
pub(super) async fn define_change_webhook(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<WebhookName>,
    JsonBody(body): JsonBody<WebhookBody>,
) -> Result<(StatusCode, Json<WebhookView>), Problem> {
    let grant = require_everywhere(&caller, Action::Manage)?;
    let since = match body.since.clone() {
        Some(since) => Some(begin(&app, Some(since)).await?),
        None => None,
    };
    let wish = body.wish(since).map_err(MonitorError::from)?;
    let (webhook, is_new) = app.monitor.define_webhook(name, wish, grant.principal()).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(webhook.into())))
}

/// Delete a webhook, and forget how far it has come.
#[utoipa::path(delete, path = "/api/v1/changes/webhooks/{webhook}", tag = "discovery",
    params(("webhook" = String, Path, description = "The webhook", pattern = "^[a-z0-9_-]{1,64}$")),
    responses((status = 204, description = "The webhook is deleted"), Problems))]
pub(super) async fn delete_change_webhook(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<WebhookName>,
) -> Result<StatusCode, Problem> {
    require_everywhere(&caller, Action::Manage)?;
    app.monitor.forget_webhook(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send an event of the type `io.sluice.webhook.test` to a webhook, at once and once, and tell what came of it.
#[utoipa::path(post, path = "/api/v1/changes/webhooks/{webhook}/test", tag = "discovery",
    params(("webhook" = String, Path, description = "The webhook", pattern = "^[a-z0-9_-]{1,64}$")),
    responses((status = 200, description = "What came of it", body = WebhookTestView), Problems))]
pub(super) async fn test_change_webhook(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Named(name): Named<WebhookName>,
) -> Result<Json<WebhookTestView>, Problem> {
    require_everywhere(&caller, Action::Manage)?;
    Ok(Json(app.monitor.test_webhook(&name).await?.into()))
}
