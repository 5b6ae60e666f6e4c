//! The quality gate of a pipeline: what must be true of the rows of a run before anybody reads them.

use serde::{Deserialize, Serialize};

use crate::{Criticality, Fraction, RowScore, Threshold, Validation, word_set::words};

words!(
    /// What becomes of a run whose rows are not good enough.
    GateAction, "action of a gate", {
        /// It fails, and its target stays as it was.
        Block = "block",
        /// It goes through, with a warning.
        Warn = "warn",
    }
);

/// What the rows of a run must be like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineGate {
    /// What becomes of a run whose rows are not.
    pub on_failure: GateAction,
    /// How much depends on the target: what share of the rows must be valid.
    #[serde(default)]
    pub criticality: Option<Criticality>,
    /// The same in a number.
    #[serde(default)]
    pub min_score: Option<Threshold>,
    /// Which part of the rows of the inputs the result may lack.
    #[serde(default)]
    pub max_data_loss: Option<Fraction>,
}

/// What a gate found out about the rows of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunQuality {
    /// Rows that the suite was asked of, and valid ones of them.
    pub rows: RowScore,
    /// How many rules were asked; none where the target has no suite.
    pub rules: u64,
    /// How many of them were kept.
    pub kept: u64,
    /// What the gate has against the rows.
    pub complaints: Vec<String>,
}

impl RunQuality {
    /// Whether the gate has nothing against the rows.
    pub fn passed(&self) -> bool {
        self.complaints.is_empty()
    }
}

impl PipelineGate {
    /// Judge the rows of a run: what the suite of the target said of them, if it has one, and how many of the rows of the
    /// inputs they are.
    ///
    /// A suite's own threshold, and its rules that refuse or block, count beside those of the gate. Where neither the gate
    /// nor the suite has a threshold, every rule must be kept.
    pub fn judge(&self, asked: Option<&Validation>, has_threshold: bool, (came, stayed): (u64, u64)) -> RunQuality {
        let mut quality = match asked {
            Some(validation) => RunQuality {
                rows: validation.rows,
                rules: validation.results.len() as u64,
                kept: validation.passed() as u64,
                complaints: self.complaint(validation, has_threshold).into_iter().collect(),
            },
            None => RunQuality::default(),
        };
        let lost = came.saturating_sub(stayed);
        if self.max_data_loss.is_some_and(|most| most.is_exceeded_by(lost, came)) {
            let percent = lost as f64 * 100.0 / came as f64;
            quality.complaints.push(format!("High data loss detected: {percent:.2}%"));
        }
        quality
    }

    /// Whether it asks more than how many rows there are: a target without a suite has no answer.
    pub fn needs_suite(&self) -> bool {
        self.max_data_loss.is_none() || self.threshold().is_some()
    }

    /// The least share of valid rows that is enough for the gate.
    fn threshold(&self) -> Option<Threshold> {
        let of_criticality = self.criticality.map(Criticality::threshold);
        of_criticality.into_iter().chain(self.min_score).max_by(|one, other| one.share().total_cmp(&other.share()))
    }

    fn complaint(&self, validation: &Validation, suite_has_threshold: bool) -> Option<String> {
        let (rows, suite) = (validation.rows, &validation.suite);
        if let Some(least) = self.threshold().filter(|least| !least.is_reached_by(rows.valid, rows.total)) {
            let (score, least) = (rows.percent().unwrap_or_default(), least.share() * 100.0);
            return Some(format!("{score:.2} of 100 rows keep the rules of {suite}, less than {least:.2}"));
        }
        let is_judged_by_score = self.threshold().is_some() || suite_has_threshold;
        let refused = !validation.publishable || validation.refusals().next().is_some();
        if !refused && (is_judged_by_score || validation.success()) {
            return None;
        }
        let broken = validation.results.iter().filter(|result| !result.success);
        let broken: Vec<&str> = broken.map(|result| result.rule.kind.as_str()).take(MAX_TOLD_RULES).collect();
        let (count, all) = (validation.results.len() - validation.passed(), validation.results.len());
        Some(format!("{count} of {all} rules of {suite} are broken: {}", broken.join(", ")))
    }
}

/// How many broken rules are named.
const MAX_TOLD_RULES: usize = 5;

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{Observed, QualityAction, Rule, RuleResult, Severity};

    fn gate() -> PipelineGate {
        PipelineGate { on_failure: GateAction::Block, criticality: None, min_score: None, max_data_loss: None }
    }

    fn validation(valid: u64, action: QualityAction, success: bool) -> Validation {
        let kwargs = serde_json::Map::new();
        let (kind, severity) = ("expect_x".to_owned(), Severity::Medium);
        let rule = Rule { kind, kwargs, severity, action, row_condition: None, description: None };
        let observed = Observed::default();
        let results = vec![RuleResult { rule, success, observed, exception: None, complaints: Vec::new() }];
        let rows = RowScore { total: 1000, valid };
        let publishable = success || action != QualityAction::Block;
        Validation { suite: "s".into(), rows, publishable, results, not_asked: Vec::new() }
    }

    #[rstest]
    #[case(Criticality::Critical, 989, false)]
    #[case(Criticality::Critical, 990, true)]
    #[case(Criticality::High, 949, false)]
    #[case(Criticality::High, 950, true)]
    #[case(Criticality::Medium, 899, false)]
    #[case(Criticality::Medium, 900, true)]
    fn a_criticality_is_a_threshold(#[case] criticality: Criticality, #[case] valid: u64, #[case] passes: bool) {
        let gate = PipelineGate { criticality: Some(criticality), ..gate() };
        let quality = gate.judge(Some(&validation(valid, QualityAction::Warn, false)), false, (0, 0));
        assert_eq!((quality.passed(), quality.rules, quality.kept), (passes, 1, 0), "{quality:?}");
    }

    #[test]
    fn without_a_threshold_every_rule_counts_and_rules_that_block_count_always() {
        let broken = validation(999, QualityAction::Warn, false);
        assert!(!gate().judge(Some(&broken), false, (0, 0)).passed());
        assert!(gate().judge(Some(&broken), true, (0, 0)).passed(), "the suite is held to a score");
        assert!(gate().judge(Some(&validation(1000, QualityAction::Warn, true)), false, (0, 0)).passed());
        let medium = PipelineGate { criticality: Some(Criticality::Medium), ..gate() };
        for action in [QualityAction::Block, QualityAction::Reject] {
            let quality = medium.judge(Some(&validation(999, action, false)), true, (0, 0));
            assert_eq!(quality.complaints, ["1 of 1 rules of s are broken: expect_x"]);
        }
    }

    #[test]
    fn the_higher_of_two_thresholds_counts() {
        let min_score = Threshold::try_from(99.5).ok();
        let gate = PipelineGate { criticality: Some(Criticality::Medium), min_score, ..gate() };
        let quality = gate.judge(Some(&validation(994, QualityAction::Warn, false)), false, (0, 0));
        assert_eq!(quality.complaints, ["99.40 of 100 rows keep the rules of s, less than 99.50"]);
    }

    #[rstest]
    #[case(100, 94, Some("High data loss detected: 6.00%"))]
    #[case(100, 95, None)]
    #[case(100, 96, None)]
    #[case(3, 2, Some("High data loss detected: 33.33%"))]
    #[case(0, 0, None)]
    #[case(1, 7, None)]
    fn rows_that_are_lost_are_counted(#[case] came: u64, #[case] stayed: u64, #[case] expected: Option<&str>) {
        let gate = PipelineGate { max_data_loss: Fraction::new(0.05), ..gate() };
        let quality = gate.judge(None, false, (came, stayed));
        assert_eq!(quality.complaints.first().map(String::as_str), expected);
        assert!(!gate.needs_suite());
    }
}
