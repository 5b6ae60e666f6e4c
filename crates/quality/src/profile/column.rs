//! What one column holds.

use arrow::{
    array::{Array as _, ArrayRef},
    compute::concat,
    datatypes::DataType,
};
use serde_json::Value;
use sluice_domain::type_name;

use super::sample::{Sample, Values};
use crate::{
    cells::{Fingerprints, floats, is_number, present, shown},
    kinds::{Sums, first, pandas_name, quantile},
};

/// How many frequent values are told.
const TOP: usize = 10;
/// Columns of texts with more different values than these are not told by listing them.
pub(super) const FEW: usize = 20;

/// A value and how often it is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Frequent {
    /// The value.
    pub value: Value,
    /// How often it is there.
    pub count: u64,
}

/// What a column of numbers holds.
#[derive(Debug, Clone, PartialEq)]
pub struct NumericProfile {
    /// The mean; none without numbers.
    pub mean: Option<f64>,
    /// The deviation of a sample; none of fewer than two numbers.
    pub std: Option<f64>,
    /// The median.
    pub median: Option<f64>,
    /// The first quartile.
    pub q25: Option<f64>,
    /// The third quartile.
    pub q75: Option<f64>,
    /// How many are 0.
    pub zero: u64,
    /// Whether the quartiles are of all numbers, or of a sample of them.
    pub quantiles_are_exact: bool,
}

/// What a column of texts, or of anything but numbers, holds.
#[derive(Debug, Clone, PartialEq)]
pub struct TextProfile {
    /// The most frequent values, the most frequent first.
    pub top: Vec<Frequent>,
    /// All values, where they are few.
    pub few: Option<Vec<Value>>,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnProfile {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: String,
    /// What pandas calls its type.
    pub dtype: String,
    /// How many rows have no value in it.
    pub missing: u64,
    /// The share of them, of 100; none without rows.
    pub missing_percent: Option<f64>,
    /// How many different values there are.
    pub unique: u64,
    /// Whether they and the frequent ones were counted, or estimated.
    pub values_are_exact: bool,
    /// The least value.
    pub min: Value,
    /// The greatest value.
    pub max: Value,
    /// Of numbers.
    pub numeric: Option<NumericProfile>,
    /// Of all others.
    pub categorical: Option<TextProfile>,
}

/// Makes the profile of a column.
#[derive(Debug)]
pub(super) struct ColumnProfiler {
    name: String,
    data_type: DataType,
    missing: u64,
    zero: u64,
    sums: Sums,
    sample: Sample,
    values: Values,
    fingerprints: Fingerprints,
    /// The least and the greatest value, each as a column of one row.
    ends: [Option<ArrayRef>; 2],
}

impl ColumnProfiler {
    pub(super) fn new(name: &str, data_type: &DataType, numbers: usize, values: usize) -> Self {
        Self {
            name: name.to_owned(),
            data_type: data_type.clone(),
            missing: 0,
            zero: 0,
            sums: Sums::default(),
            sample: Sample::new(numbers),
            values: Values::new(values),
            fingerprints: Fingerprints::default(),
            ends: [None, None],
        }
    }

    pub(super) fn look(&mut self, values: &ArrayRef) -> Result<(), String> {
        let there = present(values);
        self.missing += (values.len() - there.count_set_bits()) as u64;
        if self.data_type.is_nested() {
            return Ok(());
        }
        if is_number(&self.data_type) {
            self.sums.add(values)?;
            for number in floats(values)?.iter().flatten() {
                self.sample.add(number);
                self.zero += u64::from(number == 0.0);
            }
        }
        let fingerprints = self.fingerprints.of(std::slice::from_ref(values))?;
        there.set_indices().for_each(|row| self.values.add(fingerprints[row], || shown(values, row)));
        for (end, descending) in self.ends.iter_mut().zip([false, true]) {
            let both = match (end.take(), first(values, descending)?) {
                (Some(known), Some(found)) => {
                    let both = concat(&[known.as_ref(), found.as_ref()]).map_err(|error| error.to_string())?;
                    first(&both, descending)?
                }
                (known, found) => known.or(found),
            };
            *end = both;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, rows: u64) -> ColumnProfile {
        let is_number = is_number(&self.data_type);
        let numeric = is_number.then(|| self.numbers());
        let categorical = (!is_number && !self.data_type.is_nested()).then(|| TextProfile {
            top: self.values.top(TOP).into_iter().map(|(value, count)| Frequent { value, count }).collect(),
            few: self.values.few(FEW).filter(|_| self.data_type == DataType::Utf8),
        });
        let [min, max] = self.ends.map(|end| end.map_or(Value::Null, |end| shown(&end, 0)));
        ColumnProfile {
            data_type: type_name(&self.data_type),
            dtype: pandas_name(&self.data_type),
            missing: self.missing,
            missing_percent: (rows > 0).then(|| self.missing as f64 * 100.0 / rows as f64),
            unique: self.values.unique(),
            values_are_exact: self.values.is_exact,
            name: self.name,
            min,
            max,
            numeric,
            categorical,
        }
    }

    fn numbers(&mut self) -> NumericProfile {
        self.sample.numbers.sort_unstable_by(f64::total_cmp);
        let at = |part: f64| quantile(&self.sample.numbers, part);
        NumericProfile {
            mean: self.sums.mean(),
            std: self.sums.deviation(),
            median: at(0.5),
            q25: at(0.25),
            q75: at(0.75),
            zero: self.zero,
            quantiles_are_exact: self.sample.is_exact(),
        }
    }
}
