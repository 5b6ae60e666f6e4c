//! Delta file statistics from Parquet metadata: row count, and minimum, maximum and nulls of columns and of what is within objects.

use arrow::{
    array::{Array, ArrayRef, AsArray as _, UInt64Array},
    compute::{max as max_of, max_string, min as min_of, min_string, sum},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Field, Fields, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
    },
    util::display::{ArrayFormatter, FormatOptions},
};
use chrono::DateTime;
use parquet::{
    arrow::{arrow_reader::statistics::StatisticsConverter, parquet_to_arrow_schema},
    file::metadata::ParquetMetaData,
};
use serde_json::{Map, Value, json};

use crate::{TableError, WriterSettings};

/// The longest text that is a bound, in bytes: readers hold every bound of every file in memory.
const MAX_TEXT_BYTES: usize = 256;

/// Which columns have statistics.
#[derive(Debug, Clone)]
pub(crate) enum StatsScope {
    /// So many from the first on, those within objects counted each.
    First(usize),
    /// Those of these names, and what is within them.
    Named(Vec<String>),
}

impl StatsScope {
    pub(crate) fn new(settings: &WriterSettings) -> Self {
        match settings.layout.stats_columns.as_slice() {
            [] => Self::First(settings.stats_columns),
            named => Self::Named(named.to_vec()),
        }
    }

    fn holds(&self, number: usize, path: &[String]) -> bool {
        match self {
            Self::First(count) => number < *count,
            Self::Named(names) => {
                let path = path.join(".");
                let within = |name: &String| path.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.'));
                names.iter().any(|name| *name == path || within(name))
            }
        }
    }
}

/// Which end of a column's values is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Minimum,
    Maximum,
}

/// The `stats` text of an `add` action.
///
/// Bounds are never tighter than the data: timestamps are cut to milliseconds (the protocol's precision) downwards
/// for the minimum and upwards for the maximum.
pub(crate) fn file_stats(metadata: &ParquetMetaData, scope: &StatsScope) -> Result<String, TableError> {
    let file = metadata.file_metadata();
    let schema: Schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
    let (mut minimums, mut maximums, mut nulls) = (Map::new(), Map::new(), Map::new());
    let leaves = file.schema_descr().columns().iter().enumerate();
    for (number, (at, column)) in leaves.filter(|(_, column)| column.max_rep_level() == 0).enumerate() {
        let path = column.path().parts();
        let Some(field) = leaf(schema.fields(), path).filter(|_| scope.holds(number, path)) else { continue };
        let converter = StatisticsConverter::from_column_index(at, field, file.schema_descr())?;
        let groups = metadata.row_groups();
        let null_counts: UInt64Array = converter.row_group_null_counts(groups)?;
        if null_counts.null_count() == 0 {
            insert(&mut nulls, path, json!(sum(&null_counts).unwrap_or(0)));
        }
        let bounds = [
            (End::Minimum, converter.row_group_mins(groups)?, &mut minimums),
            (End::Maximum, converter.row_group_maxes(groups)?, &mut maximums),
        ];
        for (end, values, found) in bounds {
            if let Some(value) = bound(&values, &null_counts, metadata, end)? {
                insert(found, path, value);
            }
        }
    }
    let stats = json!({
        "numRecords": file.num_rows(), "minValues": minimums, "maxValues": maximums, "nullCount": nulls,
    });
    Ok(stats.to_string())
}

/// The field at a path that leads through objects only.
fn leaf<'f>(fields: &'f Fields, path: &[String]) -> Option<&'f Field> {
    let (first, rest) = path.split_first()?;
    let (_, field) = fields.find(first)?;
    match (field.data_type(), rest) {
        (DataType::Struct(fields), rest) => leaf(fields, rest),
        (data_type, []) if !data_type.is_nested() => Some(field),
        _ => None,
    }
}

/// Put a value at a path, within an object for each name but the last.
fn insert(object: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => drop(object.insert(name.clone(), value)),
        [name, rest @ ..] => {
            let inner = object.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Some(inner) = inner.as_object_mut() {
                insert(inner, rest, value);
            }
        }
    }
}

/// One end over all row groups; none where a row group with values does not tell.
fn bound(
    values: &ArrayRef,
    null_counts: &UInt64Array,
    metadata: &ParquetMetaData,
    end: End,
) -> Result<Option<Value>, TableError> {
    let untold = (0..values.len()).any(|at| {
        let all_null = null_counts.is_valid(at) && null_counts.value(at) == metadata.row_group(at).num_rows() as u64;
        values.is_null(at) && !all_null
    });
    if untold || values.null_count() == values.len() {
        return Ok(None);
    }
    macro_rules! number {
        ($type:ty) => {{
            let values = values.as_primitive::<$type>();
            if end == End::Minimum { min_of(values) } else { max_of(values) }
        }};
    }
    let found = match values.data_type() {
        DataType::Int8 => number!(Int8Type).map(Value::from),
        DataType::Int16 => number!(Int16Type).map(Value::from),
        DataType::Int32 => number!(Int32Type).map(Value::from),
        DataType::Int64 => number!(Int64Type).map(Value::from),
        DataType::Float32 => number!(Float32Type).and_then(|value| finite(value.into())),
        DataType::Float64 => number!(Float64Type).and_then(finite),
        DataType::Date32 => number!(Date32Type).and_then(date_text),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            number!(TimestampMicrosecondType).and_then(|micros| timestamp_text(micros, zone.is_some(), end))
        }
        DataType::Decimal128(..) => decimal(values, number!(Decimal128Type))?,
        DataType::Utf8 => {
            let values = values.as_string::<i32>();
            let found = if end == End::Minimum { min_string(values) } else { max_string(values) };
            found.filter(|text| text.len() <= MAX_TEXT_BYTES).map(Value::from)
        }
        _ => None,
    };
    Ok(found)
}

/// JSON has no NaN or infinity: a column that reaches them has no bound.
fn finite(value: f64) -> Option<Value> {
    value.is_finite().then(|| json!(value))
}

fn date_text(days: i32) -> Option<Value> {
    DateTime::from_timestamp(i64::from(days) * 86_400, 0).map(|time| json!(time.format("%Y-%m-%d").to_string()))
}

fn timestamp_text(micros: i64, zoned: bool, end: End) -> Option<Value> {
    let millis = micros.div_euclid(1000) + i64::from(end == End::Maximum && micros.rem_euclid(1000) != 0);
    let text = if zoned { "%Y-%m-%dT%H:%M:%S%.3fZ" } else { "%Y-%m-%dT%H:%M:%S%.3f" };
    DateTime::from_timestamp_millis(millis).map(|time| json!(time.format(text).to_string()))
}

/// A decimal as a JSON number, digit for digit where JSON numbers allow it; none where a float would round it.
fn decimal(values: &ArrayRef, found: Option<i128>) -> Result<Option<Value>, TableError> {
    let Some(found) = found else { return Ok(None) };
    let values = values.as_primitive::<Decimal128Type>();
    let at = values.iter().position(|value| value == Some(found)).unwrap_or_default();
    let text = ArrayFormatter::try_new(values, &FormatOptions::default())?.value(at).to_string();
    if !text.contains('.') {
        return Ok(found.try_into().ok().map(|whole: i64| json!(whole)));
    }
    let significant = text.bytes().filter(u8::is_ascii_digit).count();
    Ok(text.parse::<f64>().ok().filter(|_| significant <= 15).map(|value| json!(value)))
}
