//! Delimited text.
//!
//! Empty lines are no records. A record has as many fields as the header; quoted fields may hold line ends.
//!
//! Invariant: every field is either stored as it is or named in an error, with its line and column.

use std::{borrow::Cow, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use sluice_domain::{CsvOptions, Format};

use self::records::Records;
use super::{Decoder, Inferred, Reading, Source};
use crate::{
    columns::{Batches, FieldIndex, Sink},
    decode_error::DecodeError,
    kinds::Kind,
};

mod decimal;
mod guard;
mod header;
mod records;
mod sniff;

pub(crate) use sniff::{SAMPLE_BYTES, resolved};

pub(super) const DECODER: Decoder = Decoder { infer, decode };

fn infer(reading: &Reading, source: Source) -> Result<Inferred, DecodeError> {
    let options = &reading.options.csv;
    let mut records = Records::open(options, source.into_reader(), reading.limits)?;
    let mut kinds = vec![Kind::Null; records.names().len()];
    let mut rows = 0;
    while let Some(record) = records.advance()? {
        for (column, kind) in kinds.iter_mut().enumerate() {
            let field = record.field(column)?;
            if *kind != Kind::Text && !is_null(options, field) {
                *kind = kind.widened(&number(options, field));
            }
        }
        rows += 1;
    }
    let fields = records.names().iter().zip(kinds).map(|(name, kind)| Field::new(name, kind.data_type(), true));
    Ok(Inferred { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())), rows })
}

fn decode<'s>(
    reading: &Reading,
    source: Source,
    schema: &SchemaRef,
    sink: &'s mut Sink<'s>,
) -> Result<u64, DecodeError> {
    let options = &reading.options.csv;
    let mut records = Records::open(options, source.into_reader(), reading.limits)?;
    let targets = targets(records.names(), schema)?;
    let missing: Vec<usize> = (0..schema.fields().len()).filter(|at| !targets.contains(at)).collect();
    let is_text = |to: usize| *schema.field(to).data_type() == DataType::Utf8;
    let mut batches = Batches::new(Format::Csv, schema, reading.limits, sink);
    while let Some(record) = records.advance()? {
        for (from, &to) in targets.iter().enumerate() {
            let field = record.field(from)?;
            let column = &mut batches.columns()[to];
            let stored = match field {
                field if is_null(options, field) => column.append_null(),
                field if is_text(to) => column.append_text(field),
                field => column.append_text(&number(options, field)),
            };
            stored.map_err(|refused| batches.refusal(refused, record.line()))?;
        }
        for &at in &missing {
            let stored = batches.columns()[at].append_null();
            stored.map_err(|refused| batches.refusal(refused, record.line()))?;
        }
        batches.end_row(record.size_bytes())?;
    }
    batches.finish()
}

/// Which column of the table each column of the file goes into.
fn targets(names: &[String], schema: &SchemaRef) -> Result<Vec<usize>, DecodeError> {
    let index = FieldIndex::of(schema.fields().iter().map(|field| field.name()));
    let unknown = |name: &String| DecodeError::UnknownColumn { column: name.clone(), line: Some(1) };
    names.iter().map(|name| index.find(name).ok_or_else(|| unknown(name))).collect()
}

/// The field as numbers are written everywhere else, if it may be one.
fn number<'f>(options: &CsvOptions, field: &'f str) -> Cow<'f, str> {
    if options.decimal_comma { decimal::with_point(field) } else { Cow::Borrowed(field) }
}

/// Whether the field stands for a missing value. Quotes make no difference.
fn is_null(options: &CsvOptions, field: &str) -> bool {
    (field.is_empty() && options.empty_as_null) || options.null_values.iter().any(|null| null == field)
}

#[cfg(test)]
mod tests;
