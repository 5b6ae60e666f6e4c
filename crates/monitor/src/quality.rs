//! Results of quality suites: what rules find wrong with them, and which alerts are over.
//!
//! Invariant: an alert is over only once the whole table was checked after it and the same rule finds nothing; good
//! rows that come in say nothing about those that are there.

use chrono::{DateTime, TimeDelta, Utc};
use sluice_catalog::{JudgedResult, RecordedPlace};
use sluice_domain::{AlertCondition, AlertRule, Finding, QualitySubject, RuleResult, Severity, Validation};

use crate::{
    Monitor, MonitorError,
    rules::finding,
    watch::{Memory, OVERLAP},
};

/// How many results are read at once.
const RESULTS_AT_ONCE: u32 = 100;
/// How many results one round judges; the next one goes on from there.
const MAX_RESULTS_PER_ROUND: usize = 10_000;
/// How many broken rules a message tells, and the most characters of each.
const MAX_TOLD_RULES: usize = 5;
const MAX_TOLD_CHARS: usize = 200;

impl Monitor {
    /// Judge the results that were written down since the mark; gives up to when that is done.
    pub(crate) async fn judge_results(
        &self,
        rules: &[AlertRule],
        (mark, now): (DateTime<Utc>, DateTime<Utc>),
        memory: &mut Memory,
    ) -> Result<DateTime<Utc>, MonitorError> {
        let mut place = RecordedPlace { at: mark - OVERLAP, id: None };
        memory.results.retain(|_, recorded| *recorded >= place.at);
        let mut count = 0;
        loop {
            let results = self.inner.catalog.quality().recorded_after(&place, RESULTS_AT_ONCE).await?;
            let Some(last) = results.last() else { break };
            place = RecordedPlace { at: last.recorded_at, id: Some(last.result.subject.id()) };
            count += results.len();
            for judged in &results {
                let id = judged.result.subject.id();
                if memory.results.insert(id, judged.recorded_at) != Some(judged.recorded_at) {
                    self.judge_result(rules, judged).await?;
                }
            }
            if count >= MAX_RESULTS_PER_ROUND {
                return Ok(place.at);
            }
            if results.len() < RESULTS_AT_ONCE as usize {
                break;
            }
        }
        Ok(now.max(mark))
    }

    async fn judge_result(&self, rules: &[AlertRule], judged: &JudgedResult) -> Result<(), MonitorError> {
        let is_check = matches!(judged.result.subject, QualitySubject::Table(_));
        for rule in rules.iter().filter(|rule| is_about(rule, judged)) {
            match judge(rule, judged) {
                Some(finding) => {
                    self.raise(rule, &finding).await?;
                }
                None if is_check => {
                    let (subject, before) = (judged.table.to_string(), occurrence(judged));
                    self.inner.catalog.alerts().resolve(&rule.name, &subject, &before).await?;
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// Whether a rule looks at results, and at those of this table.
fn is_about(rule: &AlertRule, judged: &JudgedResult) -> bool {
    rule.condition.is_of_results() && rule.covers_table(&judged.table, &judged.tags)
}

/// What a rule finds wrong with a result.
fn judge(rule: &AlertRule, judged: &JudgedResult) -> Option<Finding> {
    let validation = &judged.result.validation;
    let message = match rule.condition {
        AlertCondition::QualityCheck => broken(rule.min_rule_severity.unwrap_or(Severity::Low), validation)?,
        AlertCondition::CheckScore => {
            let (score, limit) = (validation.rows.percent()?, rule.effective_threshold());
            let told = || format!("{score:.2} of 100 rows keep the rules of {}, less than {limit}", validation.suite);
            (score < limit).then(told)?
        }
        _ => return None,
    };
    let of = match (judged.result.subject, judged.result.version) {
        (QualitySubject::Upload(id), _) => format!("the upload {id} to {}", judged.table),
        (QualitySubject::Run(id), _) => format!("the run {id} into {}", judged.table),
        (QualitySubject::Table(_), Some(version)) => format!("version {version} of {}", judged.table),
        (QualitySubject::Table(_), None) => judged.table.to_string(),
    };
    let message = format!("{of}: {message}");
    let namespace = Some(judged.table.namespace.clone());
    Some(finding(rule, (&judged.table.to_string(), namespace), occurrence(judged), message))
}

/// The broken rules that matter so much, if there are any.
fn broken(least: Severity, validation: &Validation) -> Option<String> {
    let is_broken = |result: &&RuleResult| !result.success && result.rule.severity >= least;
    let broken: Vec<&RuleResult> = validation.results.iter().filter(is_broken).collect();
    let told = broken.iter().take(MAX_TOLD_RULES).map(|result| {
        let what = result.rule.description.clone().unwrap_or_else(|| result.complaints.join("; "));
        let what: String = what.chars().take(MAX_TOLD_CHARS).collect();
        format!("{} ({}): {what}", result.rule.kind, result.rule.severity.as_str())
    });
    let told = told.collect::<Vec<_>>().join("; ");
    let (count, all) = (broken.len(), validation.results.len());
    let rest = count.saturating_sub(MAX_TOLD_RULES);
    let rest = if rest > 0 { format!("; and {rest} more") } else { String::new() };
    (count > 0).then(|| format!("{count} of {all} rules of {} are broken: {told}{rest}", validation.suite))
}

/// Later results have occurrences that sort behind.
fn occurrence(judged: &JudgedResult) -> String {
    let micros = (judged.recorded_at - DateTime::UNIX_EPOCH).max(TimeDelta::zero()).num_microseconds();
    format!("{:020} {}", micros.unwrap_or(i64::MAX), judged.result.subject.id())
}

#[cfg(test)]
#[path = "quality_tests.rs"]
mod tests;
