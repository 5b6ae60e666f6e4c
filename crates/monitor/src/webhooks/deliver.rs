//! The way of events to webhooks: each webhook goes its own way, so that one that hangs stops no other.

use std::{collections::HashSet, time::Duration};

use sluice_catalog::CatalogError;
use sluice_domain::{CatalogChange, ChangeWebhook, ContentMode, RetryRules, WebhookName, WebhookState};
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::message::Message;
use crate::{Monitor, MonitorError, outbox::backoff};

/// How many webhooks are told at once.
const AT_ONCE: usize = 16;
/// How many requests a webhook gets before others have their turn.
const REQUESTS_AT_ONCE: usize = 50;
/// How often to look for what is due.
const POLL: Duration = Duration::from_secs(1);

/// What is under way; each tells whether there may be more at once.
type Telling = JoinSet<(WebhookName, Result<bool, MonitorError>)>;

impl Monitor {
    /// Tell webhooks of changes, until the server stops.
    pub(crate) async fn tell_changes(self) {
        let mut stopped = self.inner.stop.subscribe();
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut telling, mut busy) = (Telling::new(), HashSet::new());
        loop {
            let looks = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => break,
                Some(told) = telling.join_next() => {
                    let Ok((name, outcome)) = told else { continue };
                    busy.remove(&name);
                    outcome.unwrap_or_else(|error| {
                        tracing::warn!(webhook = %name, %error, "could not tell a webhook of changes");
                        false
                    })
                }
                _ = ticks.tick() => true,
            };
            if looks && let Err(error) = self.begin_due(&mut telling, &mut busy).await {
                tracing::warn!(%error, "could not look for webhooks to tell of changes");
            }
        }
        // Each ends after the request that is under way.
        while telling.join_next().await.is_some() {}
    }

    /// Begin with the webhooks that are due and are not being told.
    async fn begin_due(&self, telling: &mut Telling, busy: &mut HashSet<WebhookName>) -> Result<(), MonitorError> {
        let limit = self.inner.settings.webhooks.max_webhooks;
        let due = self.inner.catalog.change_webhooks().due(self.inner.clock.now(), limit).await?;
        for webhook in due {
            if telling.len() >= AT_ONCE {
                break;
            }
            if busy.insert(webhook.name.clone()) {
                let this = self.clone();
                telling.spawn(async move { (webhook.name.clone(), this.tell(webhook).await) });
            }
        }
        Ok(())
    }

    /// Send a webhook what is for it, as long as that goes well; says whether there may be more.
    async fn tell(&self, mut webhook: ChangeWebhook) -> Result<bool, MonitorError> {
        let mut requests = 0;
        while requests < REQUESTS_AT_ONCE {
            if !self.may_send().await? {
                return Ok(false);
            }
            let Some(there) = self.settle(&webhook, self.found(&webhook).await?).await? else { return Ok(true) };
            webhook = there;
            let limit = self.inner.settings.webhooks.max_batch_events.clamp(1, 1000);
            let changes = self.inner.catalog.changes();
            let position = webhook.state.position;
            let (found, looked) = changes.since(position, webhook.definition.visible(), limit).await?;
            let wanted: Vec<CatalogChange> =
                found.into_iter().filter(|change| webhook.definition.takes(change)).collect();
            if wanted.is_empty() {
                let passed = (looked > position).then(|| webhook.state.passed(looked));
                if passed.is_none() {
                    return Ok(false);
                }
                let Some(there) = self.settle(&webhook, passed).await? else { return Ok(true) };
                webhook = there;
                continue;
            }
            for part in parts(webhook.definition.mode, &wanted) {
                let last = part.last().map_or(position, |change| change.number);
                let behind = if Some(last) == wanted.last().map(|change| change.number) { looked } else { last };
                requests += 1;
                match self.send(&webhook, part, (last, behind)).await? {
                    Some(there) => webhook = there,
                    None => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// Whether the server goes on, and it is its turn for one more request.
    async fn may_send(&self) -> Result<bool, CatalogError> {
        let is_stopping = *self.inner.stop.borrow();
        Ok(!is_stopping && self.inner.turn.take(&self.inner.catalog, self.request_timeout()).await?)
    }

    fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.inner.settings.webhooks.timeout_seconds.max(1))
    }

    /// The state from which to go on, where that is another one: events were forgotten, or the catalog is an older one.
    async fn found(&self, webhook: &ChangeWebhook) -> Result<Option<WebhookState>, CatalogError> {
        let (oldest, newest) = self.inner.catalog.changes().range().await?;
        let position = webhook.state.position;
        if position > newest {
            tracing::warn!(webhook = %webhook.name, position, newest, "a webhook was told of events that are not there");
            return Ok(Some(webhook.state.passed(newest)));
        }
        if position + 1 >= oldest {
            return Ok(None);
        }
        tracing::warn!(webhook = %webhook.name, position, oldest, "events were forgotten before a webhook had them");
        Ok(Some(webhook.state.missing(oldest, self.inner.clock.now())))
    }

    /// Write a state, where there is one; gives nothing where the webhook changed meanwhile.
    async fn settle(
        &self,
        webhook: &ChangeWebhook,
        state: Option<WebhookState>,
    ) -> Result<Option<ChangeWebhook>, CatalogError> {
        match state {
            Some(state) => self.inner.catalog.change_webhooks().settle(webhook, &state).await,
            None => Ok(Some(webhook.clone())),
        }
    }

    /// Send events once, and write what came of it; gives the webhook where it can go on.
    async fn send(
        &self,
        webhook: &ChangeWebhook,
        changes: &[CatalogChange],
        (last, behind): (i64, i64),
    ) -> Result<Option<ChangeWebhook>, MonitorError> {
        let settings = &self.inner.settings.webhooks;
        if !self.may_send().await? {
            return Ok(None);
        }
        let message = Message::of(webhook, changes);
        let sent = self.inner.sender.send(webhook, &message, self.inner.clock.now()).await;
        let now = self.inner.clock.now();
        let (state, is_well) = match &sent {
            Ok(()) => (webhook.state.delivered(last, behind, now), true),
            Err(failure) => {
                let rules = RetryRules {
                    backoff: backoff(settings.backoff_ms, webhook.state.attempts + 1),
                    give_up_after: Duration::from_secs(settings.give_up_seconds),
                };
                (webhook.state.failed(failure, rules, now), false)
            }
        };
        let outcome = match &state {
            _ if is_well => "delivered",
            state if state.disabled.is_some() => "disabled",
            _ => "retried",
        };
        self.inner.metrics.told_changes(outcome);
        if let Err(failure) = &sent {
            tracing::warn!(
                webhook = %webhook.name, attempt = state.attempts, error = failure.error, outcome,
                "a webhook could not be told of changes"
            );
        }
        let there = self.settle(webhook, Some(state)).await?;
        Ok(there.filter(|_| is_well))
    }
}

/// The events of each request.
fn parts(mode: ContentMode, changes: &[CatalogChange]) -> impl Iterator<Item = &[CatalogChange]> {
    changes.chunks(match mode {
        ContentMode::Structured => 1,
        ContentMode::Batched => changes.len().max(1),
    })
}

#[cfg(test)]
mod tests;
