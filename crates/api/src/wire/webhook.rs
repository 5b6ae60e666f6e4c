//! Webhooks of the feed of changes, on the wire.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use sluice_domain::{
    ChangeWebhook, ChangedKind, ContentMode, NamespaceName, WebhookDefinition, WebhookError, WebhookSecret,
};
use sluice_monitor::{WebhookTest, WebhookWish};
use utoipa::ToSchema;

/// How many kinds of events one request names.
const MAX_TYPES: usize = 100;

/// Where events go, and which ones.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookBody {
    /// The address. Its host must be among those of the setting `monitor.webhooks.hosts`.
    #[schema(max_length = 2048, example = "https://hooks.example.com/lake")]
    url: String,
    /// Only events of these types, as `io.sluice.table.created` or `table.created`. Default: all.
    #[serde(default)]
    #[schema(max_items = 100)]
    types: Vec<String>,
    /// Only events of these namespaces. Default: all.
    #[serde(default)]
    #[schema(max_items = 100)]
    namespaces: Vec<String>,
    /// `structured`: one event a request, as `application/cloudevents+json`. `batched`: many, as
    /// `application/cloudevents-batch+json`. Default: `structured`.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(structured|batched)$")]
    mode: Option<ContentMode>,
    /// What requests are signed with, as Standard Webhooks have it: `whsec_` and 24 to 64 bytes in Base64. It is not
    /// shown again; without it the one that is there stays, and `null` takes it away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, write_only, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: Option<Option<String>>,
    /// Behind which event it begins, as in `GET /api/v1/changes`; `0` is everything that is kept. Without it a new
    /// webhook begins now, and one that is there goes on.
    #[serde(default)]
    #[schema(pattern = "^[0-9]{1,18}$")]
    pub(crate) since: Option<String>,
}

/// Tells `null` from absent.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl WebhookBody {
    /// What it says; the number behind which it begins is read elsewhere.
    pub(crate) fn wish(self, since: Option<i64>) -> Result<WebhookWish, WebhookError> {
        if self.types.len() > MAX_TYPES {
            return Err(WebhookError::new("types", format!("there are more than {MAX_TYPES}")));
        }
        let kind = |text: &String| {
            let unknown = || {
                let known: Vec<&str> = ChangedKind::ALL.into_iter().map(ChangedKind::as_str).collect();
                let text: String = text.chars().take(64).collect();
                WebhookError::new("types", format!("{text:?} is none of {}", known.join(", ")))
            };
            ChangedKind::of_event_type(text).ok_or_else(unknown)
        };
        let namespace = |text: &String| {
            text.parse::<NamespaceName>().map_err(|error| WebhookError::new("namespaces", error.to_string()))
        };
        let definition = WebhookDefinition {
            url: self.url,
            types: self.types.iter().map(kind).collect::<Result<_, _>>()?,
            namespaces: self.namespaces.iter().map(namespace).collect::<Result<_, _>>()?,
            mode: self.mode.unwrap_or_default(),
        };
        Ok(WebhookWish { definition, secret: self.secret.map(|secret| secret.map(WebhookSecret::new)), since })
    }
}

/// A webhook. Its secret is not shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookView {
    /// The name.
    #[schema(example = "orders")]
    name: String,
    /// Where events go.
    url: String,
    /// The types of events that it is told of; all of them without any.
    #[schema(example = json!(["io.sluice.table.created"]))]
    types: Vec<String>,
    /// The namespaces that it is told of; all of them without any.
    namespaces: Vec<String>,
    /// `structured` or `batched`.
    #[schema(example = "structured")]
    mode: &'static str,
    /// Whether requests are signed.
    signed: bool,
    /// `active`, `failing` (it is tried again) or `disabled` (until it is defined again).
    #[schema(example = "active")]
    state: &'static str,
    /// The number of the last event that is behind it: taken, or not for it.
    #[schema(example = "17")]
    position: String,
    /// The last event that was taken; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_delivered: Option<DeliveredView>,
    /// The last failure, which stays when things are well again.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<WebhookErrorView>,
    /// Since when every try has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<DateTime<Utc>>,
    /// How often the next request was tried.
    attempts: u32,
    /// When it is tried again, where it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<DateTime<Utc>>,
    /// Events that were forgotten before it had them, the last time that this was so.
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<MissedView>,
    /// Why nothing is sent any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_because: Option<String>,
    /// Who defined it last.
    principal: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was defined last.
    updated_at: DateTime<Utc>,
}

/// An event that was taken.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveredView {
    /// Its id.
    #[schema(example = "17")]
    event_id: String,
    /// When it was taken.
    at: DateTime<Utc>,
}

/// A try that failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookErrorView {
    /// What happened.
    #[schema(example = "it answered with 503 Service Unavailable")]
    detail: String,
    /// When.
    at: DateTime<Utc>,
}

/// Events that were forgotten: those that are for the webhook, and others.
#[derive(Serialize, ToSchema)]
pub(crate) struct MissedView {
    /// The id of the first.
    from: String,
    /// The id of the last.
    to: String,
    /// When that was noticed.
    noticed_at: DateTime<Utc>,
}

impl From<ChangeWebhook> for WebhookView {
    fn from(webhook: ChangeWebhook) -> Self {
        let (definition, state) = (webhook.definition, webhook.state);
        let name = match (&state.disabled, state.failing_since) {
            (Some(_), _) => "disabled",
            (None, Some(_)) => "failing",
            (None, None) => "active",
        };
        let missed = state.missed.map(|missed| MissedView {
            from: missed.from.to_string(),
            to: missed.to.to_string(),
            noticed_at: missed.at,
        });
        Self {
            name: webhook.name.to_string(),
            url: definition.url,
            types: definition.types.into_iter().map(ChangedKind::event_type).collect(),
            namespaces: definition.namespaces.iter().map(ToString::to_string).collect(),
            mode: definition.mode.as_str(),
            signed: webhook.secret.is_some(),
            state: name,
            position: state.position.to_string(),
            last_delivered: state.delivered.map(|(number, at)| DeliveredView { event_id: number.to_string(), at }),
            last_error: state.last_error.map(|(at, detail)| WebhookErrorView { detail, at }),
            failing_since: state.failing_since,
            attempts: state.attempts,
            next_attempt_at: Some(state.next_at).filter(|_| name == "failing"),
            missed,
            disabled_because: state.disabled,
            principal: webhook.principal,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

/// A page of webhooks.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookPage {
    /// The webhooks, by name.
    pub(crate) items: Vec<WebhookView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// What came of trying a webhook.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookTestView {
    /// The webhook.
    webhook: String,
    /// Whether it took the event.
    delivered: bool,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl From<WebhookTest> for WebhookTestView {
    fn from(test: WebhookTest) -> Self {
        Self { webhook: test.webhook.to_string(), delivered: test.failure.is_none(), detail: test.failure }
    }
}
