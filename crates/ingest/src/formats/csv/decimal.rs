//! Numbers whose fraction follows a comma.

use std::borrow::Cow;

/// The field with comma and point in each other's place, if it may be a number: what was a comma is a point then, and
/// what was a point makes it none.
pub(super) fn with_point(field: &str) -> Cow<'_, str> {
    let is_of_numbers = |byte: u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b',' | b'e' | b'E' | b' ');
    if !field.bytes().all(is_of_numbers) || !field.contains([',', '.']) {
        return Cow::Borrowed(field);
    }
    let swapped = |character| match character {
        ',' => '.',
        '.' => ',',
        other => other,
    };
    Cow::Owned(field.chars().map(swapped).collect())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("12,5", "12.5")]
    #[case("-1,5e3", "-1.5e3")]
    #[case("1.234", "1,234")]
    #[case("1.234,5", "1,234.5")]
    #[case("12", "12")]
    #[case("a,b", "a,b")]
    #[case("2024-01-31T10:00:00.5", "2024-01-31T10:00:00.5")]
    fn a_comma_is_the_point_of_a_number(#[case] field: &str, #[case] expected: &str) {
        assert_eq!(with_point(field), expected);
    }
}
