//! Webhooks of the feed of changes: where events go, which ones, and how far each webhook has come.
//!
//! Invariant: a webhook's position moves forward only after its receiver took what is before it, or that was not for it.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{CatalogChange, ChangedKind, NamespaceName};

/// The longest name, in characters.
const MAX_NAME_CHARS: usize = 64;
/// The longest address, in bytes.
const MAX_URL_BYTES: usize = 2048;
/// How many namespaces one webhook names.
const MAX_NAMESPACES: usize = 100;
/// The longest wait that a receiver can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// The longest text that is kept of a failure, in characters.
const MAX_ERROR_CHARS: usize = 500;

/// A webhook that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct WebhookError {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl WebhookError {
    /// What is wrong with a field.
    pub fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self { field, reason: reason.into() }
    }
}

/// The name of a webhook. It has no full stop, so that it can be a part of ids that are signed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebhookName(String);

impl WebhookName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebhookName {
    type Err = WebhookError;
    fn from_str(text: &str) -> Result<Self, WebhookError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if !text.is_empty() && text.len() <= MAX_NAME_CHARS && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        let name: String = text.chars().take(MAX_NAME_CHARS).collect();
        let rule = format!("1 to {MAX_NAME_CHARS} lower-case letters, digits, underscores or hyphens");
        Err(WebhookError::new("webhook name", format!("{name:?} is not {rule}")))
    }
}

impl fmt::Display for WebhookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What requests are signed with, as Standard Webhooks write it: `whsec_` and Base64. It is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(String);

impl WebhookSecret {
    /// A secret, which whoever signs can read.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for signing and for the catalog.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// How events are put into requests, in the words of CloudEvents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentMode {
    /// One event a request: `application/cloudevents+json`.
    #[default]
    Structured,
    /// Many: `application/cloudevents-batch+json`.
    Batched,
}

impl ContentMode {
    /// The mode's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Structured => "structured",
            Self::Batched => "batched",
        }
    }

    /// The media type of its requests.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Structured => "application/cloudevents+json",
            Self::Batched => "application/cloudevents-batch+json",
        }
    }
}

/// Where events go, and which ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookDefinition {
    /// The address.
    pub url: String,
    /// Only these kinds; all of them without any.
    #[serde(default)]
    pub types: Vec<ChangedKind>,
    /// Only what happens in these namespaces; in all of them without any.
    #[serde(default)]
    pub namespaces: Vec<NamespaceName>,
    /// How events are put into requests.
    #[serde(default)]
    pub mode: ContentMode,
}

impl WebhookDefinition {
    /// Whether it can be, whatever the address is.
    ///
    /// # Errors
    /// [`WebhookError`], naming the field.
    pub fn check(&self) -> Result<(), WebhookError> {
        if self.url.is_empty() || self.url.len() > MAX_URL_BYTES || self.url.chars().any(char::is_control) {
            let reason = format!("it is empty, longer than {MAX_URL_BYTES} bytes, or holds control characters");
            return Err(WebhookError::new("url", reason));
        }
        if self.namespaces.len() > MAX_NAMESPACES {
            return Err(WebhookError::new("namespaces", format!("there are more than {MAX_NAMESPACES}")));
        }
        Ok(())
    }

    /// Whether an event is for it.
    pub fn takes(&self, change: &CatalogChange) -> bool {
        (self.types.is_empty() || self.types.contains(&change.kind))
            && (self.namespaces.is_empty() || self.namespaces.contains(&change.namespace))
    }

    /// The namespaces that it is told of; none: all.
    pub fn visible(&self) -> Option<&[NamespaceName]> {
        Some(self.namespaces.as_slice()).filter(|namespaces| !namespaces.is_empty())
    }
}

/// Events that a webhook should have had, and that were forgotten before it had them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissedChanges {
    /// The number of the first.
    pub from: i64,
    /// The number of the last.
    pub to: i64,
    /// When that was noticed.
    pub at: DateTime<Utc>,
}

/// How far a webhook has come, and how it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookState {
    /// The number of the last event that is behind it.
    pub position: i64,
    /// How often the next request was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next_at: DateTime<Utc>,
    /// The number of the last event that was taken, and when.
    pub delivered: Option<(i64, DateTime<Utc>)>,
    /// Since when every try has failed.
    pub failing_since: Option<DateTime<Utc>>,
    /// The last failure: when, and what it was. It stays when things are well again.
    pub last_error: Option<(DateTime<Utc>, String)>,
    /// What it missed last.
    pub missed: Option<MissedChanges>,
    /// Why nothing is sent any more.
    pub disabled: Option<String>,
}

/// A try that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTry {
    /// What happened.
    pub error: String,
    /// How long to wait at least, as the receiver asked.
    pub retry_after: Option<Duration>,
    /// Whether the receiver wants nothing any more.
    pub is_gone: bool,
}

/// How long things are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRules {
    /// The wait after this try.
    pub backoff: Duration,
    /// After how long without a success a webhook is disabled.
    pub give_up_after: Duration,
}

impl WebhookState {
    /// Nothing up to this number was for it.
    #[must_use]
    pub fn passed(&self, to: i64) -> Self {
        Self { position: to, ..self.clone() }
    }

    /// The receiver took everything up to this event; nothing more up to the position is for it.
    #[must_use]
    pub fn delivered(&self, number: i64, position: i64, now: DateTime<Utc>) -> Self {
        let delivered = Some((number, now));
        Self { position, attempts: 0, next_at: now, delivered, failing_since: None, ..self.clone() }
    }

    /// What is before the oldest event that is kept can be had no more.
    #[must_use]
    pub fn missing(&self, oldest: i64, now: DateTime<Utc>) -> Self {
        let missed = MissedChanges { from: self.position + 1, to: oldest - 1, at: now };
        Self { position: oldest - 1, missed: Some(missed), ..self.clone() }
    }

    /// A try failed.
    #[must_use]
    pub fn failed(&self, failure: &FailedTry, rules: RetryRules, now: DateTime<Utc>) -> Self {
        let failing_since = self.failing_since.unwrap_or(now);
        let wait = rules.backoff.max(failure.retry_after.unwrap_or_default()).min(LONGEST_WAIT);
        let lasted = (now - failing_since).to_std().unwrap_or_default();
        let disabled = if failure.is_gone {
            Some("the receiver answered 410: it wants nothing any more".to_owned())
        } else {
            let hours = rules.give_up_after.as_secs() / 3600;
            (lasted >= rules.give_up_after).then(|| format!("every try has failed for {hours} h"))
        };
        let error: String = failure.error.chars().take(MAX_ERROR_CHARS).collect();
        Self {
            attempts: self.attempts.saturating_add(1),
            next_at: now + TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(1)),
            failing_since: Some(failing_since),
            last_error: Some((now, error)),
            disabled,
            ..self.clone()
        }
    }
}

/// A webhook as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeWebhook {
    /// The id: another one after it was deleted and made anew.
    pub id: Uuid,
    /// The name.
    pub name: WebhookName,
    /// Where events go, and which ones.
    pub definition: WebhookDefinition,
    /// What requests are signed with.
    pub secret: Option<WebhookSecret>,
    /// Who defined it last.
    pub principal: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was defined last.
    pub updated_at: DateTime<Utc>,
    /// How often it was defined.
    pub revision: i64,
    /// How far it has come.
    pub state: WebhookState,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        "2026-01-31T12:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(minute)
    }

    fn state() -> WebhookState {
        WebhookState {
            position: 7,
            attempts: 0,
            next_at: at(0),
            delivered: None,
            failing_since: None,
            last_error: None,
            missed: None,
            disabled: None,
        }
    }

    #[rstest]
    #[case(&[], &[], true)]
    #[case(&[ChangedKind::TableCreated], &[], true)]
    #[case(&[ChangedKind::TableDeleted, ChangedKind::UploadFailed], &[], false)]
    #[case(&[], &["nyc", "hr"], true)]
    #[case(&[], &["hr"], false)]
    #[case(&[ChangedKind::TableCreated], &["hr"], false)]
    fn an_event_is_for_a_webhook_by_its_kind_and_namespace(
        #[case] types: &[ChangedKind],
        #[case] namespaces: &[&str],
        #[case] taken: bool,
    ) {
        let namespaces: Vec<NamespaceName> = namespaces.iter().map(|name| name.parse().unwrap()).collect();
        let url = "https://example.org/".to_owned();
        let definition = WebhookDefinition { url, types: types.to_vec(), namespaces, mode: ContentMode::Batched };
        let text = serde_json::to_string(&definition).unwrap();
        assert_eq!(serde_json::from_str::<WebhookDefinition>(&text).unwrap(), definition);
        let change = CatalogChange {
            number: 1,
            kind: ChangedKind::TableCreated,
            namespace: "nyc".parse().unwrap(),
            subject: "nyc.flights".into(),
            body: Value::Null,
            at: at(0),
        };
        assert_eq!(definition.takes(&change), taken);
    }

    #[test]
    fn a_name_can_be_part_of_an_id_that_is_signed() {
        for name in ["a", "orders_2-x", "7"] {
            assert_eq!(name.parse::<WebhookName>().unwrap().as_str(), name);
        }
        for name in ["", "a.b", "A", "a/b", "\u{e4}", &"a".repeat(65)] {
            assert!(name.parse::<WebhookName>().is_err(), "{name:?}");
        }
    }

    const RULES: RetryRules =
        RetryRules { backoff: Duration::from_secs(60), give_up_after: Duration::from_secs(3 * 3600) };

    fn failure(retry_after: Option<u64>) -> FailedTry {
        FailedTry { error: "x".repeat(900), retry_after: retry_after.map(Duration::from_secs), is_gone: false }
    }

    #[test]
    fn failures_put_off_and_add_up_and_a_success_ends_them() {
        let once = state().failed(&failure(None), RULES, at(0));
        assert_eq!((once.attempts, once.next_at, once.failing_since, once.position), (1, at(1), Some(at(0)), 7));
        let twice = once.failed(&failure(Some(600)), RULES, at(5));
        assert_eq!((twice.attempts, twice.next_at, twice.failing_since), (2, at(15), Some(at(0))), "it asked to wait");
        assert_eq!(once.failed(&failure(Some(u64::MAX)), RULES, at(0)).next_at, at(24 * 60), "no longer than a day");
        assert_eq!(once.failed(&failure(Some(1)), RULES, at(0)).next_at, at(1), "and no shorter than ours");
        assert_eq!(twice.last_error.as_ref().map(|(at, text)| (*at, text.len())), Some((at(5), MAX_ERROR_CHARS)));
        let well = twice.delivered(9, 11, at(20));
        assert_eq!(
            (well.attempts, well.failing_since, well.position, well.delivered),
            (0, None, 11, Some((9, at(20))))
        );
        assert_eq!(well.last_error, twice.last_error);
    }

    #[test]
    fn a_receiver_that_is_gone_or_down_for_long_is_told_nothing_more() {
        let gone = state().failed(&FailedTry { is_gone: true, ..failure(None) }, RULES, at(0));
        assert!(gone.disabled.unwrap().contains("410"));
        let down = state().failed(&failure(None), RULES, at(0));
        assert_eq!(down.failed(&failure(None), RULES, at(179)).disabled, None);
        assert_eq!(down.failed(&failure(None), RULES, at(180)).disabled.unwrap(), "every try has failed for 3 h");
    }

    #[test]
    fn what_was_forgotten_is_told_as_missed() {
        let missed = state().missing(20, at(1));
        assert_eq!((missed.position, missed.missed), (19, Some(MissedChanges { from: 8, to: 19, at: at(1) })));
        assert_eq!(format!("{:?}", WebhookSecret::new("whsec_x".into())), "[hidden]");
    }
}
