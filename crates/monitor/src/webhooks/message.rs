//! The bodies of requests to webhooks, and their signatures, as Standard Webhooks 1.0 has them.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use ring::hmac::{HMAC_SHA256, Key, sign};
use serde_json::{Value, json};
use sluice_domain::{CatalogChange, ChangeWebhook, ContentMode, WebhookError, WebhookSecret};
use uuid::Uuid;

/// What a secret begins with.
const SECRET_PREFIX: &str = "whsec_";
/// How long a secret may be, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What one request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The same whenever the same events are sent again; a list may have grown meanwhile.
    pub(crate) id: String,
    /// The media type of the body.
    pub(crate) media_type: &'static str,
    /// The body.
    pub(crate) body: String,
}

impl Message {
    /// These events, of which there is one at least; in the structured mode there is no other.
    pub(crate) fn of(webhook: &ChangeWebhook, changes: &[CatalogChange]) -> Self {
        let numbers = [changes.first(), changes.last()].map(|change| change.map_or(0, |change| change.number));
        let [first, last] = numbers;
        let id = if first == last { first.to_string() } else { format!("{first}-{last}") };
        let events = changes.iter().map(CatalogChange::cloud_event).collect();
        Self::with(webhook, &id, events)
    }

    /// An event that tells of nothing.
    pub(crate) fn test(webhook: &ChangeWebhook, now: DateTime<Utc>) -> Self {
        let id = Uuid::now_v7().to_string();
        let event = json!({
            "specversion": "1.0",
            "id": id,
            "source": "/api/v1/changes/webhooks",
            "type": "io.sluice.webhook.test",
            "subject": webhook.name.as_str(),
            "time": now,
            "datacontenttype": "application/json",
            "data": {},
        });
        Self::with(webhook, &id, vec![event])
    }

    fn with(webhook: &ChangeWebhook, id: &str, mut events: Vec<Value>) -> Self {
        let mode = webhook.definition.mode;
        let body = match mode {
            ContentMode::Structured => events.pop().unwrap_or_default(),
            ContentMode::Batched => Value::from(events),
        };
        // The webhook's id keeps those of one that had the name before apart.
        Self { id: format!("{}-{id}", webhook.id.simple()), media_type: mode.media_type(), body: body.to_string() }
    }
}

/// The key of a secret.
pub(crate) fn signing_key(secret: &WebhookSecret) -> Result<Key, WebhookError> {
    let rule = || {
        let (least, most) = (SECRET_BYTES.start(), SECRET_BYTES.end());
        WebhookError::new(
            "secret",
            format!("it is not {SECRET_PREFIX} with {least} to {most} bytes in Base64 behind it"),
        )
    };
    let text = secret.reveal().strip_prefix(SECRET_PREFIX).ok_or_else(rule)?;
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| rule())?;
    if SECRET_BYTES.contains(&bytes.len()) { Ok(Key::new(HMAC_SHA256, &bytes)) } else { Err(rule()) }
}

/// The signature of a body that is sent at this second of the Unix era.
pub(crate) fn signature(key: &Key, id: &str, timestamp: i64, body: &str) -> String {
    let signed = sign(key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(signed))
}

#[cfg(test)]
mod tests {
    use sluice_domain::{ChangedKind, WebhookDefinition, WebhookState};

    use super::*;

    fn secret(text: &str) -> WebhookSecret {
        WebhookSecret::new(text.to_owned())
    }

    #[test]
    fn a_signature_is_that_of_the_published_vector() {
        let key = signing_key(&secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_has_a_prefix_and_enough_bytes_and_is_not_told_in_errors() {
        let encoded = |bytes: usize| format!("whsec_{}", BASE64_STANDARD.encode(vec![7; bytes]));
        for bytes in [24, 64] {
            assert!(signing_key(&secret(&encoded(bytes))).is_ok(), "{bytes}");
        }
        let unprefixed = encoded(32).replace("whsec_", "");
        for text in ["", "whsec_", "whsec_???", &encoded(23), &encoded(65), &unprefixed, "pa55word"] {
            let error = signing_key(&secret(text)).unwrap_err();
            assert_eq!(error.field, "secret");
            assert!(text.len() < 8 || !error.to_string().contains(text), "{error}");
        }
    }

    fn webhook(mode: ContentMode) -> ChangeWebhook {
        let at: DateTime<Utc> = "2026-01-31T12:00:00Z".parse().unwrap();
        ChangeWebhook {
            id: Uuid::from_u128(7),
            name: "orders".parse().unwrap(),
            definition: WebhookDefinition { url: "http://x/".into(), types: Vec::new(), namespaces: Vec::new(), mode },
            secret: None,
            principal: "ada".into(),
            created_at: at,
            updated_at: at,
            revision: 1,
            state: WebhookState {
                position: 0,
                attempts: 0,
                next_at: at,
                delivered: None,
                failing_since: None,
                last_error: None,
                missed: None,
                disabled: None,
            },
        }
    }

    fn change(number: i64) -> CatalogChange {
        CatalogChange {
            number,
            kind: ChangedKind::TableCreated,
            namespace: "nyc".parse().unwrap(),
            subject: "nyc.flights".into(),
            body: json!({"a": 1}),
            at: "2026-01-31T12:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_request_has_one_event_or_a_list_and_an_id_that_stays() {
        let one = Message::of(&webhook(ContentMode::Structured), &[change(9)]);
        assert_eq!(one.id, "00000000000000000000000000000007-9");
        let event: Value = serde_json::from_str(&one.body).unwrap();
        let told = json!({"specversion": "1.0", "id": "9", "source": "/api/v1/tables", "type": "io.sluice.table.created",
            "subject": "nyc.flights", "time": "2026-01-31T12:00:00Z", "datacontenttype": "application/json",
            "data": {"a": 1}});
        assert_eq!((event, one.media_type), (told.clone(), "application/cloudevents+json"));
        let many = Message::of(&webhook(ContentMode::Batched), &[change(9), change(12)]);
        assert_eq!((many.id.ends_with("-9-12"), many.media_type), (true, "application/cloudevents-batch+json"));
        let events: Vec<Value> = serde_json::from_str(&many.body).unwrap();
        assert_eq!((events.len(), &events[0]), (2, &told));
    }
}
