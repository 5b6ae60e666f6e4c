//! One rule that rows must keep.

use regex::RegexBuilder;
use serde::{Deserialize, Serialize};

use super::ContractError;
use crate::ColumnName;

/// The longest pattern, message or value, in bytes.
const MAX_TEXT_BYTES: usize = 1000;
/// How many values a rule may list.
const MAX_VALUES: usize = 1000;
/// How large a pattern may become when it is made ready, in bytes.
const MAX_PATTERN_BYTES: usize = 256 << 10;

/// Something that every row must keep. Missing values keep every rule but [`RowCheck::NotNull`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Draft")]
pub struct RowRule {
    /// What it is called; no other rule of the contract is called so.
    pub name: ColumnName,
    /// The column that it looks at, without regard to case.
    pub column: ColumnName,
    /// What must be true of the value.
    pub check: RowCheck,
    /// What a row that breaks it is told; made from the check where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What becomes of a row that breaks it.
    pub action: RuleAction,
}

/// What must be true of a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowCheck {
    /// It is there.
    NotNull,
    /// It is this or more.
    Minimum(RuleValue),
    /// It is this or less.
    Maximum(RuleValue),
    /// It is the first or more, and the second or less.
    Between(RuleValue, RuleValue),
    /// The pattern is found in the text; `^` and `$` tie it to the ends.
    Matches(String),
    /// It is one of these.
    OneOf(Vec<RuleValue>),
    /// The text has no more characters than this.
    MaxLength(u64),
}

/// A value to compare with; days and instants are texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RuleValue {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A text; of a column of numbers, a number that JSON might round.
    Text(String),
}

impl std::fmt::Display for RuleValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// What becomes of a row that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// It goes to quarantine; the others are taken.
    #[default]
    Quarantine,
    /// The whole upload is refused.
    Reject,
}

impl RowRule {
    /// What every row of a merge must keep: it has a value in this key. None where no column is called so.
    pub fn of_key(column: &str) -> Option<Self> {
        let (check, action) = (RowCheck::NotNull, RuleAction::Quarantine);
        Some(Self { name: "missing-key".parse().ok()?, column: column.parse().ok()?, check, message: None, action })
    }

    /// What a row that breaks the rule is told.
    pub fn told(&self) -> String {
        let column = self.column.as_str();
        self.message.clone().unwrap_or_else(|| match &self.check {
            RowCheck::NotNull => format!("{column} must have a value"),
            RowCheck::Minimum(least) => format!("{column} must be {least} or more"),
            RowCheck::Maximum(most) => format!("{column} must be {most} or less"),
            RowCheck::Between(least, most) => format!("{column} must be between {least} and {most}"),
            RowCheck::Matches(pattern) => format!("{column} must match {pattern}"),
            RowCheck::OneOf(_) => format!("{column} must be one of the values of the rule"),
            RowCheck::MaxLength(most) => format!("{column} must have no more than {most} characters"),
        })
    }
}

impl RowCheck {
    /// The pattern of a rule, ready to be looked for; a search takes time in proportion to the text.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub fn compile(pattern: &str) -> Result<regex::Regex, String> {
        let made = RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES).build();
        made.map_err(|error| error.to_string())
    }

    fn check(&self) -> Result<(), String> {
        let long = |value: &RuleValue| matches!(value, RuleValue::Text(text) if text.len() > MAX_TEXT_BYTES);
        match self {
            Self::MaxLength(most) if i64::try_from(*most).is_err() => Err("no text is so long".to_owned()),
            Self::NotNull | Self::MaxLength(_) => Ok(()),
            Self::Minimum(value) | Self::Maximum(value) if long(value) => Err(too_long("a value")),
            Self::Minimum(_) | Self::Maximum(_) => Ok(()),
            Self::Between(least, most) if long(least) || long(most) => Err(too_long("a value")),
            Self::Between(least, most) if is_above(least, most) => Err("its bounds are upside down".to_owned()),
            Self::Between(..) => Ok(()),
            Self::Matches(pattern) if pattern.len() > MAX_TEXT_BYTES => Err(too_long("a pattern")),
            Self::Matches(pattern) => Self::compile(pattern).map(drop),
            Self::OneOf(values) if values.is_empty() => Err("no value would keep it".to_owned()),
            Self::OneOf(values) if values.len() > MAX_VALUES => Err(format!("it lists more than {MAX_VALUES} values")),
            Self::OneOf(values) if values.iter().any(long) => Err(too_long("a value")),
            Self::OneOf(_) => Ok(()),
        }
    }
}

fn too_long(what: &str) -> String {
    format!("{what} has more than {MAX_TEXT_BYTES} bytes")
}

fn is_above(least: &RuleValue, most: &RuleValue) -> bool {
    let number = |value: &RuleValue| match value {
        RuleValue::Integer(number) => Some(*number as f64),
        RuleValue::Float(number) => Some(*number),
        RuleValue::Boolean(_) | RuleValue::Text(_) => None,
    };
    number(least).zip(number(most)).is_some_and(|(least, most)| least > most)
}

/// A rule as it is written, not checked yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    name: ColumnName,
    column: ColumnName,
    check: RowCheck,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    action: Option<RuleAction>,
}

impl TryFrom<Draft> for RowRule {
    type Error = ContractError;

    fn try_from(draft: Draft) -> Result<Self, ContractError> {
        let Draft { name, column, check, message, action } = draft;
        check.check().map_err(|reason| ContractError::of_rule(&name, reason))?;
        if message.as_ref().is_some_and(|message| message.len() > MAX_TEXT_BYTES) {
            return Err(ContractError::of_rule(&name, too_long("a message")));
        }
        Ok(Self { name, column, check, message, action: action.unwrap_or_default() })
    }
}
