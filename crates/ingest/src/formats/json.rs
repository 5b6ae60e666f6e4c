//! JSON: one object a line, or one array of objects.
//!
//! Invariant: numbers keep their digits; what a column's type would change is stored as text or refused.

use std::{borrow::Cow, sync::Arc};

use arrow::datatypes::{Schema, SchemaRef};

use self::{records::Records, shape::Shapes};
use super::{Decoder, Inferred, Reading, Source};
use crate::{
    columns::{Batches, FieldIndex, Value},
    decode_error::DecodeError,
    row_sink::RowSink,
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
    let (mut rows, mut first_bad) = (0, None);
    while records.advance()? {
        let observed = object(reading, &records)
            .and_then(|entries| shapes.observe(&entries).map_err(|refused| refused.at(&records)));
        match observed {
            Ok(()) => rows += 1,
            Err(error @ DecodeError::TooManyColumns { .. }) => return Err(error),
            Err(error) => first_bad = first_bad.or(Some(error)),
        }
    }
    let fields = match &reading.options.json.flatten {
        Some(separator) => shapes.into_flat_fields(separator),
        None => shapes.into_fields(),
    };
    if fields.is_empty() {
        return Err(first_bad.unwrap_or(DecodeError::Empty));
    }
    Ok(Inferred { schema: Arc::new(Schema::new(fields)), rows, first_bad })
}

fn decode(reading: &Reading, source: Source, schema: &SchemaRef, sink: &mut dyn RowSink) -> Result<u64, DecodeError> {
    let mut records = Records::open(reading, source.into_reader())?;
    let mut batches =
        Batches::new(reading.options.format, schema, reading.limits, sink).coercing(reading.options.json.coerce);
    let columns = FieldIndex::of(schema.fields().iter().map(|field| field.name()));
    while records.advance()? {
        let appended = object(reading, &records).map(|entries| match reading.options.json.flatten {
            Some(_) => flatten::known(entries, &columns),
            None => entries,
        });
        let appended = appended
            .and_then(|entries| batches.append(&entries).map_err(|refused| batches.refusal(refused, records.line())));
        match appended {
            Ok(extra_bytes) => batches.end_row(records.record().len() + extra_bytes)?,
            Err(error) => batches.end_bad_row(records.source(), error)?,
        }
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
