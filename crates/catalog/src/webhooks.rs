//! Webhooks of the feed of changes.
//!
//! Invariant: what came of a try is written only where the webhook is still as it was when the try began.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{ChangeWebhook, Page, PageRequest, WebhookDefinition, WebhookName, WebhookSecret, WebhookState};

use crate::CatalogError;

/// A webhook as it is to be.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// The name.
    pub name: WebhookName,
    /// Where events go, and which ones.
    pub definition: WebhookDefinition,
    /// The secret; none leaves the one that is there, and none within takes it away.
    pub secret: Option<Option<WebhookSecret>>,
    /// Behind which event it begins. Without one, a new webhook begins now, and one that is there goes on.
    pub since: Option<i64>,
    /// Who says so.
    pub principal: String,
}

/// What came of defining a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefinedWebhook {
    /// It is new.
    Made(ChangeWebhook),
    /// It was there.
    Changed(ChangeWebhook),
    /// There are as many as there can be.
    TooMany,
}

/// The webhooks.
#[async_trait]
pub trait ChangeWebhooks: Send + Sync {
    /// Make a webhook, unless there are as many as the limit, or say anew what the one of this name is; either is
    /// tried at once then, whatever has failed before.
    async fn define(&self, new: &NewWebhook, limit: u32) -> Result<DefinedWebhook, CatalogError>;

    /// The webhook of this name.
    async fn find(&self, name: &WebhookName) -> Result<Option<ChangeWebhook>, CatalogError>;

    /// All of them, by name. The token is the last name.
    async fn list(&self, page: &PageRequest) -> Result<Page<ChangeWebhook>, CatalogError>;

    /// Forget a webhook; says whether there was one.
    async fn forget(&self, name: &WebhookName) -> Result<bool, CatalogError>;

    /// Those that are to be tried by now, and are behind the newest event; the longest due first, this many at the most.
    async fn due(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<ChangeWebhook>, CatalogError>;

    /// Write how a webhook goes now, and give it so; none, and nothing is written, where it changed meanwhile.
    async fn settle(&self, before: &ChangeWebhook, now: &WebhookState) -> Result<Option<ChangeWebhook>, CatalogError>;
}
