//! What can go wrong with watching, and what the caller can do about it.

use sluice_catalog::CatalogError;
use sluice_domain::{AlertRuleError, ErrorKind, Failure, RuleName, RunError, ServiceLevelError, WebhookError};

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// There is no such run.
    #[error("there is no such run")]
    RunNotFound,
    /// There is no such thing of this name.
    #[error("there is no {what} {name}")]
    NotFound {
        /// What was asked for.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A report that cannot be taken.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The run is the ledger's to tell, not the caller's.
    #[error("the run is no reported one: what becomes of it is not said by requests")]
    NotReported,
    /// The key belongs to a run of another pipeline.
    #[error("the idempotency key belongs to a run of another pipeline")]
    KeyTaken,
    /// There are as many as there can be.
    #[error("there are {limit} {what} already, as many as there can be")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there can be.
        limit: u32,
    },
    /// A rule that cannot be.
    #[error("the alert rule {name}: {source}")]
    Rule {
        /// The rule.
        name: RuleName,
        /// What is wrong with it.
        source: AlertRuleError,
    },
    /// A service level that cannot be.
    #[error(transparent)]
    ServiceLevel(#[from] ServiceLevelError),
    /// A webhook that cannot be.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// Settings of a channel that make no sense.
    #[error("monitor.channels.{channel}: {reason}")]
    Settings {
        /// The channel.
        channel: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The catalog's.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Failure for MonitorError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::RunNotFound | Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Run(source) => source.kind(),
            Self::NotReported | Self::KeyTaken | Self::TooMany { .. } => ErrorKind::Conflict,
            Self::Rule { .. } | Self::ServiceLevel(_) | Self::Webhook(_) => ErrorKind::Invalid,
            Self::Settings { .. } => ErrorKind::Internal,
            Self::Catalog(source) => source.kind(),
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::RunNotFound | Self::NotFound { .. } => "not-found",
            Self::Run(source) => source.code(),
            Self::NotReported => "run-not-reported",
            Self::KeyTaken => "idempotency-key-taken",
            Self::TooMany { .. } => "too-many",
            Self::Rule { .. } => "bad-alert-rule",
            Self::ServiceLevel(_) => "bad-service-level",
            Self::Webhook(_) => "bad-webhook",
            Self::Settings { .. } => "bad-settings",
            Self::Catalog(source) => source.code(),
        }
    }
}
