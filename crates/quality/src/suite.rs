//! Suites read from JSON: ours, and those of Great Expectations.
//!
//! Invariant: whatever is wrong names the field, and a suite that was read can be asked.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sluice_domain::{QualityAction, Rule, Suite, SuiteError};

use crate::{
    great_expectations,
    kinds::{Kind, MAX_EXPRESSION_BYTES, Reach, needs},
    queries,
    setting::{Conditions, OtherTable, References, Setting},
};

/// How many rules a suite may have.
pub(crate) const MAX_RULES: usize = 200;
/// How long a suite may be as JSON, in bytes: it is read for every upload.
const MAX_SUITE_BYTES: usize = 256 << 10;
/// How many other tables a suite may look into.
const MAX_OTHER_TABLES: usize = 5;
/// The longest name of a suite or description of a rule, in bytes.
const MAX_NAME_BYTES: usize = 1000;

/// Read a suite: ours, or one of Great Expectations, of the versions 0 or 1.
///
/// # Errors
/// [`SuiteError`] naming the first field that is wrong.
pub fn parse_suite(body: &Value) -> Result<Suite, SuiteError> {
    let map = body.as_object().ok_or_else(|| SuiteError::new("body", "it is not an object"))?;
    let suite = match map.contains_key("expectations") {
        true => great_expectations::read(map)?,
        false => read(map)?,
    };
    check(&suite)?;
    Ok(suite)
}

/// A part of a body that is to be there, or need not be.
pub(crate) fn part<T: DeserializeOwned>(
    map: &Map<String, Value>,
    path: &str,
    name: &str,
) -> Result<Option<T>, SuiteError> {
    let read = |value: &Value| {
        serde_json::from_value(value.clone()).map_err(|error| SuiteError::new(join(path, name), error.to_string()))
    };
    map.get(name).filter(|value| !value.is_null()).map(read).transpose()
}

pub(crate) fn required<T: DeserializeOwned>(map: &Map<String, Value>, path: &str, name: &str) -> Result<T, SuiteError> {
    part(map, path, name)?.ok_or_else(|| SuiteError::new(join(path, name), "it is missing"))
}

/// Refuse what is not known.
pub(crate) fn known(map: &Map<String, Value>, path: &str, names: &[&str]) -> Result<(), SuiteError> {
    match map.keys().find(|name| !names.contains(&name.as_str())) {
        Some(unknown) => Err(SuiteError::new(join(path, unknown), "there is no such field")),
        None => Ok(()),
    }
}

fn join(path: &str, name: &str) -> String {
    let name: String = name.chars().take(64).collect();
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// Items of a list, each with its place.
pub(crate) type Items<'m> = Vec<(String, &'m Map<String, Value>)>;

/// The items of a list, with the place of each.
pub(crate) fn items<'m>(map: &'m Map<String, Value>, name: &str) -> Result<Items<'m>, SuiteError> {
    let list = map.get(name).and_then(Value::as_array).ok_or_else(|| SuiteError::new(name, "it is not a list"))?;
    if list.len() > MAX_RULES {
        return Err(SuiteError::new(name, format!("a suite has no more than {MAX_RULES} rules")));
    }
    let item = |(at, item): (usize, &'m Value)| {
        let path = format!("{name}[{at}]");
        let map = item.as_object().ok_or_else(|| SuiteError::new(path.clone(), "it is not an object"))?;
        Ok((path, map))
    };
    list.iter().enumerate().map(item).collect()
}

fn read(map: &Map<String, Value>) -> Result<Suite, SuiteError> {
    known(map, "", &["name", "criticality", "minimum_score", "rules"])?;
    let rules = items(map, "rules")?.into_iter().map(|(path, rule)| read_rule(rule, &path));
    Ok(Suite {
        name: required(map, "", "name")?,
        criticality: part(map, "", "criticality")?,
        minimum_score: part(map, "", "minimum_score")?,
        rules: rules.collect::<Result<_, _>>()?,
    })
}

fn read_rule(map: &Map<String, Value>, path: &str) -> Result<Rule, SuiteError> {
    known(map, path, &["kind", "kwargs", "severity", "action", "row_condition", "description"])?;
    Ok(Rule {
        kind: required(map, path, "kind")?,
        kwargs: part(map, path, "kwargs")?.unwrap_or_default(),
        severity: part(map, path, "severity")?.unwrap_or_default(),
        action: part(map, path, "action")?.unwrap_or_default(),
        row_condition: part(map, path, "row_condition")?,
        description: part(map, path, "description")?,
    })
}

fn check(suite: &Suite) -> Result<(), SuiteError> {
    if serde_json::to_string(suite).map_or(true, |text| text.len() > MAX_SUITE_BYTES) {
        return Err(SuiteError::new("rules", format!("the suite has more than {MAX_SUITE_BYTES} bytes")));
    }
    if suite.name.is_empty() || suite.name.len() > MAX_NAME_BYTES {
        return Err(SuiteError::new("name", format!("it has not 1 to {MAX_NAME_BYTES} bytes")));
    }
    suite.rules.iter().enumerate().try_for_each(|(at, rule)| check_rule(&format!("rules[{at}]"), rule))?;
    if needs(suite).tables.len() > MAX_OTHER_TABLES {
        let reason = format!("they look into more than {MAX_OTHER_TABLES} other tables");
        return Err(SuiteError::new("rules", reason));
    }
    queries::check_count(suite)
}

fn check_rule(path: &str, rule: &Rule) -> Result<(), SuiteError> {
    let told = |reason: String| SuiteError::new(format!("{path}.kind"), reason);
    let name: String = rule.kind.chars().take(100).collect();
    let kind = Kind::find(&rule.kind).ok_or_else(|| told(format!("there is no kind {name:?}")))?;
    let read = kind.read(&rule.kwargs);
    read.map(drop).map_err(|error| SuiteError::new(join(&format!("{path}.kwargs"), &error.name), error.reason))?;
    if kind.reach == Reach::Query {
        check_query(path, rule)?;
    }
    if rule.action == QualityAction::Quarantine && kind.reach != Reach::Row {
        let reason = "what becomes of a row must follow from the row alone: warn, reject or block here";
        return Err(SuiteError::new(format!("{path}.action"), reason));
    }
    if rule.description.as_ref().is_some_and(|text| text.len() > MAX_NAME_BYTES) {
        return Err(SuiteError::new(format!("{path}.description"), format!("it has more than {MAX_NAME_BYTES} bytes")));
    }
    if rule.row_condition.as_ref().is_some_and(|text| text.len() > MAX_EXPRESSION_BYTES) {
        let reason = format!("it has more than {MAX_EXPRESSION_BYTES} bytes");
        return Err(SuiteError::new(format!("{path}.row_condition"), reason));
    }
    Ok(())
}

/// A query is asked of what is in the table already: no upload hangs on it, and it chooses its rows itself.
fn check_query(path: &str, rule: &Rule) -> Result<(), SuiteError> {
    if matches!(rule.action, QualityAction::Quarantine | QualityAction::Reject) {
        let reason = "a query is asked by checks of the whole table, not of uploads as they come: warn or block here";
        return Err(SuiteError::new(format!("{path}.action"), reason));
    }
    if rule.row_condition.is_some() {
        let reason = "a query says itself of which rows it is asked: write the condition into it";
        return Err(SuiteError::new(format!("{path}.row_condition"), reason));
    }
    Ok(())
}

/// Check that rules that decide about single rows can be asked of a table with these columns, and that every condition
/// can be understood.
///
/// # Errors
/// [`SuiteError`] naming the rule.
pub fn check_against(suite: &Suite, schema: &SchemaRef, conditions: &Conditions) -> Result<(), SuiteError> {
    let references = references_of_none(suite);
    let setting = Setting {
        schema: Arc::clone(schema),
        now_micros: 0,
        conditions: conditions.clone(),
        references,
        answers: Arc::default(),
    };
    for (at, rule) in suite.rules.iter().enumerate() {
        let place = |name: &str, reason: String| SuiteError::new(format!("rules[{at}].{name}"), reason);
        if let Some(condition) = &rule.row_condition {
            setting.condition(condition).map_err(|reason| place("row_condition", reason))?;
        }
        let Some(kind) = Kind::find(&rule.kind) else { continue };
        let expression = rule.kwargs.get("expression").is_some();
        let bound = kind.read(&rule.kwargs).map_err(|error| error.reason).and_then(|binder| binder(&setting));
        match bound {
            Err(reason) if expression => return Err(place("kwargs.expression", reason)),
            Err(reason) if rule.action == QualityAction::Quarantine => return Err(place("kwargs", reason)),
            _ => {}
        }
    }
    Ok(())
}

/// Other tables as if they were there: what rules say of them is not known before they are read.
fn references_of_none(suite: &Suite) -> Arc<References> {
    let other = |columns: std::collections::HashSet<String>| {
        let keys = columns.into_iter().map(|column| (column, Ok(Default::default())));
        Ok(OtherTable { rows: 0, keys: keys.collect() })
    };
    Arc::new(needs(suite).tables.into_iter().map(|(name, columns)| (name, other(columns))).collect())
}
