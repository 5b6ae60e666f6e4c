//! Delimited text.
//!
//! Empty lines are no records. A record has as many fields as the header; quoted fields may hold line ends.
//!
//! Invariant: every field is either stored as it is or named in an error, with its line and column.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use sluice_domain::{CsvOptions, Format};

use self::records::{Next, Record, Records};
use super::{Decoder, Inferred, Reading, Source};
use crate::{
    columns::{Batches, FieldIndex, Refused},
    decode_error::DecodeError,
    kinds::Kind,
    limits::DecodeLimits,
    row_sink::RowSink,
};

mod guard;
mod header;
mod records;

pub(super) const DECODER: Decoder = Decoder { infer, decode };

fn infer(reading: &Reading, source: Source) -> Result<Inferred, DecodeError> {
    let options = &reading.options.csv;
    let mut records = Records::open(options, source.into_reader(), reading.limits)?;
    let mut kinds = vec![Kind::Null; records.names().len()];
    let (mut rows, mut first_bad) = (0, None);
    loop {
        match records.advance()? {
            Next::Row(record) => {
                for (column, kind) in kinds.iter_mut().enumerate() {
                    let field = record.field(column);
                    if *kind != Kind::Text && !is_null(options, field) {
                        *kind = kind.widened(field);
                    }
                }
                rows += 1;
            }
            Next::Bad(error) => first_bad = first_bad.or(Some(error)),
            Next::End => break,
        }
    }
    let fields = records.names().iter().zip(kinds).map(|(name, kind)| Field::new(name, kind.data_type(), true));
    Ok(Inferred { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())), rows, first_bad })
}

fn decode(reading: &Reading, source: Source, schema: &SchemaRef, sink: &mut dyn RowSink) -> Result<u64, DecodeError> {
    let options = &reading.options.csv;
    let mut records = Records::open(options, source.into_reader(), reading.limits)?;
    let targets = targets(records.names(), schema)?;
    let missing: Vec<usize> = (0..schema.fields().len()).filter(|at| !targets.contains(at)).collect();
    let mut batches = Batches::new(Format::Csv, schema, reading.limits, sink);
    loop {
        match records.advance()? {
            Next::Row(record) => match append(&mut batches, &record, options, (&targets, &missing)) {
                Ok(()) => batches.end_row(record.size_bytes())?,
                Err(refused) => {
                    let error = batches.refusal(refused, record.line());
                    batches.end_bad_row(record.source(), error)?;
                }
            },
            Next::Bad(error) => batches.end_bad_row(records.source(), error)?,
            Next::End => return batches.finish(),
        }
    }
}

/// Add the fields of a record to the columns, and missing values to those that the file does not have.
fn append(
    batches: &mut Batches,
    record: &Record,
    options: &CsvOptions,
    (targets, missing): (&[usize], &[usize]),
) -> Result<(), Refused> {
    let columns = batches.columns();
    for (from, &to) in targets.iter().enumerate() {
        let field = record.field(from);
        let column = &mut columns[to];
        if is_null(options, field) { column.append_null() } else { column.append_text(field) }?;
    }
    missing.iter().try_for_each(|&at| columns[at].append_null())
}

/// The header as a line.
pub(super) fn header_line(options: &CsvOptions, source: Source, limits: &DecodeLimits) -> Result<String, DecodeError> {
    let records = Records::open(options, source.into_reader(), limits)?;
    let bytes = records.source().bytes;
    Ok(format!("{}\n", String::from_utf8_lossy(&bytes)))
}

/// Which column of the table each column of the file goes into.
fn targets(names: &[String], schema: &SchemaRef) -> Result<Vec<usize>, DecodeError> {
    let index = FieldIndex::of(schema.fields().iter().map(|field| field.name()));
    let unknown = |name: &String| DecodeError::UnknownColumn { column: name.clone(), line: Some(1) };
    names.iter().map(|name| index.find(name).ok_or_else(|| unknown(name))).collect()
}

/// Whether the field stands for a missing value. Quotes make no difference.
fn is_null(options: &CsvOptions, field: &str) -> bool {
    (field.is_empty() && options.empty_as_null) || options.null_values.iter().any(|null| null == field)
}

#[cfg(test)]
mod tests;
