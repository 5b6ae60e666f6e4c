//! The different values of one column.

use std::collections::HashMap;

use arrow::{array::RecordBatch, buffer::BooleanBuffer};
use serde_json::{Value, json};
use sluice_domain::RuleValue;

use super::{
    Kind, Reach,
    bounds::{Bounds, PARAMETERS},
};
use crate::{
    arguments::{ArgumentError, Arguments},
    budget::{Budget, FINGERPRINT_BYTES, VALUE_BYTES},
    cells::{Fingerprint, Fingerprints, present, shown},
    expectation::{Binder, Finding, Monitor, Ready, Totals},
    setting::Setting,
    value::ValueCheck,
};

/// How many different values a result repeats.
const MAX_SHOWN: usize = 100;
const SET: &[&str] = &["column", "value_set"];

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "expect_column_unique_value_count_to_be_between",
        reach: Reach::Whole,
        parameters: PARAMETERS,
        parse: |arguments| counted(arguments, false),
    },
    Kind {
        name: "expect_column_proportion_of_unique_values_to_be_between",
        reach: Reach::Whole,
        parameters: PARAMETERS,
        parse: |arguments| counted(arguments, true),
    },
    Kind {
        name: "expect_column_distinct_values_to_be_in_set",
        reach: Reach::Whole,
        parameters: SET,
        parse: |arguments| held(arguments, Asked { inside: true, all: false }),
    },
    Kind {
        name: "expect_column_distinct_values_to_contain_set",
        reach: Reach::Whole,
        parameters: SET,
        parse: |arguments| held(arguments, Asked { inside: false, all: true }),
    },
    Kind {
        name: "expect_column_distinct_values_to_equal_set",
        reach: Reach::Whole,
        parameters: SET,
        parse: |arguments| held(arguments, Asked { inside: true, all: true }),
    },
    Kind {
        name: "expect_column_most_common_value_to_be_in_set",
        reach: Reach::Whole,
        parameters: &["column", "value_set", "ties_okay"],
        parse: most_common,
    },
];

/// Each different value of a column, and how often it is there.
struct Distinct {
    at: usize,
    column: String,
    fingerprints: Fingerprints,
    counts: HashMap<Fingerprint, (u64, Option<Value>)>,
    /// Whether the values themselves are kept, or counted alone.
    keeps: bool,
    rows: u64,
    present: u64,
    judge: Box<dyn Fn(&Self) -> Finding + Send>,
}

impl Distinct {
    fn ready(
        setting: &Setting,
        column: &str,
        keeps: bool,
        judge: impl Fn(&Self) -> Finding + Send + 'static,
    ) -> Result<Ready, String> {
        let (at, column) = (setting.column(column)?, column.to_owned());
        let (fingerprints, counts, judge) = (Fingerprints::default(), HashMap::new(), Box::new(judge));
        Ok(Ready::whole(Self { at, column, fingerprints, counts, keeps, rows: 0, present: 0, judge }))
    }
}

impl Monitor for Distinct {
    fn observe(&mut self, rows: &RecordBatch, budget: &mut Budget) -> Result<(), String> {
        let column = rows.column(self.at);
        let there = present(column);
        self.rows += rows.num_rows() as u64;
        self.present += there.count_set_bits() as u64;
        let fingerprints = self.fingerprints.of(std::slice::from_ref(column))?;
        for row in there.set_indices() {
            let known = self.counts.entry(fingerprints[row]).or_insert((0, None));
            known.0 += 1;
            if known.0 == 1 {
                budget.take(if self.keeps { FINGERPRINT_BYTES + VALUE_BYTES } else { FINGERPRINT_BYTES })?;
                known.1 = self.keeps.then(|| shown(column, row));
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _totals: Totals) -> Result<Finding, String> {
        Ok((self.judge)(&self).with_elements(self.rows, self.rows - self.present))
    }
}

fn counted(arguments: &Arguments<'_>, is_share: bool) -> Result<Binder, ArgumentError> {
    let (column, bounds) = (arguments.text("column")?, Bounds::read(arguments)?);
    Ok(Box::new(move |setting| {
        Distinct::ready(setting, &column, false, move |seen| {
            let count = seen.counts.len() as u64;
            let share = (seen.present > 0).then(|| count as f64 / seen.present as f64);
            let (value, success) = match is_share {
                true => (json!(share), share.is_none_or(|share| bounds.hold(share))),
                false => (json!(count), bounds.hold(count as f64)),
            };
            let what = if is_share { "share" } else { "number" };
            let complaint = bounds.complaint(&format!("The {what} of unique values in {}", seen.column), &value);
            Finding::of_value(success, value, complaint)
        })
    }))
}

fn most_common(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let (column, set) = (arguments.text("column")?, arguments.values("value_set")?);
    let ties_okay = arguments.flag("ties_okay")?.unwrap_or_default();
    let set: Vec<String> = set.iter().map(RuleValue::to_string).collect();
    Ok(Box::new(move |setting| {
        let set = set.clone();
        Distinct::ready(setting, &column, true, move |seen| {
            let most = seen.counts.values().map(|(count, _)| *count).max().unwrap_or(0);
            let common = seen.counts.values().filter(|(count, _)| *count == most);
            let mut common: Vec<Value> = common.filter_map(|(_, value)| value.clone()).collect();
            common.sort_by_key(ToString::to_string);
            let is_in = |value: &Value| set.contains(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            let success = if ties_okay { common.iter().any(is_in) } else { common.iter().all(is_in) };
            let complaint = format!("The most common value in {} is outside of the set", seen.column);
            common.truncate(MAX_SHOWN);
            Finding::of_value(success, json!(common), complaint)
        })
    }))
}

/// What is asked of the set.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// That no value lies outside.
    inside: bool,
    /// That each of its values is there.
    all: bool,
}

fn held(arguments: &Arguments<'_>, asked: Asked) -> Result<Binder, ArgumentError> {
    let (column, set) = (arguments.text("column")?, arguments.values("value_set")?);
    Ok(Box::new(move |setting| {
        let at = setting.column(&column)?;
        let data_type = setting.data_type(at);
        let one = |value: &RuleValue| {
            let check = ValueCheck::one_of(data_type, std::slice::from_ref(value))?;
            Ok((json!(value), check))
        };
        let unseen = set.iter().map(one).collect::<Result<_, String>>()?;
        let check = ValueCheck::one_of(data_type, &set)?;
        Ok(Ready::whole(AgainstSet { at, column: column.clone(), asked, check, unseen, outside: Vec::new(), rows: 0 }))
    }))
}

/// The different values of a column beside those of a set.
struct AgainstSet {
    at: usize,
    column: String,
    asked: Asked,
    check: ValueCheck,
    /// Values of the set that were not there yet.
    unseen: Vec<(Value, ValueCheck)>,
    outside: Vec<Value>,
    rows: u64,
}

impl Monitor for AgainstSet {
    fn observe(&mut self, rows: &RecordBatch, _budget: &mut Budget) -> Result<(), String> {
        let column = rows.column(self.at);
        let there = present(column);
        self.rows += rows.num_rows() as u64;
        let broken = |check: &ValueCheck| check.broken(column).map_err(|error| error.to_string());
        let outside: BooleanBuffer = &broken(&self.check)? & &there;
        for row in outside.set_indices() {
            let value = shown(column, row);
            if self.outside.len() >= MAX_SHOWN {
                break;
            }
            if !self.outside.contains(&value) {
                self.outside.push(value);
            }
        }
        let mut unseen = Vec::new();
        for (value, check) in self.unseen.drain(..) {
            if (&!&broken(&check)? & &there).count_set_bits() == 0 {
                unseen.push((value, check));
            }
        }
        self.unseen = unseen;
        Ok(())
    }

    fn finish(self: Box<Self>, _totals: Totals) -> Result<Finding, String> {
        let missing: Vec<&Value> = self.unseen.iter().map(|(value, _)| value).collect();
        let success = (!self.asked.inside || self.outside.is_empty()) && (!self.asked.all || missing.is_empty());
        let complaint = format!("The values in {} are not those of the set", self.column);
        let seen = json!({"outside": self.outside, "missing": missing});
        let mut finding = Finding::of_value(success, seen, complaint);
        finding.observed.element_count = Some(self.rows);
        Ok(finding)
    }
}
