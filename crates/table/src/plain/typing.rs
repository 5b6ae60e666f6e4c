//! What the texts in the names of folders are: whole numbers, numbers with a point, or texts.
//!
//! Invariant: a column has one type; texts that are numbers stay texts where another value of the column is none.

use arrow::datatypes::DataType;
use deltalake::datafusion::common::ScalarValue;

/// The type in which a column is read that was written in this type and has these values.
///
/// A column that was written as numbers is one of numbers; of any other its values decide.
pub(super) fn read_type<'v>(written: &DataType, values: impl Iterator<Item = &'v str>) -> DataType {
    match written {
        written if written.is_integer() => return DataType::Int64,
        written if written.is_floating() => return DataType::Float64,
        _ => {}
    }
    let wider = |one: DataType, other: DataType| match (one, other) {
        (one, other) if one == other => one,
        (DataType::Utf8, _) | (_, DataType::Utf8) => DataType::Utf8,
        _ => DataType::Float64,
    };
    values.map(type_of).reduce(wider).unwrap_or(DataType::Utf8)
}

/// All digits are a whole number, digits around one point a number with a point, and everything else is text.
fn type_of(value: &str) -> DataType {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number too large for a whole one would lose digits as any other.
    if digits(value) {
        return if value.parse::<i64>().is_ok() { DataType::Int64 } else { DataType::Utf8 };
    }
    let is_decimal = value.contains('.') && digits(&value.replacen('.', "", 1));
    if is_decimal { DataType::Float64 } else { DataType::Utf8 }
}

/// A value in the type of its column; missing where it cannot be read as one, which foreign names alone can cause.
pub(super) fn typed(value: Option<&str>, data_type: &DataType) -> ScalarValue {
    match data_type {
        DataType::Int64 => ScalarValue::Int64(value.and_then(|text| text.parse().ok())),
        DataType::Float64 => ScalarValue::Float64(value.and_then(|text| text.parse().ok())),
        _ => ScalarValue::Utf8(value.map(str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(values: &[&str]) -> DataType {
        read_type(&DataType::Utf8, values.iter().copied())
    }

    #[rstest]
    #[case(&["01"], DataType::Int64)]
    #[case(&["1.5"], DataType::Float64)]
    #[case(&["1.2.3"], DataType::Utf8)]
    #[case(&["2024-01-01"], DataType::Utf8)]
    #[case(&["a=b"], DataType::Utf8)]
    #[case(&["-1"], DataType::Utf8)]
    #[case(&["1", "1.5"], DataType::Float64)]
    #[case(&["1", "x"], DataType::Utf8)]
    #[case(&["."], DataType::Utf8)]
    #[case(&["99999999999999999999"], DataType::Utf8)]
    #[case(&["²"], DataType::Utf8)]
    #[case(&[], DataType::Utf8)]
    fn digits_are_numbers_and_the_rest_is_text(#[case] values: &[&str], #[case] expected: DataType) {
        assert_eq!(read(values), expected);
    }

    #[test]
    fn what_was_written_as_numbers_is_read_as_numbers() {
        assert_eq!(read_type(&DataType::Int32, ["-1"].into_iter()), DataType::Int64);
        assert_eq!(read_type(&DataType::Float32, ["1e300"].into_iter()), DataType::Float64);
        assert_eq!(typed(Some("-1"), &DataType::Int64), ScalarValue::Int64(Some(-1)));
        assert_eq!(typed(Some("01"), &DataType::Int64), ScalarValue::Int64(Some(1)));
        assert_eq!(typed(None, &DataType::Utf8), ScalarValue::Utf8(None));
    }
}
