//! Ages: how long something is kept, as people write it.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Months, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// More than this is what `infinite` is for.
const MAX_SECONDS: u64 = 1000 * YEAR_SECONDS;
const HOUR_SECONDS: u64 = 3600;
const DAY_SECONDS: u64 = 24 * HOUR_SECONDS;
/// The mean year of the calendar, by which ages are compared; points in time are found by the calendar itself.
const YEAR_SECONDS: u64 = 31_556_952;

/// A text that is no age.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no age: write a number from 1 on and its unit, as in 3600s, 12h, 30d or 7y, or write infinite")]
pub struct AgeError(String);

/// How old something is or becomes: `3600s`, `12h`, `30d`, `7y`, `infinite`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Age {
    /// So many seconds.
    Seconds(u64),
    /// So many hours.
    Hours(u64),
    /// So many days of 24 hours.
    Days(u64),
    /// So many years of the calendar.
    Years(u64),
    /// For ever.
    Infinite,
}

impl Age {
    /// What is younger than this at `now` was made after the instant; none where nothing is ever that old.
    pub fn before(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let seconds = |seconds: u64| now.checked_sub_signed(TimeDelta::try_seconds(i64::try_from(seconds).ok()?)?);
        match self {
            Self::Infinite => None,
            Self::Years(years) => now.checked_sub_months(Months::new(u32::try_from(years).ok()?.checked_mul(12)?)),
            shorter => seconds(shorter.seconds()),
        }
    }

    /// Its length, by which ages are compared: for ever is the greatest number.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Seconds(count) => count,
            Self::Hours(count) => count.saturating_mul(HOUR_SECONDS),
            Self::Days(count) => count.saturating_mul(DAY_SECONDS),
            Self::Years(count) => count.saturating_mul(YEAR_SECONDS),
            Self::Infinite => u64::MAX,
        }
    }

    /// Whole days, where it is some.
    pub fn days(self) -> Option<u64> {
        match self {
            Self::Infinite => None,
            Self::Years(count) => Some(count.saturating_mul(365)),
            other => other.seconds().is_multiple_of(DAY_SECONDS).then(|| other.seconds() / DAY_SECONDS),
        }
    }

    /// The longer one of both.
    #[must_use]
    pub fn longest(self, other: Self) -> Self {
        if other.seconds() > self.seconds() { other } else { self }
    }

    fn with_unit(count: u64, unit: char) -> Option<Self> {
        let age = match unit {
            's' => Self::Seconds(count),
            'h' => Self::Hours(count),
            'd' => Self::Days(count),
            'y' => Self::Years(count),
            _ => return None,
        };
        (count > 0 && age.seconds() <= MAX_SECONDS).then_some(age)
    }
}

impl FromStr for Age {
    type Err = AgeError;
    fn from_str(text: &str) -> Result<Self, AgeError> {
        if text == "infinite" {
            return Ok(Self::Infinite);
        }
        let refused = || AgeError(text.chars().take(32).collect());
        let unit = text.chars().next_back().ok_or_else(refused)?;
        let digits = &text[..text.len() - unit.len_utf8()];
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let count = digits.parse().ok().filter(|_| plain).ok_or_else(refused)?;
        Self::with_unit(count, unit).ok_or_else(refused)
    }
}

impl TryFrom<String> for Age {
    type Error = AgeError;
    fn try_from(text: String) -> Result<Self, AgeError> {
        text.parse()
    }
}

impl From<Age> for String {
    fn from(age: Age) -> Self {
        age.to_string()
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(count) => write!(f, "{count}s"),
            Self::Hours(count) => write!(f, "{count}h"),
            Self::Days(count) => write!(f, "{count}d"),
            Self::Years(count) => write!(f, "{count}y"),
            Self::Infinite => f.write_str("infinite"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[rstest]
    #[case("3600s", 3600)]
    #[case("12h", 12 * 3600)]
    #[case("30d", 30 * 86_400)]
    #[case("7y", 7 * YEAR_SECONDS)]
    #[case("infinite", u64::MAX)]
    fn an_age_is_read_and_written_alike(#[case] text: &str, #[case] seconds: u64) {
        let age: Age = text.parse().unwrap();
        assert_eq!((age.to_string().as_str(), age.seconds()), (text, seconds));
    }

    #[rstest]
    #[case("")]
    #[case("0d")]
    #[case("0s")]
    #[case("-1d")]
    #[case("+1d")]
    #[case("1.5d")]
    #[case("30")]
    #[case("d")]
    #[case("30 d")]
    #[case("30D")]
    #[case("7ü")]
    #[case("1001y")]
    #[case("99999999999999999999d")]
    #[case("Infinite")]
    fn what_is_no_age_is_refused(#[case] text: &str) {
        assert!(text.parse::<Age>().is_err(), "{text:?} was accepted");
    }

    #[test]
    fn years_are_those_of_the_calendar() {
        let now = instant("2024-02-29T12:00:00Z");
        assert_eq!(Age::Years(1).before(now), Some(instant("2023-02-28T12:00:00Z")));
        assert_eq!(Age::Years(4).before(now), Some(instant("2020-02-29T12:00:00Z")));
        assert_eq!(Age::Infinite.before(now), None);
        assert_eq!(Age::Years(1000).before(instant("0100-01-01T00:00:00Z")).map(|_| ()), Some(()));
    }

    proptest! {
        #[test]
        fn any_text_is_an_age_or_an_error(text in "\\PC{0,12}") {
            if let Ok(age) = text.parse::<Age>() {
                prop_assert!(age.seconds() > 0);
                prop_assert_eq!(age.to_string().parse::<Age>(), Ok(age));
            }
        }

        #[test]
        fn the_longer_age_begins_earlier(a in 1u64..400, b in 1u64..400) {
            let now = instant("2026-01-31T00:00:00Z");
            let longest = Age::Days(a).longest(Age::Days(b));
            prop_assert!(longest.before(now) <= Age::Days(a).before(now) && longest.before(now) <= Age::Days(b).before(now));
        }
    }
}
