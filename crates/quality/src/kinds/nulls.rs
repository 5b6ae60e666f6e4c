//! Whether values are there.

use arrow::{array::RecordBatch, buffer::BooleanBuffer};
use serde_json::json;

use super::{
    Kind, Reach,
    bounds::{Bounds, PARAMETERS},
};
use crate::{
    arguments::{ArgumentError, Arguments},
    budget::Budget,
    cells::present,
    expectation::{Binder, Finding, Looked, Monitor, Ready, RowTest, Totals},
};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "expect_column_values_to_not_be_null",
        reach: Reach::Row,
        parameters: &["column", "mostly"],
        parse: |arguments| presence(arguments, true),
    },
    Kind {
        name: "expect_column_values_to_be_null",
        reach: Reach::Row,
        parameters: &["column", "mostly"],
        parse: |arguments| presence(arguments, false),
    },
    Kind {
        name: "expect_column_proportion_of_non_null_values_to_be_between",
        reach: Reach::Whole,
        parameters: PARAMETERS,
        parse: proportion,
    },
];

fn presence(arguments: &Arguments<'_>, wanted: bool) -> Result<Binder, ArgumentError> {
    let (column, mostly) = (arguments.text("column")?, arguments.mostly()?);
    Ok(Box::new(move |setting| {
        let test = Presence { at: [setting.column(&column)?], column: column.clone(), wanted };
        Ok(Ready::rows(test, mostly))
    }))
}

/// Whether a column has a value, or has none.
struct Presence {
    at: [usize; 1],
    column: String,
    wanted: bool,
}

impl RowTest for Presence {
    fn look(&mut self, rows: &RecordBatch) -> Result<Looked, String> {
        let present = present(rows.column(self.at[0]));
        let unexpected = if self.wanted { !&present } else { present };
        Ok(Looked { considered: BooleanBuffer::new_set(rows.num_rows()), unexpected })
    }

    fn columns(&self) -> &[usize] {
        &self.at
    }

    fn complaints(&self) -> Vec<String> {
        let found = if self.wanted { "Null values" } else { "Values" };
        vec![format!("{found} found in {}", self.column)]
    }

    fn counts_missing(&self) -> bool {
        false
    }
}

fn proportion(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let (column, bounds) = (arguments.text("column")?, Bounds::read(arguments)?);
    Ok(Box::new(move |setting| {
        let at = setting.column(&column)?;
        Ok(Ready::whole(Proportion { at, column: column.clone(), bounds, rows: 0, present: 0 }))
    }))
}

/// The share of rows with a value.
struct Proportion {
    at: usize,
    column: String,
    bounds: Bounds,
    rows: u64,
    present: u64,
}

impl Monitor for Proportion {
    fn observe(&mut self, rows: &RecordBatch, _budget: &mut Budget) -> Result<(), String> {
        self.rows += rows.num_rows() as u64;
        self.present += present(rows.column(self.at)).count_set_bits() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>, _totals: Totals) -> Result<Finding, String> {
        let share = (self.rows > 0).then(|| self.present as f64 / self.rows as f64);
        let success = share.is_none_or(|share| self.bounds.hold(share));
        let complaint = self.bounds.complaint(&format!("The share of values in {}", self.column), &json!(share));
        Ok(Finding::of_value(success, json!(share), complaint).with_elements(self.rows, self.rows - self.present))
    }
}
