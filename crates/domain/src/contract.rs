//! The contract of a table: what of its schema uploads may change, how many bad rows they may have, and the rules
//! that rows must keep.
//!
//! Invariant: a contract that was parsed is bounded: its rules are few, and their texts short.

use serde::{Deserialize, Serialize};

use crate::{ColumnName, Suite};

mod rule;

pub use rule::{RowCheck, RowRule, RuleAction, RuleValue};

/// How many rules a contract may have.
const MAX_RULES: usize = 200;

/// What is done about an upload that would change the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangePolicy {
    /// The table changes with it.
    #[default]
    Evolve,
    /// The upload is refused.
    Freeze,
    /// The columns in question are left out of it.
    DiscardColumns,
    /// The rows in question go to quarantine.
    QuarantineRows,
}

/// What uploads into a table may do, and what their rows must look like.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "Draft")]
pub struct Contract {
    /// About columns that the table does not have.
    pub columns: ChangePolicy,
    /// About columns of another type than the table's.
    pub types: ChangePolicy,
    /// With more bad rows than this, an upload is refused as a whole.
    pub max_bad_rows: Option<u64>,
    /// With a larger share of bad rows than this, 0 to 1, an upload is refused as a whole.
    pub max_bad_fraction: Option<f64>,
    /// What rows must keep; the first rule that a row breaks says what becomes of it.
    pub rules: Vec<RowRule>,
}

/// What a table asks of its uploads, as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Terms {
    /// The contract.
    pub contract: Contract,
    /// Whether texts are taken for the numbers, booleans and moments that columns want.
    pub coerce: bool,
    /// The suite that uploads are held to, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<Suite>,
}

/// A contract as it is written, not checked yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Draft {
    columns: Option<ChangePolicy>,
    types: Option<ChangePolicy>,
    max_bad_rows: Option<u64>,
    max_bad_fraction: Option<f64>,
    rules: Option<Vec<RowRule>>,
}

/// A contract that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The fraction is not one.
    #[error("max_bad_fraction is not between 0 and 1")]
    BadFraction,
    /// More rules than a contract may have.
    #[error("a contract has no more than {MAX_RULES} rules")]
    TooManyRules,
    /// Two rules have one name.
    #[error("two rules are named {name:?}")]
    RuleTwice {
        /// The name.
        name: String,
    },
    /// A rule that cannot be.
    #[error("the rule {name:?} cannot be: {reason}")]
    BadRule {
        /// Its name, shortened.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl TryFrom<Draft> for Contract {
    type Error = ContractError;

    fn try_from(draft: Draft) -> Result<Self, ContractError> {
        if draft.max_bad_fraction.is_some_and(|fraction| !(0.0..=1.0).contains(&fraction)) {
            return Err(ContractError::BadFraction);
        }
        let Draft { columns, types, max_bad_rows, max_bad_fraction, rules } = draft;
        let (columns, types, rules) =
            (columns.unwrap_or_default(), types.unwrap_or_default(), rules.unwrap_or_default());
        if rules.len() > MAX_RULES {
            return Err(ContractError::TooManyRules);
        }
        let mut names = std::collections::HashSet::new();
        if let Some(twice) = rules.iter().find(|rule| !names.insert(rule.name.as_str().to_lowercase())) {
            return Err(ContractError::RuleTwice { name: twice.name.as_str().to_owned() });
        }
        Ok(Self { columns, types, max_bad_rows, max_bad_fraction, rules })
    }
}

impl ContractError {
    fn of_rule(name: &ColumnName, reason: impl ToString) -> Self {
        Self::BadRule { name: name.as_str().chars().take(64).collect(), reason: reason.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(text: &str) -> Result<Contract, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_contract_comes_back_from_its_text() {
        let text = r#"{"columns": "discard_columns", "types": "freeze", "max_bad_rows": 5, "max_bad_fraction": 0.25,
            "rules": [
                {"name": "sane", "column": "balance", "check": {"minimum": 0}, "message": "must be non-negative"},
                {"name": "there", "column": "id", "check": "not_null", "action": "reject"},
                {"name": "size", "column": "v", "check": {"between": [-1.5, "2"]}},
                {"name": "top", "column": "v", "check": {"maximum": 9}},
                {"name": "code", "column": "c", "check": {"matches": "^[A-Z]+$"}},
                {"name": "flag", "column": "f", "check": {"one_of": [true, 1, "x"]}},
                {"name": "short", "column": "c", "check": {"max_length": 3}}]}"#;
        let contract = parse(text).unwrap();
        assert_eq!((contract.columns, contract.types), (ChangePolicy::DiscardColumns, ChangePolicy::Freeze));
        assert_eq!(contract.rules[1].action, RuleAction::Reject);
        assert_eq!(contract.rules[2].check, RowCheck::Between(RuleValue::Float(-1.5), RuleValue::Text("2".into())));
        assert_eq!(parse(&serde_json::to_string(&contract).unwrap()).unwrap(), contract);
        assert_eq!(parse("{}").unwrap(), Contract::default());
        assert_eq!(parse(r#"{"columns": null, "types": null, "rules": null}"#).unwrap(), Contract::default());
    }

    #[rstest]
    #[case(r#"{"colums": "evolve"}"#, "unknown field")]
    #[case(r#"{"columns": "ignore"}"#, "unknown variant")]
    #[case(r#"{"max_bad_fraction": 1.5}"#, "max_bad_fraction")]
    #[case(r#"{"max_bad_rows": -1}"#, "invalid value")]
    #[case(r#"{"rules": [{"name": "a", "column": "c", "check": {"matches": "("}}]}"#, "\"a\"")]
    #[case(r#"{"rules": [{"name": "a", "column": "c", "check": {"matches": "\\w{1000}{1000}"}}]}"#, "\"a\"")]
    #[case(r#"{"rules": [{"name": "a", "column": "c", "check": {"one_of": []}}]}"#, "no value")]
    #[case(r#"{"rules": [{"name": "a", "column": "", "check": "not_null"}]}"#, "column name")]
    #[case(r#"{"rules": [{"name": "a", "column": "c", "check": "not_null", "extra": 1}]}"#, "unknown field")]
    #[case(r#"{"rules": [{"name": "a", "column": "c", "check": {"between": [2, 1]}}]}"#, "upside down")]
    #[case(
        r#"{"rules": [{"name": "a", "column": "c", "check": "not_null"},
                      {"name": "A", "column": "d", "check": "not_null"}]}"#,
        "two rules"
    )]
    fn a_contract_that_cannot_be_is_refused(#[case] text: &str, #[case] told: &str) {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }

    #[test]
    fn what_would_never_end_is_refused() {
        let rule = |number: usize| format!(r#"{{"name": "r{number}", "column": "c", "check": "not_null"}}"#);
        let rules = |count: usize| format!(r#"{{"rules": [{}]}}"#, (0..count).map(rule).collect::<Vec<_>>().join(","));
        assert_eq!(parse(&rules(MAX_RULES)).unwrap().rules.len(), MAX_RULES);
        assert!(parse(&rules(MAX_RULES + 1)).is_err());
    }
}
