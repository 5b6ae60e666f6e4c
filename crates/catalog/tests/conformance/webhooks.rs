//! Webhooks of the feed of changes.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use sluice_catalog::{DefinedWebhook, NewWebhook};
use sluice_domain::{
    ChangeWebhook, ChangedKind, ContentMode, FailedTry, RetryRules, WebhookDefinition, WebhookName, WebhookSecret,
};

use crate::samples::{Lake, page};

const RULES: RetryRules = RetryRules { backoff: Duration::from_secs(60), give_up_after: Duration::from_secs(3600) };

fn name(text: &str) -> WebhookName {
    text.parse().unwrap()
}

fn new_webhook(webhook: &str) -> NewWebhook {
    let definition = WebhookDefinition {
        url: "https://hooks.example.com/'); DROP TABLE change_webhooks; --".into(),
        types: vec![ChangedKind::TableCreated],
        namespaces: vec!["nyc".parse().unwrap()],
        mode: ContentMode::Batched,
    };
    NewWebhook { name: name(webhook), definition, secret: None, since: None, principal: "ada".into() }
}

impl Lake {
    async fn webhook(&self, new: &NewWebhook) -> ChangeWebhook {
        match self.catalog.change_webhooks().define(new, 3).await.unwrap() {
            DefinedWebhook::Made(webhook) | DefinedWebhook::Changed(webhook) => webhook,
            DefinedWebhook::TooMany => panic!("there are too many"),
        }
    }

    async fn due(&self, after: TimeDelta) -> Vec<String> {
        let due = self.catalog.change_webhooks().due(Utc::now() + after, 10).await.unwrap();
        due.iter().map(|webhook| webhook.name.to_string()).collect()
    }
}

#[tokio::test]
async fn a_webhook_begins_now_or_where_it_is_asked_to_and_stays_where_it_is() {
    let lake = Lake::open().await;
    for table in ["a.one", "a.two", "a.three"] {
        lake.active_table(table).await;
    }
    let now = lake.webhook(&new_webhook("now")).await;
    assert_eq!((now.state.position, now.secret.clone(), now.revision), (3, None, 1));
    assert_eq!(now.definition, new_webhook("now").definition);
    let all = lake.webhook(&NewWebhook { since: Some(0), ..new_webhook("all") }).await;
    assert_eq!(all.state.position, 0);
    lake.catalog.changes().forget_changes(Utc::now() + TimeDelta::hours(1), 1).await.unwrap();
    let kept = lake.webhook(&NewWebhook { since: Some(0), ..new_webhook("kept") }).await;
    assert_eq!(kept.state.position, 1, "everything that is kept");
    let limit = lake.catalog.change_webhooks().define(&new_webhook("more"), 3).await.unwrap();
    assert_eq!(limit, DefinedWebhook::TooMany);

    let secret = Some(Some(WebhookSecret::new("whsec_x".into())));
    let signed = lake.webhook(&NewWebhook { secret, ..new_webhook("now") }).await;
    assert_eq!((signed.id, signed.state.position, signed.revision), (now.id, 3, 2));
    let lake = lake.reopen().await;
    let still = lake.webhook(&NewWebhook { since: Some(2), ..new_webhook("now") }).await;
    assert_eq!((still.secret, still.state.position), (signed.secret, 2), "the secret stays where none is said");
    let without = lake.webhook(&NewWebhook { secret: Some(None), ..new_webhook("now") }).await;
    assert_eq!(without.secret, None);
    assert_eq!(lake.catalog.change_webhooks().find(&name("now")).await.unwrap(), Some(without));
}

#[tokio::test]
async fn webhooks_are_listed_and_forgotten() {
    let lake = Lake::open().await;
    let webhooks = lake.catalog.change_webhooks();
    for webhook in ["c", "a", "b"] {
        lake.webhook(&new_webhook(webhook)).await;
    }
    let first = webhooks.list(&page(2, None)).await.unwrap();
    let rest = webhooks.list(&page(2, first.next)).await.unwrap();
    let names: Vec<_> = first.items.iter().chain(&rest.items).map(|webhook| webhook.name.to_string()).collect();
    assert_eq!((names, rest.next), (vec!["a".to_owned(), "b".into(), "c".into()], None));
    let before = first.items[0].clone();
    assert!(webhooks.forget(&name("a")).await.unwrap());
    assert!(!webhooks.forget(&name("a")).await.unwrap());
    assert_eq!(webhooks.find(&name("a")).await.unwrap(), None);
    let again = lake.webhook(&new_webhook("a")).await;
    assert_ne!(again.id, before.id);
    assert_eq!(webhooks.settle(&before, &before.state.passed(0)).await.unwrap(), None, "it is another one");
}

#[tokio::test]
async fn those_that_are_behind_are_due_until_they_fail_or_are_through() {
    let lake = Lake::open().await;
    let webhooks = lake.catalog.change_webhooks();
    let (one, other) = (lake.webhook(&new_webhook("one")).await, lake.webhook(&new_webhook("other")).await);
    let soon = TimeDelta::seconds(1);
    assert_eq!(lake.due(soon).await, Vec::<String>::new(), "nothing happened yet");
    lake.active_table("a.t").await;
    assert_eq!(lake.due(soon).await, ["one", "other"]);
    assert_eq!(lake.due(-TimeDelta::hours(1)).await, Vec::<String>::new());

    let now = one.updated_at;
    let through = webhooks.settle(&one, &one.state.delivered(1, 1, now)).await.unwrap().unwrap();
    assert_eq!(through.state, one.state.delivered(1, 1, now), "what is written is what is read");
    assert_eq!(webhooks.settle(&one, &one.state.passed(9)).await.unwrap(), None, "it is not there any more");
    assert_eq!(lake.due(soon).await, ["other"]);

    let failure = FailedTry { error: "it's \u{202e} broken".into(), retry_after: None, is_gone: false };
    let failed = webhooks.settle(&other, &other.state.failed(&failure, RULES, now)).await.unwrap().unwrap();
    assert_eq!(failed.state, other.state.failed(&failure, RULES, now));
    assert_eq!(webhooks.settle(&other, &other.state.delivered(1, 1, now)).await.unwrap(), None, "another try was made");
    assert_eq!((lake.due(soon).await, lake.due(TimeDelta::seconds(120)).await), (vec![], vec!["other".to_owned()]));

    let gone = failed.state.failed(&FailedTry { is_gone: true, ..failure }, RULES, now);
    let gone = webhooks.settle(&failed, &gone).await.unwrap().unwrap();
    assert_eq!(lake.due(TimeDelta::days(400)).await, Vec::<String>::new(), "it is disabled");
    assert_eq!(webhooks.settle(&gone, &gone.state.passed(1)).await.unwrap(), None);
    let again = lake.webhook(&new_webhook("other")).await;
    assert_eq!((again.state.disabled.is_none(), again.state.attempts, again.state.position), (true, 0, 0));
    assert_eq!(lake.due(soon).await, ["other"], "at once");
    assert_eq!(webhooks.settle(&gone, &gone.state.passed(1)).await.unwrap(), None, "it was defined anew meanwhile");

    let missing = again.state.missing(7, now);
    let missed = webhooks.settle(&again, &missing).await.unwrap().unwrap();
    assert_eq!(missed.state, missing);
    assert_eq!(lake.webhook(&new_webhook("other")).await.state.missed, missing.missed);
    assert_eq!(lake.webhook(&NewWebhook { since: Some(0), ..new_webhook("other") }).await.state.missed, None);
}

#[tokio::test]
async fn a_webhook_and_its_secret_come_along_with_an_export() {
    let lake = Lake::open().await;
    let secret = Some(Some(WebhookSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into())));
    let webhook = lake.webhook(&NewWebhook { secret, ..new_webhook("one") }).await;
    let mut text = Vec::new();
    lake.catalog.export(&mut text).await.unwrap();
    let copy = Lake::open().await;
    copy.catalog.import(&mut text.as_slice()).await.unwrap();
    assert_eq!(copy.catalog.change_webhooks().find(&webhook.name).await.unwrap(), Some(webhook));
}
