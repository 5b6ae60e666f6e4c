//! What an operator can set about watching and alerting.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{MonitorError, Secret};

/// The longest name of a channel, in characters.
const MAX_CHANNEL_CHARS: usize = 64;

/// How runs and tables are watched, and where alerts go.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MonitorSettings {
    /// How often runs, tables and pipelines are looked at, in seconds.
    pub interval_seconds: u64,
    /// How much of the past a service level is judged by, in seconds.
    pub sla_window_seconds: u64,
    /// Runs that other programs report.
    pub runs: RunSettings,
    /// Alerts.
    pub alerts: AlertSettings,
    /// Where alerts can go, by name.
    pub channels: BTreeMap<String, ChannelSettings>,
    /// Where the feed of changes can go.
    pub webhooks: ChangeWebhookSettings,
}

impl Default for MonitorSettings {
    fn default() -> Self {
        Self {
            interval_seconds: 30,
            sla_window_seconds: 24 * 3600,
            runs: RunSettings::default(),
            alerts: AlertSettings::default(),
            channels: BTreeMap::new(),
            webhooks: ChangeWebhookSettings::default(),
        }
    }
}

/// Webhooks of the feed of changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeWebhookSettings {
    /// The hosts that webhooks may be at, as `hooks.example.com`, which stands for its usual ports, or with a port, as
    /// `10.0.0.7:8080`. Default: none.
    pub hosts: Vec<String>,
    /// How many webhooks there can be.
    pub max_webhooks: u32,
    /// How many events one request has at the most, where it has many.
    pub max_batch_events: u32,
    /// How long a receiver may take for one request, in seconds.
    pub timeout_seconds: u64,
    /// The wait after the first failed try, in milliseconds; each further one is twice as long, up to an hour.
    pub backoff_ms: u64,
    /// After how long without a success a webhook is disabled, in seconds.
    pub give_up_seconds: u64,
}

impl Default for ChangeWebhookSettings {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            max_webhooks: 100,
            max_batch_events: 100,
            timeout_seconds: 10,
            backoff_ms: 2000,
            give_up_seconds: 5 * 24 * 3600,
        }
    }
}

/// How many reported runs are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunSettings {
    /// Of how many pipelines.
    pub max_pipelines: u32,
    /// How many of each, the newest.
    pub keep_runs: u32,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self { max_pipelines: 1000, keep_runs: 1000 }
    }
}

/// How alerts are raised, kept and sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertSettings {
    /// For how long an alert stands for further ones of the same rule and subject, in seconds.
    pub dedup_seconds: u64,
    /// How long a channel may take for one alert, in seconds.
    pub timeout_seconds: u64,
    /// How often an alert is tried before it is given up.
    pub max_attempts: u32,
    /// The wait after the first failed try, in milliseconds; each further one is twice as long, up to an hour.
    pub backoff_ms: u64,
    /// How many deliveries wait; further ones are given up at once.
    pub max_waiting: u32,
    /// How many alerts are kept, beside those that wait to be delivered.
    pub keep_alerts: u32,
    /// How many rules there can be, and how many service levels.
    pub max_rules: u32,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            dedup_seconds: 3600,
            timeout_seconds: 10,
            max_attempts: 10,
            backoff_ms: 2000,
            max_waiting: 10_000,
            keep_alerts: 10_000,
            max_rules: 1000,
        }
    }
}

/// A place that alerts go to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ChannelSettings {
    /// Any HTTP server that takes JSON.
    Webhook(WebhookSettings),
    /// An incoming webhook of Slack.
    Slack(SlackSettings),
    /// PagerDuty's Events API v2.
    PagerDuty(PagerDutySettings),
    /// E-mail over SMTP.
    Email(EmailSettings),
}

/// A webhook.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// The address; it may hold a secret.
    pub url: Secret,
    /// Headers that are sent with every alert.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
}

/// A channel of Slack.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackSettings {
    /// The address of the incoming webhook, which is a secret.
    pub url: Secret,
}

/// A service of PagerDuty.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagerDutySettings {
    /// The address of the Events API.
    #[serde(default = "pagerduty_url")]
    pub url: Secret,
    /// The integration key.
    pub routing_key: Secret,
}

fn pagerduty_url() -> Secret {
    "https://events.pagerduty.com/v2/enqueue".into()
}

/// People with mailboxes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailSettings {
    /// The SMTP server.
    pub host: String,
    /// Its port.
    #[serde(default = "submission_port")]
    pub port: u16,
    /// How the connection is kept from others' eyes: `starttls` or `tls`.
    #[serde(default)]
    pub encryption: Encryption,
    /// A certificate, PEM, that is trusted beside those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Who logs in; nobody where it is not said.
    #[serde(default)]
    pub username: Option<String>,
    /// The password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The sender's address.
    pub from: String,
    /// The recipients' addresses.
    pub to: Vec<String>,
}

fn submission_port() -> u16 {
    587
}

/// How a connection to an SMTP server is encrypted. It always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// It begins in clear, and goes on only encrypted.
    #[default]
    StartTls,
    /// From its beginning.
    Tls,
}

impl MonitorSettings {
    /// Whether the names of channels can be.
    ///
    /// # Errors
    /// [`MonitorError::Settings`].
    pub(crate) fn check(&self) -> Result<(), MonitorError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        for name in self.channels.keys() {
            if name.is_empty() || name.len() > MAX_CHANNEL_CHARS || !name.bytes().all(plain) {
                let reason = format!("use 1 to {MAX_CHANNEL_CHARS} lower-case letters, digits, underscores or hyphens");
                return Err(MonitorError::Settings { channel: name.clone(), reason });
            }
        }
        Ok(())
    }
}
