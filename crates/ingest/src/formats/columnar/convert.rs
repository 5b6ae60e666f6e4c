//! Columns of one type as columns of another, where every value keeps its meaning.

use std::sync::Arc;

use super::Place;
use crate::{
    columns::{self, FieldIndex},
    decode_error::{DecodeError, shortened},
    kinds::MAX_EXACT_IN_FLOAT,
};
use arrow::{
    array::{Array, ArrayRef, AsArray as _, Int64Array, MapArray, PrimitiveArray, StructArray, new_null_array},
    buffer::OffsetBuffer,
    compute::cast,
    datatypes::{
        ArrowPrimitiveType, DataType, Field, Float32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    },
    error::ArrowError,
    util::display::array_value_to_string,
};

/// Microseconds of a day.
const MICROS_A_DAY: i64 = 86_400_000_000;
/// The largest whole number up to which floats of 32 bits are exact.
const MAX_EXACT_IN_SINGLE: u64 = 1 << 24;

/// The values of `array` in the type of `field`.
pub(super) fn convert(array: &ArrayRef, field: &Field, place: Place) -> Result<ArrayRef, DecodeError> {
    use DataType as T;
    match (array.data_type(), field.data_type()) {
        (from, to) if from == to => Ok(Arc::clone(array)),
        (T::Null, to) => Ok(new_null_array(to, array.len())),
        (T::Dictionary(_, values), _) => {
            convert(&cast(array, values).map_err(|error| place.refusal(&error))?, field, place)
        }
        (T::List(_), T::List(item)) => list(array, field, item, place),
        (T::LargeList(source) | T::ListView(source) | T::FixedSizeList(source, _), T::List(_)) => {
            let plain = cast(array, &T::List(Arc::clone(source))).map_err(|error| place.refusal(&error))?;
            convert(&plain, field, place)
        }
        (T::Map(_, _), T::Map(entries, _)) => map(array.as_map(), field, entries, place),
        (T::Struct(_), T::Struct(_)) => object(array.as_struct(), field, place),
        _ => scalar(array, field, place),
    }
}

/// Check that a value is there wherever the table wants one.
pub(super) fn check_missing(array: &ArrayRef, field: &Field, place: Place) -> Result<(), DecodeError> {
    let missing = array.logical_nulls().filter(|_| !field.is_nullable());
    match missing.and_then(|nulls| (0..nulls.len()).find(|&row| nulls.is_null(row))) {
        Some(row) => Err(DecodeError::Mismatch {
            row: Some(place.row(row)),
            line: None,
            column: field.name().clone(),
            value: "null".to_owned(),
            expected: format!("{}, never missing", field.data_type()),
        }),
        None => Ok(()),
    }
}

/// Rows of the file cannot be told from the items of its lists: their places are left out.
fn list(array: &ArrayRef, field: &Field, item: &Field, place: Place) -> Result<ArrayRef, DecodeError> {
    let list = array.as_list::<i32>();
    // A slice of lists has the items of all of them.
    let (first, last) = (list.offsets()[0] as usize, list.offsets()[list.len()] as usize);
    let items = list.values().slice(first, last - first);
    let items = convert(&items, item, place).map_err(|error| within(field.name(), error, false))?;
    let offsets = OffsetBuffer::from_lengths(list.offsets().lengths());
    columns::list(field.data_type(), offsets, items, list.nulls().cloned()).map_err(|error| place.refusal(&error))
}

fn map(array: &MapArray, field: &Field, entries: &Arc<Field>, place: Place) -> Result<ArrayRef, DecodeError> {
    let DataType::Struct(fields) = entries.data_type() else { return Err(types_differ(array, field)) };
    let [key, value] = fields.as_ref() else { return Err(types_differ(array, field)) };
    let (first, last) = (array.offsets()[0] as usize, array.offsets()[array.len()] as usize);
    let part = |values: &ArrayRef, part: &Field| {
        let converted = convert(&values.slice(first, last - first), part, place);
        let checked = converted.and_then(|values| check_missing(&values, part, place).map(|()| values));
        checked.map_err(|error| within(field.name(), error, false))
    };
    let parts = vec![part(array.keys(), key)?, part(array.values(), value)?];
    let offsets = OffsetBuffer::from_lengths(array.offsets().lengths());
    let built = StructArray::try_new(fields.clone(), parts, None)
        .and_then(|parts| MapArray::try_new(Arc::clone(entries), offsets, parts, array.nulls().cloned(), false));
    built.map(|map| Arc::new(map) as ArrayRef).map_err(|error| place.refusal(&error))
}

fn object(array: &StructArray, field: &Field, place: Place) -> Result<ArrayRef, DecodeError> {
    let DataType::Struct(fields) = field.data_type() else { return Err(types_differ(array, field)) };
    let index = FieldIndex::of(fields.iter().map(|field| field.name()));
    let mut converted: Vec<Option<ArrayRef>> = vec![None; fields.len()];
    for (source, column) in array.fields().iter().zip(array.columns()) {
        let path = format!("{}.{}", field.name(), source.name());
        let at = index.find(source.name()).filter(|at| converted[*at].is_none());
        let at = at.ok_or(DecodeError::UnknownColumn { column: path, line: None })?;
        let values = convert(column, &fields[at], place).map_err(|error| within(field.name(), error, true))?;
        converted[at] = Some(values);
    }
    let filled = converted
        .into_iter()
        .zip(fields)
        .map(|(values, field)| values.unwrap_or_else(|| new_null_array(field.data_type(), array.len())));
    columns::object(field.data_type(), filled.collect(), array.nulls().cloned()).map_err(|error| place.refusal(&error))
}

fn scalar(array: &ArrayRef, field: &Field, place: Place) -> Result<ArrayRef, DecodeError> {
    use DataType as T;
    let to = field.data_type();
    let converted = match (array.data_type(), to) {
        (from, T::Float64) if from.is_integer() => {
            exact::<Float64Type>(array, |number| (number.unsigned_abs() <= MAX_EXACT_IN_FLOAT).then_some(number as f64))
        }
        (from, T::Float32) if from.is_integer() => exact::<Float32Type>(array, |number| {
            (number.unsigned_abs() <= MAX_EXACT_IN_SINGLE).then_some(number as f32)
        }),
        (T::Date32 | T::Date64, T::Timestamp(TimeUnit::Microsecond, None)) => micros(array, to),
        (T::Timestamp(_, from), T::Timestamp(TimeUnit::Microsecond, to_zone))
            if from.is_some() == to_zone.is_some() =>
        {
            micros(array, to)
        }
        (T::Utf8View, T::Utf8) => text(array),
        (from, to) if keeps_meaning(from, to) => cast(array, to),
        _ => return Err(types_differ(array, field)),
    };
    let converted = converted.map_err(|error| place.refusal(&error))?;
    match (0..array.len()).find(|&row| converted.is_null(row) && array.is_valid(row)) {
        Some(row) => Err(does_not_fit(array, row, field, place)),
        None => Ok(converted),
    }
}

/// Whether a cast either keeps a value's meaning or makes it null, which is looked for afterwards.
fn keeps_meaning(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    match (from, to) {
        (from, to) if from.is_integer() && (to.is_integer() || matches!(to, T::Decimal128(_, _))) => true,
        (T::Float16, T::Float32 | T::Float64) | (T::Float32, T::Float64) => true,
        (T::Utf8 | T::LargeUtf8 | T::Utf8View, T::Utf8 | T::LargeUtf8 | T::Utf8View) => true,
        (T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_), T::Binary) => true,
        (T::Time32(_) | T::Time64(_), T::Utf8) => true,
        (
            T::Decimal32(_, from) | T::Decimal64(_, from) | T::Decimal128(_, from) | T::Decimal256(_, from),
            T::Decimal128(_, to),
        ) => to >= from,
        _ => false,
    }
}

/// Readers check that text is UTF-8 only in columns whose annotation is the oldest one.
fn text(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let checked = array.as_string_view().clone().to_binary_view().to_string_view()?;
    cast(&checked, &DataType::Utf8)
}

/// Whole numbers through a function that takes some of them.
fn exact<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    value: impl Fn(i64) -> Option<T::Native>,
) -> Result<ArrayRef, ArrowError> {
    let numbers = cast(array, &DataType::Int64)?;
    let converted: PrimitiveArray<T> = numbers.as_primitive::<Int64Type>().unary_opt(value);
    Ok(Arc::new(converted))
}

/// Days and timestamps of any unit as timestamps in microseconds, where that cuts nothing off.
fn micros(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    use DataType as T;
    let value: fn(i64) -> Option<i64> = match array.data_type() {
        T::Date32 => |days| days.checked_mul(MICROS_A_DAY),
        T::Date64 | T::Timestamp(TimeUnit::Millisecond, _) => |millis| millis.checked_mul(1000),
        T::Timestamp(TimeUnit::Second, _) => |seconds| seconds.checked_mul(1_000_000),
        T::Timestamp(TimeUnit::Nanosecond, _) => |nanos| (nanos % 1000 == 0).then_some(nanos / 1000),
        _ => Some,
    };
    let plain = if *array.data_type() == T::Date32 { cast(array, &T::Int32)? } else { Arc::clone(array) };
    let numbers: Int64Array = cast(&plain, &T::Int64)?.as_primitive::<Int64Type>().clone();
    let stamps: PrimitiveArray<TimestampMicrosecondType> = numbers.unary_opt(value);
    Ok(Arc::new(stamps.with_data_type(to.clone())))
}

fn does_not_fit(array: &ArrayRef, row: usize, field: &Field, place: Place) -> DecodeError {
    DecodeError::Mismatch {
        row: Some(place.row(row)),
        line: None,
        column: field.name().clone(),
        value: array_value_to_string(array, row).map_or_else(|_| "a value".to_owned(), |text| shortened(&text)),
        expected: field.data_type().to_string(),
    }
}

fn types_differ(array: &dyn Array, field: &Field) -> DecodeError {
    DecodeError::Mismatch {
        row: None,
        line: None,
        column: field.name().clone(),
        value: format!("a column of type {}", array.data_type()),
        expected: field.data_type().to_string(),
    }
}

/// The same error, seen from the column around it.
fn within(name: &str, error: DecodeError, keeps_row: bool) -> DecodeError {
    match error {
        DecodeError::Mismatch { row, line, column, value, expected } => {
            let row = row.filter(|_| keeps_row);
            DecodeError::Mismatch { row, line, column: format!("{name}.{column}"), value, expected }
        }
        DecodeError::UnknownColumn { column, line } => {
            DecodeError::UnknownColumn { column: format!("{name}.{column}"), line }
        }
        other => other,
    }
}
