//! Whether the rows of one request are good, looked at by itself before it joins others.

use std::{io::Cursor, sync::Arc};

use arrow::{array::RecordBatch, compute::concat_batches, datatypes::SchemaRef};
use bytes::Bytes;
use sluice_domain::{BadRowLimits, Format};

use super::{body::options, targets::Known};
use crate::{
    DecodeError, DecodeLimits,
    contract::{Admission, Gate, Passed},
    formats, pipeline,
    row_sink::{BadRow, RowSink},
};

/// The rows of a request.
#[derive(Debug)]
pub(super) struct Checked {
    /// How many there are, bad ones too.
    pub(super) rows: u64,
    /// As the table has them; none for a table that is not there yet.
    pub(super) batch: Option<RecordBatch>,
    /// Whether they change the table's columns, or are bad in part: such a request is an upload of its own.
    pub(super) is_alone: bool,
}

/// Check the rows against what the table asks, or, for a table that they make, against what any table can have.
///
/// # Errors
/// What is wrong with the first row, where no row can be taken or no bad one may be among them.
pub(super) fn check(
    format: Format,
    body: &Bytes,
    known: Option<&Known>,
    bad_rows: BadRowLimits,
    limits: &DecodeLimits,
) -> Result<Checked, DecodeError> {
    if format == Format::Arrow {
        // Read behind the wall, as every binary file.
        return Ok(Checked { rows: 0, batch: None, is_alone: true });
    }
    let checked = match known {
        Some(known) => decode(format, body, known, bad_rows, limits)?,
        None => infer(format, body, bad_rows, limits)?,
    };
    if checked.rows == 0 { Err(DecodeError::Empty) } else { Ok(checked) }
}

fn source(body: &Bytes) -> formats::Source {
    formats::Source::Stream(Box::new(Cursor::new(body.clone())))
}

fn decode(
    format: Format,
    body: &Bytes,
    known: &Known,
    bad_rows: BadRowLimits,
    limits: &DecodeLimits,
) -> Result<Checked, DecodeError> {
    let mut options = options(format, bad_rows);
    options.json.coerce |= known.target.terms.coerce;
    let admission = Admission::first_try(&known.target.shape, Arc::clone(&known.target.terms));
    let gate = Gate::with_rules(&admission, Arc::clone(&known.rules));
    let mut look = Look { admission: &admission, gate, batches: Vec::new(), rows: 0, first_bad: None, asks: false };
    formats::decode(&options, source(body), &admission.decoded, limits, &mut look)?;
    let Look { batches, rows, first_bad, asks, .. } = look;
    let good: usize = batches.iter().map(RecordBatch::num_rows).sum();
    match first_bad {
        Some(error) if !asks && (good == 0 || bad_rows.max_rows == Some(0)) => Err(error),
        Some(_) => Ok(Checked { rows, batch: None, is_alone: true }),
        None => {
            let whole = concat_batches(&admission.wanted, &batches);
            let whole = whole.map_err(|error| DecodeError::malformed(format, error.to_string()))?;
            Ok(Checked { rows, batch: Some(whole), is_alone: false })
        }
    }
}

fn infer(format: Format, body: &Bytes, bad_rows: BadRowLimits, limits: &DecodeLimits) -> Result<Checked, DecodeError> {
    let inferred = formats::infer(&options(format, bad_rows), source(body), limits)?;
    pipeline::check_columns(format, &inferred.table_columns())?;
    let rows = inferred.rows;
    match inferred.first_bad {
        Some(error) if rows == 0 || bad_rows.max_rows == Some(0) => Err(error),
        first_bad => Ok(Checked { rows, batch: None, is_alone: first_bad.is_some() }),
    }
}

/// Looks at rows without keeping those that are bad.
struct Look<'a> {
    admission: &'a Admission,
    gate: Gate,
    batches: Vec<RecordBatch>,
    rows: u64,
    first_bad: Option<DecodeError>,
    /// Whether the contract may let the table have what does not fit.
    asks: bool,
}

impl RowSink for Look<'_> {
    fn rows(&mut self, batch: RecordBatch) -> Result<(), DecodeError> {
        self.rows += batch.num_rows() as u64;
        let Passed { rows, bad } = self.gate.pass(batch)?;
        if let Some(bad) = bad.into_iter().next() {
            self.first_bad.get_or_insert(bad.error);
        }
        self.batches.push(rows);
        Ok(())
    }

    fn bad_row(&mut self, row: BadRow) -> Result<(), DecodeError> {
        self.rows += 1;
        self.gate.skip(row.number);
        self.asks |= self.admission.asks_for_another(&row.error);
        self.first_bad.get_or_insert(row.error);
        Ok(())
    }
}

/// Whether rows that were checked once are right for these columns as they are.
pub(super) fn fits(batch: Option<&RecordBatch>, schema: &SchemaRef) -> bool {
    batch.is_some_and(|batch| Arc::ptr_eq(batch.schema_ref(), schema) || batch.schema_ref() == schema)
}
