//! Rules as they count, alerts as they are raised, and a try of a channel.

use chrono::TimeDelta;
use sluice_catalog::{AlertLimits, Entry, NewDelivery, SentAlert};
use sluice_domain::{Alert, AlertRule, AlertSeverity, Finding, NamespaceName, Page, PageRequest, RuleName};
use uuid::Uuid;

use crate::{Monitor, MonitorError, channels::Channel, rules};

/// What is told of a channel that is not there.
const UNKNOWN_CHANNEL: &str = "there is no such channel in the server's settings";

/// A rule, and whether it is one that was there from the beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectiveRule {
    /// The rule.
    pub rule: AlertRule,
    /// Whether nobody said otherwise.
    pub is_built_in: bool,
}

/// What came of trying a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutcome {
    /// The channel.
    pub channel: String,
    /// Its kind.
    pub kind: &'static str,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

impl Monitor {
    /// The rules as they count, by name.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn rules(&self) -> Result<Vec<EffectiveRule>, MonitorError> {
        let stored = self.inner.catalog.alert_rules().list().await?;
        let mut all: Vec<EffectiveRule> = self
            .built_in()
            .filter(|rule| stored.iter().all(|other| other.name != rule.name))
            .map(|rule| EffectiveRule { rule, is_built_in: true })
            .collect();
        all.extend(stored.into_iter().map(|rule| EffectiveRule { rule, is_built_in: false }));
        all.sort_by(|one, other| one.rule.name.cmp(&other.rule.name));
        Ok(all)
    }

    /// A rule as it counts.
    ///
    /// # Errors
    /// [`MonitorError::NotFound`], or the catalog's.
    pub async fn rule(&self, name: &RuleName) -> Result<EffectiveRule, MonitorError> {
        let found = self.rules().await?.into_iter().find(|rule| rule.rule.name == *name);
        found.ok_or_else(|| MonitorError::NotFound { what: "alert rule", name: name.to_string() })
    }

    /// Make a rule, or say anew what one is; says whether it is new.
    ///
    /// # Errors
    /// [`MonitorError::Rule`], [`MonitorError::TooMany`], or the catalog's.
    pub async fn define_rule(&self, rule: &AlertRule, principal: &str) -> Result<bool, MonitorError> {
        let known = |channel: &str| self.inner.channels.contains_key(channel);
        rule.check(known).map_err(|source| MonitorError::Rule { name: rule.name.clone(), source })?;
        let limit = self.inner.settings.alerts.max_rules;
        match self.inner.catalog.alert_rules().define(rule, principal, limit).await? {
            Entry::Made => Ok(!self.built_in().any(|other| other.name == rule.name)),
            Entry::Changed => Ok(false),
            Entry::TooMany => Err(MonitorError::TooMany { what: "alert rules", limit }),
        }
    }

    /// Forget what was said of a rule: one that was there from the beginning is as it was then.
    ///
    /// # Errors
    /// [`MonitorError::NotFound`], or the catalog's.
    pub async fn forget_rule(&self, name: &RuleName) -> Result<(), MonitorError> {
        let missing = || MonitorError::NotFound { what: "alert rule", name: name.to_string() };
        let forgotten = self.inner.catalog.alert_rules().forget(name).await?;
        forgotten.then_some(()).ok_or_else(missing)
    }

    /// The alerts of these namespaces, newest first.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn alerts(
        &self,
        visible: Option<&[NamespaceName]>,
        subject: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<SentAlert>, MonitorError> {
        Ok(self.inner.catalog.alerts().list(visible, subject, page).await?)
    }

    /// The channels of the settings, with their kinds.
    pub fn channels(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.inner.channels.iter().map(|(name, channel)| (name.as_str(), channel.kind()))
    }

    /// Send an alert that tells of nothing to a channel, at once and once.
    ///
    /// # Errors
    /// [`MonitorError::NotFound`].
    pub async fn test_channel(&self, name: &str) -> Result<TestOutcome, MonitorError> {
        let shown: String = name.chars().take(64).collect();
        let missing = || MonitorError::NotFound { what: "channel", name: shown };
        let channel = self.inner.channels.get(name).ok_or_else(missing)?;
        let result = channel.send(&self.test_alert(channel)?).await;
        self.inner.metrics.delivered(name, if result.is_ok() { "delivered" } else { "failed" });
        let failure = result.err().map(|error| error.to_string());
        Ok(TestOutcome { channel: name.to_owned(), kind: channel.kind(), failure })
    }

    /// As bad as it must be for the channel to take it.
    fn test_alert(&self, channel: &Channel) -> Result<Alert, MonitorError> {
        let severity = if channel.takes(AlertSeverity::Info) { AlertSeverity::Info } else { AlertSeverity::Critical };
        let name = "channel-test".parse::<RuleName>();
        let finding = Finding {
            rule: name.map_err(|source| MonitorError::NotFound { what: "rule", name: source.to_string() })?,
            subject: "channel-test".to_owned(),
            namespace: None,
            occurrence: String::new(),
            alert_type: "Channel Test".to_owned(),
            severity,
            message: "This is a test: nothing is wrong.".to_owned(),
        };
        Ok(Alert { id: Uuid::now_v7(), finding, created_at: self.inner.clock.now(), resolved_at: None })
    }

    /// Raise what a rule found; says whether that is news.
    pub(crate) async fn raise(&self, rule: &AlertRule, finding: &Finding) -> Result<bool, MonitorError> {
        let settings = &self.inner.settings.alerts;
        let window = TimeDelta::try_seconds(i64::try_from(settings.dedup_seconds).unwrap_or(i64::MAX));
        let repeats_after = self.inner.clock.now() - window.unwrap_or(TimeDelta::days(366));
        let limits = AlertLimits { repeats_after, waiting: settings.max_waiting, kept: settings.keep_alerts };
        let raised = self.inner.catalog.alerts().raise(finding, &self.deliveries(rule), limits).await?;
        let Some(raised) = raised else { return Ok(false) };
        tracing::warn!(
            alert.id = %raised.alert.id, alert.rule = %finding.rule, alert.subject = finding.subject,
            severity = %finding.severity, message = finding.message, "raised an alert"
        );
        self.inner.wake.notify_waiters();
        Ok(true)
    }

    /// Where the alerts of a rule go.
    fn deliveries(&self, rule: &AlertRule) -> Vec<NewDelivery> {
        let delivery = |name: &String| match self.inner.channels.get(name) {
            None => Some(NewDelivery { channel: name.clone(), refusal: Some(UNKNOWN_CHANNEL.to_owned()) }),
            Some(channel) if channel.takes(rule.severity) => Some(NewDelivery { channel: name.clone(), refusal: None }),
            Some(_) => None,
        };
        rule.channels.iter().filter_map(delivery).collect()
    }

    /// The rules that are there from the beginning, with the channels of their kinds.
    fn built_in(&self) -> impl Iterator<Item = AlertRule> {
        rules::BUILT_IN.iter().filter_map(|(name, condition, severity, kinds)| {
            let channels = self.channels().filter(|(_, kind)| kinds.contains(kind)).map(|(name, _)| name.to_owned());
            Some(AlertRule {
                name: name.parse().ok()?,
                condition: *condition,
                threshold: condition.default_threshold(),
                severity: *severity,
                channels: channels.collect(),
                pipeline: None,
                namespace: None,
                tag: None,
                min_rule_severity: None,
                enabled: true,
            })
        })
    }
}
