//! Values that grow, or fall, from row to row.
//!
//! The order is that of the rows as they come: of an upload, that of its file; of a table, the order of its files'
//! names, and of the rows in each. Tables whose files were rearranged (compacted, merged, sorted) have another one.

use arrow::{
    array::{Array as _, ArrayRef, RecordBatch},
    compute::{
        concat, filter, is_not_null,
        kernels::cmp::{gt, gt_eq, lt, lt_eq},
    },
    error::ArrowError,
};
use serde_json::Value;
use sluice_domain::Observed;

use super::{Kind, Reach};
use crate::{
    arguments::{ArgumentError, Arguments},
    budget::Budget,
    cells::shown,
    expectation::{Binder, Finding, Monitor, Ready, Totals},
};

/// How many values that are out of order a result repeats.
const MAX_SHOWN: usize = 20;
const DEPRECATED: &str = "parse_strings_as_datetimes";
const PARAMETERS: &[&str] = &["column", "strictly", "mostly", DEPRECATED];

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "expect_column_values_to_be_increasing",
        reach: Reach::RowAmongOthers,
        parameters: PARAMETERS,
        parse: |arguments| ordered(arguments, Direction::Up),
    },
    Kind {
        name: "expect_column_values_to_be_decreasing",
        reach: Reach::RowAmongOthers,
        parameters: PARAMETERS,
        parse: |arguments| ordered(arguments, Direction::Down),
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

fn ordered(arguments: &Arguments<'_>, direction: Direction) -> Result<Binder, ArgumentError> {
    let (column, mostly) = (arguments.text("column")?, arguments.mostly()?);
    let strictly = arguments.flag("strictly")?.unwrap_or_default();
    if arguments.flag(DEPRECATED)?.unwrap_or_default() {
        return Err(ArgumentError::new(DEPRECATED, "it is deprecated: give the column a type with an order"));
    }
    Ok(Box::new(move |setting| {
        let at = setting.column(&column)?;
        let data_type = setting.data_type(at);
        if data_type.is_nested() {
            return Err(format!("it is for values with an order, and {column} holds {data_type}"));
        }
        let how = if direction == Direction::Up { "increasing" } else { "decreasing" };
        let strict = if strictly { "strictly " } else { "" };
        let complaint = format!("Values of {column} are not {strict}{how}");
        Ok(Ready::whole(Ordered { at, direction, strictly, mostly, complaint, last: None, seen: Seen::default() }))
    }))
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    rows: u64,
    present: u64,
    unexpected: u64,
    shown: Vec<Value>,
}

/// Whether each value is beyond the one before it; rows without a value are passed over.
struct Ordered {
    at: usize,
    direction: Direction,
    strictly: bool,
    mostly: f64,
    complaint: String,
    /// The last value, as a column of one row.
    last: Option<ArrayRef>,
    seen: Seen,
}

impl Ordered {
    fn look(&mut self, values: &ArrayRef) -> Result<(), ArrowError> {
        let values = filter(values, &is_not_null(values)?)?;
        if values.is_empty() {
            return Ok(());
        }
        self.seen.present += values.len() as u64;
        let row = match &self.last {
            Some(last) => concat(&[last.as_ref(), values.as_ref()])?,
            None => values,
        };
        let (earlier, later) = (row.slice(0, row.len() - 1), row.slice(1, row.len() - 1));
        let holds = match (self.direction, self.strictly) {
            (Direction::Up, true) => gt(&later, &earlier),
            (Direction::Up, false) => gt_eq(&later, &earlier),
            (Direction::Down, true) => lt(&later, &earlier),
            (Direction::Down, false) => lt_eq(&later, &earlier),
        }?;
        let unexpected = !holds.values();
        self.seen.unexpected += unexpected.count_set_bits() as u64;
        let room = MAX_SHOWN - self.seen.shown.len();
        self.seen.shown.extend(unexpected.set_indices().take(room).map(|at| shown(&later, at)));
        // Of a slice the whole batch would stay in memory.
        self.last = Some(concat(&[row.slice(row.len() - 1, 1).as_ref()])?);
        Ok(())
    }
}

impl Monitor for Ordered {
    fn observe(&mut self, rows: &RecordBatch, _budget: &mut Budget) -> Result<(), String> {
        self.seen.rows += rows.num_rows() as u64;
        self.look(rows.column(self.at)).map_err(|error| error.to_string())
    }

    fn finish(self: Box<Self>, _totals: Totals) -> Result<Finding, String> {
        let Seen { rows, present, unexpected, shown } = self.seen;
        let success = present == 0 || (present - unexpected) as f64 / present as f64 >= self.mostly;
        let observed = Observed {
            element_count: Some(rows),
            missing_count: Some(rows - present),
            unexpected_count: Some(unexpected),
            unexpected: shown,
            ..Observed::default()
        };
        Ok(Finding { success, observed, complaints: if success { Vec::new() } else { vec![self.complaint] } })
    }
}
