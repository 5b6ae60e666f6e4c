//! Values and rows that are there once.

use std::collections::HashMap;

use arrow::{array::RecordBatch, buffer::BooleanBuffer};
use serde_json::{Value, json};
use sluice_domain::Observed;

use super::{Kind, Reach, pairs::IgnoredRows};
use crate::{
    arguments::{ArgumentError, Arguments},
    budget::{Budget, FINGERPRINT_BYTES},
    cells::{Fingerprint, Fingerprints, columns, shown},
    expectation::{Binder, Finding, Monitor, Ready, Totals},
};

/// How many values that are there twice a result repeats.
const MAX_SHOWN: usize = 20;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "expect_column_values_to_be_unique",
        reach: Reach::RowAmongOthers,
        parameters: &["column", "mostly"],
        parse: |arguments| {
            let column = arguments.text("column")?;
            unique(arguments, Some(vec![column.clone()]), format!("Duplicate values found in {column}"))
        },
    },
    Kind {
        name: "expect_compound_columns_to_be_unique",
        reach: Reach::RowAmongOthers,
        parameters: &["column_list", "ignore_row_if", "mostly"],
        parse: |arguments| {
            let list = arguments.texts("column_list")?;
            let told = format!("Duplicate values found in {} together", list.join(", "));
            unique(arguments, Some(list), told)
        },
    },
    Kind {
        name: "expect_table_rows_to_be_unique",
        reach: Reach::RowAmongOthers,
        parameters: &["mostly"],
        parse: |arguments| unique(arguments, None, "Duplicate rows found".to_owned()),
    },
];

fn unique(arguments: &Arguments<'_>, list: Option<Vec<String>>, told: String) -> Result<Binder, ArgumentError> {
    let (mostly, ignored) = (arguments.mostly()?, IgnoredRows::read(arguments)?);
    Ok(Box::new(move |setting| {
        let (places, ignored) = match &list {
            Some(list) => (list.iter().map(|name| setting.column(name)).collect::<Result<_, _>>()?, ignored),
            None => ((0..setting.schema.fields().len()).collect(), IgnoredRows::None),
        };
        let (complaint, seen) = (told.clone(), Seen::default());
        Ok(Ready::whole(Unique { places, ignored, mostly, complaint, seen }))
    }))
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    fingerprints: Fingerprints,
    /// How often each value was there.
    counts: HashMap<Fingerprint, u64>,
    rows: u64,
    considered: u64,
    shown: Vec<Value>,
}

/// Whether values of some columns together are there once; all of those that are not are unexpected.
struct Unique {
    places: Vec<usize>,
    ignored: IgnoredRows,
    mostly: f64,
    complaint: String,
    seen: Seen,
}

impl Monitor for Unique {
    fn observe(&mut self, rows: &RecordBatch, budget: &mut Budget) -> Result<(), String> {
        let columns = columns(rows, &self.places);
        let considered = match columns.is_empty() {
            true => BooleanBuffer::new_set(rows.num_rows()),
            false => self.ignored.considered(&columns),
        };
        let seen = &mut self.seen;
        seen.rows += rows.num_rows() as u64;
        seen.considered += considered.count_set_bits() as u64;
        let fingerprints = seen.fingerprints.of(&columns)?;
        for row in considered.set_indices() {
            let count = seen.counts.entry(fingerprints[row]).or_default();
            *count += 1;
            match *count {
                1 => budget.take(FINGERPRINT_BYTES)?,
                2 if seen.shown.len() < MAX_SHOWN => seen.shown.push(match columns.as_slice() {
                    [one] => shown(one, row),
                    several => several.iter().map(|column| shown(column, row)).collect(),
                }),
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _totals: Totals) -> Result<Finding, String> {
        let Seen { counts, rows, considered, shown, .. } = self.seen;
        let unexpected: u64 = counts.values().filter(|count| **count > 1).sum();
        let distinct = counts.len() as u64;
        let success = considered == 0 || (considered - unexpected) as f64 / considered as f64 >= self.mostly;
        let mut observed = Observed {
            element_count: Some(rows),
            missing_count: Some(rows - considered),
            unexpected_count: Some(unexpected),
            unexpected: shown,
            ..Observed::default()
        };
        observed.details.insert("unique_count".into(), json!(distinct));
        observed.details.insert("duplicate_count".into(), json!(considered - distinct));
        Ok(Finding { success, observed, complaints: if success { Vec::new() } else { vec![self.complaint] } })
    }
}
