//! Alerts, rules and channels on the wire.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_catalog::SentAlert;
use sluice_domain::{
    AlertCondition, AlertDelivery, AlertRule, AlertSeverity, Label, NamespaceName, PipelineName, RuleName, Severity,
};
use sluice_monitor::{EffectiveRule, TestOutcome};
use utoipa::ToSchema;

/// When to raise an alert, and where to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertRuleBody {
    /// What it looks at: of runs `pipeline_failed`, `failure_rate`, `data_quality_score`, `duration_seconds` and
    /// `data_loss`; of pipelines `sla`; of tables `freshness`; of what came of the suites of tables, asked of uploads and
    /// by checks, `quality_check_failed` and `quality_check_score`. The alerts of the last two are over once a check of
    /// the whole table finds nothing.
    #[schema(value_type = String, example = "failure_rate",
        pattern = "^(pipeline_failed|failure_rate|data_quality_score|duration_seconds|data_loss|freshness|sla|\
            quality_check_failed|quality_check_score)$")]
    condition: AlertCondition,
    /// Beyond what it is raised: percent of records, the least score, seconds, or how many times later than expected.
    /// Default: 10, 95, 3600, 5 and 1.5; 95 of 100 rows that keep the rules of `quality_check_score`. `pipeline_failed`,
    /// `sla` and `quality_check_failed` have none.
    #[serde(default)]
    #[schema(minimum = 0)]
    threshold: Option<f64>,
    /// How bad that is: `INFO`, `WARNING` or `CRITICAL`. Default: `WARNING`.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(INFO|WARNING|CRITICAL)$")]
    severity: Option<AlertSeverity>,
    /// Where the alert goes: channels of the server's settings. PagerDuty gets what is `CRITICAL` only.
    #[schema(max_items = 32)]
    channels: Vec<String>,
    /// The only pipeline that it looks at, or table where it looks at tables. Default: all.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "daily_sales_etl")]
    pipeline: Option<PipelineName>,
    /// The only namespace whose tables it looks at, where it looks at tables. Default: all.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "sales")]
    namespace: Option<NamespaceName>,
    /// Tables with this tag alone, of `quality_check_failed` and `quality_check_score`. Default: all.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "gold")]
    tag: Option<Label>,
    /// How much a broken rule must matter of `quality_check_failed`: `low` (the default), `medium`, `high` or `critical`.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(low|medium|high|critical)$")]
    min_rule_severity: Option<Severity>,
    /// Whether it is looked at. Default: true.
    #[serde(default)]
    enabled: Option<bool>,
}

impl AlertRuleBody {
    /// The rule of this name.
    pub(crate) fn rule(self, name: RuleName) -> AlertRule {
        AlertRule {
            name,
            condition: self.condition,
            threshold: self.threshold,
            severity: self.severity.unwrap_or(AlertSeverity::Warning),
            channels: self.channels,
            pipeline: self.pipeline,
            namespace: self.namespace,
            tag: self.tag,
            min_rule_severity: self.min_rule_severity,
            enabled: self.enabled.unwrap_or(true),
        }
    }
}

/// A rule.
#[derive(Serialize, ToSchema)]
pub(crate) struct AlertRuleView {
    /// The name.
    name: String,
    /// What it looks at.
    #[schema(example = "failure_rate")]
    condition: &'static str,
    /// What its alerts are called.
    #[schema(example = "High Failure Rate")]
    alert_type: &'static str,
    /// Beyond what it is raised; null where there is no such thing.
    threshold: Option<f64>,
    /// `INFO`, `WARNING` or `CRITICAL`.
    #[schema(example = "WARNING")]
    severity: &'static str,
    /// Where the alert goes.
    channels: Vec<String>,
    /// The only pipeline or table that it looks at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline: Option<String>,
    /// The only namespace whose tables it looks at.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// The tag of the tables that it looks at.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    /// How much a broken rule must matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_rule_severity: Option<&'static str>,
    /// Whether it is looked at.
    enabled: bool,
    /// Whether it was there from the beginning and nobody said otherwise. Its alerts then go to every channel of the
    /// kinds that it is meant for.
    built_in: bool,
}

impl From<EffectiveRule> for AlertRuleView {
    fn from(effective: EffectiveRule) -> Self {
        let rule = effective.rule;
        Self {
            name: rule.name.into(),
            condition: rule.condition.as_str(),
            alert_type: rule.condition.alert_type(),
            threshold: rule.threshold.or(rule.condition.default_threshold()),
            severity: rule.severity.as_str(),
            channels: rule.channels,
            pipeline: rule.pipeline.map(Into::into),
            namespace: rule.namespace.map(|namespace| namespace.to_string()),
            tag: rule.tag.map(|tag| tag.to_string()),
            min_rule_severity: rule.min_rule_severity.map(Severity::as_str),
            enabled: rule.enabled,
            built_in: effective.is_built_in,
        }
    }
}

/// The rules.
#[derive(Serialize, ToSchema)]
pub(crate) struct AlertRulePage {
    /// By name.
    pub(crate) items: Vec<AlertRuleView>,
}

/// An alert.
#[derive(Serialize, ToSchema)]
pub(crate) struct AlertView {
    /// The id.
    alert_id: String,
    /// The rule that raised it.
    rule: String,
    /// The pipeline or table that it is about.
    subject: String,
    /// What it is called.
    #[schema(example = "Pipeline Failure")]
    alert_type: String,
    /// `INFO`, `WARNING` or `CRITICAL`.
    #[schema(example = "CRITICAL")]
    severity: &'static str,
    /// What happened.
    message: String,
    /// When it was raised.
    timestamp: DateTime<Utc>,
    /// When what happened was found to be over; of quality alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_at: Option<DateTime<Utc>>,
    /// Its ways to people.
    deliveries: Vec<DeliveryView>,
}

/// An alert's way to one channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryView {
    /// The channel.
    channel: String,
    /// `waiting`, `delivered` or `failed`.
    #[schema(example = "delivered")]
    state: &'static str,
    /// How often it was tried.
    attempts: u32,
    /// What the last failed try came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// When it was delivered or given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    settled_at: Option<DateTime<Utc>>,
}

impl From<AlertDelivery> for DeliveryView {
    fn from(delivery: AlertDelivery) -> Self {
        Self {
            channel: delivery.channel,
            state: delivery.state.as_str(),
            attempts: delivery.attempts,
            detail: delivery.detail,
            settled_at: delivery.settled_at,
        }
    }
}

impl From<SentAlert> for AlertView {
    fn from(sent: SentAlert) -> Self {
        let finding = sent.alert.finding;
        Self {
            alert_id: sent.alert.id.to_string(),
            rule: finding.rule.into(),
            subject: finding.subject,
            alert_type: finding.alert_type,
            severity: finding.severity.as_str(),
            message: finding.message,
            timestamp: sent.alert.created_at,
            resolved_at: sent.alert.resolved_at,
            deliveries: sent.deliveries.into_iter().map(Into::into).collect(),
        }
    }
}

/// A page of alerts.
#[derive(Serialize, ToSchema)]
pub(crate) struct AlertPage {
    /// The alerts, newest first.
    pub(crate) items: Vec<AlertView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// A channel of the settings. Where it goes is not shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct AlertChannelView {
    /// The name.
    pub(crate) name: String,
    /// `webhook`, `slack`, `pagerduty` or `email`.
    #[schema(example = "slack")]
    pub(crate) kind: &'static str,
}

/// The channels.
#[derive(Serialize, ToSchema)]
pub(crate) struct AlertChannelPage {
    /// By name.
    pub(crate) items: Vec<AlertChannelView>,
}

/// What came of trying a channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChannelTestView {
    /// The channel.
    channel: String,
    /// Its kind.
    kind: &'static str,
    /// Whether it took the alert.
    delivered: bool,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl From<TestOutcome> for ChannelTestView {
    fn from(outcome: TestOutcome) -> Self {
        let delivered = outcome.failure.is_none();
        Self { channel: outcome.channel, kind: outcome.kind, delivered, detail: outcome.failure }
    }
}
