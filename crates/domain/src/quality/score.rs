//! Scores, and what they must be.

use serde::{Deserialize, Serialize};

/// How much depends on a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    /// 90 of 100 rows must be valid.
    Medium,
    /// 95 of 100 rows must be valid.
    High,
    /// 99 of 100 rows must be valid.
    Critical,
}

impl Criticality {
    /// The least score with which the table may be published.
    pub fn threshold(self) -> Threshold {
        Threshold(match self {
            Self::Medium => 0.90,
            Self::High => 0.95,
            Self::Critical => 0.99,
        })
    }
}

/// The least score that is enough: up to 1 a share, above it of 100.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub struct Threshold(f64);

impl Threshold {
    /// What there must be of 1.
    pub fn share(self) -> f64 {
        if self.0 > 1.0 { self.0 / 100.0 } else { self.0 }
    }

    /// The number as somebody said it.
    pub fn as_said(self) -> f64 {
        self.0
    }

    /// Whether so many of so many are enough; nothing is enough of nothing.
    pub fn is_reached_by(self, part: u64, whole: u64) -> bool {
        whole == 0 || part as f64 / whole as f64 >= self.share()
    }
}

// It is a number from 0 to 100, and none that differs from itself.
impl Eq for Threshold {}

impl TryFrom<f64> for Threshold {
    type Error = String;
    fn try_from(number: f64) -> Result<Self, String> {
        if (0.0..=100.0).contains(&number) {
            return Ok(Self(number));
        }
        Err(format!("{number} is neither a share from 0 to 1 nor a score from 0 to 100"))
    }
}

/// How many rows there were, and how many of them broke no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowScore {
    /// All rows.
    pub total: u64,
    /// Those that broke no rule about single rows.
    pub valid: u64,
}

impl RowScore {
    /// Valid rows of 100; none where there are no rows.
    pub fn percent(self) -> Option<f64> {
        (self.total > 0).then(|| self.valid as f64 * 100.0 / self.total as f64)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(1_000_000, 950_000, Some(95.0))]
    #[case(10, 7, Some(70.0))]
    #[case(3, 3, Some(100.0))]
    #[case(0, 0, None)]
    fn the_headline_score_is_valid_of_all_rows(#[case] total: u64, #[case] valid: u64, #[case] expected: Option<f64>) {
        assert_eq!(RowScore { total, valid }.percent(), expected);
    }

    #[rstest]
    #[case(Criticality::Critical.threshold(), 989, false)]
    #[case(Criticality::Critical.threshold(), 990, true)]
    #[case(Criticality::High.threshold(), 949, false)]
    #[case(Criticality::High.threshold(), 950, true)]
    #[case(Criticality::Medium.threshold(), 899, false)]
    #[case(Criticality::Medium.threshold(), 900, true)]
    #[case(Threshold(95.0), 949, false)]
    #[case(Threshold(95.0), 950, true)]
    #[case(Threshold(0.95), 950, true)]
    #[case(Threshold(1.0), 999, false)]
    fn a_threshold_is_reached_at_itself_on_both_scales(
        #[case] threshold: Threshold,
        #[case] valid: u64,
        #[case] is_reached: bool,
    ) {
        assert_eq!(threshold.is_reached_by(valid, 1000), is_reached);
    }

    #[test]
    fn no_rows_are_divided_by_nothing() {
        assert!(Criticality::Critical.threshold().is_reached_by(0, 0));
        for bad in [-0.1, 100.1, f64::NAN] {
            assert!(Threshold::try_from(bad).is_err(), "{bad}");
        }
    }
}
