//! The columns of several files as those of one table: the narrowest types that hold the values of all.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use sluice_table::storable_type;

use crate::columns::FieldIndex;

/// The most digits before the point that integers of these sizes have.
const DIGITS: [(DataType, u8); 4] =
    [(DataType::Int8, 3), (DataType::Int16, 5), (DataType::Int32, 10), (DataType::Int64, 19)];
const MAX_DIGITS: u8 = 38;

/// The columns of one file, and after them those that only the other one has.
pub(super) fn fields(one: &Fields, other: &Fields) -> Vec<Field> {
    let index = FieldIndex::of(one.iter().map(|field| field.name()));
    let mut all: Vec<Field> = one.iter().map(|field| field.as_ref().clone()).collect();
    for field in other {
        match index.find(field.name()).and_then(|at| all.get_mut(at)) {
            Some(known) => known.set_data_type(data_type(known.data_type(), field.data_type())),
            None => all.push(field.as_ref().clone()),
        }
    }
    all
}

/// The narrowest type that holds values of both; text, where only that does.
fn data_type(one: &DataType, other: &DataType) -> DataType {
    use DataType as T;
    match (one, other) {
        (one, other) if one == other => one.clone(),
        (T::Null, known) | (known, T::Null) => known.clone(),
        (T::Struct(one), T::Struct(other)) => T::Struct(fields(one, other).into()),
        (T::List(one), T::List(other)) => {
            let item = data_type(one.data_type(), other.data_type());
            T::List(Arc::new(one.as_ref().clone().with_data_type(item)))
        }
        (T::Date32, moment @ T::Timestamp(TimeUnit::Microsecond, None))
        | (moment @ T::Timestamp(TimeUnit::Microsecond, None), T::Date32) => moment.clone(),
        (one, other) if one.is_floating() && other.is_numeric() && !other.is_decimal() => T::Float64,
        (one, other) if other.is_floating() && one.is_numeric() && !one.is_decimal() => T::Float64,
        (one, other) => number(one, other).and_then(|number| storable_type(&number)).unwrap_or(T::Utf8),
    }
}

/// The narrowest type of exact numbers that holds both.
fn number(one: &DataType, other: &DataType) -> Option<DataType> {
    let ((one_digits, one_scale), (other_digits, other_scale)) = (digits(one)?, digits(other)?);
    if one.is_integer() && other.is_integer() {
        return Some(if one_digits > other_digits { one.clone() } else { other.clone() });
    }
    let scale = one_scale.max(other_scale);
    let precision = one_digits.max(other_digits).saturating_add(scale);
    (precision <= MAX_DIGITS).then(|| DataType::Decimal128(precision, scale.cast_signed()))
}

/// The digits before the point, and after it.
fn digits(data_type: &DataType) -> Option<(u8, u8)> {
    if let DataType::Decimal128(precision, scale) = data_type {
        let scale = u8::try_from(*scale).ok()?;
        return Some((precision.checked_sub(scale)?, scale));
    }
    DIGITS.iter().find(|(integer, _)| integer == data_type).map(|(_, digits)| (*digits, 0))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(DataType::Int64, DataType::Float64, DataType::Float64)]
    #[case(DataType::Int32, DataType::Int64, DataType::Int64)]
    #[case(DataType::Int64, DataType::Decimal128(38, 0), DataType::Decimal128(38, 0))]
    #[case(DataType::Int64, DataType::Decimal128(5, 2), DataType::Decimal128(21, 2))]
    #[case(DataType::Decimal128(38, 0), DataType::Decimal128(5, 2), DataType::Utf8)]
    #[case(
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(TimeUnit::Microsecond, None)
    )]
    #[case(DataType::Boolean, DataType::Int64, DataType::Utf8)]
    #[case(DataType::Float32, DataType::Float64, DataType::Float64)]
    fn two_types_have_one_that_holds_both(#[case] one: DataType, #[case] other: DataType, #[case] both: DataType) {
        assert_eq!(data_type(&one, &other), both);
        assert_eq!(data_type(&other, &one), both);
    }

    #[test]
    fn columns_are_found_whatever_their_case_and_structs_are_joined() {
        let object = |names: &[&str]| {
            DataType::Struct(names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect())
        };
        let one = Fields::from(vec![Field::new("Id", DataType::Int64, true), Field::new("o", object(&["a"]), true)]);
        let other = Fields::from(vec![
            Field::new("o", object(&["b"]), true),
            Field::new("id", DataType::Float64, true),
            Field::new("x", DataType::Utf8, true),
        ]);
        let joined = fields(&one, &other);
        let names: Vec<&str> = joined.iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["Id", "o", "x"]);
        assert_eq!(joined[0].data_type(), &DataType::Float64);
        assert_eq!(joined[1].data_type(), &object(&["a", "b"]));
    }
}
