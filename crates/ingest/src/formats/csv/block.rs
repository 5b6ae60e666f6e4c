//! One block of delimited text to rows, column by column.
//!
//! Invariant: what comes of a block is what comes of its records one by one, or nothing does: an unusual block, and
//! above all one with something wrong in it, is left to whoever reads records and names places.

use std::ops::Range;

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::SchemaRef,
};
use sluice_domain::CsvOptions;

use super::{
    fields::{Fields, Marks},
    is_null,
    records::Record,
};
use crate::{
    columns::{self, BATCH_BYTES, CELL_BYTES},
    formats::{blocks::BLOCK_BYTES, table_type},
    kinds::Kind,
    limits::DecodeLimits,
};

/// A longer block holds a record that is read by itself.
const LONG_BLOCK_BYTES: usize = 2 * BLOCK_BYTES;
/// How much the rows of one block may take; few bytes can be many missing values.
const MAX_ROWS_BYTES: usize = 4 * BATCH_BYTES;

/// How many rows go into the columns at a time: what they are read from stays in the cache for all columns.
const ROWS_IN_CACHE: usize = 512;

/// How the blocks of one file are read.
pub(super) struct Plan {
    pub(super) options: CsvOptions,
    pub(super) limits: DecodeLimits,
    pub(super) schema: SchemaRef,
    /// Which column of the table each column of the file goes into.
    pub(super) targets: Vec<usize>,
    /// The columns of the table that the file does not have.
    pub(super) missing: Vec<usize>,
    /// What each column of the file is taken for; empty where the table says it.
    pub(super) guess: Vec<Kind>,
}

impl Plan {
    /// The rows of a block.
    pub(super) fn decode(&self, block: &[u8]) -> Option<Vec<RecordBatch>> {
        let fields = find(block, &self.options, &self.limits, self.targets.len())?;
        let mut built = columns::Fields::new(self.schema.fields());
        let row_bytes = CELL_BYTES * built.width().max(1);
        let rows = fields.rows();
        if rows.saturating_mul(row_bytes) > MAX_ROWS_BYTES {
            return None;
        }
        let step = self.limits.batch_rows.min(BATCH_BYTES / row_bytes).max(1);
        let parts = (0..rows).step_by(step).map(|start| start..rows.min(start + step));
        parts.map(|rows| self.batch(&fields, rows, &mut built)).collect()
    }

    fn batch(&self, fields: &Fields, rows: Range<usize>, built: &mut columns::Fields) -> Option<RecordBatch> {
        for start in rows.clone().step_by(ROWS_IN_CACHE) {
            self.append(fields, start..rows.end.min(start + ROWS_IN_CACHE), built)?;
        }
        for &at in &self.missing {
            built.columns.get_mut(at)?.append_nulls(rows.len()).ok()?;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), built.finish().ok()?, &options).ok()
    }

    fn append(&self, fields: &Fields, rows: Range<usize>, built: &mut columns::Fields) -> Option<()> {
        for (from, &to) in self.targets.iter().enumerate() {
            let texts =
                || fields.column(from, rows.clone()).map(|text| (!is_null(&self.options, text)).then_some(text));
            if !self.are_as_guessed(from, texts()) {
                return None;
            }
            built.columns.get_mut(to)?.append_texts(texts()).ok()?;
        }
        Some(())
    }

    /// Whether the values are of the kind that was guessed, as far as storing them does not tell.
    fn are_as_guessed<'t>(&self, column: usize, texts: impl Iterator<Item = Option<&'t str>>) -> bool {
        match self.guess.get(column) {
            // Texts take everything, and decimals what is written with a point too.
            Some(&kind @ (Kind::Null | Kind::BigInteger)) => {
                table_type(&texts.flatten().fold(kind, Kind::widened).data_type()) == table_type(&kind.data_type())
            }
            _ => true,
        }
    }

    /// Whether each value of a record is of a kind that the column that was guessed holds.
    pub(super) fn is_as_guessed(&self, record: &Record) -> bool {
        self.guess.iter().enumerate().all(|(column, kind)| {
            let field = record.field(column);
            let widened = || table_type(&kind.widened(field).data_type());
            is_null(&self.options, field) || widened() == table_type(&kind.data_type())
        })
    }
}

/// The narrowest kinds that hold these and every value of a block; how many rows it has.
pub(super) fn observe(
    block: &[u8],
    options: &CsvOptions,
    limits: &DecodeLimits,
    mut kinds: Vec<Kind>,
) -> Option<(Vec<Kind>, u64)> {
    let fields = find(block, options, limits, kinds.len())?;
    for (column, kind) in kinds.iter_mut().enumerate() {
        let texts = fields.column(column, 0..fields.rows());
        *kind = texts.filter(|text| !is_null(options, text)).fold(*kind, Kind::widened);
    }
    Some((kinds, fields.rows() as u64))
}

fn find<'b>(block: &'b [u8], options: &CsvOptions, limits: &DecodeLimits, columns: usize) -> Option<Fields<'b>> {
    let is_ordinary = block.len() <= LONG_BLOCK_BYTES;
    is_ordinary.then(|| Fields::find(block, Marks::of(options), columns, limits.record_bytes))?
}
