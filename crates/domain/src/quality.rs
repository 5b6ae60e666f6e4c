//! Quality: the suite of rules of a table, what came of asking it, and the scores.
//!
//! Invariant: a score is a division of two counts, and there is none where there is nothing to count.

mod result;
mod score;
mod suite;

pub use result::{
    Exception, FailedRule, Observed, QualityResult, QualitySubject, QualitySummary, RuleResult, Validation, Verdict,
};
pub use score::{Criticality, RowScore, Threshold};
pub use suite::{QualityAction, Rule, Severity, Suite, SuiteError};
