//! What came of asking a suite.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{QualityAction, RowScore, Rule, Severity};
use crate::{RunId, UploadId};

/// Why a rule could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception(pub String);

/// What was seen of a rule.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// The figure or the list that the rule is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// How many rows were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element_count: Option<u64>,
    /// How many of them had no value, where that is not what the rule is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_count: Option<u64>,
    /// How many of the others broke the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unexpected_count: Option<u64>,
    /// Some of the values that broke it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unexpected: Vec<Value>,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

/// What came of one rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleResult {
    /// The rule.
    pub rule: Rule,
    /// Whether it was kept.
    pub success: bool,
    /// What was seen.
    pub observed: Observed,
    /// Why it could not be asked, where it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<Exception>,
    /// What to tell where it was not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub complaints: Vec<String>,
}

/// What came of a suite.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Validation {
    /// The suite's name.
    pub suite: String,
    /// Rows seen, and valid ones of them.
    pub rows: RowScore,
    /// Whether there are valid rows enough, and no rule was broken that keeps the table from being published.
    pub publishable: bool,
    /// What came of each rule, in the order of the suite.
    pub results: Vec<RuleResult>,
    /// The kinds of rules that are asked of the whole table alone, and were not asked of an upload or a run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_asked: Vec<String>,
}

impl Validation {
    /// How many rules were kept.
    pub fn passed(&self) -> usize {
        self.results.iter().filter(|result| result.success).count()
    }

    /// Whether every rule was kept.
    pub fn success(&self) -> bool {
        self.passed() == self.results.len()
    }

    /// Rules that were kept, of 100; 0 where there are none.
    pub fn check_score(&self) -> f64 {
        if self.results.is_empty() { 0.0 } else { self.passed() as f64 * 100.0 / self.results.len() as f64 }
    }

    /// The results of broken rules of which the whole upload is refused.
    pub fn refusals(&self) -> impl Iterator<Item = &RuleResult> {
        self.results.iter().filter(|result| !result.success && result.rule.action == QualityAction::Reject)
    }

    /// The same in short.
    pub fn summary(&self) -> QualitySummary {
        let failed = self.results.iter().filter(|result| !result.success).map(FailedRule::from);
        QualitySummary {
            suite: self.suite.clone(),
            rows: self.rows,
            rules: self.results.len() as u64,
            passed: self.passed() as u64,
            publishable: self.publishable,
            failed: failed.collect(),
        }
    }
}

/// A rule that was not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRule {
    /// Its kind.
    pub kind: String,
    /// The column that it looks at.
    pub column: Option<String>,
    /// How much it matters.
    pub severity: Severity,
    /// What becomes of what breaks it.
    pub action: QualityAction,
    /// How many rows broke it, where that is counted.
    pub unexpected_count: Option<u64>,
    /// What to tell.
    pub message: String,
}

impl From<&RuleResult> for FailedRule {
    fn from(result: &RuleResult) -> Self {
        Self {
            kind: result.rule.kind.clone(),
            column: result.rule.column().map(str::to_owned),
            severity: result.rule.severity,
            action: result.rule.action,
            unexpected_count: result.observed.unexpected_count,
            message: result.complaints.join("; "),
        }
    }
}

/// What came of a suite, in short: what a receipt says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QualitySummary {
    /// The suite's name.
    pub suite: String,
    /// Rows seen, and valid ones of them.
    pub rows: RowScore,
    /// How many rules there are.
    pub rules: u64,
    /// How many of them were kept.
    pub passed: u64,
    /// Whether the rows may be published.
    pub publishable: bool,
    /// The rules that were not kept.
    pub failed: Vec<FailedRule>,
}

/// Of what a suite was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QualitySubject {
    /// Of the rows of an upload.
    Upload(UploadId),
    /// Of the rows of a run of a pipeline.
    Run(RunId),
    /// Of a version of the table.
    Table(Uuid),
}

impl QualitySubject {
    /// The id of the result: the upload's or the run's own, or one made for the check.
    pub fn id(self) -> Uuid {
        match self {
            Self::Upload(id) => id.0,
            Self::Run(id) => id.0,
            Self::Table(id) => id,
        }
    }
}

/// A stored result.
#[derive(Debug, Clone, PartialEq)]
pub struct QualityResult {
    /// Of what.
    pub subject: QualitySubject,
    /// The table version that has the rows; none of an upload or a run that is not in the table.
    pub version: Option<u64>,
    /// When the suite was asked.
    pub checked_at: DateTime<Utc>,
    /// What came of it.
    pub validation: Validation,
}

/// Whether a table may be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether nothing stands against it.
    pub publishable: bool,
    /// The result that stands against it; else the newest check of the table that found nothing.
    pub because: Option<QualityResult>,
}
