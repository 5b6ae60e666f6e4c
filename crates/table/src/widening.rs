//! Which types a column can get in the place of its own, so that every value that is there is kept.
//!
//! Invariant: what is allowed here is what the Delta protocol calls type widening, and new fields within structs.

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

/// Digits of the largest number of 32 bits.
const INTEGER_DIGITS: u8 = 10;
/// Digits that the protocol keeps for numbers of 64 bits.
const LONG_DIGITS: u8 = 20;

/// Whether every value of a type is one of another type, too, to which the Delta protocol lets a column change.
pub fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    match (from, to) {
        (T::Int8, T::Int16 | T::Int32 | T::Int64)
        | (T::Int16, T::Int32 | T::Int64)
        | (T::Int32, T::Int64)
        | (T::Float32 | T::Int8 | T::Int16 | T::Int32, T::Float64)
        | (T::Date32, T::Timestamp(TimeUnit::Microsecond, None)) => true,
        (T::Int8 | T::Int16 | T::Int32, T::Decimal128(precision, scale)) => {
            whole_digits(*precision, *scale) >= Some(INTEGER_DIGITS)
        }
        (T::Int64, T::Decimal128(precision, scale)) => whole_digits(*precision, *scale) >= Some(LONG_DIGITS),
        (T::Decimal128(precision, scale), T::Decimal128(wider, finer)) => {
            from != to && finer >= scale && whole_digits(*wider, *finer) >= whole_digits(*precision, *scale)
        }
        _ => false,
    }
}

/// Digits before the point.
fn whole_digits(precision: u8, scale: i8) -> Option<u8> {
    precision.checked_sub(u8::try_from(scale).ok()?)
}

/// What a change of a type asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TypeStep {
    /// Nothing.
    Same,
    /// Values that are there read as before; fields that they lack are missing.
    Added,
    /// Values that are there have to be written anew.
    Widened,
}

/// How a type becomes another one; none if it cannot.
pub fn type_step(from: &DataType, to: &DataType) -> Option<TypeStep> {
    use DataType as T;
    match (from, to) {
        (from, to) if from == to => Some(TypeStep::Same),
        (T::Struct(from), T::Struct(to)) => fields_step(from, to),
        (T::List(from), T::List(to)) => item_step(from, to),
        (T::Map(from, sorted), T::Map(to, still)) if sorted == still => item_step(from, to),
        (from, to) if widens(from, to) => Some(TypeStep::Widened),
        _ => None,
    }
}

fn item_step(from: &Field, to: &Field) -> Option<TypeStep> {
    if from.is_nullable() && !to.is_nullable() { None } else { type_step(from.data_type(), to.data_type()) }
}

/// The fields keep their places and names; new ones come after them and may be missing.
fn fields_step(from: &Fields, to: &Fields) -> Option<TypeStep> {
    let (kept, added) = to.split_at_checked(from.len())?;
    let mut whole = if added.is_empty() { TypeStep::Same } else { TypeStep::Added };
    for (old, new) in from.iter().zip(kept) {
        if old.name() != new.name() {
            return None;
        }
        whole = whole.max(item_step(old, new)?);
    }
    added.iter().all(|field| field.is_nullable()).then_some(whole)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NTZ: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

    #[rstest]
    #[case(DataType::Int8, DataType::Int64, true)]
    #[case(DataType::Int64, DataType::Int32, false)]
    #[case(DataType::Int32, DataType::Float64, true)]
    #[case(DataType::Int64, DataType::Float64, false)]
    #[case(DataType::Int32, DataType::Float32, false)]
    #[case(DataType::Float32, DataType::Float64, true)]
    #[case(DataType::Int32, DataType::Decimal128(12, 2), true)]
    #[case(DataType::Int32, DataType::Decimal128(11, 2), false)]
    #[case(DataType::Int64, DataType::Decimal128(20, 0), true)]
    #[case(DataType::Int64, DataType::Decimal128(19, 0), false)]
    #[case(DataType::Decimal128(5, 2), DataType::Decimal128(7, 4), true)]
    #[case(DataType::Decimal128(5, 2), DataType::Decimal128(6, 4), false)]
    #[case(DataType::Decimal128(5, 2), DataType::Decimal128(9, 1), false)]
    #[case(DataType::Decimal128(5, 2), DataType::Decimal128(5, 2), false)]
    #[case(DataType::Date32, NTZ, true)]
    #[case(NTZ, DataType::Date32, false)]
    #[case(DataType::Int64, DataType::Utf8, false)]
    fn a_type_widens_only_where_every_value_is_kept(#[case] from: DataType, #[case] to: DataType, #[case] taken: bool) {
        assert_eq!(widens(&from, &to), taken);
    }

    fn object(fields: &[(&str, DataType)]) -> DataType {
        DataType::Struct(fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect())
    }

    #[rstest]
    #[case(&[("a", DataType::Int32)], Some(TypeStep::Same))]
    #[case(&[("a", DataType::Int32), ("b", DataType::Utf8)], Some(TypeStep::Added))]
    #[case(&[("a", DataType::Int64), ("b", DataType::Utf8)], Some(TypeStep::Widened))]
    #[case(&[("b", DataType::Utf8), ("a", DataType::Int32)], None)]
    #[case(&[("a", DataType::Utf8)], None)]
    #[case(&[], None)]
    fn fields_within_are_added_at_the_end_and_widened(
        #[case] to: &[(&str, DataType)],
        #[case] expected: Option<TypeStep>,
    ) {
        let from = object(&[("a", DataType::Int32)]);
        let list = |item: DataType| DataType::List(Field::new("element", item, true).into());
        assert_eq!(type_step(&from, &object(to)), expected);
        assert_eq!(type_step(&list(from), &list(object(to))), expected);
    }
}
