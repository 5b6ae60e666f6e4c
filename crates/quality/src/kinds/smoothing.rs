//! Numbers beside their exponentially smoothed course, in the order of the rows (see [`super::order`]).

use arrow::array::RecordBatch;
use serde_json::{Value, json};
use sluice_domain::Observed;

use super::{Kind, Reach};
use crate::{
    arguments::{ArgumentError, Arguments},
    budget::Budget,
    cells::{floats, is_number},
    expectation::{Binder, Finding, Monitor, Ready, Totals},
};

/// How much a new number counts.
const ALPHA: f64 = 0.3;
/// Beyond so many times the usual change a number is an outlier.
const CHANGES: f64 = 3.0;
/// How many outliers a result repeats.
const MAX_SHOWN: usize = 20;

pub(super) const KINDS: &[Kind] = &[Kind {
    name: "expect_column_values_to_be_near_moving_average",
    reach: Reach::RowAmongOthers,
    parameters: &["column", "alpha", "threshold", "mostly"],
    parse: near_moving_average,
}];

fn near_moving_average(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let (column, mostly) = (arguments.text("column")?, arguments.mostly()?);
    let alpha = arguments.number("alpha")?.unwrap_or(ALPHA);
    if alpha <= 0.0 || alpha >= 1.0 {
        return Err(ArgumentError::new("alpha", "it is not a number between 0 and 1"));
    }
    let threshold = arguments.number("threshold")?.unwrap_or(CHANGES);
    if threshold <= 0.0 {
        return Err(ArgumentError::new("threshold", "it is not above 0"));
    }
    Ok(Box::new(move |setting| {
        let at = setting.column(&column)?;
        if !is_number(setting.data_type(at)) {
            return Err(format!("it is for numbers, and {column} holds {}", setting.data_type(at)));
        }
        let course = Course { alpha, threshold, average: None, change: 0.0 };
        let seen =
            Smoothed { at, column: column.clone(), mostly, course, rows: 0, present: 0, broken: 0, shown: vec![] };
        Ok(Ready::whole(seen))
    }))
}

/// The smoothed course of numbers, and how much it usually changes.
struct Course {
    alpha: f64,
    threshold: f64,
    average: Option<f64>,
    change: f64,
}

impl Course {
    /// Go on by a number; whether it lies too far off.
    fn go_on(&mut self, number: f64) -> bool {
        let Some(before) = self.average.replace(number) else { return false };
        let average = self.alpha * number + (1.0 - self.alpha) * before;
        let moved = (average - before).abs();
        self.change = if self.change == 0.0 { moved } else { self.alpha * moved + (1.0 - self.alpha) * self.change };
        self.average = Some(average);
        (number - average).abs() > self.threshold * self.change
    }
}

/// Whether numbers lie near the smoothed course of those before them.
struct Smoothed {
    at: usize,
    column: String,
    mostly: f64,
    course: Course,
    rows: u64,
    present: u64,
    broken: u64,
    shown: Vec<Value>,
}

impl Monitor for Smoothed {
    fn observe(&mut self, rows: &RecordBatch, _budget: &mut Budget) -> Result<(), String> {
        self.rows += rows.num_rows() as u64;
        for number in floats(rows.column(self.at))?.iter().flatten() {
            self.present += 1;
            if self.course.go_on(number) {
                self.broken += 1;
                if self.shown.len() < MAX_SHOWN {
                    self.shown.push(json!(number));
                }
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _totals: Totals) -> Result<Finding, String> {
        let Self { column, mostly, rows, present, broken, shown, .. } = *self;
        let success = present == 0 || (present - broken) as f64 / present as f64 >= mostly;
        let observed = Observed {
            element_count: Some(rows),
            missing_count: Some(rows - present),
            unexpected_count: Some(broken),
            unexpected: shown,
            ..Observed::default()
        };
        let complaint = format!("Values of {column} far from their moving average");
        Ok(Finding { success, observed, complaints: if success { Vec::new() } else { vec![complaint] } })
    }
}
