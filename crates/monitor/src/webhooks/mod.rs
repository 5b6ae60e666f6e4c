//! The feed of changes, told to webhooks: CloudEvents over HTTP, in their order and at least once.
//!
//! Invariant: one server tells a webhook at a time, one request after another; its position moves with each that was taken.
//! Invariant: nothing is sent to a host that the settings do not name.

mod deliver;
mod message;
mod sender;
mod turn;

use sluice_catalog::{DefinedWebhook, NewWebhook};
use sluice_domain::{ChangeWebhook, Page, PageRequest, WebhookDefinition, WebhookError, WebhookName, WebhookSecret};

use self::message::{Message, signing_key};
pub(crate) use self::{sender::Sender, turn::Turn};
use crate::{Monitor, MonitorError};

/// What is said of a webhook.
#[derive(Debug, Clone)]
pub struct WebhookWish {
    /// Where events go, and which ones.
    pub definition: WebhookDefinition,
    /// The secret; none leaves the one that is there, and none within takes it away.
    pub secret: Option<Option<WebhookSecret>>,
    /// Behind which event it begins; without one, a new webhook begins now, and one that is there goes on.
    pub since: Option<i64>,
}

/// What came of trying a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookTest {
    /// The webhook.
    pub webhook: WebhookName,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

impl Monitor {
    /// Make a webhook, or say anew what one is; says whether it is new. Whatever failed before, it is tried at once.
    ///
    /// # Errors
    /// [`MonitorError::Webhook`], [`MonitorError::TooMany`], or the catalog's.
    pub async fn define_webhook(
        &self,
        name: WebhookName,
        wish: WebhookWish,
        principal: &str,
    ) -> Result<(ChangeWebhook, bool), MonitorError> {
        let WebhookWish { definition, secret, since } = wish;
        definition.check()?;
        self.inner.sender.allowed(&definition.url)?;
        secret.iter().flatten().try_for_each(|secret| signing_key(secret).map(drop))?;
        let (_, newest) = self.inner.catalog.changes().range().await?;
        if since.is_some_and(|since| since > newest) {
            return Err(WebhookError::new("since", "there is no such event yet").into());
        }
        let new = NewWebhook { name, definition, secret, since, principal: principal.to_owned() };
        let limit = self.inner.settings.webhooks.max_webhooks;
        match self.inner.catalog.change_webhooks().define(&new, limit).await? {
            DefinedWebhook::Made(webhook) => Ok((webhook, true)),
            DefinedWebhook::Changed(webhook) => Ok((webhook, false)),
            DefinedWebhook::TooMany => Err(MonitorError::TooMany { what: "webhooks", limit }),
        }
    }

    /// The webhook of this name.
    ///
    /// # Errors
    /// [`MonitorError::NotFound`], or the catalog's.
    pub async fn webhook(&self, name: &WebhookName) -> Result<ChangeWebhook, MonitorError> {
        let found = self.inner.catalog.change_webhooks().find(name).await?;
        found.ok_or_else(|| MonitorError::NotFound { what: "webhook", name: name.to_string() })
    }

    /// The webhooks by name.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn webhooks(&self, page: &PageRequest) -> Result<Page<ChangeWebhook>, MonitorError> {
        Ok(self.inner.catalog.change_webhooks().list(page).await?)
    }

    /// Forget a webhook, and how far it has come.
    ///
    /// # Errors
    /// [`MonitorError::NotFound`], or the catalog's.
    pub async fn forget_webhook(&self, name: &WebhookName) -> Result<(), MonitorError> {
        let missing = || MonitorError::NotFound { what: "webhook", name: name.to_string() };
        self.inner.catalog.change_webhooks().forget(name).await?.then_some(()).ok_or_else(missing)
    }

    /// Send an event that tells of nothing to a webhook, at once and once. Its position and state stay as they are.
    ///
    /// # Errors
    /// [`MonitorError::NotFound`], or the catalog's.
    pub async fn test_webhook(&self, name: &WebhookName) -> Result<WebhookTest, MonitorError> {
        let webhook = self.webhook(name).await?;
        let now = self.inner.clock.now();
        let sent = self.inner.sender.send(&webhook, &Message::test(&webhook, now), now).await;
        Ok(WebhookTest { webhook: webhook.name, failure: sent.err().map(|failed| failed.error) })
    }
}
