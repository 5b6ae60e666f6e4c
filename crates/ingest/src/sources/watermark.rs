//! Which of two values of a watermark column is the later one.

use std::cmp::Ordering;

use sluice_domain::{Moment, parse_moment};

/// Whether one value is later than the other: as numbers or as moments where both are, otherwise as texts.
pub(super) fn is_later(one: &str, other: &str) -> bool {
    compare(one, other) == Ordering::Greater
}

fn compare(one: &str, other: &str) -> Ordering {
    if let (Ok(one), Ok(other)) = (one.parse::<i128>(), other.parse::<i128>()) {
        return one.cmp(&other);
    }
    if let (Ok(one), Ok(other)) = (one.parse::<f64>(), other.parse::<f64>()) {
        return one.total_cmp(&other);
    }
    match (parse_moment(one).and_then(micros), parse_moment(other).and_then(micros)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => one.cmp(other),
    }
}

/// The place in time; one without a zone is in UTC.
fn micros(moment: Moment) -> Option<i64> {
    moment.zoned().or_else(|| moment.local())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10", "9", true)]
    #[case("9", "9", false)]
    #[case("9.5", "10", false)]
    #[case("1e3", "999", true)]
    #[case("2024-01-02", "2024-01-01T23:59:59Z", true)]
    #[case("2024-01-01T10:00:00+02:00", "2024-01-01T09:00:00Z", false)]
    #[case("2024-01-01T10:00:00.5Z", "2024-01-01T10:00:00Z", true)]
    #[case("b", "a", true)]
    fn the_later_value_is_found(#[case] one: &str, #[case] other: &str, #[case] later: bool) {
        assert_eq!(is_later(one, other), later);
        assert!(!later || !is_later(other, one));
    }
}
