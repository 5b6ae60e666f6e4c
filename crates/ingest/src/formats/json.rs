//! JSON: one object a line, or one array of objects.
//!
//! Invariant: numbers keep their digits; what a column's type would change is stored as text or refused.

use std::{borrow::Cow, sync::Arc};

use arrow::datatypes::{Schema, SchemaRef};

use self::{records::Records, shape::Shapes};
use super::{Decoder, Inferred, Reading, Source};
use crate::{
    columns::{Batches, FieldIndex, Sink, Value},
    decode_error::DecodeError,
};

mod flatten;
mod parse;
mod record_path;
mod records;
mod shape;

pub(super) use record_path::rows_at;

pub(super) const DECODER: Decoder = Decoder { infer, decode };

type Entries<'r> = Vec<(Cow<'r, str>, Value<'r>)>;

fn infer(reading: &Reading, source: Source) -> Result<Inferred, DecodeError> {
    let mut records = Records::open(reading, source.into_reader())?;
    let mut shapes = Shapes::new(reading.limits.columns);
    let mut rows = 0;
    while records.advance()? {
        let entries = object(reading, &records)?;
        shapes.observe(&entries).map_err(|refused| refused.at(&records))?;
        rows += 1;
    }
    let fields = match &reading.options.json.flatten {
        Some(separator) => shapes.into_flat_fields(separator),
        None => shapes.into_fields(),
    };
    if fields.is_empty() {
        return Err(DecodeError::Empty);
    }
    Ok(Inferred { schema: Arc::new(Schema::new(fields)), rows })
}

fn decode<'s>(
    reading: &Reading,
    source: Source,
    schema: &SchemaRef,
    sink: &'s mut Sink<'s>,
) -> Result<u64, DecodeError> {
    let mut records = Records::open(reading, source.into_reader())?;
    let mut batches = Batches::new(reading.options.format, schema, reading.limits, sink);
    let known = FieldIndex::of(schema.fields().iter().map(|field| field.name()));
    while records.advance()? {
        let mut entries = object(reading, &records)?;
        if reading.options.json.flatten.is_some() {
            flatten::forget_missing(&mut entries, &known);
        }
        batches.append(&entries, records.record().len(), records.line())?;
    }
    batches.finish()
}

/// The record under the cursor, which must be an object.
fn object<'r>(reading: &Reading, records: &'r Records) -> Result<Entries<'r>, DecodeError> {
    let text = std::str::from_utf8(records.record()).map_err(|_| records.malformed("the text is not UTF-8"))?;
    let parsed = parse::parse(text, &reading.options.json.null_values, reading.limits.depth);
    match parsed.map_err(|refused| refused.at(records))? {
        Value::Object(entries) => match &reading.options.json.flatten {
            Some(separator) => flatten::flattened(entries, separator).map_err(|refused| refused.at(records)),
            None => Ok(entries),
        },
        _ => Err(records.malformed("a row must be an object, with a key for each column")),
    }
}

#[cfg(test)]
mod tests;
