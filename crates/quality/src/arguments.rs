//! The parameters of a rule, read by name.
//!
//! Invariant: whatever is wrong names the parameter.

use chrono::TimeDelta;
use serde_json::{Map, Value};
use sluice_domain::{RowCheck, RuleValue};

/// How many values a parameter may list.
pub(crate) const MAX_VALUES: usize = 1000;
/// The longest text in a parameter, in bytes.
pub(crate) const MAX_TEXT_BYTES: usize = 1000;

/// A parameter that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArgumentError {
    pub(crate) name: String,
    pub(crate) reason: String,
}

impl ArgumentError {
    pub(crate) fn new(name: &str, reason: impl Into<String>) -> Self {
        Self { name: name.to_owned(), reason: reason.into() }
    }
}

/// A quantile, and the ends that it must lie between.
pub(crate) type QuantileRange = (f64, Option<f64>, Option<f64>);

type Read<T> = Result<T, ArgumentError>;

/// The parameters of a rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arguments<'a>(pub(crate) &'a Map<String, Value>);

impl Arguments<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn required<T>(name: &str, found: Option<T>) -> Read<T> {
        found.ok_or_else(|| ArgumentError::new(name, "it is missing"))
    }

    pub(crate) fn optional_text(&self, name: &str) -> Read<Option<String>> {
        self.get(name).map(|value| text(name, value)).transpose()
    }

    pub(crate) fn text(&self, name: &str) -> Read<String> {
        Self::required(name, self.optional_text(name)?)
    }

    /// A text of up to so many bytes.
    pub(crate) fn long_text(&self, name: &str, max_bytes: usize) -> Read<String> {
        Self::required(name, self.get(name).map(|value| text_of(name, value, max_bytes)).transpose()?)
    }

    /// A number; dates and texts are none.
    pub(crate) fn number(&self, name: &str) -> Read<Option<f64>> {
        let number = |value: &Value| value.as_f64().ok_or_else(|| ArgumentError::new(name, "it is not a number"));
        self.get(name).map(number).transpose()
    }

    pub(crate) fn required_number(&self, name: &str) -> Read<f64> {
        Self::required(name, self.number(name)?)
    }

    /// A whole number from 0.
    pub(crate) fn whole(&self, name: &str) -> Read<Option<u64>> {
        let whole = |value: &Value| {
            let exact = value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..9e15).contains(number));
            let number = value.as_u64().or(exact.map(|number| number as u64));
            number.ok_or_else(|| ArgumentError::new(name, "it is not a whole number from 0"))
        };
        self.get(name).map(whole).transpose()
    }

    pub(crate) fn required_whole(&self, name: &str) -> Read<u64> {
        Self::required(name, self.whole(name)?)
    }

    pub(crate) fn flag(&self, name: &str) -> Read<Option<bool>> {
        let flag = |value: &Value| value.as_bool().ok_or_else(|| ArgumentError::new(name, "it is not true or false"));
        self.get(name).map(flag).transpose()
    }

    pub(crate) fn value(&self, name: &str) -> Read<Option<RuleValue>> {
        self.get(name).map(|found| value(name, found)).transpose()
    }

    fn list(&self, name: &str) -> Read<&[Value]> {
        let found = Self::required(name, self.get(name))?;
        let list = found.as_array().ok_or_else(|| ArgumentError::new(name, "it is not a list"))?;
        match list.len() {
            0 => Err(ArgumentError::new(name, "it is empty")),
            length if length > MAX_VALUES => {
                Err(ArgumentError::new(name, format!("it lists more than {MAX_VALUES} values")))
            }
            _ => Ok(list),
        }
    }

    pub(crate) fn texts(&self, name: &str) -> Read<Vec<String>> {
        self.list(name)?.iter().map(|value| text(name, value)).collect()
    }

    pub(crate) fn values(&self, name: &str) -> Read<Vec<RuleValue>> {
        self.list(name)?.iter().map(|found| value(name, found)).collect()
    }

    pub(crate) fn pairs(&self, name: &str) -> Read<Vec<(RuleValue, RuleValue)>> {
        let pair = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
            Some([one, other]) => Ok((value(name, one)?, value(name, other)?)),
            _ => Err(ArgumentError::new(name, "it lists something that is not a pair")),
        };
        self.list(name)?.iter().map(pair).collect()
    }

    /// Quantiles and the ranges that they must lie in.
    pub(crate) fn quantile_ranges(&self, name: &str) -> Read<Vec<QuantileRange>> {
        let bad = |reason: &str| ArgumentError::new(name, reason);
        let found = Self::required(name, self.get(name))?;
        let list = |part: &str| found.get(part).and_then(Value::as_array).map(Vec::as_slice);
        let (Some(quantiles), Some(ranges)) = (list("quantiles"), list("value_ranges")) else {
            return Err(bad("it has no lists \"quantiles\" and \"value_ranges\""));
        };
        if quantiles.len() != ranges.len() || quantiles.is_empty() || quantiles.len() > MAX_VALUES {
            return Err(bad("there is not one range for each quantile"));
        }
        let one = |(quantile, range): (&Value, &Value)| {
            let quantile = quantile.as_f64().filter(|part| (0.0..=1.0).contains(part));
            let quantile = quantile.ok_or_else(|| bad("a quantile is not a number from 0 to 1"))?;
            match range.as_array().map(Vec::as_slice) {
                Some([least, most]) if [least, most].iter().all(|end| end.is_null() || end.is_number()) => {
                    Ok((quantile, least.as_f64(), most.as_f64()))
                }
                _ => Err(bad("a range is not a pair of numbers")),
            }
        };
        quantiles.iter().zip(ranges).map(one).collect()
    }

    /// The share of rows that must keep a rule.
    pub(crate) fn mostly(&self) -> Read<f64> {
        let mostly = self.number("mostly")?.unwrap_or(1.0);
        if (0.0..=1.0).contains(&mostly) {
            return Ok(mostly);
        }
        Err(ArgumentError::new("mostly", "it is not a number from 0 to 1"))
    }

    /// A pattern that can be looked for.
    pub(crate) fn pattern(&self, name: &str) -> Read<regex::Regex> {
        RowCheck::compile(&self.text(name)?).map_err(|reason| ArgumentError::new(name, reason))
    }

    pub(crate) fn patterns(&self, name: &str) -> Read<Vec<regex::Regex>> {
        let compile = |text: &String| RowCheck::compile(text).map_err(|reason| ArgumentError::new(name, reason));
        self.texts(name)?.iter().map(compile).collect()
    }

    /// A length of time: `30s`, `5m`, `2h`, `7d`, or a number of seconds.
    pub(crate) fn duration_micros(&self, name: &str) -> Read<Option<i64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let read = match value {
            Value::Number(seconds) => seconds.as_f64().map(|seconds| (seconds, 1.0)),
            Value::String(text) => unit_of(text),
            _ => None,
        };
        let micros = read.map(|(count, seconds)| count * seconds * 1e6).filter(|micros| (0.0..9e18).contains(micros));
        let told = || ArgumentError::new(name, "it is no length of time like 30s, 5m, 2h or 7d");
        micros.map(|micros| Some(micros as i64)).ok_or_else(told)
    }
}

fn unit_of(text: &str) -> Option<(f64, f64)> {
    let (count, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
    let delta = match unit {
        "s" => TimeDelta::seconds(1),
        "m" => TimeDelta::minutes(1),
        "h" => TimeDelta::hours(1),
        "d" => TimeDelta::days(1),
        _ => return None,
    };
    Some((count.parse().ok()?, delta.num_seconds() as f64))
}

fn text(name: &str, value: &Value) -> Result<String, ArgumentError> {
    text_of(name, value, MAX_TEXT_BYTES)
}

fn text_of(name: &str, value: &Value, max_bytes: usize) -> Result<String, ArgumentError> {
    match value.as_str() {
        None => Err(ArgumentError::new(name, "it is not a text")),
        Some("") => Err(ArgumentError::new(name, "it is empty")),
        Some(text) if text.len() > max_bytes => {
            Err(ArgumentError::new(name, format!("it has more than {max_bytes} bytes")))
        }
        Some(text) => Ok(text.to_owned()),
    }
}

fn value(name: &str, value: &Value) -> Result<RuleValue, ArgumentError> {
    match serde_json::from_value(value.clone()) {
        Ok(RuleValue::Text(text)) if text.len() > MAX_TEXT_BYTES => {
            Err(ArgumentError::new(name, format!("a text has more than {MAX_TEXT_BYTES} bytes")))
        }
        Ok(value) => Ok(value),
        Err(_) => Err(ArgumentError::new(name, "a value is neither a number, a text, nor true or false")),
    }
}
