//! Type inference: the narrowest kind that holds every value seen, without changing any of them.
//!
//! Invariant: widening loses nothing. Whole numbers that a float would round never share a kind with floats,
//! numbers with leading zeros or signs stay text, and so does whatever does not fit.

use arrow::datatypes::{DataType, TimeUnit};

use crate::moments::{Moment, parse_moment};

/// The largest whole number up to which floats are exact.
const MAX_EXACT_IN_FLOAT: u64 = 1 << 53;
/// Digits that a 128-bit decimal holds.
const MAX_DECIMAL_DIGITS: usize = 38;

/// What kind of values a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Nothing but missing values so far.
    Null,
    /// `true` and `false`.
    Boolean,
    /// Whole numbers that are exact as floats too.
    SmallInteger,
    /// Whole numbers of 64 bits.
    Integer,
    /// Whole numbers of up to 38 digits.
    BigInteger,
    /// Floating-point numbers.
    Float,
    /// Days.
    Date,
    /// Timestamps without zone.
    Local,
    /// Instants.
    Zoned,
    /// Anything.
    Text,
}

impl Kind {
    /// The kind of a field of delimited text.
    pub(crate) fn of_text(text: &str) -> Self {
        let text = text.trim_matches(' ');
        match text.as_bytes().first() {
            Some(b'0'..=b'9' | b'-' | b'.') => Self::of_number(text).unwrap_or_else(|| Self::of_moment(text)),
            Some(b't' | b'T' | b'f' | b'F') if parse_boolean(text).is_some() => Self::Boolean,
            Some(b'n' | b'N' | b'i' | b'I') if parse_float(text).is_some() => Self::Float,
            _ => Self::Text,
        }
    }

    /// The kind of a JSON number, or of text that is written like one.
    pub(crate) fn of_number(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit() {
            return None;
        }
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.parse::<i64>() {
                Ok(number) if number.unsigned_abs() <= MAX_EXACT_IN_FLOAT => Some(Self::SmallInteger),
                Ok(_) => Some(Self::Integer),
                Err(_) if digits.len() <= MAX_DECIMAL_DIGITS => Some(Self::BigInteger),
                Err(_) => None,
            };
        }
        parse_float(text).map(|_| Self::Float)
    }

    /// The kind of a JSON string: a moment or text, never a number.
    pub(crate) fn of_moment(text: &str) -> Self {
        match parse_moment(text) {
            Some(Moment::Date(_)) => Self::Date,
            Some(Moment::Local(_)) => Self::Local,
            Some(Moment::Zoned(_)) => Self::Zoned,
            None => Self::Text,
        }
    }

    /// The narrowest kind that holds both.
    pub(crate) fn join(self, other: Self) -> Self {
        use Kind as K;
        match (self, other) {
            (a, b) if a == b => a,
            (K::Null, kind) | (kind, K::Null) => kind,
            (K::SmallInteger, K::Integer) | (K::Integer, K::SmallInteger) => K::Integer,
            (K::SmallInteger | K::Integer, K::BigInteger) | (K::BigInteger, K::SmallInteger | K::Integer) => {
                K::BigInteger
            }
            (K::SmallInteger, K::Float) | (K::Float, K::SmallInteger) => K::Float,
            (K::Date, K::Local) | (K::Local, K::Date) => K::Local,
            _ => K::Text,
        }
    }

    /// The type of a column of this kind.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::SmallInteger | Self::Integer => DataType::Int64,
            Self::BigInteger => DataType::Decimal128(MAX_DECIMAL_DIGITS as u8, 0),
            Self::Float => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Local => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Zoned => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Null | Self::Text => DataType::Utf8,
        }
    }
}

/// `true` or `false` in one of the three usual cases.
pub(crate) fn parse_boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// A decimal floating-point number; not one that overflows to infinity unless it says so.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let number = text.parse::<f64>().ok().filter(|_| !text.starts_with('+'))?;
    let spelled = text.bytes().any(|byte| matches!(byte, b'n' | b'N'));
    (number.is_finite() || spelled).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1", Kind::SmallInteger)]
    #[case("-9007199254740993", Kind::Integer)]
    #[case("9223372036854775807", Kind::Integer)]
    #[case("9223372036854775808", Kind::BigInteger)]
    #[case("12345678901234567890123456789012345678", Kind::BigInteger)]
    #[case("123456789012345678901234567890123456789", Kind::Text)]
    #[case("007", Kind::Text)]
    #[case("+49123", Kind::Text)]
    #[case("0.5", Kind::Float)]
    #[case("-1.5e-3", Kind::Float)]
    #[case(".5", Kind::Float)]
    #[case("1e999", Kind::Text)]
    #[case("NaN", Kind::Float)]
    #[case("-inf", Kind::Float)]
    #[case("True", Kind::Boolean)]
    #[case("yes", Kind::Text)]
    #[case("2024-01-31", Kind::Date)]
    #[case("2024-01-31 10:00", Kind::Local)]
    #[case("2024-01-31T10:00:00Z", Kind::Zoned)]
    #[case("-", Kind::Text)]
    #[case("1 2", Kind::Text)]
    #[case(" 12 ", Kind::SmallInteger)]
    #[case("1.2.3", Kind::Text)]
    fn a_field_has_the_narrowest_kind(#[case] text: &str, #[case] kind: Kind) {
        assert_eq!(Kind::of_text(text), kind);
    }

    #[test]
    fn whole_numbers_that_a_float_rounds_never_become_floats() {
        assert_eq!(Kind::Integer.join(Kind::Float), Kind::Text);
        assert_eq!(Kind::BigInteger.join(Kind::Float), Kind::Text);
        assert_eq!(Kind::SmallInteger.join(Kind::Float), Kind::Float);
    }

    fn any_kind() -> impl Strategy<Value = Kind> {
        use Kind as K;
        prop::sample::select(vec![
            K::Null, K::Boolean, K::SmallInteger, K::Integer, K::BigInteger, K::Float, K::Date, K::Local, K::Zoned,
            K::Text,
        ])
    }

    proptest! {
        #[test]
        fn joining_does_not_depend_on_the_order_of_two(a in any_kind(), b in any_kind()) {
            prop_assert_eq!(a.join(b), b.join(a));
            prop_assert_eq!(a.join(b).join(b), a.join(b));
        }

        #[test]
        fn any_text_has_a_kind(text in ".{0,30}") {
            let _ = Kind::of_text(&text);
        }
    }
}
