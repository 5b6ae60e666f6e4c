//! The values of rules in the units of a column.

use sluice_domain::{Moment, RuleValue, parse_moment};

/// Digits that are read of a number.
const MAX_DIGITS: usize = 60;

/// To which side a number goes that lies between two that the column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Up: the least value that is not below it.
    Up,
    /// Down: the greatest value that is not above it.
    Down,
    /// Nowhere: no value of the column is it.
    Nowhere,
}

/// A number as so many parts of ten to the power of `scale`; one beyond what 38 digits hold is at its end.
///
/// None where it is no number; `Some(None)` where it lies between two such parts and goes nowhere.
pub(super) fn scaled(value: &RuleValue, scale: u32, side: Side) -> Option<Option<i128>> {
    let text = match value {
        RuleValue::Boolean(_) => return None,
        RuleValue::Text(text) => text.trim().to_owned(),
        number => number.to_string(),
    };
    parse_float(&text)?;
    let (minus, digits) = text.strip_prefix('-').map_or((false, text.as_str()), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if digits.len() > MAX_DIGITS || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return extreme(&text, side);
    }
    let (kept, cut) = fraction.split_at(fraction.len().min(scale as usize));
    let zeros = scale as usize - kept.len();
    let mut number: i128 = 0;
    for byte in whole.bytes().chain(kept.bytes()).chain(std::iter::repeat_n(b'0', zeros)) {
        number = number.saturating_mul(10).saturating_add(i128::from(byte - b'0'));
    }
    let number = if minus { -number } else { number };
    if cut.bytes().all(|byte| byte == b'0') {
        return Some(Some(number));
    }
    Some(match (side, minus) {
        (Side::Nowhere, _) => None,
        (Side::Up, false) => Some(number.saturating_add(1)),
        (Side::Down, true) => Some(number.saturating_sub(1)),
        (Side::Up, true) | (Side::Down, false) => Some(number),
    })
}

/// A number that is written with an exponent, or is infinite: only its sign and whether it is near zero matter.
fn extreme(text: &str, side: Side) -> Option<Option<i128>> {
    let number = parse_float(text).filter(|number| !number.is_nan())?;
    if number.abs() >= 1e38 {
        let end = if number > 0.0 { i128::MAX } else { i128::MIN };
        return Some((side != Side::Nowhere).then_some(end));
    }
    None
}

/// A number in a text; not one that overflows to infinity unless it says so.
fn parse_float(text: &str) -> Option<f64> {
    let number = text.parse::<f64>().ok()?;
    (number.is_finite() || text.bytes().any(|byte| matches!(byte, b'n' | b'N'))).then_some(number)
}

/// A number as a float.
pub(super) fn float(value: &RuleValue) -> Option<f64> {
    match value {
        RuleValue::Integer(number) => Some(*number as f64),
        RuleValue::Float(number) => Some(*number),
        RuleValue::Text(text) => parse_float(text.trim()),
        RuleValue::Boolean(_) => None,
    }
}

/// A point in time as a column of these moments holds it.
pub(super) fn moment(value: &RuleValue, read: fn(Moment) -> Option<i64>) -> Option<i64> {
    let RuleValue::Text(text) = value else { return None };
    parse_moment(text.trim()).and_then(read)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(RuleValue::Integer(5), 2, Side::Up, Some(Some(500)))]
    #[case(RuleValue::Float(0.5), 0, Side::Up, Some(Some(1)))]
    #[case(RuleValue::Float(0.5), 0, Side::Down, Some(Some(0)))]
    #[case(RuleValue::Float(-0.5), 0, Side::Up, Some(Some(0)))]
    #[case(RuleValue::Float(-0.5), 0, Side::Down, Some(Some(-1)))]
    #[case(RuleValue::Float(0.5), 0, Side::Nowhere, Some(None))]
    #[case(RuleValue::Text("1.20".into()), 1, Side::Nowhere, Some(Some(12)))]
    #[case(RuleValue::Text("x".into()), 1, Side::Up, None)]
    #[case(RuleValue::Boolean(true), 1, Side::Up, None)]
    #[case(RuleValue::Float(f64::MAX), 0, Side::Up, Some(Some(i128::MAX)))]
    fn a_bound_lies_on_the_side_of_the_values_that_keep_it(
        #[case] value: RuleValue,
        #[case] scale: u32,
        #[case] side: Side,
        #[case] expected: Option<Option<i128>>,
    ) {
        assert_eq!(scaled(&value, scale, side), expected);
    }
}
