//! The narrowest type that holds the values of a column and those of an upload.

use std::{collections::HashSet, sync::Arc};

use arrow::datatypes::{DataType, Field, Fields};
use sluice_table::{storable_type, widens};

use crate::columns::FieldIndex;

/// Digits that a decimal holds.
const MAX_DIGITS: u8 = 38;
/// Digits before the point that numbers of up to 32 bits take in a decimal.
const INTEGER_DIGITS: u8 = 10;
/// Digits that numbers of 64 bits take.
const LONG_DIGITS: u8 = 20;

/// How values of one type go into a column of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fit {
    /// All of them fit.
    Always,
    /// Some do, perhaps all: the values tell.
    ByValue,
    /// All do once the column has this type.
    Wider(DataType),
    /// There is no type that the column can change to and that holds them.
    Never,
}

/// What may be done about a type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    /// Whether the type that was found is a guess from texts.
    pub(super) guessed: bool,
    /// Whether fields may be added within.
    pub(super) adds: bool,
    /// Whether types may get wider.
    pub(super) widens: bool,
}

/// How values of the type `found` go into a column.
pub(super) fn fit(column: &DataType, found: &DataType, scope: &Scope) -> Fit {
    use DataType as T;
    let stored = match found {
        T::Null => return Fit::Always,
        found => storable_type(found).unwrap_or_else(|| found.clone()),
    };
    match (column, &stored) {
        (column, stored) if column == stored || widens(stored, column) => Fit::Always,
        (T::Struct(column), T::Struct(stored)) => fit_fields(column, stored, scope),
        (T::List(column), T::List(stored)) => fit_item(column, stored, scope),
        (T::Utf8, stored) if !stored.is_nested() || scope.guessed => Fit::Always,
        (column, stored) if scope.guessed && is_vague(column, stored) => Fit::ByValue,
        (column, stored) => match join(column, stored) {
            Some(wider) if wider == *column => Fit::Always,
            Some(wider) if scope.widens => Fit::Wider(wider),
            Some(_) => Fit::ByValue,
            None if is_number(column) && is_number(stored) || is_moment(column) && is_moment(stored) => Fit::ByValue,
            None => Fit::Never,
        },
    }
}

/// Whether a guess from texts says too little: every whole number is guessed to have 64 bits, every other to be a
/// double.
fn is_vague(column: &DataType, guess: &DataType) -> bool {
    use DataType as T;
    match guess {
        T::Int64 => is_number(column),
        T::Float64 => matches!(column, T::Float32 | T::Decimal128(..)),
        _ => false,
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_floating() || matches!(data_type, DataType::Decimal128(..))
}

fn is_moment(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Timestamp(..))
}

/// The narrowest type to which the column can change and that holds the other's values too.
fn join(column: &DataType, other: &DataType) -> Option<DataType> {
    use DataType as T;
    let joined = match (column, other) {
        (column, other) if widens(column, other) => other.clone(),
        (T::Int8 | T::Int16 | T::Int32, T::Float32) => T::Float64,
        (T::Decimal128(..) | T::Int8 | T::Int16 | T::Int32 | T::Int64, _) => {
            let ((whole, scale), (other_whole, other_scale)) = (digits(column)?, digits(other)?);
            let (whole, scale) = (whole.max(other_whole), scale.max(other_scale));
            let precision = whole.checked_add(scale).filter(|precision| *precision <= MAX_DIGITS)?;
            T::Decimal128(precision, i8::try_from(scale).ok()?)
        }
        _ => return None,
    };
    (joined == *column || widens(column, &joined)).then_some(joined)
}

/// Digits before and after the point.
fn digits(data_type: &DataType) -> Option<(u8, u8)> {
    use DataType as T;
    match data_type {
        T::Int8 | T::Int16 | T::Int32 => Some((INTEGER_DIGITS, 0)),
        T::Int64 => Some((LONG_DIGITS, 0)),
        T::Decimal128(precision, scale) => {
            let scale = u8::try_from(*scale).ok()?;
            Some((precision.checked_sub(scale)?, scale))
        }
        _ => None,
    }
}

fn fit_item(column: &Arc<Field>, found: &Field, scope: &Scope) -> Fit {
    match fit(column.data_type(), found.data_type(), scope) {
        Fit::Wider(item) => Fit::Wider(DataType::List(Arc::new(column.as_ref().clone().with_data_type(item)))),
        fit => fit,
    }
}

/// Fields that are new come at the end; where one cannot fit, the whole cannot.
fn fit_fields(column: &Fields, found: &Fields, scope: &Scope) -> Fit {
    let index = FieldIndex::of(column.iter().map(|field| field.name()));
    let mut fields = column.to_vec();
    let (mut names, mut whole) = (HashSet::new(), Fit::Always);
    for field in found {
        match index.find(field.name()) {
            Some(at) => match fit(fields[at].data_type(), field.data_type(), scope) {
                Fit::Always => {}
                Fit::Wider(wider) => fields[at] = Arc::new(fields[at].as_ref().clone().with_data_type(wider)),
                Fit::Never => return Fit::Never,
                Fit::ByValue => whole = Fit::ByValue,
            },
            None if !scope.adds => whole = Fit::ByValue,
            None if names.insert(field.name().to_lowercase()) => {
                let stored = storable_type(field.data_type()).unwrap_or_else(|| field.data_type().clone());
                fields.push(Arc::new(Field::new(field.name(), stored, true)));
            }
            None => return Fit::Never,
        }
    }
    let fields: Fields = fields.into();
    if fields == *column { whole } else { Fit::Wider(DataType::Struct(fields)) }
}
