//! Alert rules, the alerts that they raise, and their way to people.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::PipelineName;
use crate::{Label, NamespaceName, Severity, TableRef, word_set::words};

/// The longest name of a rule, in characters.
const MAX_NAME_CHARS: usize = 128;
/// The most channels that one rule names.
const MAX_CHANNELS: usize = 32;
/// The largest threshold: of a duration, ten years of seconds.
const MAX_THRESHOLD: f64 = 316_224_000.0;

words!(
    /// How bad it is.
    AlertSeverity, "severity", {
        /// Good to know.
        Info = "INFO",
        /// Somebody should look.
        Warning = "WARNING",
        /// Somebody must look now.
        Critical = "CRITICAL",
    }
);

words!(
    /// What a rule looks at.
    AlertCondition, "condition", {
        /// A run failed.
        PipelineFailed = "pipeline_failed",
        /// More than so many of a hundred records of a run were bad.
        FailureRate = "failure_rate",
        /// The quality score of a run is below the threshold.
        QualityScore = "data_quality_score",
        /// A run took more seconds.
        Duration = "duration_seconds",
        /// More than so many of a hundred records of a run did not come out.
        DataLoss = "data_loss",
        /// A table is later than so many times what is expected of it.
        Freshness = "freshness",
        /// A pipeline does not keep to its service level.
        ServiceLevel = "sla",
        /// Rules of a table's suite are broken, as a check of the table or of an upload tells.
        QualityCheck = "quality_check_failed",
        /// Fewer of a hundred rows keep the rules of a table's suite.
        CheckScore = "quality_check_score",
    }
);

impl AlertCondition {
    /// What its alerts are called.
    pub fn alert_type(self) -> &'static str {
        match self {
            Self::PipelineFailed => "Pipeline Failure",
            Self::FailureRate => "High Failure Rate",
            Self::QualityScore => "Low Data Quality",
            Self::Duration => "Long Runtime",
            Self::DataLoss => "Data Loss",
            Self::Freshness => "Stale Data",
            Self::ServiceLevel => "SLA Breach",
            Self::QualityCheck => "Quality Check Failure",
            Self::CheckScore => "Low Check Score",
        }
    }

    /// The threshold where the rule does not say; none of conditions that have none.
    pub fn default_threshold(self) -> Option<f64> {
        match self {
            Self::PipelineFailed | Self::ServiceLevel | Self::QualityCheck => None,
            Self::FailureRate => Some(10.0),
            Self::QualityScore | Self::CheckScore => Some(95.0),
            Self::Duration => Some(3600.0),
            Self::DataLoss => Some(5.0),
            Self::Freshness => Some(1.5),
        }
    }

    /// Whether it looks at what came of quality suites.
    pub fn is_of_results(self) -> bool {
        matches!(self, Self::QualityCheck | Self::CheckScore)
    }

    /// The largest threshold that makes sense.
    fn largest_threshold(self) -> f64 {
        match self {
            Self::FailureRate | Self::QualityScore | Self::DataLoss | Self::CheckScore => 100.0,
            _ => MAX_THRESHOLD,
        }
    }
}

/// The name of an alert rule. Case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuleName(String);

impl RuleName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RuleName {
    type Err = AlertRuleError;
    fn from_str(text: &str) -> Result<Self, AlertRuleError> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if first && plain && text.len() <= MAX_NAME_CHARS {
            return Ok(Self(text.to_owned()));
        }
        let name: String = text.chars().take(64).collect();
        let reason = format!("{name:?} is not 1 to {MAX_NAME_CHARS} letters, digits, underscores, hyphens or dots");
        Err(AlertRuleError { field: "rule name", reason })
    }
}

impl TryFrom<String> for RuleName {
    type Error = AlertRuleError;
    fn try_from(text: String) -> Result<Self, AlertRuleError> {
        text.parse()
    }
}

impl From<RuleName> for String {
    fn from(name: RuleName) -> String {
        name.0
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A rule that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct AlertRuleError {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// When to raise an alert, and where to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRule {
    /// The name.
    pub name: RuleName,
    /// What it looks at.
    pub condition: AlertCondition,
    /// Beyond what it is raised; the condition's own where it is not said.
    pub threshold: Option<f64>,
    /// How bad that is.
    pub severity: AlertSeverity,
    /// Where the alert goes: channels of the server's settings.
    pub channels: Vec<String>,
    /// The only pipeline that it looks at, or table where it looks at tables; all where it is not said.
    pub pipeline: Option<PipelineName>,
    /// The only namespace whose tables it looks at, where it looks at tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceName>,
    /// Tables with this tag alone, where it looks at what came of quality suites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Label>,
    /// How much a broken rule of a suite must matter; any where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_rule_severity: Option<Severity>,
    /// Whether it is looked at.
    pub enabled: bool,
}

impl AlertRule {
    /// Whether it makes sense; `known` tells the channels that there are.
    ///
    /// # Errors
    /// [`AlertRuleError`], naming the field.
    pub fn check(&self, known: impl Fn(&str) -> bool) -> Result<(), AlertRuleError> {
        let bad = |field, reason: String| Err(AlertRuleError { field, reason });
        let default = self.condition.default_threshold();
        match (self.threshold, default) {
            (Some(_), None) => return bad("threshold", format!("{} has none", self.condition)),
            (Some(threshold), Some(_)) if !(0.0..=self.condition.largest_threshold()).contains(&threshold) => {
                return bad("threshold", format!("it is not between 0 and {}", self.condition.largest_threshold()));
            }
            _ => {}
        }
        self.check_scope()?;
        if self.channels.len() > MAX_CHANNELS {
            return bad("channels", format!("they are more than {MAX_CHANNELS}"));
        }
        for (at, channel) in self.channels.iter().enumerate() {
            let shown: String = channel.chars().take(64).collect();
            if !known(channel) {
                return bad("channels", format!("there is no channel {shown:?} in the server's settings"));
            }
            if self.channels[..at].contains(channel) {
                return bad("channels", format!("{shown:?} is there twice"));
            }
        }
        Ok(())
    }

    fn check_scope(&self) -> Result<(), AlertRuleError> {
        let is_of_results = self.condition.is_of_results();
        let is_of_tables = is_of_results || self.condition == AlertCondition::Freshness;
        let says = [
            ("namespace", self.namespace.is_some() && !is_of_tables),
            ("tag", self.tag.is_some() && !is_of_results),
            ("min_rule_severity", self.min_rule_severity.is_some() && self.condition != AlertCondition::QualityCheck),
        ];
        match says.into_iter().find(|(_, is_wrong)| *is_wrong) {
            Some((field, _)) => Err(AlertRuleError { field, reason: format!("{} has none", self.condition) }),
            None => Ok(()),
        }
    }

    /// The threshold that counts.
    pub fn effective_threshold(&self) -> f64 {
        self.threshold.or(self.condition.default_threshold()).unwrap_or_default()
    }

    /// Whether it looks at this pipeline or table.
    pub fn covers(&self, subject: &str) -> bool {
        self.enabled && self.pipeline.as_ref().is_none_or(|pipeline| pipeline.as_str() == subject)
    }
}

impl AlertRule {
    /// Whether it looks at this table, which has these tags.
    pub fn covers_table(&self, table: &TableRef, tags: &[Label]) -> bool {
        self.covers(&table.to_string())
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == table.namespace)
            && self.tag.as_ref().is_none_or(|tag| tags.contains(tag))
    }
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The rule.
    pub rule: RuleName,
    /// The pipeline or table.
    pub subject: String,
    /// The namespace of its table: whose callers may see the alert. None: who is confined to no namespace.
    pub namespace: Option<NamespaceName>,
    /// What tells this time from others: it raises one alert, however often it is found.
    pub occurrence: String,
    /// What the alert is called.
    pub alert_type: String,
    /// How bad it is.
    pub severity: AlertSeverity,
    /// What happened.
    pub message: String,
}

/// An alert as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The id: time-ordered.
    pub id: Uuid,
    /// What was found.
    pub finding: Finding,
    /// When it was raised.
    pub created_at: DateTime<Utc>,
    /// When what it tells was found to be over; of quality alone.
    pub resolved_at: Option<DateTime<Utc>>,
}

/// One way of an alert to people: the alert and a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryId(pub Uuid);

words!(
    /// How far an alert has come on its way.
    DeliveryState, "state of a delivery", {
        /// It will be tried, or tried again.
        Waiting = "waiting",
        /// The channel took it.
        Delivered = "delivered",
        /// It was given up.
        Failed = "failed",
    }
);

/// An alert on its way to one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertDelivery {
    /// The id.
    pub id: DeliveryId,
    /// The alert.
    pub alert: Uuid,
    /// The channel.
    pub channel: String,
    /// How far it has come.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// What the last failed try came to.
    pub detail: Option<String>,
    /// When it was settled.
    pub settled_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
#[path = "alert_tests.rs"]
mod tests;
