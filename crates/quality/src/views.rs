//! Results in the shapes that others give them.

use std::str::FromStr;

use serde_json::{Map, Value, json};
use sluice_domain::{QualityResult, RuleResult, Validation};

/// A shape of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ViewFormat {
    /// As Great Expectations tells it.
    #[default]
    GreatExpectations,
    /// A list of checks with name, description, severity, success and details.
    Checks,
    /// A summary with a score, and a line for each rule.
    Monitor,
    /// `PASS`, `WARN` or `FAIL` for each check of a table.
    Report,
    /// Missing values, other types and broken business rules.
    Validator,
}

impl FromStr for ViewFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "great_expectations" => Ok(Self::GreatExpectations),
            "checks" => Ok(Self::Checks),
            "monitor" => Ok(Self::Monitor),
            "report" => Ok(Self::Report),
            "validator" => Ok(Self::Validator),
            other => Err(format!("format {other:?} is none of great_expectations, checks, monitor, report, validator")),
        }
    }
}

/// A result in a shape.
pub fn view(result: &QualityResult, table: &str, format: ViewFormat) -> Value {
    let validation = &result.validation;
    match format {
        ViewFormat::GreatExpectations => great_expectations(validation),
        ViewFormat::Checks => {
            let timestamp = result.checked_at.to_rfc3339();
            json!({"checks": validation.results.iter().map(|result| check(result, &timestamp)).collect::<Vec<_>>()})
        }
        ViewFormat::Monitor => monitor(validation),
        ViewFormat::Report => report(validation, table),
        ViewFormat::Validator => validator(validation),
    }
}

/// A part of 100; none of nothing.
fn percent(part: Option<u64>, whole: Option<u64>) -> Option<f64> {
    part.zip(whole).filter(|(_, whole)| *whole > 0).map(|(part, whole)| part as f64 * 100.0 / whole as f64)
}

fn great_expectations(validation: &Validation) -> Value {
    let passed = validation.passed();
    json!({
        "success": validation.success(),
        "suite_name": validation.suite,
        "statistics": {
            "evaluated_expectations": validation.results.len(),
            "successful_expectations": passed,
            "unsuccessful_expectations": validation.results.len() - passed,
            "success_percent": validation.check_score(),
        },
        "results": validation.results.iter().map(expectation).collect::<Vec<_>>(),
    })
}

fn expectation(result: &RuleResult) -> Value {
    let rule = &result.rule;
    json!({
        "expectation_config": {
            "type": rule.kind,
            "expectation_type": rule.kind,
            "kwargs": rule.kwargs,
            "meta": {"severity": rule.severity, "action": rule.action},
        },
        "success": result.success,
        "result": seen(result),
        "exception_info": {
            "raised_exception": result.exception.is_some(),
            "exception_message": result.exception.as_ref().map(|exception| &exception.0),
            "exception_traceback": null,
        },
    })
}

fn seen(result: &RuleResult) -> Map<String, Value> {
    let observed = &result.observed;
    let mut seen = observed.details.clone();
    let mut put = |name: &str, value: Option<Value>| value.map(|value| seen.insert(name.to_owned(), value));
    put("observed_value", observed.value.clone());
    put("element_count", observed.element_count.map(Value::from));
    put("missing_count", observed.missing_count.map(Value::from));
    put("missing_percent", percent(observed.missing_count, observed.element_count).map(Value::from));
    if let Some(unexpected) = observed.unexpected_count {
        let there = observed.element_count.map(|all| all - observed.missing_count.unwrap_or(0));
        put("unexpected_count", Some(unexpected.into()));
        put("unexpected_percent", Some(json!(percent(Some(unexpected), there))));
        put("unexpected_percent_total", Some(json!(percent(Some(unexpected), observed.element_count))));
        put("partial_unexpected_list", Some(json!(observed.unexpected)));
    }
    seen
}

/// `column_null`, `column_unique` and so on.
fn name_of(result: &RuleResult) -> String {
    let kind = result.rule.kind.as_str();
    let short = match kind {
        "expect_column_values_to_not_be_null" => "null",
        "expect_column_values_to_be_unique" => "unique",
        "expect_column_values_to_be_between" => "range",
        other => other.trim_start_matches("expect_"),
    };
    result.rule.column().map_or_else(|| short.to_owned(), |column| format!("{column}_{short}"))
}

fn check(result: &RuleResult, timestamp: &str) -> Value {
    let rule = &result.rule;
    let observed = &result.observed;
    let is_missing = rule.column().is_some_and(|column| {
        result.exception.as_ref().is_some_and(|exception| exception.0 == format!("Missing column: {column}"))
    });
    let details = match (&result.exception, rule.column()) {
        (Some(_), Some(column)) if is_missing => json!({column: {"present": false}}),
        (Some(exception), _) => json!({"error": exception.0}),
        (None, Some(column)) if rule.kind == "expect_column_values_to_not_be_null" => {
            let share = percent(observed.unexpected_count, observed.element_count).map(|share| share / 100.0);
            json!({column: {"null_percentage": share, "success": result.success}})
        }
        (None, _) => Value::Object(seen(result)),
    };
    json!({
        "check_name": name_of(result),
        "description": rule.description.clone().unwrap_or_else(|| rule.kind.clone()),
        "severity": rule.severity,
        "success": result.success,
        "details": details,
        "timestamp": timestamp,
    })
}

fn monitor(validation: &Validation) -> Value {
    let (total, passed) = (validation.results.len(), validation.passed());
    let detail = |result: &RuleResult| {
        json!({
            "expectation_type": result.rule.kind,
            "success": result.success,
            "observed_value": result.observed.value,
            "expected_value": result.rule.kwargs,
        })
    };
    json!({
        "passed": validation.success(),
        "quality_score": validation.check_score(),
        "summary": {
            "total_checks": total,
            "passed_checks": passed,
            "failed_checks": total - passed,
            "quality_score": validation.check_score(),
        },
        "details": validation.results.iter().map(detail).collect::<Vec<_>>(),
    })
}

/// To two decimal places.
fn rounded(number: Option<f64>) -> Option<f64> {
    number.map(|number| (number * 100.0).round() / 100.0)
}

fn report(validation: &Validation, table: &str) -> Value {
    let one = |result: &RuleResult| {
        let (observed, column) = (&result.observed, result.rule.column().unwrap_or_default());
        let or_else = |other: &str| if result.success { "PASS" } else { other }.to_owned();
        match result.rule.kind.as_str() {
            "expect_column_proportion_of_non_null_values_to_be_between" => {
                let share = rounded(percent(observed.missing_count, observed.element_count));
                let found = json!({"null_count": observed.missing_count, "null_percentage": share,
                    "status": or_else("FAIL")});
                (format!("{column}_null_check"), found)
            }
            "expect_table_rows_to_be_unique" => {
                let count = observed.details.get("duplicate_count").and_then(Value::as_u64);
                let share = rounded(percent(count, observed.element_count));
                let found = json!({"duplicate_count": count, "duplicate_percentage": share,
                    "status": or_else("WARN")});
                ("duplicate_check".to_owned(), found)
            }
            "expect_column_outlier_share_to_be_less_than" => {
                let share = rounded(percent(observed.unexpected_count, observed.element_count));
                let found = json!({"outlier_count": observed.unexpected_count, "outlier_percentage": share,
                    "status": or_else("WARN")});
                (format!("{column}_outlier_check"), found)
            }
            _ => (name_of(result), json!({"status": or_else("FAIL")})),
        }
    };
    let checks: Map<String, Value> = validation.results.iter().map(one).collect();
    json!({"table_name": table, "total_records": validation.rows.total, "checks": checks})
}

fn validator(validation: &Validation) -> Value {
    let (mut nulls, mut types, mut issues) = (Map::new(), Map::new(), Map::new());
    for result in validation.results.iter().filter(|result| !result.success) {
        let column = result.rule.column().unwrap_or_default().to_owned();
        let count = json!(result.observed.unexpected_count);
        match result.rule.kind.as_str() {
            "expect_column_values_to_not_be_null" => drop(nulls.insert(column, count)),
            "expect_column_values_to_be_of_type" => {
                drop(types.insert(column, result.observed.details.get("type").cloned().unwrap_or_default()));
            }
            "expect_column_values_to_not_be_in_the_future" => drop(issues.insert("future_dates".to_owned(), count)),
            _ => drop(issues.insert(issue_of(result, &column), count)),
        }
    }
    json!({"null_values": nulls, "type_issues": types, "business_rule_violations": issues})
}

/// `negative_amounts` where amounts are to be 0 or more.
fn issue_of(result: &RuleResult, column: &str) -> String {
    let is_zero = result.rule.kwargs.get("min_value").and_then(Value::as_f64) == Some(0.0);
    if result.rule.kind == "expect_column_values_to_be_between"
        && is_zero
        && !result.rule.kwargs.contains_key("max_value")
    {
        return format!("negative_{column}s");
    }
    name_of(result)
}
