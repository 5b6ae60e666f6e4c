//! Alert rules, the alerts that they raise, and their way to people.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{PipelineName, words::words};
use crate::NamespaceName;

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
        }
    }

    /// The threshold where the rule does not say; none of conditions that have none.
    pub fn default_threshold(self) -> Option<f64> {
        match self {
            Self::PipelineFailed | Self::ServiceLevel => None,
            Self::FailureRate => Some(10.0),
            Self::QualityScore => Some(95.0),
            Self::Duration => Some(3600.0),
            Self::DataLoss => Some(5.0),
            Self::Freshness => Some(1.5),
        }
    }

    /// The largest threshold that makes sense.
    fn largest_threshold(self) -> f64 {
        match self {
            Self::FailureRate | Self::QualityScore | Self::DataLoss => 100.0,
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

    /// The threshold that counts.
    pub fn effective_threshold(&self) -> f64 {
        self.threshold.or(self.condition.default_threshold()).unwrap_or_default()
    }

    /// Whether it looks at this pipeline or table.
    pub fn covers(&self, subject: &str) -> bool {
        self.enabled && self.pipeline.as_ref().is_none_or(|pipeline| pipeline.as_str() == subject)
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
mod tests {
    use rstest::rstest;

    use super::*;

    fn rule(condition: AlertCondition) -> AlertRule {
        AlertRule {
            name: "rule".parse().unwrap(),
            condition,
            threshold: None,
            severity: AlertSeverity::Warning,
            channels: vec!["slack".into()],
            pipeline: None,
            enabled: true,
        }
    }

    fn check(rule: &AlertRule) -> Result<(), AlertRuleError> {
        rule.check(|channel| ["slack", "email"].contains(&channel))
    }

    #[rstest]
    #[case(AlertCondition::FailureRate, 10.0)]
    #[case(AlertCondition::QualityScore, 95.0)]
    #[case(AlertCondition::Duration, 3600.0)]
    #[case(AlertCondition::DataLoss, 5.0)]
    fn a_rule_has_its_condition_s_threshold_until_it_says_another(#[case] condition: AlertCondition, #[case] own: f64) {
        let rule = rule(condition);
        assert_eq!(rule.effective_threshold(), own);
        assert_eq!(AlertRule { threshold: Some(1.0), ..rule }.effective_threshold(), 1.0);
    }

    #[rstest]
    #[case(AlertCondition::FailureRate, 100.1)]
    #[case(AlertCondition::Duration, -1.0)]
    #[case(AlertCondition::Duration, f64::NAN)]
    #[case(AlertCondition::PipelineFailed, 1.0)]
    fn a_threshold_that_cannot_be_is_refused(#[case] condition: AlertCondition, #[case] threshold: f64) {
        let rule = AlertRule { threshold: Some(threshold), ..rule(condition) };
        assert_eq!(check(&rule).unwrap_err().field, "threshold");
    }

    #[rstest]
    #[case(&["slack", "carrier-pigeon"])]
    #[case(&["slack", "slack"])]
    #[case(&["slack"; MAX_CHANNELS + 1])]
    fn channels_are_known_and_there_once(#[case] channels: &[&str]) {
        let channels = channels.iter().map(|&channel| channel.to_owned()).collect();
        let rule = AlertRule { channels, ..rule(AlertCondition::PipelineFailed) };
        assert_eq!(check(&rule).unwrap_err().field, "channels");
    }

    #[test]
    fn a_rule_of_one_pipeline_looks_at_no_other() {
        let rule = AlertRule { pipeline: Some("etl".parse().unwrap()), ..rule(AlertCondition::PipelineFailed) };
        assert!(rule.covers("etl") && !rule.covers("etl2"));
        assert!(!AlertRule { enabled: false, ..rule }.covers("etl"));
    }
}
