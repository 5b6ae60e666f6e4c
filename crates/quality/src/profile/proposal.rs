//! A suite that a table keeps, or nearly keeps, proposed from its profile.

use serde_json::{Map, Value, json};
use sluice_domain::{QualityAction, Rule, Severity, Suite};

use super::{ColumnProfile, Profile};
use crate::{cells::MAX_SHOWN_CHARS, suite::MAX_RULES};

/// Columns with a smaller share of missing values than this, of 100, are taken for ones that should have none.
const FEW_MISSING_PERCENT: f64 = 5.0;

/// A suite for a table like this: columns that hardly miss values have none missing, numbers keep their type and lie
/// between the least and the greatest one, texts of few different values are among those.
pub fn propose(name: &str, profile: &Profile) -> Suite {
    let mut rules: Vec<Rule> = profile.columns.iter().flat_map(rules_of).collect();
    rules.truncate(MAX_RULES);
    Suite { name: name.to_owned(), criticality: None, minimum_score: None, rules }
}

fn rules_of(column: &ColumnProfile) -> Vec<Rule> {
    let rule = |kind: &str, kwargs: Value| {
        let mut named = Map::from_iter([("column".to_owned(), json!(column.name))]);
        named.extend(kwargs.as_object().cloned().unwrap_or_default());
        Rule {
            kind: kind.to_owned(),
            kwargs: named,
            severity: Severity::default(),
            action: QualityAction::default(),
            row_condition: None,
            description: None,
        }
    };
    let mut rules = Vec::new();
    if column.missing_percent.is_some_and(|percent| percent < FEW_MISSING_PERCENT) {
        rules.push(rule("expect_column_values_to_not_be_null", json!({})));
    }
    if column.numeric.is_some() {
        let type_ = match column.dtype.as_str() {
            dtype if dtype.starts_with("int") => "int",
            dtype if dtype.starts_with("float") => "float",
            _ => "decimal",
        };
        rules.push(rule("expect_column_values_to_be_of_type", json!({"type_": type_})));
        if !column.min.is_null() {
            let ends = json!({"min_value": column.min, "max_value": column.max});
            rules.push(rule("expect_column_values_to_be_between", ends));
        }
    }
    let few = column.categorical.as_ref().and_then(|categorical| categorical.few.as_ref());
    // A text that was shortened is none of the column's.
    let is_whole = |value: &Value| value.as_str().is_none_or(|text| text.chars().count() < MAX_SHOWN_CHARS);
    if let Some(few) = few.filter(|few| !few.is_empty() && few.iter().all(is_whole)) {
        rules.push(rule("expect_column_values_to_be_in_set", json!({"value_set": few})));
    }
    rules
}
