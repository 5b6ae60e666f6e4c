//! JSON: one object a line, or one array of objects.
//!
//! Invariant: numbers keep their digits; what a column's type would change is stored as text or refused.
//! Invariant: blocks are a faster way to what lines one by one come to; no row, type or error depends on it.

use std::{borrow::Cow, io::Cursor, sync::Arc};

use arrow::datatypes::{Schema, SchemaRef};
use sluice_domain::Format;

use self::{block::Plan, records::Records, shape::Shapes};
use super::{
    Decoder, Inferred, OnePass, Reading, Source,
    blocks::{Before, Blocks},
    parts::Parts,
};
use crate::{
    columns::{Batches, Counts, FieldIndex, Value},
    decode_error::DecodeError,
    row_sink::RowSink,
};

mod block;
mod flatten;
mod parse;
mod record_path;
mod records;
mod shape;
mod template;

pub(super) use record_path::rows_at;

pub(super) const DECODER: Decoder = Decoder { infer, decode };

type Entries<'r> = Vec<(Cow<'r, str>, Value<'r>)>;
type EndOfLines = fn(&[u8]) -> Option<usize>;

fn infer(reading: &Reading, source: Source) -> Result<Inferred, DecodeError> {
    let mut seen = Seen::nothing(reading);
    seen.observe(reading, Records::open(reading, source.into_reader())?)?;
    let Seen { shapes, rows, first_bad } = seen;
    let fields = match &reading.options.json.flatten {
        Some(separator) => shapes.into_flat_fields(separator),
        None => shapes.into_fields(),
    };
    if fields.is_empty() {
        return Err(first_bad.unwrap_or(DecodeError::Empty));
    }
    Ok(Inferred { schema: Arc::new(Schema::new(fields)), rows, first_bad })
}

/// What was seen of a file.
struct Seen {
    shapes: Shapes,
    rows: u64,
    first_bad: Option<DecodeError>,
}

impl Seen {
    fn nothing(reading: &Reading) -> Self {
        Self { shapes: Shapes::new(reading.limits.columns), rows: 0, first_bad: None }
    }

    fn observe(&mut self, reading: &Reading, mut records: Records) -> Result<(), DecodeError> {
        while records.advance()? {
            let observed = object(reading, &records)
                .and_then(|entries| self.shapes.observe(&entries).map_err(|refused| refused.at(&records)));
            match observed {
                Ok(()) => self.rows += 1,
                Err(error @ DecodeError::TooManyColumns { .. }) => return Err(error),
                Err(error) => {
                    self.first_bad.get_or_insert(error);
                }
            }
        }
        Ok(())
    }
}

fn decode(reading: &Reading, source: Source, schema: &SchemaRef, sink: &mut dyn RowSink) -> Result<u64, DecodeError> {
    let plan = Arc::new(Plan::new(reading, schema, None));
    let read = match is_read_by_blocks(reading) {
        true => decode_lines(&plan, open_lines(reading, source)?, sink),
        false => decode_records(&plan, Records::open(reading, source.into_reader())?, Counts::default(), sink),
    };
    // Nothing was guessed that could be wrong.
    read?.map(|counts| counts.rows).ok_or(DecodeError::Stopped)
}

/// Whether each line is a record whose keys are columns.
fn is_read_by_blocks(reading: &Reading) -> bool {
    reading.options.format == Format::Ndjson && reading.options.json.flatten.is_none()
}

/// Read a file of lines once: its first block tells the types, unless they turn out not to hold what follows.
pub(super) fn decode_guessing(
    reading: &Reading,
    source: Source,
    sink: &mut dyn RowSink,
) -> Result<OnePass, DecodeError> {
    if !is_read_by_blocks(reading) {
        return Ok(OnePass::Unfit);
    }
    let lines = open_lines(reading, source)?;
    let beginning = Records::resume(reading, Box::new(Cursor::new(lines.first.clone())), Before::default());
    let mut seen = Seen::nothing(reading);
    if seen.observe(reading, beginning).is_err() {
        return Ok(OnePass::Unfit);
    }
    let schema = super::table_columns(&seen.shapes.clone().into_fields().into());
    if schema.fields().is_empty() {
        return Ok(OnePass::Unfit);
    }
    let plan = Arc::new(Plan::new(reading, &schema, Some(seen.shapes)));
    let read = decode_lines(&plan, lines, sink)?;
    Ok(read.map_or(OnePass::Unfit, |_| OnePass::Read))
}

/// Begin to read a file of lines.
fn open_lines(reading: &Reading, source: Source) -> Result<Parts<EndOfLines>, DecodeError> {
    let source = super::without_byte_order_mark(source.into_reader())?;
    let end_of_lines: EndOfLines = |text| memchr::memrchr(b'\n', text).map(|at| at + 1);
    Parts::begin(Blocks::new(source, reading.limits.record_bytes, end_of_lines))
}

/// Read a file of lines by blocks, and what that does not do for by records; none where it is not what was guessed.
fn decode_lines(
    plan: &Arc<Plan>,
    lines: Parts<EndOfLines>,
    sink: &mut dyn RowSink,
) -> Result<Option<Counts>, DecodeError> {
    let plan_of_jobs = Arc::clone(plan);
    let read = lines.rows(
        move |block| plan_of_jobs.decode(block),
        |(source, before), counts, sink| {
            decode_records(plan, Records::resume(&plan.reading(), source, before), counts, sink)
        },
        sink,
    )?;
    match read {
        Some(counts) if counts.records == 0 => Err(DecodeError::Empty),
        read => Ok(read),
    }
}

/// Read records one by one, after as many; how many of the file there are then. None where they are not what was
/// guessed.
fn decode_records(
    plan: &Plan,
    mut records: Records,
    before: Counts,
    sink: &mut dyn RowSink,
) -> Result<Option<Counts>, DecodeError> {
    let (reading, json) = (plan.reading(), &plan.options.json);
    let mut batches =
        Batches::new(plan.options.format, &plan.schema, &plan.limits, sink).coercing(json.coerce).after(before);
    let columns = FieldIndex::of(plan.schema.fields().iter().map(|field| field.name()));
    let mut shapes = plan.guess.clone();
    while records.advance()? {
        let mut entries = object(&reading, &records);
        if let (Some(shapes), Ok(entries)) = (&mut shapes, &entries)
            && shapes.observe(entries).is_err()
        {
            return Ok(None);
        }
        if json.flatten.is_some() {
            entries = entries.map(|entries| flatten::known(entries, &columns));
        }
        let appended = entries
            .and_then(|entries| batches.append(&entries).map_err(|refused| batches.refusal(refused, records.line())));
        match appended {
            Ok(extra_bytes) => batches.end_row(records.record().len() + extra_bytes)?,
            Err(error) => batches.end_bad_row(records.source(), error)?,
        }
    }
    match plan.is_guessed(shapes) {
        true => batches.finish().map(Some),
        false => Ok(None),
    }
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
