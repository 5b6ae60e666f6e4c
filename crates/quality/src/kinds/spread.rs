//! How the numbers of a column lie: median, quantiles, outliers.
//!
//! Invariant: nothing is estimated: all numbers are remembered, or the rule says that it cannot be asked.

use arrow::{array::RecordBatch, datatypes::DataType};
use serde_json::{Value, json};
use sluice_domain::Observed;

use super::{
    Kind, Reach,
    bounds::{Bounds, PARAMETERS},
    figures::Sums,
};
use crate::{
    arguments::{ArgumentError, Arguments, QuantileRange},
    budget::{Budget, NUMBER_BYTES},
    cells::{floats, is_number},
    expectation::{Binder, Finding, Monitor, Ready, Totals},
};

/// How many outliers a result repeats.
const MAX_SHOWN: usize = 20;
/// Beyond so many standard deviations a number is an outlier.
const SIGMAS: f64 = 3.0;
/// Beyond so many ranges between the quartiles a number is an outlier.
const RANGES: f64 = 1.5;

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "expect_column_median_to_be_between", reach: Reach::Whole, parameters: PARAMETERS, parse: median },
    Kind {
        name: "expect_column_quantile_values_to_be_between",
        reach: Reach::Whole,
        parameters: &["column", "quantile_ranges", "allow_relative_error"],
        parse: quantiles,
    },
    Kind {
        name: "expect_column_quantile_spread_to_be_between",
        reach: Reach::Whole,
        parameters: &["column", "lower", "upper", "min_value", "max_value", "strict_min", "strict_max"],
        parse: quantile_spread,
    },
    Kind {
        name: "expect_column_value_z_scores_to_be_less_than",
        reach: Reach::RowAmongOthers,
        parameters: &["column", "threshold", "double_sided", "mostly"],
        parse: z_scores,
    },
    Kind {
        name: "expect_column_values_to_be_within_iqr",
        reach: Reach::RowAmongOthers,
        parameters: &["column", "factor", "mostly"],
        parse: within_iqr,
    },
    Kind {
        name: "expect_column_outlier_share_to_be_less_than",
        reach: Reach::Whole,
        parameters: &["column", "max_fraction", "method", "threshold"],
        parse: outlier_share,
    },
];

type Judge = Box<dyn Fn(&mut Numbers) -> Finding + Send>;

/// All numbers of a column, judged together.
struct Numbers {
    at: usize,
    column: String,
    numbers: Vec<f64>,
    sums: Sums,
    rows: u64,
    judge: Option<Judge>,
}

fn judged(column: String, judge: impl Fn(&mut Numbers) -> Finding + Clone + Send + 'static) -> Binder {
    Box::new(move |setting| {
        let at = setting.column(&column)?;
        let data_type: &DataType = setting.data_type(at);
        if !is_number(data_type) {
            return Err(format!("it is for numbers, and {column} holds {data_type}"));
        }
        let (numbers, sums, judge) = (Vec::new(), Sums::default(), Some(Box::new(judge.clone()) as Judge));
        Ok(Ready::whole(Numbers { at, column: column.clone(), numbers, sums, rows: 0, judge }))
    })
}

impl Monitor for Numbers {
    fn observe(&mut self, rows: &RecordBatch, budget: &mut Budget) -> Result<(), String> {
        let column = rows.column(self.at);
        let numbers = floats(column)?;
        self.rows += rows.num_rows() as u64;
        self.sums.add(column)?;
        budget.take((numbers.len() - arrow::array::Array::null_count(&numbers)) * NUMBER_BYTES)?;
        self.numbers.extend(numbers.iter().flatten());
        Ok(())
    }

    fn finish(mut self: Box<Self>, _totals: Totals) -> Result<Finding, String> {
        self.numbers.sort_unstable_by(f64::total_cmp);
        let (rows, missing) = (self.rows, self.rows - self.numbers.len() as u64);
        let judge = self.judge.take().ok_or("it was asked already")?;
        Ok(judge(&mut self).with_elements(rows, missing))
    }
}

/// The quantile of sorted numbers, between two of them where it lies there.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let place = part * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

fn median(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let bounds = Bounds::read(arguments)?;
    Ok(judged(arguments.text("column")?, move |seen| {
        let median = quantile(&seen.numbers, 0.5);
        let complaint = bounds.complaint(&format!("The median of {}", seen.column), &json!(median));
        Finding::of_value(median.is_some_and(|median| bounds.hold(median)), json!(median), complaint)
    }))
}

/// The number of a quantile that is nearest.
fn nearest(sorted: &[f64], part: f64) -> Option<f64> {
    let place = part * sorted.len().checked_sub(1)? as f64;
    sorted.get(place.round_ties_even() as usize).copied()
}

fn quantiles(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let ranges = arguments.quantile_ranges("quantile_ranges")?;
    Ok(judged(arguments.text("column")?, move |seen| {
        let values: Vec<Option<f64>> = ranges.iter().map(|(part, ..)| nearest(&seen.numbers, *part)).collect();
        let holds = |((_, least, most), value): (&QuantileRange, &Option<f64>)| {
            value.is_some_and(|value| Bounds::closed(*least, *most).hold(value))
        };
        let each: Vec<bool> = ranges.iter().zip(&values).map(holds).collect();
        let parts: Vec<f64> = ranges.iter().map(|(part, ..)| *part).collect();
        let complaint = format!("Quantiles of {} outside of their ranges", seen.column);
        let success = each.iter().all(|holds| *holds);
        let mut finding = Finding::of_value(success, json!({"quantiles": parts, "values": values}), complaint);
        finding.observed.details.insert("success_details".into(), json!(each));
        finding
    }))
}

/// The distance between two quantiles: of the quartiles where it is not said which.
fn quantile_spread(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let bounds = Bounds::read(arguments)?;
    let (lower, upper) = (arguments.number("lower")?.unwrap_or(0.25), arguments.number("upper")?.unwrap_or(0.75));
    if !(0.0..=1.0).contains(&lower) {
        return Err(ArgumentError::new("lower", "it is not a number from 0 to 1"));
    }
    if !(lower..=1.0).contains(&upper) {
        return Err(ArgumentError::new("upper", "it is not a number from lower to 1"));
    }
    Ok(judged(arguments.text("column")?, move |seen| {
        let ends = quantile(&seen.numbers, lower).zip(quantile(&seen.numbers, upper));
        let spread = ends.map(|(low, high)| high - low);
        let complaint = bounds.complaint(&format!("The quantile spread of {}", seen.column), &json!(spread));
        Finding::of_value(spread.is_some_and(|spread| bounds.hold(spread)), json!(spread), complaint)
    }))
}

/// What is told of numbers of which some are unexpected.
fn unexpected(seen: &Numbers, breaks: impl Fn(f64) -> bool, mostly: f64) -> Finding {
    let broken: Vec<f64> = seen.numbers.iter().copied().filter(|number| breaks(*number)).collect();
    let all = seen.numbers.len();
    let success = all == 0 || (all - broken.len()) as f64 / all as f64 >= mostly;
    let observed = Observed {
        unexpected_count: Some(broken.len() as u64),
        unexpected: broken.iter().take(MAX_SHOWN).map(|number| json!(number)).collect(),
        ..Observed::default()
    };
    let complaints = if success { Vec::new() } else { vec![format!("Outliers found in {}", seen.column)] };
    Finding { success, observed, complaints }
}

/// The distance from the mean in standard deviations.
fn z_score(sums: &Sums, number: f64) -> f64 {
    let deviation = sums.deviation().filter(|deviation| *deviation > 0.0);
    sums.mean().zip(deviation).map_or(0.0, |(mean, deviation)| (number - mean) / deviation)
}

fn z_scores(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let (threshold, mostly) = (arguments.required_number("threshold")?, arguments.mostly()?);
    let double_sided = arguments.flag("double_sided")?.unwrap_or(true);
    Ok(judged(arguments.text("column")?, move |seen| {
        let score = |number: f64| z_score(&seen.sums, number);
        let breaks = |number: f64| if double_sided { score(number).abs() } else { score(number) } >= threshold;
        unexpected(seen, breaks, mostly)
    }))
}

/// The ends beyond which numbers are outliers by their quartiles.
fn fences(sorted: &[f64], factor: f64) -> Option<(f64, f64)> {
    let (low, high) = quantile(sorted, 0.25).zip(quantile(sorted, 0.75))?;
    Some((low - factor * (high - low), high + factor * (high - low)))
}

fn read_factor(arguments: &Arguments<'_>, name: &str, usual: f64) -> Result<f64, ArgumentError> {
    match arguments.number(name)?.unwrap_or(usual) {
        factor if factor > 0.0 => Ok(factor),
        _ => Err(ArgumentError::new(name, "it is not above 0")),
    }
}

fn within_iqr(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let (factor, mostly) = (read_factor(arguments, "factor", RANGES)?, arguments.mostly()?);
    Ok(judged(arguments.text("column")?, move |seen| {
        let fences = fences(&seen.numbers, factor);
        let mut finding = unexpected(seen, |number| is_beyond(fences, number), mostly);
        finding.observed.value = fences.map(|(low, high)| json!({"lower_bound": low, "upper_bound": high}));
        finding
    }))
}

fn is_beyond(fences: Option<(f64, f64)>, number: f64) -> bool {
    fences.is_some_and(|(low, high)| number < low || number > high)
}

fn outlier_share(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let most = arguments.number("max_fraction")?.unwrap_or(0.01);
    if !(0.0..=1.0).contains(&most) {
        return Err(ArgumentError::new("max_fraction", "it is not a number from 0 to 1"));
    }
    let by_range = match arguments.optional_text("method")?.as_deref() {
        None | Some("z_score") => false,
        Some("iqr") => true,
        Some(_) => return Err(ArgumentError::new("method", "it is neither \"z_score\" nor \"iqr\"")),
    };
    let threshold = read_factor(arguments, "threshold", if by_range { RANGES } else { SIGMAS })?;
    Ok(judged(arguments.text("column")?, move |seen| {
        let fences = if by_range { fences(&seen.numbers, threshold) } else { None };
        let is_outlier = |number: f64| match by_range {
            true => is_beyond(fences, number),
            false => z_score(&seen.sums, number).abs() > threshold,
        };
        let mut finding = unexpected(seen, is_outlier, 0.0);
        let count = finding.observed.unexpected_count.unwrap_or(0);
        let share = (seen.rows > 0).then(|| count as f64 / seen.rows as f64);
        finding.success = count == 0 || share.is_some_and(|share| share < most);
        finding.complaints =
            if finding.success { Vec::new() } else { vec![format!("Outliers found in {}", seen.column)] };
        finding.observed.value = share.map(Value::from);
        finding
    }))
}
