//! The ways of an alert to people. Each tells why it failed, and never tells a secret.

mod email;
pub(crate) mod http;
mod payload;

use std::{collections::BTreeMap, time::Duration};

use sluice_domain::{Alert, AlertSeverity};

use self::{email::Email, http::Http};
use crate::{ChannelSettings, MonitorError, MonitorSettings};
pub(crate) use payload::Payload;

/// A try that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct SendError {
    /// Why.
    pub(crate) reason: String,
    /// How long the channel wants to be left alone, where it says so.
    pub(crate) retry_after: Option<Duration>,
}

impl SendError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: None }
    }
}

/// A place that alerts go to.
#[derive(Debug)]
pub(crate) enum Channel {
    Webhook(Http),
    Slack(Http),
    PagerDuty { http: Http, routing_key: crate::Secret },
    Email(Box<Email>),
}

impl Channel {
    /// The kind's name.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Slack(_) => "slack",
            Self::PagerDuty { .. } => "pagerduty",
            Self::Email(_) => "email",
        }
    }

    /// Whether it is for alerts that are so bad.
    pub(crate) fn takes(&self, severity: AlertSeverity) -> bool {
        !matches!(self, Self::PagerDuty { .. }) || severity == AlertSeverity::Critical
    }

    /// Bring an alert there.
    pub(crate) async fn send(&self, alert: &Alert) -> Result<(), SendError> {
        let payload = Payload::of(alert);
        match self {
            Self::Webhook(http) => http.post(&payload.plain()).await,
            Self::Slack(http) => http.post(&payload.slack()).await,
            Self::PagerDuty { http, routing_key } => http.post(&payload.pagerduty(routing_key.reveal())).await,
            Self::Email(email) => email.send(&payload).await,
        }
    }
}

/// The channels of the settings.
pub(crate) fn open(settings: &MonitorSettings) -> Result<BTreeMap<String, Channel>, MonitorError> {
    settings.check()?;
    let timeout = Duration::from_secs(settings.alerts.timeout_seconds.max(1));
    let open = |(name, one): (&String, &ChannelSettings)| {
        let bad = |reason: String| MonitorError::Settings { channel: name.clone(), reason };
        let channel = match one {
            ChannelSettings::Webhook(webhook) => {
                Http::new(&webhook.url, &webhook.headers, timeout).map(Channel::Webhook)
            }
            ChannelSettings::Slack(slack) => Http::new(&slack.url, &BTreeMap::new(), timeout).map(Channel::Slack),
            ChannelSettings::PagerDuty(pagerduty) => Http::new(&pagerduty.url, &BTreeMap::new(), timeout)
                .map(|http| Channel::PagerDuty { http, routing_key: pagerduty.routing_key.clone() }),
            ChannelSettings::Email(email) => Email::new(email, timeout).map(|email| Channel::Email(Box::new(email))),
        };
        channel.map(|channel| (name.clone(), channel)).map_err(bad)
    };
    settings.channels.iter().map(open).collect()
}
