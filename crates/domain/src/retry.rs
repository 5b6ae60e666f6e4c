//! How long to wait before the next try.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The wait after so many tries: twice as long after each, and never longer than the longest.
pub fn backoff(first: Duration, tries: u32, longest: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX)).min(longest)
}

/// The wait that a header `Retry-After` asks for (RFC 9110, 10.2.3): seconds, or until a date.
pub fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(text.trim()).ok()?.to_utc();
    Some((until - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let (second, longest) = (Duration::from_secs(1), Duration::from_secs(600));
        let waits = [0, 1, 2, 3, 40].map(|tries| backoff(10 * second, tries, longest).as_secs());
        assert_eq!(waits, [10, 10, 20, 40, 600]);
        assert_eq!(backoff(Duration::from_millis(1), u32::MAX, longest), longest);
        assert_eq!(backoff(Duration::ZERO, 5, longest), Duration::ZERO);
    }

    #[rstest]
    #[case("120", Some(120))]
    #[case(" 0 ", Some(0))]
    #[case("Sat, 31 Jan 2026 12:01:30 GMT", Some(90))]
    #[case("Sat, 31 Jan 2026 11:00:00 GMT", Some(0))]
    #[case("-5", None)]
    #[case("soon", None)]
    #[case("99999999999999999999999", None)]
    fn a_wait_is_told_in_seconds_or_by_a_date(#[case] text: &str, #[case] seconds: Option<u64>) {
        let now = "2026-01-31T12:00:00Z".parse().unwrap();
        assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs));
    }
}
