//! Several columns of one row.

use std::collections::HashSet;

use arrow::{
    array::{Array as _, ArrayRef, BooleanArray, RecordBatch},
    buffer::BooleanBuffer,
    compute::{
        cast,
        kernels::cmp::{eq, gt, gt_eq},
    },
    datatypes::DataType,
    error::ArrowError,
};
use sluice_domain::RuleValue;

use super::{Kind, Reach};
use crate::{
    arguments::{ArgumentError, Arguments},
    cells::{columns, floats, is_number, key, present},
    expectation::{Binder, Looked, Ready, RowTest},
    value::ValueCheck,
};

/// How far two sums of floats may lie apart and still be the same one, as a share of them.
const SUM_TOLERANCE: f64 = 1e-9;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "expect_column_pair_values_a_to_be_greater_than_b",
        reach: Reach::Row,
        parameters: &["column_A", "column_B", "or_equal", "ignore_row_if", "mostly"],
        parse: greater,
    },
    Kind {
        name: "expect_column_pair_values_to_be_equal",
        reach: Reach::Row,
        parameters: &["column_A", "column_B", "ignore_row_if", "mostly"],
        parse: |arguments| pair(arguments, "are not equal to those in", |a, b| not(&eq(a, b))),
    },
    Kind {
        name: "expect_column_pair_values_to_be_in_set",
        reach: Reach::Row,
        parameters: &["column_A", "column_B", "value_pairs_set", "ignore_row_if", "mostly"],
        parse: pairs_in_set,
    },
    Kind {
        name: "expect_multicolumn_sum_to_equal",
        reach: Reach::Row,
        parameters: &["column_list", "sum_total", "ignore_row_if", "mostly"],
        parse: sum,
    },
    Kind {
        name: "expect_select_column_values_to_be_unique_within_record",
        reach: Reach::Row,
        parameters: &["column_list", "ignore_row_if", "mostly"],
        parse: unique_within,
    },
];

type Compared = Result<BooleanArray, ArrowError>;
type Breaks = Box<dyn Fn(&[ArrayRef]) -> Result<BooleanBuffer, String> + Send>;

/// Which rows are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IgnoredRows {
    WithoutAnyValue,
    LackingAValue,
    None,
}

impl IgnoredRows {
    pub(super) fn read(arguments: &Arguments<'_>) -> Result<Self, ArgumentError> {
        match arguments.optional_text("ignore_row_if")?.as_deref() {
            None | Some("both_values_are_missing" | "all_values_are_missing") => Ok(Self::WithoutAnyValue),
            Some("either_value_is_missing" | "any_value_is_missing") => Ok(Self::LackingAValue),
            Some("neither" | "never") => Ok(Self::None),
            Some(_) => Err(ArgumentError::new("ignore_row_if", "it is none of the ways to leave rows out")),
        }
    }

    /// The rows that are left.
    pub(super) fn considered(self, columns: &[ArrayRef]) -> BooleanBuffer {
        let rows = columns.first().map_or(0, |column| column.len());
        let there = columns.iter().map(present);
        match self {
            Self::None => BooleanBuffer::new_set(rows),
            Self::LackingAValue => there.fold(BooleanBuffer::new_set(rows), |all, one| &all & &one),
            Self::WithoutAnyValue => there.fold(BooleanBuffer::new_unset(rows), |any, one| &any | &one),
        }
    }
}

/// A test of several columns of a row.
struct RowOfColumns {
    places: Vec<usize>,
    ignored: IgnoredRows,
    breaks: Breaks,
    complaint: String,
}

impl RowTest for RowOfColumns {
    fn look(&mut self, rows: &RecordBatch) -> Result<Looked, String> {
        let columns = columns(rows, &self.places);
        let considered = self.ignored.considered(&columns);
        let unexpected = &(self.breaks)(&columns)? & &considered;
        Ok(Looked { considered, unexpected })
    }

    fn columns(&self) -> &[usize] {
        &self.places
    }

    fn complaints(&self) -> Vec<String> {
        vec![self.complaint.clone()]
    }
}

/// Where a comparison is not true: a missing value is neither greater than nor equal to another.
fn not(compared: &Compared) -> Result<BooleanBuffer, String> {
    let compared = compared.as_ref().map_err(ToString::to_string)?;
    let is_true = |row| compared.is_valid(row) && compared.value(row);
    Ok(BooleanBuffer::collect_bool(compared.len(), |row| !is_true(row)))
}

fn pair(
    arguments: &Arguments<'_>,
    told: &'static str,
    breaks: impl Fn(&ArrayRef, &ArrayRef) -> Result<BooleanBuffer, String> + Clone + Send + 'static,
) -> Result<Binder, ArgumentError> {
    let (a, b) = (arguments.text("column_A")?, arguments.text("column_B")?);
    let (ignored, mostly) = (IgnoredRows::read(arguments)?, arguments.mostly()?);
    Ok(Box::new(move |setting| {
        let places = vec![setting.column(&a)?, setting.column(&b)?];
        let common = common_type(setting.data_type(places[0]), setting.data_type(places[1]))?;
        let breaks = breaks.clone();
        let breaks: Breaks = Box::new(move |columns| {
            let column = |at: usize| cast(&columns[at], &common).map_err(|error| error.to_string());
            breaks(&column(0)?, &column(1)?)
        });
        let complaint = format!("Values in {a} {told} {b}");
        Ok(Ready::rows(RowOfColumns { places, ignored, breaks, complaint }, mostly))
    }))
}

/// The type that values of both are compared as.
fn common_type(a: &DataType, b: &DataType) -> Result<DataType, String> {
    let is_moment = |data_type: &DataType| matches!(data_type, DataType::Date32 | DataType::Timestamp(..));
    match (a, b) {
        (a, b) if a == b => Ok(a.clone()),
        (a, b) if a.is_integer() && b.is_integer() => Ok(DataType::Int64),
        (a, b) if is_number(a) && is_number(b) => Ok(DataType::Float64),
        (DataType::Date32, other) | (other, DataType::Date32) if is_moment(other) => Ok(other.clone()),
        _ => Err(format!("{a} and {b} cannot be compared")),
    }
}

fn greater(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    match arguments.flag("or_equal")?.unwrap_or_default() {
        true => pair(arguments, "are below those in", |a, b| not(&gt_eq(a, b))),
        false => pair(arguments, "are not above those in", |a, b| not(&gt(a, b))),
    }
}

fn pairs_in_set(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let (a, b) = (arguments.text("column_A")?, arguments.text("column_B")?);
    let (ignored, mostly) = (IgnoredRows::read(arguments)?, arguments.mostly()?);
    let pairs = arguments.pairs("value_pairs_set")?;
    Ok(Box::new(move |setting| {
        let places = vec![setting.column(&a)?, setting.column(&b)?];
        let check = |at: usize, value: &RuleValue| {
            ValueCheck::one_of(setting.data_type(places[at]), std::slice::from_ref(value))
        };
        let checks = pairs.iter().map(|(one, other)| Ok((check(0, one)?, check(1, other)?)));
        let checks = checks.collect::<Result<Vec<_>, String>>()?;
        let breaks: Breaks = Box::new(move |columns| {
            let holds = |check: &ValueCheck, column: &ArrayRef| {
                let broken = check.broken(column).map_err(|error| error.to_string())?;
                Ok::<_, String>(&!&broken & &present(column))
            };
            let mut found = BooleanBuffer::new_unset(columns[0].len());
            for (one, other) in &checks {
                found = &found | &(&holds(one, &columns[0])? & &holds(other, &columns[1])?);
            }
            Ok(!&found)
        });
        let complaint = format!("Pairs outside of the set in {a} and {b}");
        Ok(Ready::rows(RowOfColumns { places, ignored, breaks, complaint }, mostly))
    }))
}

/// A test of the columns that are listed.
fn listed(
    arguments: &Arguments<'_>,
    told: String,
    breaks: impl Fn(&[ArrayRef]) -> Result<BooleanBuffer, String> + Clone + Send + 'static,
) -> Result<Binder, ArgumentError> {
    let (list, ignored, mostly) = (arguments.texts("column_list")?, IgnoredRows::read(arguments)?, arguments.mostly()?);
    Ok(Box::new(move |setting| {
        let places = list.iter().map(|column| setting.column(column)).collect::<Result<Vec<_>, _>>()?;
        let complaint = format!("{told} {}", list.join(", "));
        Ok(Ready::rows(RowOfColumns { places, ignored, breaks: Box::new(breaks.clone()), complaint }, mostly))
    }))
}

fn sum(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let wanted = arguments.required_number("sum_total")?;
    listed(arguments, format!("Sums other than {wanted} of"), move |columns| {
        let numbers = columns.iter().map(floats).collect::<Result<Vec<_>, _>>()?;
        let rows = numbers.first().map_or(0, |column| column.len());
        let breaks = |row: usize| {
            // What is missing adds nothing.
            let there = numbers.iter().filter(|column| column.is_valid(row));
            let sum: f64 = there.map(|column| column.value(row)).sum();
            let apart = (sum - wanted).abs();
            apart.is_nan() || apart > SUM_TOLERANCE * wanted.abs().max(1.0)
        };
        Ok(BooleanBuffer::collect_bool(rows, breaks))
    })
}

fn unique_within(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    listed(arguments, "Rows with one value twice in".to_owned(), |columns| {
        let rows = columns.first().map_or(0, |column| column.len());
        let is_double = |row: usize| {
            let mut seen = HashSet::new();
            let there = columns.iter().filter(|column| column.is_valid(row));
            there.map(|column| key(column, row)).any(|key| !seen.insert(key))
        };
        Ok(BooleanBuffer::collect_bool(rows, is_double))
    })
}
