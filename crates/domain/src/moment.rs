//! Dates and timestamps in text: ISO 8601 and its everyday relatives, to the microsecond and never rounded.

use chrono::{Datelike as _, NaiveDate};

/// Days from 0001-01-01 (day 1) to 1970-01-01.
const EPOCH_FROM_CE: i32 = 719_163;
/// How long a day is that is written as such.
const DAY_BYTES: usize = 10;
/// Days from the last of February of the year 0 to 1970-01-01.
const DAYS_TO_EPOCH: i32 = 719_469;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// A point in time as text gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A day, counted from 1970-01-01.
    Date(i32),
    /// A time of day on a day, without zone, in microseconds from 1970-01-01T00:00.
    Local(i64),
    /// An instant, in microseconds from the epoch.
    Zoned(i64),
}

impl Moment {
    /// The day; none if it is a time of day.
    pub fn days(self) -> Option<i32> {
        match self {
            Self::Date(days) => Some(days),
            Self::Local(_) | Self::Zoned(_) => None,
        }
    }

    /// The instant; none without a zone.
    pub fn zoned(self) -> Option<i64> {
        match self {
            Self::Zoned(micros) => Some(micros),
            Self::Date(_) | Self::Local(_) => None,
        }
    }

    /// The moment without a zone; none if it has one. A date is its first instant.
    pub fn local(self) -> Option<i64> {
        match self {
            Self::Date(days) => Some(i64::from(days) * 86_400 * MICROS_PER_SECOND),
            Self::Local(micros) => Some(micros),
            Self::Zoned(_) => None,
        }
    }
}

/// Read `2024-01-31`, `2024-01-31T12:30`, `2024-01-31 12:30:59.123456+02:00`, `…Z`, `… UTC`.
///
/// More than six digits of a second are accepted only where the rest is zero: nothing is cut off.
pub fn parse_moment(text: &str) -> Option<Moment> {
    let mut rest = text.as_bytes();
    if let Some(day) = rest.first_chunk().filter(|_| rest.len() == DAY_BYTES) {
        return plain_day(day).map(Moment::Date);
    }
    let year = digits(&mut rest, 4)?;
    skip(&mut rest, b"-")?;
    let month = digits(&mut rest, 2)?;
    skip(&mut rest, b"-")?;
    let day = digits(&mut rest, 2)?;
    let date = NaiveDate::from_ymd_opt(year as i32, month, day).filter(|_| year > 0)?;
    let days = date.num_days_from_ce() - EPOCH_FROM_CE;
    if rest.is_empty() {
        return Some(Moment::Date(days));
    }
    skip(&mut rest, b"Tt ")?;
    let time = time_of_day(&mut rest)?;
    let local = i64::from(days) * 86_400 * MICROS_PER_SECOND + time;
    if rest.is_empty() {
        return Some(Moment::Local(local));
    }
    let offset = offset_seconds(rest)?;
    Some(Moment::Zoned(local - i64::from(offset) * MICROS_PER_SECOND))
}

/// A day with nothing after it, in days from 1970-01-01.
fn plain_day(text: &[u8; DAY_BYTES]) -> Option<i32> {
    let [y1, y2, y3, y4, dash, m1, m2, other_dash, d1, d2] = text.map(|byte| i32::from(byte) - i32::from(b'0'));
    let are_digits = [y1, y2, y3, y4, m1, m2, d1, d2].iter().all(|digit| (0..10).contains(digit));
    let (year, month, day) = (y1 * 1000 + y2 * 100 + y3 * 10 + y4, m1 * 10 + m2, d1 * 10 + d2);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        2 => 28 + i32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    let dashes = [dash, other_dash] == [i32::from(b'-') - i32::from(b'0'); 2];
    if !are_digits || !dashes || year == 0 || day == 0 || day > month_days {
        return None;
    }
    // Years that begin in March have their leap day at their end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let years_days = 365 * year + year / 4 - year / 100 + year / 400;
    Some(years_days + (153 * month + 2) / 5 + day - DAYS_TO_EPOCH)
}

fn time_of_day(rest: &mut &[u8]) -> Option<i64> {
    let hour = digits(rest, 2).filter(|hour| *hour < 24)?;
    skip(rest, b":")?;
    let minute = digits(rest, 2).filter(|minute| *minute < 60)?;
    let (mut second, mut micros) = (0, 0);
    if skip(rest, b":").is_some() {
        second = digits(rest, 2).filter(|second| *second < 60)?;
        if skip(rest, b".,").is_some() {
            micros = fraction(rest)?;
        }
    }
    Some(i64::from(hour * 3600 + minute * 60 + second) * MICROS_PER_SECOND + i64::from(micros))
}

fn fraction(rest: &mut &[u8]) -> Option<u32> {
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, after) = rest.split_at(length);
    let (kept, cut) = fraction.split_at(length.min(6));
    if fraction.is_empty() || length > 12 || cut.iter().any(|&byte| byte != b'0') {
        return None;
    }
    *rest = after;
    let number = kept.iter().fold(0, |number, byte| number * 10 + u32::from(byte - b'0'));
    Some(number * 10_u32.pow(6 - kept.len() as u32))
}

/// The offset east of UTC of what follows a time.
fn offset_seconds(mut rest: &[u8]) -> Option<i32> {
    let _ = skip(&mut rest, b" ");
    if matches!(rest, b"Z" | b"z" | b"UTC") {
        return Some(0);
    }
    let sign = match rest.split_first()? {
        (b'+', after) => {
            rest = after;
            1
        }
        (b'-', after) => {
            rest = after;
            -1
        }
        _ => return None,
    };
    let hours = digits(&mut rest, 2).filter(|hours| *hours <= 18)?;
    let _ = skip(&mut rest, b":");
    let minutes = if rest.is_empty() { 0 } else { digits(&mut rest, 2).filter(|minutes| *minutes < 60)? };
    rest.is_empty().then_some(sign * (hours * 3600 + minutes * 60) as i32)
}

fn digits(rest: &mut &[u8], count: usize) -> Option<u32> {
    let (number, after) = rest.split_at_checked(count)?;
    let number = number
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))?;
    *rest = after;
    Some(number)
}

fn skip(rest: &mut &[u8], any_of: &[u8]) -> Option<()> {
    let (first, after) = rest.split_first()?;
    any_of.contains(first).then(|| *rest = after)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1970-01-02", Some(Moment::Date(1)))]
    #[case("0001-01-01", Some(Moment::Date(-719_162)))]
    #[case("1970-01-01T00:00", Some(Moment::Local(0)))]
    #[case("1970-01-01 00:00:01.5", Some(Moment::Local(1_500_000)))]
    #[case("1970-01-01T01:00:00+01:00", Some(Moment::Zoned(0)))]
    #[case("1970-01-01T00:00:00Z", Some(Moment::Zoned(0)))]
    #[case("1970-01-01 00:00:00 UTC", Some(Moment::Zoned(0)))]
    #[case("1969-12-31T23:59:59.999999-0000", Some(Moment::Zoned(-1)))]
    #[case("1970-01-01T00:00:00.123456000Z", Some(Moment::Zoned(123_456)))]
    #[case("1970-01-01T00:00:00.123456789Z", None)]
    #[case("2023-02-29", None)]
    #[case("2024-13-01", None)]
    #[case("2024-1-1", None)]
    #[case("0000-01-01", None)]
    #[case("2024-01-01T24:00", None)]
    #[case("2024-01-01T00:00:00+", None)]
    #[case("2024-01-01x", None)]
    #[case("", None)]
    fn text_is_a_moment_or_not(#[case] text: &str, #[case] expected: Option<Moment>) {
        assert_eq!(parse_moment(text), expected);
    }

    proptest! {
        #[test]
        fn any_instant_reads_back_as_itself(micros in -62_135_596_800_000_000_i64..253_402_300_799_999_999) {
            let text = chrono::DateTime::from_timestamp_micros(micros).unwrap().to_rfc3339();
            prop_assert_eq!(parse_moment(&text), Some(Moment::Zoned(micros)));
        }

        #[test]
        fn a_day_is_one_of_the_calendar_or_none(year in 0..10_000_u32, month in 0..14_u32, day in 0..33_u32) {
            let expected = NaiveDate::from_ymd_opt(year as i32, month, day).filter(|_| year > 0);
            let days = expected.map(|date| Moment::Date(date.num_days_from_ce() - EPOCH_FROM_CE));
            prop_assert_eq!(parse_moment(&format!("{year:04}-{month:02}-{day:02}")), days);
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,40}") {
            let _ = parse_moment(&text);
        }
    }
}
