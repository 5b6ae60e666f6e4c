//! Runs, freshness and service levels judged by the clock, alerts sent to people, and changes told to webhooks.
//!
//! Owns what is found wrong with runs, tables and pipelines, and the ways of an alert to a channel and of an event to a
//! webhook. Never touches rows: what it judges, the catalog tells.
//!
//! Invariant: every judgement is a pure function of what the catalog tells and of the clock.
//! Invariant: an alert is in the catalog before it is sent, and is sent at least once.
//! Invariant: where alerts go stands in the settings; no caller can name an address. A webhook's address is a caller's,
//! and its host stands in the settings.

mod clock;
mod error;
mod secret;
mod settings;

mod health;
mod metrics;
mod quality;
mod rules;
mod service_levels;

mod alerts;
mod channels;
mod outbox;

mod runs;
mod watch;

mod webhooks;

mod monitor;

pub use alerts::{EffectiveRule, TestOutcome};
pub use clock::Clock;
pub use error::MonitorError;
pub use health::Health;
pub use metrics::MonitorMetrics;
pub use monitor::Monitor;
pub use runs::BegunRun;
pub use secret::Secret;
pub use service_levels::PipelineServiceLevel;
pub use settings::{
    AlertSettings, ChangeWebhookSettings, ChannelSettings, EmailSettings, Encryption, MonitorSettings,
    PagerDutySettings, RunSettings, SlackSettings, WebhookSettings,
};
pub use webhooks::{WebhookTest, WebhookWish};
