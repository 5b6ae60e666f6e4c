//! Durations as people write them: `90s`, `60m`, `24h`, `7d`.

/// The longest duration, in seconds: ten years.
const MAX_SECONDS: u64 = 10 * 366 * 24 * 3600;

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration: write a whole number above 0 and s, m, h or d, such as 60m, and no more than ten years")]
pub struct DurationError(String);

/// The seconds of a duration.
///
/// # Errors
/// [`DurationError`] for another text, for nothing, and for more than ten years.
pub fn parse_duration(text: &str) -> Result<u64, DurationError> {
    let bad = || DurationError(text.chars().take(32).collect());
    let unit = text.chars().next_back().ok_or_else(bad)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(bad()),
    };
    let digits = &text[..text.len() - 1];
    let number: u64 = Some(digits)
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(bad)?
        .parse()
        .map_err(|_| bad())?;
    number.checked_mul(seconds).filter(|seconds| (1..=MAX_SECONDS).contains(seconds)).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1s", 1)]
    #[case("60m", 3600)]
    #[case("24h", 86_400)]
    #[case("7d", 604_800)]
    #[case("3660d", MAX_SECONDS)]
    fn a_duration_is_a_number_and_a_unit(#[case] text: &str, #[case] seconds: u64) {
        assert_eq!(parse_duration(text), Ok(seconds));
    }

    #[rstest]
    fn what_is_no_duration_is_refused(
        #[values(
            "",
            "m",
            "0m",
            "60",
            "-5m",
            "+5m",
            "1.5h",
            " 5m",
            "5 m",
            "5M",
            "5w",
            "3661d",
            "99999999999999999999s",
            "18446744073709551615d",
            "5é"
        )]
        text: &str,
    ) {
        assert!(parse_duration(text).is_err(), "{text:?} was taken");
    }
}
