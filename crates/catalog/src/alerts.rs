//! Alert rules, the alerts that were raised, and those on their way to people.
//!
//! Invariant: an alert and its deliveries are entered in one transaction, so that none is forgotten.
//! Invariant: a delivery is tried by one server at a time, and stays until a channel took it or it is given up.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{Alert, AlertDelivery, AlertRule, DeliveryId, Finding, NamespaceName, Page, PageRequest, RuleName};

use crate::{CatalogError, Entry};

/// The alert rules.
#[async_trait]
pub trait AlertRules: Send + Sync {
    /// Make a rule, unless there are as many as the limit, or say anew what the one of this name is.
    async fn define(&self, rule: &AlertRule, principal: &str, limit: u32) -> Result<Entry, CatalogError>;

    /// Forget a rule; says whether there was one.
    async fn forget(&self, name: &RuleName) -> Result<bool, CatalogError>;

    /// All of them, by name.
    async fn list(&self) -> Result<Vec<AlertRule>, CatalogError>;
}

/// Where an alert is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// The channel.
    pub channel: String,
    /// Why it cannot go there at all.
    pub refusal: Option<String>,
}

/// How many alerts are raised and kept.
#[derive(Debug, Clone, Copy)]
pub struct AlertLimits {
    /// An alert of the same rule and subject that was raised later than this stands for a new one.
    pub repeats_after: DateTime<Utc>,
    /// How many deliveries wait; further ones are given up.
    pub waiting: u32,
    /// How many alerts are kept, beside those that wait to be delivered.
    pub kept: u32,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The channel took it.
    Delivered,
    /// It is tried again at this moment.
    Again(DateTime<Utc>, String),
    /// It is given up.
    GivenUp(String),
}

/// An alert and its deliveries.
#[derive(Debug, Clone, PartialEq)]
pub struct SentAlert {
    /// The alert.
    pub alert: Alert,
    /// Where it goes, by channel.
    pub deliveries: Vec<AlertDelivery>,
}

/// The alerts.
#[async_trait]
pub trait Alerts: Send + Sync {
    /// Raise an alert, unless this occurrence was raised, or another one of its rule and subject lately that is not over.
    async fn raise(
        &self,
        finding: &Finding,
        deliveries: &[NewDelivery],
        limits: AlertLimits,
    ) -> Result<Option<SentAlert>, CatalogError>;

    /// What a rule told of this subject is over, of occurrences that sort before this one. Says how many alerts were
    /// open; another one of a later occurrence may be raised at once.
    async fn resolve(&self, rule: &RuleName, subject: &str, before: &str) -> Result<u64, CatalogError>;

    /// Alerts of these namespaces (none: all) and of this subject (none: any), newest first. The token is the last id.
    async fn list(
        &self,
        visible: Option<&[NamespaceName]>,
        subject: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<SentAlert>, CatalogError>;

    /// Deliveries to this channel that are due now, for this server alone until `until`, the longest due first.
    async fn claim(
        &self,
        channel: &str,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<(AlertDelivery, Alert)>, CatalogError>;

    /// Say what came of the try of this number; nothing changes where a later one began.
    async fn settle(&self, id: DeliveryId, attempt: u32, settlement: &Settlement) -> Result<(), CatalogError>;

    /// Give up what waits for other channels than these; says how many deliveries those were.
    async fn give_up_unknown(&self, known: &[String]) -> Result<u64, CatalogError>;
}

/// Whose turn it is to watch.
#[async_trait]
pub trait Watches: Send + Sync {
    /// Take or keep the turn until this moment, unless it is another server's. Gives up to when was looked, if ever.
    async fn take_turn(&self, name: &str, until: DateTime<Utc>) -> Result<Option<Option<DateTime<Utc>>>, CatalogError>;

    /// Write down up to when was looked, as long as it is this server's turn.
    async fn advance(&self, name: &str, watermark: DateTime<Utc>) -> Result<(), CatalogError>;
}
