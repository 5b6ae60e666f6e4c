//! Derived columns on the way from the decoder to the writer.

use std::io;

use arrow::{array::RecordBatch, datatypes::Schema};
use sluice_domain::DerivedColumn;
use sluice_table::Derivations;

use crate::DecodeError;

/// Fills the derived columns of one upload's rows, and checks those that it brings.
pub(crate) struct Derive {
    derivations: Derivations,
    rows_before: u64,
}

impl Derive {
    pub(crate) fn new(schema: &Schema, derived: &[DerivedColumn]) -> Self {
        Self { derivations: Derivations::new(schema, derived), rows_before: 0 }
    }

    /// The rows with their derived columns.
    pub(crate) fn apply(&mut self, rows: RecordBatch) -> Result<RecordBatch, DecodeError> {
        let count = rows.num_rows() as u64;
        let derived = self.derivations.apply(rows).map_err(|error| DecodeError::Read(io::Error::other(error)))?;
        let rows = derived.map_err(|mismatch| DecodeError::Mismatch {
            row: Some(self.rows_before + mismatch.row as u64 + 1),
            line: None,
            column: mismatch.column,
            value: mismatch.value,
            expected: mismatch.expected,
        })?;
        self.rows_before += count;
        Ok(rows)
    }
}
