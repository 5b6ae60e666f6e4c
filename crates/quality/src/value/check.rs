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
use sluice_domain::{Moment, RowCheck, RuleValue};

use super::bound::{Side, float, moment, scaled};

/// What must be true of values, in the units of their column.
#[derive(Debug)]
pub struct ValueCheck(Kind);

#[derive(Debug)]
enum Kind {
    NotNull,
    Whole { units: Units, test: Test<i128> },
    Float(Test<f64>),
    Text(Test<String>),
    Boolean(HashSet<bool>),
    Matches(Regex),
    MaxLength(usize),
}

/// An end of a range.
#[derive(Debug, Clone, Copy)]
pub struct Limit<'a> {
    /// Where it is.
    pub value: &'a RuleValue,
    /// Whether the value itself lies outside.
    pub is_strict: bool,
}

impl<'a> Limit<'a> {
    fn closed(value: &'a RuleValue) -> Self {
        Self { value, is_strict: false }
    }
}

/// What whole numbers a column holds, whatever they stand for.
#[derive(Debug, Clone, Copy)]
enum Units {
    Integer,
    Decimal { scale: u32 },
    Days,
    Micros { zoned: bool },
}

/// What must be true of a value.
#[derive(Debug)]
enum Test<T> {
    /// Between these ends, each itself outside where it is strict.
    Within(Option<(T, bool)>, Option<(T, bool)>),
    OneOf(Vec<T>),
}

impl ValueCheck {
    /// The check for values of a type.
    ///
    /// # Errors
    /// Why it cannot be asked of them.
    pub fn new(check: &RowCheck, data_type: &DataType) -> Result<Self, String> {
        let is_text = *data_type == DataType::Utf8;
        match check {
            RowCheck::NotNull => Ok(Self(Kind::NotNull)),
            RowCheck::Matches(pattern) if is_text => Ok(Self(Kind::Matches(RowCheck::compile(pattern)?))),
            RowCheck::MaxLength(most) if is_text => {
                Ok(Self(Kind::MaxLength(usize::try_from(*most).unwrap_or(usize::MAX))))
            }
            RowCheck::Matches(_) | RowCheck::MaxLength(_) => Err(format!("it is for texts, and {data_type} is none")),
            RowCheck::Minimum(least) => Self::range(data_type, Some(Limit::closed(least)), None),
            RowCheck::Maximum(most) => Self::range(data_type, None, Some(Limit::closed(most))),
            RowCheck::Between(least, most) => {
                Self::range(data_type, Some(Limit::closed(least)), Some(Limit::closed(most)))
            }
            RowCheck::OneOf(values) => Self::one_of(data_type, values),
        }
    }

    /// Values of a type that lie between these ends.
    ///
    /// # Errors
    /// Why the ends cannot be compared with them.
    pub fn range(data_type: &DataType, least: Option<Limit<'_>>, most: Option<Limit<'_>>) -> Result<Self, String> {
        let unfit = |value: &RuleValue| format!("{value} cannot be compared with {data_type}");
        Ok(Self(match data_type {
            DataType::Utf8 => {
                let text = |limit: Option<Limit<'_>>| limit.map(|limit| (limit.value.to_string(), limit.is_strict));
                Kind::Text(Test::Within(text(least), text(most)))
            }
            DataType::Float32 | DataType::Float64 => {
                let number = |limit: Option<Limit<'_>>| {
                    let read = |limit: Limit<'_>| float(limit.value).map(|number| (number, limit.is_strict));
                    limit.map(|limit| read(limit).ok_or(unfit(limit.value))).transpose()
                };
                Kind::Float(Test::Within(number(least)?, number(most)?))
            }
            data_type => {
                let no_order = || format!("values of {data_type} have no order");
                let units = Units::of(data_type).ok_or_else(no_order)?;
                let whole = |limit: Option<Limit<'_>>, (side, inside): (Side, i128)| {
                    let read = |limit: Limit<'_>| units.end(limit, side, inside).ok_or(unfit(limit.value));
                    limit.map(read).transpose()
                };
                let test = Test::Within(whole(least, (Side::Up, 1))?, whole(most, (Side::Down, -1))?);
                Kind::Whole { units, test }
            }
        }))
    }

    /// Values of a type that are among these.
    ///
    /// # Errors
    /// Why they cannot be values of it.
    pub fn one_of(data_type: &DataType, values: &[RuleValue]) -> Result<Self, String> {
        let unfit = |value: &RuleValue| format!("{value} is not a value of {data_type}");
        let flag = |value: &RuleValue| match value {
            RuleValue::Boolean(flag) => Ok(*flag),
            other => Err(unfit(other)),
        };
        Ok(Self(match data_type {
            DataType::Utf8 => Kind::Text(Test::OneOf(values.iter().map(RuleValue::to_string).collect())),
            DataType::Boolean => Kind::Boolean(values.iter().map(flag).collect::<Result<_, _>>()?),
            DataType::Float32 | DataType::Float64 => {
                let numbers = values.iter().map(|value| float(value).ok_or(unfit(value)));
                Kind::Float(Test::OneOf(numbers.collect::<Result<_, _>>()?))
            }
            data_type => {
                let units = Units::of(data_type).ok_or_else(|| format!("values of {data_type} cannot be listed"))?;
                let numbers = values.iter().map(|value| units.read(value, Side::Nowhere).ok_or(unfit(value)));
                let numbers: Vec<Option<i128>> = numbers.collect::<Result<_, _>>()?;
                Kind::Whole { units, test: Test::OneOf(numbers.into_iter().flatten().collect()) }
            }
        }))
    }

    /// Which values break it.
    ///
    /// # Errors
    /// Values of another type.
    pub fn broken(&self, values: &ArrayRef) -> Result<BooleanBuffer, ArrowError> {
        match &self.0 {
            Kind::NotNull => Ok(absent(values)),
            Kind::Whole { units, test } => units.broken(values, test),
            Kind::Float(test) => {
                let wide = cast(values, &DataType::Float64)?;
                Ok(of_numbers(numbers::<Float64Type>(&wide)?, |value| !test.holds(&value)))
            }
            Kind::Text(test) => of_texts(values, |text| !test.holds_text(text)),
            Kind::Matches(pattern) => of_texts(values, |text| !pattern.is_match(text)),
            Kind::MaxLength(most) => of_texts(values, |text| text.len() > *most && text.chars().count() > *most),
            Kind::Boolean(listed) => {
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
                let above = |(least, is_strict): &(T, bool)| value > least || !is_strict && value == least;
                let below = |(most, is_strict): &(T, bool)| value < most || !is_strict && value == most;
                least.as_ref().is_none_or(above) && most.as_ref().is_none_or(below)
            }
            Self::OneOf(listed) => listed.iter().any(|one| one == value),
        }
    }
}

impl Test<String> {
    fn holds_text(&self, text: &str) -> bool {
        match self {
            Self::Within(least, most) => {
                let above = |(least, strict): &(String, bool)| text > least.as_str() || !strict && text == least;
                let below = |(most, strict): &(String, bool)| text < most.as_str() || !strict && text == most;
                least.as_ref().is_none_or(above) && most.as_ref().is_none_or(below)
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
            Self::Micros { zoned: true } => moment(value, |moment| moment.zoned().or(moment.local())),
            Self::Micros { zoned: false } => moment(value, Moment::local),
        };
        read.map(|number| Some(i128::from(number)))
    }

    /// The outermost value of a range: its end, or where that lies outside, the next one within.
    fn end(self, limit: Limit<'_>, side: Side, inside: i128) -> Option<(i128, bool)> {
        if !limit.is_strict {
            return self.read(limit.value, side).flatten().map(|end| (end, false));
        }
        let outside = if side == Side::Up { Side::Down } else { Side::Up };
        self.read(limit.value, outside).flatten().map(|end| (end.saturating_add(inside), false))
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
