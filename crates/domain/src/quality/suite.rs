//! The rules that a table is held to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Criticality, Threshold};
use crate::{ErrorKind, Failure};

/// A suite or a part of it that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct SuiteError {
    /// Where it is, like `rules[3].kwargs.mostly`.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Failure for SuiteError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    fn code(&self) -> &str {
        "bad-suite"
    }
}

impl SuiteError {
    /// What is wrong with a field.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// How much it matters that a rule is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Low,
    /// To be looked at.
    #[default]
    Medium,
    /// To be mended soon.
    High,
    /// To be mended now.
    Critical,
}

impl Severity {
    /// The severity's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What becomes of what breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QualityAction {
    /// It is noted.
    #[default]
    Warn,
    /// The rows go to quarantine; the others are taken.
    Quarantine,
    /// The whole upload is refused.
    Reject,
    /// The rows are taken, and the table is not to be published.
    Block,
}

impl QualityAction {
    /// The action's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
            Self::Block => "block",
        }
    }
}

/// Something that rows, columns or the whole table must keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its kind, by the name that Great Expectations gives it.
    pub kind: String,
    /// What is asked, under the names of Great Expectations.
    pub kwargs: Map<String, Value>,
    /// How much it matters.
    pub severity: Severity,
    /// What becomes of what breaks it.
    pub action: QualityAction,
    /// Of which rows it is asked, as a condition in SQL; of all where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_condition: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Rule {
    /// The column that it looks at; none of one that looks at several or at the table.
    pub fn column(&self) -> Option<&str> {
        self.kwargs.get("column").and_then(Value::as_str)
    }
}

/// The rules that a table is held to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Suite {
    /// What it is called.
    pub name: String,
    /// How much depends on the table: what share of its rows must be valid before it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criticality: Option<Criticality>,
    /// The same in a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_score: Option<Threshold>,
    /// The rules.
    pub rules: Vec<Rule>,
}

impl Suite {
    /// The suite with those rules alone that decide about single rows.
    pub fn setting_aside(&self) -> Self {
        let rules = self.rules.iter().filter(|rule| rule.action == QualityAction::Quarantine);
        Self { name: self.name.clone(), criticality: None, minimum_score: None, rules: rules.cloned().collect() }
    }

    /// The least share of valid rows with which the table may be published.
    pub fn threshold(&self) -> Option<Threshold> {
        let of_criticality = self.criticality.map(Criticality::threshold);
        of_criticality.into_iter().chain(self.minimum_score).max_by(|one, other| one.share().total_cmp(&other.share()))
    }
}
