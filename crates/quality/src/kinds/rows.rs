//! How many rows there are, and what other tables say of them.

use std::sync::Arc;

use arrow::{array::RecordBatch, buffer::BooleanBuffer};
use serde_json::json;

use super::{
    Kind, Reach,
    bounds::{Bounds, PARAMETERS},
    column_test::ColumnTest,
};
use crate::{
    arguments::{ArgumentError, Arguments},
    budget::Budget,
    cells::{key, present},
    expectation::{Binder, Finding, Monitor, Ready, Totals},
};

/// The share of rows that may be lost where it is not said.
const MAX_LOSS: f64 = 0.05;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "expect_table_row_count_to_be_between",
        reach: Reach::Whole,
        parameters: PARAMETERS.split_at(1).1,
        parse: |arguments| counted(Bounds::read(arguments)?),
    },
    Kind {
        name: "expect_table_row_count_to_equal",
        reach: Reach::Whole,
        parameters: &["value"],
        parse: |arguments| counted(Bounds::exactly(arguments.required_whole("value")? as f64)),
    },
    Kind {
        name: "expect_table_row_count_to_equal_other_table",
        reach: Reach::Whole,
        parameters: &["other_table_name"],
        parse: equal_other,
    },
    Kind {
        name: "expect_table_row_loss_to_be_at_most",
        reach: Reach::Whole,
        parameters: &["max_fraction", "other_table_name"],
        parse: loss,
    },
    Kind {
        name: "expect_column_values_to_exist_in_other_table",
        reach: Reach::RowAmongOthers,
        parameters: &["column", "other_table_name", "other_column", "mostly"],
        parse: exist_elsewhere,
    },
];

type Judge = Arc<dyn Fn(u64, Totals) -> Finding + Send + Sync>;

/// The number of rows.
struct Rows {
    seen: u64,
    judge: Judge,
}

impl Monitor for Rows {
    fn observe(&mut self, rows: &RecordBatch, _budget: &mut Budget) -> Result<(), String> {
        self.seen += rows.num_rows() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>, totals: Totals) -> Result<Finding, String> {
        Ok((self.judge)(self.seen, totals))
    }
}

fn ready(judge: impl Fn(u64, Totals) -> Finding + Send + Sync + 'static) -> Ready {
    Ready::whole(Rows { seen: 0, judge: Arc::new(judge) })
}

fn within(bounds: Bounds, count: u64) -> Finding {
    let complaint = bounds.complaint("The number of rows", &json!(count));
    Finding::of_value(bounds.hold(count as f64), json!(count), complaint)
}

fn counted(bounds: Bounds) -> Result<Binder, ArgumentError> {
    Ok(Box::new(move |_| Ok(ready(move |count, _| within(bounds, count)))))
}

/// The name of another table.
fn read_table(arguments: &Arguments<'_>) -> Result<String, ArgumentError> {
    let name = arguments.text("other_table_name")?;
    let parsed: Result<sluice_domain::TableRef, _> = name.parse();
    parsed.map_err(|error| ArgumentError::new("other_table_name", error.to_string()))?;
    Ok(name)
}

fn equal_other(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let name = read_table(arguments)?;
    Ok(Box::new(move |setting| {
        let others = setting.other_table(&name)?.rows;
        let name = name.clone();
        Ok(ready(move |count, _| {
            let value = json!({"self": count, "other": others});
            Finding::of_value(count == others, value, format!("{count} rows where {name} has {others}"))
        }))
    }))
}

fn loss(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let most = arguments.number("max_fraction")?.unwrap_or(MAX_LOSS);
    if !(0.0..=1.0).contains(&most) {
        return Err(ArgumentError::new("max_fraction", "it is not a number from 0 to 1"));
    }
    let name = if arguments.has("other_table_name") { Some(read_table(arguments)?) } else { None };
    Ok(Box::new(move |setting| {
        let others = name.as_ref().map(|name| setting.other_table(name).map(|other| other.rows)).transpose()?;
        Ok(ready(move |_, Totals { rows, kept }| {
            let first = others.unwrap_or(rows);
            let lost = first.saturating_sub(kept);
            let share = (first > 0).then(|| lost as f64 / first as f64);
            let value = json!({"initial": first, "final": kept, "data_loss_pct": share.map(|share| share * 100.0)});
            let complaint = format!("{lost} of {first} rows are lost");
            Finding::of_value(share.is_none_or(|share| share <= most), value, complaint)
        }))
    }))
}

fn exist_elsewhere(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let (column, mostly) = (arguments.text("column")?, arguments.mostly()?);
    let (table, other) = (read_table(arguments)?, arguments.text("other_column")?);
    Ok(Box::new(move |setting| {
        let at = setting.column(&column)?;
        let told = format!("Values in {column} that {table}.{other} does not have");
        let there = setting.other_table(&table)?.keys.get(&other);
        there.ok_or_else(|| format!("{other} of {table} was not read"))?.as_ref().map_err(Clone::clone)?;
        let (references, table, other) = (Arc::clone(&setting.references), table.clone(), other.clone());
        let test = ColumnTest::new(at, told, move |values| {
            let found = references.get(&table).and_then(|found| found.as_ref().ok()?.keys.get(&other)?.as_ref().ok());
            let keys = found.ok_or("the other table is gone")?;
            let present = present(values);
            let is_absent = |row| present.value(row) && !keys.contains(&key(values, row));
            Ok(BooleanBuffer::collect_bool(present.len(), is_absent))
        });
        Ok(Ready::rows(test, mostly))
    }))
}
