//! One figure of a column: least, greatest, mean, deviation, sum.

use arrow::{
    array::{Array as _, ArrayRef, RecordBatch},
    compute::{SortOptions, concat, sort_to_indices, take},
};
use serde_json::{Value, json};
use sluice_domain::RuleValue;

use super::{
    Kind, Reach,
    bounds::{Bounds, PARAMETERS, check_ends},
};
use crate::{
    arguments::{ArgumentError, Arguments},
    budget::Budget,
    cells::{floats, integers, is_number, shown},
    expectation::{Binder, Finding, Monitor, Ready, Totals},
    value::{Limit, ValueCheck},
};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "expect_column_min_to_be_between",
        reach: Reach::Whole,
        parameters: PARAMETERS,
        parse: |arguments| extreme(arguments, false),
    },
    Kind {
        name: "expect_column_max_to_be_between",
        reach: Reach::Whole,
        parameters: PARAMETERS,
        parse: |arguments| extreme(arguments, true),
    },
    Kind {
        name: "expect_column_mean_to_be_between",
        reach: Reach::Whole,
        parameters: PARAMETERS,
        parse: |arguments| figure(arguments, "mean", |sums| sums.mean().map(|mean| json!(mean))),
    },
    Kind {
        name: "expect_column_stdev_to_be_between",
        reach: Reach::Whole,
        parameters: PARAMETERS,
        parse: |arguments| figure(arguments, "standard deviation", |sums| sums.deviation().map(|found| json!(found))),
    },
    Kind {
        name: "expect_column_sum_to_be_between",
        reach: Reach::Whole,
        parameters: PARAMETERS,
        parse: |arguments| figure(arguments, "sum", Sums::sum),
    },
];

/// Sums over numbers, from which mean and deviation follow.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    pub(crate) count: u64,
    /// The sum, exact as long as all numbers are whole.
    whole: Option<i128>,
    sum: f64,
    /// What the sum lost to rounding.
    lost: f64,
    mean: f64,
    /// The sum of squared distances from the mean.
    squares: f64,
}

impl Sums {
    /// Add the numbers of a column.
    pub(crate) fn add(&mut self, column: &ArrayRef) -> Result<(), String> {
        let numbers = floats(column)?;
        match integers(column) {
            Some(integers) if self.count == 0 || self.whole.is_some() => {
                let more: i128 = integers.iter().flatten().map(i128::from).sum();
                self.whole = Some(self.whole.unwrap_or(0) + more);
            }
            _ => self.whole = None,
        }
        numbers.iter().flatten().for_each(|number| self.add_number(number));
        Ok(())
    }

    fn add_number(&mut self, number: f64) {
        self.count += 1;
        let sum = self.sum + number;
        let (large, small) = if self.sum.abs() >= number.abs() { (self.sum, number) } else { (number, self.sum) };
        self.lost += (large - sum) + small;
        self.sum = sum;
        let apart = number - self.mean;
        self.mean += apart / self.count as f64;
        self.squares += apart * (number - self.mean);
    }

    fn total(&self) -> f64 {
        self.sum + self.lost
    }

    fn sum(&self) -> Option<Value> {
        let whole = self.whole.and_then(|whole| i64::try_from(whole).ok());
        Some(whole.map_or_else(|| json!(self.total()), |whole| json!(whole)))
    }

    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total() / self.count as f64)
    }

    /// The deviation of a sample; none of fewer than two numbers.
    pub(crate) fn deviation(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.squares / (self.count - 1) as f64).sqrt())
    }
}

type OfSums = fn(&Sums) -> Option<Value>;

fn figure(arguments: &Arguments<'_>, what: &'static str, read: OfSums) -> Result<Binder, ArgumentError> {
    let (column, bounds) = (arguments.text("column")?, Bounds::read(arguments)?);
    Ok(Box::new(move |setting| {
        let at = setting.column(&column)?;
        if !is_number(setting.data_type(at)) {
            return Err(format!("it is for numbers, and {column} holds {}", setting.data_type(at)));
        }
        let told = format!("The {what} of {column}");
        Ok(Ready::whole(Figure { at, told, bounds, read, sums: Sums::default(), rows: 0 }))
    }))
}

/// A figure of the sums over a column.
struct Figure {
    at: usize,
    told: String,
    bounds: Bounds,
    read: OfSums,
    sums: Sums,
    rows: u64,
}

impl Monitor for Figure {
    fn observe(&mut self, rows: &RecordBatch, _budget: &mut Budget) -> Result<(), String> {
        self.rows += rows.num_rows() as u64;
        self.sums.add(rows.column(self.at))
    }

    fn finish(self: Box<Self>, _totals: Totals) -> Result<Finding, String> {
        let figure = (self.read)(&self.sums);
        let success = figure.as_ref().and_then(Value::as_f64).is_some_and(|figure| self.bounds.hold(figure));
        let value = json!(figure);
        let complaint = self.bounds.complaint(&self.told, &value);
        Ok(Finding::of_value(success, value, complaint).with_elements(self.rows, self.rows - self.sums.count))
    }
}

/// An end of a range, as it was written.
type End = Option<(RuleValue, bool)>;

fn limit(end: &End) -> Option<Limit<'_>> {
    end.as_ref().map(|(value, is_strict)| Limit { value, is_strict: *is_strict })
}

fn extreme(arguments: &Arguments<'_>, is_greatest: bool) -> Result<Binder, ArgumentError> {
    let column = arguments.text("column")?;
    let end = |name: &str, strict: &str| -> Result<End, ArgumentError> {
        let is_strict = arguments.flag(strict)?.unwrap_or_default();
        Ok(arguments.value(name)?.map(|value| (value, is_strict)))
    };
    let (least, most) = (end("min_value", "strict_min")?, end("max_value", "strict_max")?);
    check_ends(arguments, false)?;
    Ok(Box::new(move |setting| {
        let at = setting.column(&column)?;
        let check = ValueCheck::range(setting.data_type(at), limit(&least), limit(&most))?;
        Ok(Ready::whole(Extreme { at, column: column.clone(), is_greatest, check, found: None, rows: 0, present: 0 }))
    }))
}

/// The least or the greatest value of a column.
struct Extreme {
    at: usize,
    column: String,
    is_greatest: bool,
    check: ValueCheck,
    /// As a column of one row.
    found: Option<ArrayRef>,
    rows: u64,
    present: u64,
}

/// The first value in an order, as a column of one row; none where there is no value.
pub(crate) fn first(values: &ArrayRef, descending: bool) -> Result<Option<ArrayRef>, String> {
    if values.null_count() == values.len() {
        return Ok(None);
    }
    let options = Some(SortOptions { descending, nulls_first: false });
    let first = sort_to_indices(values, options, Some(1)).and_then(|first| take(values, &first, None));
    first.map(Some).map_err(|error| error.to_string())
}

impl Monitor for Extreme {
    fn observe(&mut self, rows: &RecordBatch, _budget: &mut Budget) -> Result<(), String> {
        let values = rows.column(self.at);
        self.rows += rows.num_rows() as u64;
        self.present += (values.len() - values.null_count()) as u64;
        let Some(found) = first(values, self.is_greatest)? else { return Ok(()) };
        self.found = match self.found.take() {
            None => Some(found),
            Some(known) => {
                let both = concat(&[known.as_ref(), found.as_ref()]).map_err(|error| error.to_string())?;
                first(&both, self.is_greatest)?
            }
        };
        Ok(())
    }

    fn finish(self: Box<Self>, _totals: Totals) -> Result<Finding, String> {
        let value = self.found.as_ref().map_or(Value::Null, |found| shown(found, 0));
        let success = match &self.found {
            Some(found) => self.check.broken(found).map_err(|error| error.to_string())?.count_set_bits() == 0,
            None => false,
        };
        let what = if self.is_greatest { "maximum" } else { "minimum" };
        let complaint = format!("The {what} of {} is {value}, outside of the range", self.column);
        Ok(Finding::of_value(success, value, complaint).with_elements(self.rows, self.rows - self.present))
    }
}
