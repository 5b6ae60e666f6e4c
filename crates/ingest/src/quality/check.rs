//! A rule's check in the units of its column, asked of all values at once.

use std::collections::HashSet;

use arrow::{
    array::{Array as _, ArrayRef, ArrowPrimitiveType, AsArray as _, BooleanArray, PrimitiveArray},
    buffer::BooleanBuffer,
    compute::cast,
    datatypes::{DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType},
    error::ArrowError,
};
use regex::Regex;
use sluice_domain::{RowCheck, RuleValue};

use super::bound::{Side, float, moment, scaled};
use crate::moments::Moment;

/// What must be true of values, in the units of their column.
#[derive(Debug)]
pub(super) enum Check {
    NotNull,
    Whole { units: Units, test: Test<i128> },
    Float(Test<f64>),
    Text(Test<String>),
    Boolean(HashSet<bool>),
    Matches(Regex),
    MaxLength(usize),
}

/// What whole numbers a column holds, whatever they stand for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Units {
    Integer,
    Decimal { scale: u32 },
    Days,
    Micros { zoned: bool },
}

/// What must be true of a value.
#[derive(Debug)]
pub(super) enum Test<T> {
    Within(Option<T>, Option<T>),
    OneOf(Vec<T>),
}

impl Check {
    /// The check for values of a type, or why it cannot be asked of them.
    pub(super) fn new(check: &RowCheck, data_type: &DataType) -> Result<Self, String> {
        let is_text = *data_type == DataType::Utf8;
        match check {
            RowCheck::NotNull => Ok(Self::NotNull),
            RowCheck::Matches(pattern) if is_text => RowCheck::compile(pattern).map(Self::Matches),
            RowCheck::MaxLength(most) if is_text => Ok(Self::MaxLength(usize::try_from(*most).unwrap_or(usize::MAX))),
            RowCheck::Matches(_) | RowCheck::MaxLength(_) => Err(format!("it is for texts, and {data_type} is none")),
            RowCheck::Minimum(least) => Self::compared(data_type, Some(least), None),
            RowCheck::Maximum(most) => Self::compared(data_type, None, Some(most)),
            RowCheck::Between(least, most) => Self::compared(data_type, Some(least), Some(most)),
            RowCheck::OneOf(values) => Self::listed(data_type, values),
        }
    }

    fn compared(data_type: &DataType, least: Option<&RuleValue>, most: Option<&RuleValue>) -> Result<Self, String> {
        let unfit = |value: &RuleValue| format!("{value} cannot be compared with {data_type}");
        match data_type {
            DataType::Utf8 => {
                let text = |value: Option<&RuleValue>| value.map(RuleValue::to_string);
                Ok(Self::Text(Test::Within(text(least), text(most))))
            }
            DataType::Float32 | DataType::Float64 => {
                let number =
                    |value: Option<&RuleValue>| value.map(|value| float(value).ok_or(unfit(value))).transpose();
                Ok(Self::Float(Test::Within(number(least)?, number(most)?)))
            }
            data_type => {
                let no_order = || format!("values of {data_type} have no order");
                let units = Units::of(data_type).ok_or_else(no_order)?;
                let bound = |value: Option<&RuleValue>, side| {
                    let read = |value: &RuleValue| units.read(value, side).flatten().ok_or(unfit(value));
                    value.map(read).transpose()
                };
                Ok(Self::Whole { units, test: Test::Within(bound(least, Side::Up)?, bound(most, Side::Down)?) })
            }
        }
    }

    fn listed(data_type: &DataType, values: &[RuleValue]) -> Result<Self, String> {
        let unfit = |value: &RuleValue| format!("{value} is not a value of {data_type}");
        let all = |value: &RuleValue| match value {
            RuleValue::Boolean(flag) => Ok(*flag),
            other => Err(unfit(other)),
        };
        match data_type {
            DataType::Utf8 => Ok(Self::Text(Test::OneOf(values.iter().map(RuleValue::to_string).collect()))),
            DataType::Boolean => values.iter().map(all).collect::<Result<_, _>>().map(Self::Boolean),
            DataType::Float32 | DataType::Float64 => {
                let numbers = values.iter().map(|value| float(value).ok_or(unfit(value)));
                Ok(Self::Float(Test::OneOf(numbers.collect::<Result<_, _>>()?)))
            }
            data_type => {
                let units = Units::of(data_type).ok_or_else(|| format!("values of {data_type} cannot be listed"))?;
                let numbers = values.iter().map(|value| units.read(value, Side::Nowhere).ok_or(unfit(value)));
                let numbers: Vec<Option<i128>> = numbers.collect::<Result<_, _>>()?;
                Ok(Self::Whole { units, test: Test::OneOf(numbers.into_iter().flatten().collect()) })
            }
        }
    }

    /// Which values break it.
    pub(super) fn broken(&self, values: &ArrayRef) -> Result<BooleanBuffer, ArrowError> {
        match self {
            Self::NotNull => Ok(absent(values)),
            Self::Whole { units, test } => units.broken(values, test),
            Self::Float(test) => {
                let wide = cast(values, &DataType::Float64)?;
                Ok(of_numbers(numbers::<Float64Type>(&wide)?, |value| !test.holds(&value)))
            }
            Self::Text(test) => of_texts(values, |text| !test.holds_text(text)),
            Self::Matches(pattern) => of_texts(values, |text| !pattern.is_match(text)),
            Self::MaxLength(most) => of_texts(values, |text| text.len() > *most && text.chars().count() > *most),
            Self::Boolean(listed) => {
                let flags = values.as_boolean_opt().ok_or_else(|| other_type(values))?;
                let is_broken = |row| flags.is_valid(row) && !listed.contains(&flags.value(row));
                Ok(BooleanBuffer::collect_bool(flags.len(), is_broken))
            }
        }
    }
}

impl<T: PartialOrd> Test<T> {
    /// Whether a value keeps it. Of floats that are no numbers none does.
    fn holds(&self, value: &T) -> bool {
        match self {
            Self::Within(least, most) => {
                least.as_ref().is_none_or(|least| value >= least) && most.as_ref().is_none_or(|most| value <= most)
            }
            Self::OneOf(listed) => listed.iter().any(|one| one == value),
        }
    }
}

impl Test<String> {
    fn holds_text(&self, text: &str) -> bool {
        match self {
            Self::Within(least, most) => {
                least.as_deref().is_none_or(|least| text >= least) && most.as_deref().is_none_or(|most| text <= most)
            }
            Self::OneOf(listed) => listed.iter().any(|one| one == text),
        }
    }
}

impl Units {
    fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Self::Integer,
            DataType::Decimal128(_, scale) => Self::Decimal { scale: u32::try_from(*scale).ok()? },
            DataType::Date32 => Self::Days,
            DataType::Timestamp(TimeUnit::Microsecond, zone) => Self::Micros { zoned: zone.is_some() },
            _ => return None,
        })
    }

    /// The value in these units; `Some(None)` where it lies between two of them.
    fn read(self, value: &RuleValue, side: Side) -> Option<Option<i128>> {
        let read = match self {
            Self::Integer => return scaled(value, 0, side),
            Self::Decimal { scale } => return scaled(value, scale, side),
            Self::Days => moment(value, |moment| moment.days().map(i64::from)),
            Self::Micros { zoned: true } => moment(value, Moment::zoned),
            Self::Micros { zoned: false } => moment(value, Moment::local),
        };
        read.map(|number| Some(i128::from(number)))
    }

    fn broken(self, values: &ArrayRef, test: &Test<i128>) -> Result<BooleanBuffer, ArrowError> {
        Ok(match self {
            Self::Integer => {
                let wide = cast(values, &DataType::Int64)?;
                of_numbers(numbers::<Int64Type>(&wide)?, |value| !test.holds(&value.into()))
            }
            Self::Decimal { .. } => of_numbers(numbers::<Decimal128Type>(values)?, |value| !test.holds(&value)),
            Self::Days => of_numbers(numbers::<Date32Type>(values)?, |value| !test.holds(&value.into())),
            Self::Micros { .. } => {
                of_numbers(numbers::<TimestampMicrosecondType>(values)?, |value| !test.holds(&value.into()))
            }
        })
    }
}

/// Which values are missing.
fn absent(values: &ArrayRef) -> BooleanBuffer {
    values.logical_nulls().map_or_else(|| BooleanBuffer::new_unset(values.len()), |nulls| !nulls.inner())
}

fn numbers<T: ArrowPrimitiveType>(values: &ArrayRef) -> Result<&PrimitiveArray<T>, ArrowError> {
    values.as_primitive_opt().ok_or_else(|| other_type(values))
}

fn other_type(values: &ArrayRef) -> ArrowError {
    ArrowError::CastError(format!("the rules are not for values of {}", values.data_type()))
}

/// The rows with a value for which it is true.
fn of_numbers<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    is_broken: impl Fn(T::Native) -> bool,
) -> BooleanBuffer {
    let broken = BooleanArray::from_unary(values, is_broken);
    match broken.nulls() {
        Some(nulls) => broken.values() & nulls.inner(),
        None => broken.values().clone(),
    }
}

fn of_texts(values: &ArrayRef, is_broken: impl Fn(&str) -> bool) -> Result<BooleanBuffer, ArrowError> {
    let texts = values.as_string_opt::<i32>().ok_or_else(|| other_type(values))?;
    Ok(BooleanBuffer::collect_bool(texts.len(), |row| texts.is_valid(row) && is_broken(texts.value(row))))
}
