//! Type inference: the narrowest kind that holds every value seen, without changing any of them.
//!
//! Invariant: widening loses nothing. Whole numbers that a float would round never share a kind with floats,
//! numbers with leading zeros or signs stay text, and so does whatever does not fit.

use arrow::datatypes::{DataType, TimeUnit};
use sluice_domain::{Moment, parse_moment};

/// The largest whole number up to which floats are exact.
pub(crate) const MAX_EXACT_IN_FLOAT: u64 = 1 << 53;
/// Digits that a 128-bit decimal holds.
pub(crate) const MAX_DECIMAL_DIGITS: u8 = 38;
/// Digits that every whole number below [`MAX_EXACT_IN_FLOAT`] may have.
const SHORT_DIGITS: usize = 15;

/// As many as there are decimals in a number of [`SHORT_DIGITS`], each exact as a float.
const POWERS_OF_TEN: [f64; SHORT_DIGITS] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];

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
        if !is_whole(text) {
            return parse_float(text).map(|_| Self::Float);
        }
        match parse_integer(text) {
            Some(number) if number.unsigned_abs() <= MAX_EXACT_IN_FLOAT => Some(Self::SmallInteger),
            Some(_) => Some(Self::Integer),
            None => parse_decimal(text, MAX_DECIMAL_DIGITS, 0).map(|_| Self::BigInteger),
        }
    }

    /// The narrowest kind that holds what this one does and this field of delimited text.
    ///
    /// The same as a join with [`Kind::of_text`], and faster where the field is no surprise.
    pub(crate) fn widened(self, text: &str) -> Self {
        match self {
            Self::Text => self,
            Self::SmallInteger | Self::Integer if is_short_whole(text.as_bytes()) => self,
            Self::Date | Self::Local | Self::Zoned => self.join(Self::of_moment(text.trim_matches(' '))),
            _ => self.join(Self::of_text(text)),
        }
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

    /// The type of a column of this kind; that of nothing where there was no value.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::SmallInteger | Self::Integer => DataType::Int64,
            Self::BigInteger => DataType::Decimal128(MAX_DECIMAL_DIGITS, 0),
            Self::Float => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Local => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Zoned => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Null => DataType::Null,
            Self::Text => DataType::Utf8,
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

/// A boolean that is written as a number.
pub(crate) fn parse_flag(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

/// Whether it is written with digits alone, a minus before them perhaps.
pub(crate) fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A whole number that certainly is exact as a float, seen without parsing it.
fn is_short_whole(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0'..=b'9'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < SHORT_DIGITS && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// A number of few digits, with a point among them perhaps: what most numbers are, and quickly read.
struct Plain {
    /// Its digits as a whole number, which is exact as a float.
    number: i64,
    decimals: usize,
    is_negative: bool,
}

impl Plain {
    fn of(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let is_negative = bytes.first() == Some(&b'-');
        let digits = bytes.get(usize::from(is_negative)..)?;
        if digits.len() > SHORT_DIGITS || matches!(digits, [] | [b'0', b'0'..=b'9', ..] | [b'.', ..] | [.., b'.']) {
            return None;
        }
        let (mut number, mut point) = (0, None);
        for (at, &byte) in digits.iter().enumerate() {
            let digit = byte.wrapping_sub(b'0');
            if digit < 10 {
                number = number * 10 + i64::from(digit);
            } else if byte == b'.' && point.is_none() {
                point = Some(at);
            } else {
                return None;
            }
        }
        let decimals = point.map_or(0, |at| digits.len() - at - 1);
        Some(Self { number, decimals, is_negative })
    }

    /// Of two floats that are exact, a quotient is rounded once, as the number itself would be.
    fn float(&self) -> f64 {
        let float = self.number as f64 / POWERS_OF_TEN[self.decimals];
        if self.is_negative { -float } else { float }
    }
}

/// A number that is exact as a float, where that is seen at once.
pub(crate) fn plain_float(text: &str) -> Option<f64> {
    Plain::of(text).map(|plain| plain.float())
}

/// Whether a sign or zeros lead that a number would not keep: codes, telephone numbers.
fn is_coded(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    text.starts_with('+') || matches!(digits, [b'0', b'0'..=b'9', ..])
}

/// A whole number of 64 bits.
pub(crate) fn parse_integer(text: &str) -> Option<i64> {
    if let Some(Plain { number, decimals: 0, is_negative }) = Plain::of(text) {
        return Some(if is_negative { -number } else { number });
    }
    text.parse().ok().filter(|_| !is_coded(text))
}

/// A decimal floating-point number; not one that overflows to infinity unless it says so.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    if let Some(float) = plain_float(text) {
        return Some(float);
    }
    let number = text.parse::<f64>().ok().filter(|_| !is_coded(text))?;
    let spelled = text.bytes().any(|byte| matches!(byte, b'n' | b'N'));
    (number.is_finite() || spelled).then_some(number)
}

/// A decimal number as its digits before and, `scale` of them, after the point; never rounded.
pub(crate) fn parse_decimal(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if is_coded(text) || whole.is_empty() || (fraction.is_empty() && digits.len() != whole.len()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = usize::from(scale).checked_sub(fraction.len())?;
    let mut number: i128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', missing)) {
        let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    let fits = number < 10_i128.checked_pow(u32::from(precision))?;
    fits.then_some(if text.starts_with('-') { -number } else { number })
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

    #[rstest]
    #[case("1.50", Some(150))]
    #[case("-0.01", Some(-1))]
    #[case("12", Some(1200))]
    #[case("1.500", Some(150))]
    #[case("999.99", Some(99_999))]
    #[case("1000", None)]
    #[case("1.005", None)]
    #[case("1.", None)]
    #[case(".5", None)]
    #[case("1e2", None)]
    #[case("01", None)]
    #[case("+1", None)]
    #[case("-", None)]
    #[case("1-1", None)]
    fn a_decimal_is_exact_or_none(#[case] text: &str, #[case] expected: Option<i128>) {
        assert_eq!(parse_decimal(text, 5, 2), expected);
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
            K::Null,
            K::Boolean,
            K::SmallInteger,
            K::Integer,
            K::BigInteger,
            K::Float,
            K::Date,
            K::Local,
            K::Zoned,
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
        fn the_short_cut_gives_what_the_long_way_gives(
            kind in any_kind(),
            text in prop_oneof!["-?[0-9]{1,20}", " ?[0-9tTrueE.:-]{0,20} ?", "2024-0[1-9]-1[0-9]([ T]1[0-9]:00Z?)?"],
        ) {
            prop_assert_eq!(kind.widened(&text), kind.join(Kind::of_text(&text)));
        }

        #[test]
        fn plain_numbers_are_read_as_all_others_are(text in "-?[0-9]{0,9}\\.?[0-9]{0,9}") {
            if let Some(plain) = Plain::of(&text) {
                prop_assert!(!is_coded(&text));
                let float: f64 = text.parse().unwrap();
                prop_assert_eq!(plain.float().to_bits(), float.to_bits());
                if plain.decimals == 0 {
                    prop_assert_eq!(parse_integer(&text), text.parse().ok());
                }
            }
        }

        #[test]
        fn any_text_has_a_kind(text in ".{0,30}") {
            let _ = Kind::of_text(&text);
        }
    }
}
