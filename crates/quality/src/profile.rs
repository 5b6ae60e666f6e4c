//! What a table holds, column by column, from one scan.
//!
//! Invariant: memory is bounded whatever the rows are; figures that are no longer exact say so.

mod column;
mod proposal;
mod sample;

pub use column::{ColumnProfile, Frequent, NumericProfile, TextProfile};
pub use proposal::propose;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use column::ColumnProfiler;

/// How much a profile remembers.
#[derive(Debug, Clone, Copy)]
pub struct ProfileLimits {
    /// How many numbers of all columns together are kept for quantiles.
    pub numbers: usize,
    /// How many different values of all columns together are counted.
    pub values: usize,
    /// How many of one column.
    pub of_column: usize,
}

impl Default for ProfileLimits {
    fn default() -> Self {
        Self { numbers: 2 << 20, values: 256 << 10, of_column: 100_000 }
    }
}

/// What a table holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// How many rows there are.
    pub rows: u64,
    /// The columns, in their order.
    pub columns: Vec<ColumnProfile>,
}

/// Makes a profile of rows as they come.
#[derive(Debug)]
pub struct Profiler {
    rows: u64,
    columns: Vec<ColumnProfiler>,
}

impl Profiler {
    /// Begin, for rows of these columns.
    pub fn new(schema: &SchemaRef, limits: ProfileLimits) -> Self {
        let count = schema.fields().len().max(1);
        let of = |all: usize| (all / count).clamp(1, limits.of_column);
        let columns = schema
            .fields()
            .iter()
            .map(|field| ColumnProfiler::new(field.name(), field.data_type(), of(limits.numbers), of(limits.values)));
        Self { rows: 0, columns: columns.collect() }
    }

    /// Look at more rows.
    ///
    /// # Errors
    /// Rows of other columns.
    pub fn look(&mut self, rows: &RecordBatch) -> Result<(), String> {
        self.rows += rows.num_rows() as u64;
        self.columns.iter_mut().zip(rows.columns()).try_for_each(|(column, values)| column.look(values))
    }

    /// The profile.
    pub fn finish(self) -> Profile {
        let rows = self.rows;
        Profile { rows, columns: self.columns.into_iter().map(|column| column.finish(rows)).collect() }
    }
}
