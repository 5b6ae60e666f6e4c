//! Cells as fingerprints, numbers, moments and JSON.

use std::hash::{BuildHasher as _, RandomState};

use arrow::{
    array::{Array, ArrayRef, AsArray as _, Float64Array, RecordBatch},
    buffer::BooleanBuffer,
    compute::cast,
    datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType},
    row::{RowConverter, SortField},
    util::display::{ArrayFormatter, FormatOptions},
};
use serde_json::Value;
use sluice_domain::parse_moment;

/// The longest text that a result repeats, in characters.
pub(crate) const MAX_SHOWN_CHARS: usize = 100;
/// The largest whole number up to which floats are exact.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// 128 bits that stand for a value: two values with the same ones are not to be expected.
pub(crate) type Fingerprint = (u64, u64);

/// Makes fingerprints of values, or of several values together.
#[derive(Debug, Default)]
pub(crate) struct Fingerprints {
    seeds: (RandomState, RandomState),
    converter: Option<RowConverter>,
}

impl Fingerprints {
    /// One for each row of these columns.
    pub(crate) fn of(&mut self, columns: &[ArrayRef]) -> Result<Vec<Fingerprint>, String> {
        let converter = match &mut self.converter {
            Some(converter) => converter,
            empty => {
                let fields = columns.iter().map(|column| SortField::new(column.data_type().clone()));
                empty.insert(RowConverter::new(fields.collect()).map_err(|error| error.to_string())?)
            }
        };
        let rows = converter.convert_columns(columns).map_err(|error| error.to_string())?;
        let hash = |row: arrow::row::Row<'_>| {
            let bytes: &[u8] = row.as_ref();
            (self.seeds.0.hash_one(bytes), self.seeds.1.hash_one(bytes))
        };
        Ok(rows.iter().map(hash).collect())
    }
}

/// Which rows have a value.
pub(crate) fn present(column: &ArrayRef) -> BooleanBuffer {
    column.logical_nulls().map_or_else(|| BooleanBuffer::new_set(column.len()), |nulls| nulls.into_inner())
}

/// The columns at these places.
pub(crate) fn columns(rows: &RecordBatch, places: &[usize]) -> Vec<ArrayRef> {
    places.iter().map(|at| rows.column(*at).clone()).collect()
}

/// Whether values of a type are numbers.
pub(crate) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// Numbers as floats.
pub(crate) fn floats(column: &ArrayRef) -> Result<Float64Array, String> {
    let wide = cast(column, &DataType::Float64).map_err(|error| error.to_string())?;
    wide.as_primitive_opt::<Float64Type>().cloned().ok_or_else(|| format!("{} is no number", column.data_type()))
}

/// Whole numbers, where they fit 64 bits.
pub(crate) fn integers(column: &ArrayRef) -> Option<arrow::array::Int64Array> {
    if !column.data_type().is_integer() {
        return None;
    }
    cast(column, &DataType::Int64).ok()?.as_primitive_opt::<Int64Type>().cloned()
}

/// A moment in each row, in microseconds from the epoch: of days, instants, and texts that are one.
pub(crate) fn moments(column: &ArrayRef) -> Result<Vec<Option<i64>>, String> {
    match column.data_type() {
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>();
            Ok(days.iter().map(|day| day.map(|day| i64::from(day) * MICROS_PER_DAY)).collect())
        }
        DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _) => {
            Ok(column.as_primitive::<TimestampMicrosecondType>().iter().collect())
        }
        DataType::Utf8 => {
            let read = |text: &str| parse_moment(text.trim()).and_then(|moment| moment.zoned().or(moment.local()));
            Ok(column.as_string::<i32>().iter().map(|text| text.and_then(read)).collect())
        }
        other => Err(format!("{other} is no moment")),
    }
}

/// A value as results show it.
pub(crate) fn shown(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    if let Some(text) = column.as_string_opt::<i32>() {
        return text.value(row).chars().take(MAX_SHOWN_CHARS).collect::<String>().into();
    }
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).into(),
        data_type if data_type.is_integer() => match integers(&column.slice(row, 1)) {
            Some(number) => number.value(0).into(),
            None => spelled(column, row),
        },
        DataType::Float32 | DataType::Float64 => floats(&column.slice(row, 1))
            .map_or_else(|_| spelled(column, row), |number| serde_json::json!(number.value(0))),
        _ => spelled(column, row),
    }
}

fn spelled(column: &ArrayRef, row: usize) -> Value {
    let options = FormatOptions::default();
    let text = ArrayFormatter::try_new(column, &options).map(|formatter| formatter.value(row).to_string());
    text.unwrap_or_default().chars().take(MAX_SHOWN_CHARS).collect::<String>().into()
}

/// A value as a key to look others up by: the same for the same value of columns of like types.
pub(crate) fn key(column: &ArrayRef, row: usize) -> String {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return texts.value(row).to_owned();
    }
    let whole = |number: f64| number.fract() == 0.0 && number.abs() < MAX_WHOLE;
    match shown(column, row) {
        Value::Number(number) if number.as_f64().is_some_and(whole) && !number.is_i64() => {
            (number.as_f64().unwrap_or_default() as i64).to_string()
        }
        Value::String(text) => text,
        other => other.to_string(),
    }
}
