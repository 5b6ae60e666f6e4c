//! Masks: what of a value may be shown to those who must not know it.
//!
//! Invariant: a mask shows of a value at most its last four digits, or of a name before an `@` its first and last
//! letter. What is no address has nothing before an `@`, and stays as it is.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, StringArray},
    compute::cast,
    datatypes::DataType,
};
use datafusion::error::Result;

/// What stands for a value that is too short to show anything of.
const HIDDEN: &str = "****";
/// How many digits are shown at the end of a number, or hidden at the end of one of a telephone.
const LAST_DIGITS: usize = 4;
/// The digits of a social security number.
const SSN_DIGITS: usize = 9;

/// Each text of a column by its mask.
pub(super) fn each(values: &[ArrayRef], mask: fn(&str) -> String) -> Result<ArrayRef> {
    let texts = values.first().map(|column| cast(column, &DataType::Utf8)).transpose()?;
    let texts = texts.as_ref().map(|texts| texts.as_string::<i32>());
    let masked: StringArray = texts.into_iter().flatten().map(|text| text.map(mask)).collect();
    Ok(Arc::new(masked))
}

/// Of an address the first and the last letter of its name, and what follows the first `@`.
pub(super) fn email(text: &str) -> String {
    let Some((name, domain)) = text.split_once('@') else { return text.to_owned() };
    let letters: Vec<char> = name.chars().collect();
    match letters.as_slice() {
        [] => format!("*@{domain}"),
        [first] | [first, _] => format!("{first}*@{domain}"),
        [first, hidden @ .., last] => format!("{first}{}{last}@{domain}", "*".repeat(hidden.len())),
    }
}

/// Of a telephone's number all but its last four digits, wherever they stand.
pub(super) fn phone(text: &str) -> String {
    let count = text.chars().filter(|letter| letter.is_numeric()).count();
    if count < LAST_DIGITS {
        return HIDDEN.to_owned();
    }
    let mut seen = 0;
    let masked = text.chars().map(|letter| {
        seen += usize::from(letter.is_numeric());
        if letter.is_numeric() && seen > count - LAST_DIGITS { '*' } else { letter }
    });
    masked.collect()
}

/// Of a card's number its last four digits.
pub(super) fn credit_card(text: &str) -> String {
    match digits(text).as_slice() {
        [hidden @ .., a, b, c, d] if !hidden.is_empty() => format!("{}{a}{b}{c}{d}", "*".repeat(hidden.len())),
        _ => HIDDEN.to_owned(),
    }
}

/// Of a social security number its last four digits.
pub(super) fn ssn(text: &str) -> String {
    match digits(text).as_slice() {
        all @ [.., a, b, c, d] if all.len() == SSN_DIGITS => format!("***-**-{a}{b}{c}{d}"),
        _ => format!("***-**-{HIDDEN}"),
    }
}

fn digits(text: &str) -> Vec<char> {
    text.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("john.doe@example.com", "j******e@example.com")]
    #[case("ab@x.io", "a*@x.io")]
    #[case("a@x.io", "a*@x.io")]
    #[case("abc@x.io", "a*c@x.io")]
    #[case("john@sub@x.io", "j**n@sub@x.io")]
    #[case("@x.io", "*@x.io")]
    #[case("żółw@x.io", "ż**w@x.io")]
    #[case("no address", "no address")]
    fn an_address_shows_two_letters_of_its_name(#[case] text: &str, #[case] masked: &str) {
        assert_eq!(email(text), masked);
    }

    #[rstest]
    #[case("+1-555-0123", "+1-555-****")]
    #[case("123", "****")]
    #[case("", "****")]
    #[case("555-012-3456 ext", "555-012-**** ext")]
    #[case("1 2 3 4", "* * * *")]
    #[case("555 ٠١٢٣", "555 ****")]
    fn a_telephone_hides_its_last_digits_wherever_they_stand(#[case] text: &str, #[case] masked: &str) {
        assert_eq!(phone(text), masked);
    }

    #[rstest]
    #[case("4111 1111 1111 1111", "************1111")]
    #[case("12", "****")]
    #[case("1234", "****")]
    #[case("12345", "*2345")]
    fn a_card_shows_its_last_digits(#[case] text: &str, #[case] masked: &str) {
        assert_eq!(credit_card(text), masked);
    }

    #[rstest]
    #[case("123-45-6789", "***-**-6789")]
    #[case("123456789", "***-**-6789")]
    #[case("12345", "***-**-****")]
    #[case("", "***-**-****")]
    fn a_social_security_number_shows_its_last_digits(#[case] text: &str, #[case] masked: &str) {
        assert_eq!(ssn(text), masked);
    }

    proptest! {
        #[test]
        fn no_text_fails_and_no_mask_shows_more_than_it_says(text in ".{0,40}") {
            let shown = |masked: &str| masked.chars().filter(char::is_ascii_digit).count();
            prop_assert!(shown(&credit_card(&text)) <= 4 && shown(&ssn(&text)) <= 4);
            let hidden = phone(&text).chars().filter(|letter| *letter == '*').count();
            prop_assert!(hidden >= 4);
            prop_assert!(email(&(text.clone() + "@x")).chars().count() <= text.chars().count() + 4);
        }
    }
}
