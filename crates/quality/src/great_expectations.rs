//! Suites as Great Expectations writes them: `expectation_type` in the versions 0, `type` in 1.
//!
//! Invariant: a suite that was exported is read back as itself.

use serde_json::{Map, Value, json};
use sluice_domain::{QualityAction, Rule, Severity, Suite, SuiteError};

use crate::suite::{items, known, part, required};

/// Under which name the metadata of a suite or an expectation keep what only we know.
const OURS: &str = "sluice";
/// Parameters of every expectation that say how its result is told, which is always the same here.
const TELLING: &[&str] = &["batch_id", "result_format", "include_config", "catch_exceptions", "condition_parser"];
/// Parts of a suite that say nothing about the rules.
const ABOUT_SUITE: &[&str] = &[
    "name",
    "expectation_suite_name",
    "expectations",
    "meta",
    "id",
    "notes",
    "ge_cloud_id",
    "data_asset_type",
    "evaluation_parameters",
    "suite_parameters",
];
const ABOUT_EXPECTATION: &[&str] =
    &["type", "expectation_type", "kwargs", "meta", "id", "notes", "description", "severity", "success_on_last_run"];

/// Read a suite.
pub(crate) fn read(map: &Map<String, Value>) -> Result<Suite, SuiteError> {
    known(map, "", ABOUT_SUITE)?;
    let name = match part(map, "", "name")? {
        Some(name) => name,
        None => required(map, "", "expectation_suite_name")?,
    };
    let ours = ours(map, "")?;
    let rules = items(map, "expectations")?.into_iter().map(|(path, expectation)| read_expectation(expectation, &path));
    Ok(Suite {
        name,
        criticality: part(&ours, "meta.sluice", "criticality")?,
        minimum_score: part(&ours, "meta.sluice", "minimum_score")?,
        rules: rules.collect::<Result<_, _>>()?,
    })
}

/// What only we know, of the metadata of something.
fn ours(map: &Map<String, Value>, path: &str) -> Result<Map<String, Value>, SuiteError> {
    let meta: Map<String, Value> = part(map, path, "meta")?.unwrap_or_default();
    let path = if path.is_empty() { "meta".to_owned() } else { format!("{path}.meta") };
    Ok(part(&meta, &path, OURS)?.unwrap_or_default())
}

fn read_expectation(map: &Map<String, Value>, path: &str) -> Result<Rule, SuiteError> {
    known(map, path, ABOUT_EXPECTATION)?;
    let kind = match part(map, path, "type")? {
        Some(kind) => kind,
        None => required(map, path, "expectation_type")?,
    };
    let mut kwargs: Map<String, Value> = part(map, path, "kwargs")?.unwrap_or_default();
    TELLING.iter().for_each(|name| drop(kwargs.remove(*name)));
    let row_condition = part(&kwargs, &format!("{path}.kwargs"), "row_condition")?;
    kwargs.remove("row_condition");
    let (ours, at) = (ours(map, path)?, format!("{path}.meta.{OURS}"));
    let severity: Option<Severity> = part(&ours, &at, "severity")?;
    let theirs: Option<String> = part(map, path, "severity")?;
    Ok(Rule {
        kind,
        kwargs,
        severity: severity.or_else(|| theirs.as_deref().map(severity_of)).unwrap_or_default(),
        action: part::<QualityAction>(&ours, &at, "action")?.unwrap_or_default(),
        row_condition,
        description: part(map, path, "description")?,
    })
}

/// `critical`, `warning` and `info` are theirs.
fn severity_of(theirs: &str) -> Severity {
    match theirs {
        "critical" => Severity::Critical,
        "info" => Severity::Low,
        _ => Severity::Medium,
    }
}

fn severity_for(ours: Severity) -> &'static str {
    match ours {
        Severity::Critical | Severity::High => "critical",
        Severity::Medium => "warning",
        Severity::Low => "info",
    }
}

/// The suite as Great Expectations reads it, of any version.
pub fn export(suite: &Suite) -> Value {
    let expectation = |rule: &Rule| {
        let mut kwargs = rule.kwargs.clone();
        if let Some(condition) = &rule.row_condition {
            kwargs.insert("row_condition".into(), json!(condition));
            kwargs.insert("condition_parser".into(), json!("great_expectations"));
        }
        let mut expectation = json!({
            "type": rule.kind,
            "expectation_type": rule.kind,
            "kwargs": kwargs,
            "severity": severity_for(rule.severity),
            "meta": {OURS: {"severity": rule.severity, "action": rule.action}},
        });
        if let Some(description) = &rule.description {
            expectation["description"] = json!(description);
        }
        expectation
    };
    json!({
        "name": suite.name,
        "expectation_suite_name": suite.name,
        "expectations": suite.rules.iter().map(expectation).collect::<Vec<_>>(),
        "meta": {OURS: {"criticality": suite.criticality, "minimum_score": suite.minimum_score}},
    })
}
