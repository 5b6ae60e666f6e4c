//! One column under construction, of any type that a table has.

use std::{mem, ops::RangeInclusive, sync::Arc};

use arrow::{
    array::{
        Array as _, ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder,
        NullBufferBuilder, OffsetBufferBuilder, StringBuilder, TimestampMicrosecondBuilder, new_null_array,
    },
    compute::cast,
    datatypes::{DataType, Field, TimeUnit},
    error::ArrowError,
};
use sluice_domain::{Moment, parse_moment};

use super::{fields::Fields, nested, value::Value};
use crate::{
    decode_error::shortened,
    kinds::{
        MAX_EXACT_IN_FLOAT, is_whole, parse_boolean, parse_decimal, parse_flag, parse_float, parse_integer, plain_float,
    },
};

mod texts;

/// The largest whole number up to which floats of 32 bits are exact.
const MAX_EXACT_IN_SINGLE: u64 = 1 << 24;
/// The most places in arrays that one record may fill, missing fields within lists counted too.
const MAX_CELLS: usize = 4 << 20;

/// A value that a column does not take. The path begins with the column.
#[derive(Debug, PartialEq)]
pub(crate) enum Refused {
    Mismatch { path: String, value: String, expected: String },
    Unknown { path: String },
    Twice { path: String },
    TooManyValues,
}

impl Refused {
    /// The same, seen from the column around it.
    fn within(mut self, column: &str) -> Self {
        if let Self::Mismatch { path, .. } | Self::Unknown { path } | Self::Twice { path } = &mut self {
            path.insert(0, '.');
            path.insert_str(0, column);
        }
        self
    }
}

/// How many places in arrays a record may still fill.
pub(crate) struct Cells(usize);

impl Cells {
    pub(crate) fn of_one_record() -> Self {
        Self(MAX_CELLS)
    }

    pub(crate) fn spent(&self) -> usize {
        MAX_CELLS - self.0
    }

    pub(super) fn spend(&mut self, count: usize) -> Result<(), Refused> {
        self.0 = self.0.checked_sub(count).ok_or(Refused::TooManyValues)?;
        Ok(())
    }
}

enum Values {
    Boolean(BooleanBuilder),
    Integer {
        values: Int64Builder,
        range: RangeInclusive<i64>,
    },
    Float {
        values: Float64Builder,
        single: bool,
    },
    Decimal {
        values: Decimal128Builder,
        precision: u8,
        scale: u8,
    },
    Date(Date32Builder),
    Timestamp {
        values: TimestampMicrosecondBuilder,
        zoned: bool,
    },
    Text(StringBuilder),
    List {
        item: Box<ColumnBuilder>,
        offsets: OffsetBufferBuilder<i32>,
        /// How many items the offsets tell of.
        covered: usize,
        validity: NullBufferBuilder,
    },
    Struct {
        fields: Fields,
        validity: NullBufferBuilder,
    },
    /// A type that text does not tell the values of: they can only be missing.
    Missing(usize),
}

impl Values {
    fn new(data_type: &DataType) -> Self {
        use DataType as T;
        match data_type {
            T::Boolean => Self::Boolean(BooleanBuilder::new()),
            T::Int8 => Self::integer(i8::MIN.into()..=i8::MAX.into()),
            T::Int16 => Self::integer(i16::MIN.into()..=i16::MAX.into()),
            T::Int32 => Self::integer(i32::MIN.into()..=i32::MAX.into()),
            T::Int64 => Self::integer(i64::MIN..=i64::MAX),
            T::Float32 => Self::Float { values: Float64Builder::new(), single: true },
            T::Float64 => Self::Float { values: Float64Builder::new(), single: false },
            T::Decimal128(precision, scale) if *scale >= 0 => Self::Decimal {
                values: Decimal128Builder::new().with_data_type(data_type.clone()),
                precision: *precision,
                scale: *scale as u8,
            },
            T::Date32 => Self::Date(Date32Builder::new()),
            T::Timestamp(TimeUnit::Microsecond, zone) => Self::Timestamp {
                values: TimestampMicrosecondBuilder::new().with_data_type(data_type.clone()),
                zoned: zone.is_some(),
            },
            T::Utf8 | T::LargeUtf8 | T::Utf8View => Self::Text(StringBuilder::new()),
            T::List(item) => Self::List {
                item: Box::new(ColumnBuilder::new(item)),
                offsets: OffsetBufferBuilder::new(0),
                covered: 0,
                validity: NullBufferBuilder::new(0),
            },
            T::Struct(fields) => Self::Struct { fields: Fields::new(fields), validity: NullBufferBuilder::new(0) },
            _ => Self::Missing(0),
        }
    }

    fn integer(range: RangeInclusive<i64>) -> Self {
        Self::Integer { values: Int64Builder::new(), range }
    }
}

/// A column under construction.
pub(crate) struct ColumnBuilder {
    name: String,
    nullable: bool,
    data_type: DataType,
    /// How many arrays there are in it.
    width: usize,
    length: usize,
    /// Whether texts are taken for the numbers and booleans that they look like.
    coerces: bool,
    values: Values,
}

impl ColumnBuilder {
    pub(crate) fn new(field: &Field) -> Self {
        let values = Values::new(field.data_type());
        let width = match &values {
            Values::List { item, .. } => 1 + item.width,
            Values::Struct { fields, .. } => 1 + fields.width(),
            _ => 1,
        };
        let data_type = field.data_type().clone();
        Self {
            name: field.name().clone(),
            nullable: field.is_nullable(),
            data_type,
            width,
            length: 0,
            coerces: false,
            values,
        }
    }

    /// Take texts for what the column wants, here and within.
    pub(crate) fn coerce(&mut self) {
        self.coerces = true;
        match &mut self.values {
            Values::List { item, .. } => item.coerce(),
            Values::Struct { fields, .. } => fields.coerce(),
            _ => {}
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Add a missing value.
    pub(crate) fn append_null(&mut self) -> Result<(), Refused> {
        if !self.nullable {
            return Err(self.refusal("null"));
        }
        self.append_gap();
        Ok(())
    }

    /// Add a missing value where one may not be: below a missing struct, where nobody looks.
    pub(crate) fn append_gap(&mut self) {
        self.length += 1;
        match &mut self.values {
            Values::Boolean(values) => values.append_null(),
            Values::Integer { values, .. } => values.append_null(),
            Values::Float { values, .. } => values.append_null(),
            Values::Decimal { values, .. } => values.append_null(),
            Values::Date(values) => values.append_null(),
            Values::Timestamp { values, .. } => values.append_null(),
            Values::Text(values) => values.append_null(),
            Values::List { offsets, validity, .. } => {
                offsets.push_length(0);
                validity.append_null();
            }
            Values::Struct { fields, validity } => {
                fields.append_gap();
                validity.append_null();
            }
            Values::Missing(count) => *count += 1,
        }
    }

    /// Make it this long, or leave it so: a value that broke off becomes a gap, with whatever lies below it.
    pub(super) fn end_at(&mut self, length: usize) {
        if self.length >= length {
            return;
        }
        match &mut self.values {
            Values::List { item, offsets, covered, validity } => {
                let items = item.longest();
                item.end_at(items);
                offsets.push_length(items - *covered);
                *covered = items;
                validity.append_null();
            }
            Values::Struct { fields, validity } => {
                fields.end_at(length);
                validity.append_null();
            }
            _ => return self.append_gap(),
        }
        self.length = length;
    }

    /// How many values there are, one that broke off counted too.
    pub(super) fn longest(&self) -> usize {
        let begun = match &self.values {
            Values::List { item, covered, .. } => usize::from(item.longest() > *covered),
            Values::Struct { fields, .. } => usize::from(fields.longest() > self.length),
            _ => 0,
        };
        self.length + begun
    }

    /// Add the value that a text stands for. Spaces around it belong to texts alone.
    pub(crate) fn append_text(&mut self, text: &str) -> Result<(), Refused> {
        let bare = text.trim_matches(' ');
        let stored = match &mut self.values {
            Values::Text(values) => {
                values.append_value(text);
                Some(())
            }
            Values::Boolean(values) => {
                let flag = parse_boolean(bare).or_else(|| if self.coerces { parse_flag(bare) } else { None });
                flag.map(|value| values.append_value(value))
            }
            Values::Integer { values, range } => {
                parse_integer(bare).filter(|value| range.contains(value)).map(|value| values.append_value(value))
            }
            Values::Float { values, single } => {
                let value = if *single { exact_single(bare) } else { exact_double(bare) };
                value.map(|value| values.append_value(value))
            }
            Values::Decimal { values, precision, scale } => {
                parse_decimal(bare, *precision, *scale).map(|value| values.append_value(value))
            }
            Values::Date(values) => {
                let days = parse_moment(bare).and_then(Moment::days);
                days.map(|days| values.append_value(days))
            }
            Values::Timestamp { values, zoned } => {
                let micros = parse_moment(bare).and_then(if *zoned { Moment::zoned } else { Moment::local });
                micros.map(|micros| values.append_value(micros))
            }
            Values::List { .. } | Values::Struct { .. } | Values::Missing(_) => None,
        };
        stored.ok_or_else(|| self.refusal(text))?;
        self.length += 1;
        Ok(())
    }

    /// Add a JSON value. Numbers and booleans are none in quotes where the column does not coerce, but for decimals,
    /// whose digits JSON cannot promise.
    pub(crate) fn append_value(&mut self, value: &Value, cells: &mut Cells) -> Result<(), Refused> {
        cells.spend(1)?;
        match (value, &mut self.values) {
            (Value::Null, _) => {
                cells.spend(self.width)?;
                self.append_null()
            }
            (value, Values::Text(values)) => {
                values.append_value(value.as_text());
                self.length += 1;
                Ok(())
            }
            (Value::Number(text), _) => self.append_text(text),
            (Value::Boolean(flag), Values::Boolean(values)) => {
                values.append_value(*flag);
                self.length += 1;
                Ok(())
            }
            (Value::String(text), Values::Decimal { .. } | Values::Date(_) | Values::Timestamp { .. }) => {
                self.append_text(text)
            }
            (Value::String(text), Values::Boolean(_) | Values::Integer { .. } | Values::Float { .. })
                if self.coerces =>
            {
                self.append_text(text)
            }
            (Value::Array(_), Values::List { .. }) | (Value::Object(_), Values::Struct { .. }) => {
                self.append_nested(value, cells).map_err(|refused| refused.within(&self.name))
            }
            (value, _) => Err(self.refusal(&value.to_string())),
        }
    }

    fn append_nested(&mut self, value: &Value, cells: &mut Cells) -> Result<(), Refused> {
        match (value, &mut self.values) {
            (Value::Array(members), Values::List { item, offsets, covered, validity }) => {
                members.iter().try_for_each(|member| item.append_value(member, cells))?;
                offsets.push_length(members.len());
                *covered += members.len();
                validity.append_non_null();
            }
            (Value::Object(entries), Values::Struct { fields, validity }) => {
                fields.append(entries, cells)?;
                validity.append_non_null();
            }
            _ => return Err(self.refusal(&value.to_string())),
        }
        self.length += 1;
        Ok(())
    }

    /// The column so far; the next one starts empty.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        self.length = 0;
        let array: ArrayRef = match &mut self.values {
            Values::Boolean(values) => Arc::new(values.finish()),
            Values::Integer { values, .. } => Arc::new(values.finish()),
            Values::Float { values, .. } => Arc::new(values.finish()),
            Values::Decimal { values, .. } => Arc::new(values.finish()),
            Values::Date(values) => Arc::new(values.finish()),
            Values::Timestamp { values, .. } => Arc::new(values.finish()),
            Values::Text(values) => Arc::new(values.finish()),
            Values::List { item, offsets, covered, validity } => {
                *covered = 0;
                let offsets = mem::replace(offsets, OffsetBufferBuilder::new(0)).finish();
                nested::list(&self.data_type, offsets, item.finish()?, validity.finish())?
            }
            Values::Struct { fields, validity } => {
                nested::object(&self.data_type, fields.finish()?, validity.finish())?
            }
            Values::Missing(count) => new_null_array(&self.data_type, mem::take(count)),
        };
        if *array.data_type() == self.data_type { Ok(array) } else { cast(&array, &self.data_type) }
    }

    fn refusal(&self, value: &str) -> Refused {
        let required = if self.nullable { "" } else { ", never missing" };
        let expected = format!("{}{required}", self.data_type);
        Refused::Mismatch { path: self.name.clone(), value: shortened(value), expected }
    }
}

/// Whether a whole number is one that floats of this size tell from its neighbours.
fn is_exact(text: &str, largest: u64) -> bool {
    !is_whole(text) || parse_integer(text).is_some_and(|number| number.unsigned_abs() <= largest)
}

fn exact_double(text: &str) -> Option<f64> {
    plain_float(text).or_else(|| parse_float(text).filter(|_| is_exact(text, MAX_EXACT_IN_FLOAT)))
}

fn exact_single(text: &str) -> Option<f64> {
    let double = parse_float(text).filter(|_| is_exact(text, MAX_EXACT_IN_SINGLE))?;
    let single: f32 = text.parse().ok()?;
    (single.is_finite() || !double.is_finite()).then_some(f64::from(single))
}
