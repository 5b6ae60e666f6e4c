//! JSON: one object a line, or one array of objects.
//!
//! Invariant: numbers keep their digits; what a column's type would change is stored as text or refused.

use std::{
    borrow::Cow,
    io::{Cursor, Read},
    sync::Arc,
};

use arrow::datatypes::{Schema, SchemaRef};
use sluice_domain::Format;

use self::{
    block::{Decoded, Plan},
    records::Records,
    shape::Shapes,
};
use super::{
    Decoder, Inferred, OnePass, Reading, Source,
    blocks::Blocks,
    parts::{Part, Parts},
};
use crate::{
    columns::{Batches, Sink, Value},
    decode_error::DecodeError,
};

mod block;
mod parse;
mod records;
mod shape;
mod template;

pub(super) const DECODER: Decoder = Decoder { infer, decode };

type Entries<'r> = Vec<(Cow<'r, str>, Value<'r>)>;

type EndOfLines = fn(&[u8]) -> Option<usize>;
/// Text that is not read by blocks, and how many lines are before it.
type Unread = (Box<dyn Read + Send>, u64);

fn infer(reading: &Reading, source: Source) -> Result<Inferred, DecodeError> {
    let (shapes, rows) = observe(reading, Records::open(reading, source.into_reader())?)?;
    let fields = shapes.into_fields();
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
    if reading.options.format == Format::Ndjson {
        let lines = open_lines(reading, source)?;
        return decode_lines(&plan(reading, schema, None), lines, sink, |unread, (rows, sink)| {
            let Some((source, lines)) = unread else { return Err(DecodeError::Stopped) };
            decode_records(reading, Records::resume(reading, source, lines), schema, (rows, sink))
        });
    }
    decode_records(reading, Records::open(reading, source.into_reader())?, schema, (0, sink))
}

/// What the records look like, and how many there are.
fn observe(reading: &Reading, mut records: Records) -> Result<(Shapes, u64), DecodeError> {
    let mut shapes = Shapes::new(reading.limits.columns);
    let mut rows = 0;
    while records.advance()? {
        let entries = object(reading, &records)?;
        shapes.observe(&entries).map_err(|refused| refused.at(&records))?;
        rows += 1;
    }
    Ok((shapes, rows))
}

/// Read a file of lines once: its first block tells the types, unless they turn out not to hold what follows.
pub(super) fn decode_guessing<'s>(
    reading: &Reading,
    source: Source,
    sink: &'s mut Sink<'s>,
) -> Result<OnePass, DecodeError> {
    let lines = open_lines(reading, source)?;
    let beginning = Records::resume(reading, Box::new(Cursor::new(lines.first.clone())), 0);
    let Ok((shapes, _)) = observe(reading, beginning) else { return Ok(OnePass::Unfit) };
    let schema = Arc::new(Schema::new(shapes.clone().into_fields()));
    if schema.fields().is_empty() {
        return Ok(OnePass::Unfit);
    }
    let mut fits = true;
    let outcome = decode_lines(&plan(reading, &schema, Some(shapes)), lines, sink, |_, _| {
        fits = false;
        Err(DecodeError::Stopped)
    });
    match outcome {
        Err(DecodeError::Stopped) if !fits => Ok(OnePass::Unfit),
        outcome => Ok(OnePass::Read(Inferred { schema, rows: outcome? })),
    }
}

fn plan(reading: &Reading, schema: &SchemaRef, guess: Option<Shapes>) -> Arc<Plan> {
    let (options, limits) = (reading.options.clone(), reading.limits.clone());
    Arc::new(Plan { options, limits, schema: SchemaRef::clone(schema), guess })
}

/// Begin to read a file of lines.
fn open_lines(reading: &Reading, source: Source) -> Result<Parts<EndOfLines>, DecodeError> {
    let source = super::without_byte_order_mark(source.into_reader())?;
    let end_of_lines: EndOfLines = |text| memchr::memrchr(b'\n', text).map(|at| at + 1);
    Parts::begin(Blocks::new(source, reading.limits.record_bytes, end_of_lines))
}

/// Read a file of lines by blocks; `by_records` reads what that does not do for, and tells how many rows of the file
/// there are then.
fn decode_lines(
    plan: &Arc<Plan>,
    lines: Parts<EndOfLines>,
    sink: &mut Sink<'_>,
    mut by_records: impl FnMut(Option<Unread>, (u64, &mut Sink<'_>)) -> Result<u64, DecodeError>,
) -> Result<u64, DecodeError> {
    let mut rows = 0;
    let plan = Arc::clone(plan);
    let job = move |block: &[u8]| plan.decode(block);
    lines.each(job, |part| {
        let unread = match part {
            Part::Done(Decoded::Rows(batches)) => {
                rows += batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
                return batches.into_iter().try_for_each(&mut *sink);
            }
            Part::Done(Decoded::Unfit) => None,
            Part::Undone(source, lines) => Some((source, lines)),
        };
        rows = by_records(unread, (rows, &mut *sink))?;
        Ok(())
    })?;
    if rows == 0 { Err(DecodeError::Empty) } else { Ok(rows) }
}

/// Read records one by one, after as many rows; how many rows of the file there are then.
fn decode_records(
    reading: &Reading,
    mut records: Records,
    schema: &SchemaRef,
    (rows, sink): (u64, &mut Sink<'_>),
) -> Result<u64, DecodeError> {
    let mut sink = sink;
    let mut batches = Batches::new(reading.options.format, schema, reading.limits, &mut sink).after(rows);
    while records.advance()? {
        let entries = object(reading, &records)?;
        batches.append(&entries, records.record().len(), records.line())?;
    }
    batches.finish()
}

/// The record under the cursor, which must be an object.
fn object<'r>(reading: &Reading, records: &'r Records) -> Result<Entries<'r>, DecodeError> {
    let text = std::str::from_utf8(records.record()).map_err(|_| records.malformed("the text is not UTF-8"))?;
    let parsed = parse::parse(text, &reading.options.json.null_values, reading.limits.depth);
    match parsed.map_err(|refused| refused.at(records))? {
        Value::Object(entries) => Ok(entries),
        _ => Err(records.malformed("a row must be an object, with a key for each column")),
    }
}

#[cfg(test)]
mod tests;
