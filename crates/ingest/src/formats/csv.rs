//! Delimited text.
//!
//! Empty lines are no records. A record has as many fields as the header; quoted fields may hold line ends.
//!
//! Invariant: every field is either stored as it is or named in an error, with its line and column.
//! Invariant: blocks are a faster way to what records one by one come to; no row, type or error depends on it.

use std::{io::Read, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};
use sluice_domain::{CsvOptions, Format};

use self::{
    block::{Decoded, Plan},
    records::Records,
    text::{Text, TextBlocks},
};
use super::{Decoder, Inferred, OnePass, Reading, Source, parts::Part};
use crate::{
    columns::{Batches, FieldIndex, Sink},
    decode_error::DecodeError,
    kinds::Kind,
};

mod block;
mod fields;
mod guard;
mod header;
mod records;
mod text;

pub(super) const DECODER: Decoder = Decoder { infer, decode };

fn infer(reading: &Reading, source: Source) -> Result<Inferred, DecodeError> {
    let (options, limits) = (&reading.options.csv, reading.limits);
    let blocks = match Text::open(reading, source.into_reader())? {
        Text::Blocks(blocks) => blocks,
        Text::Records(records) => {
            let mut seen = Seen::nothing(records.names());
            seen.observe(options, *records)?;
            return Ok(seen.inferred());
        }
    };
    let names = blocks.names.clone();
    let mut seen = Seen::nothing(&names);
    let (job_options, job_limits, none_seen) = (options.clone(), limits.clone(), seen.kinds.clone());
    let job = move |block: &[u8]| block::observe(block, &job_options, &job_limits, none_seen.clone());
    blocks.parts.each(job, |part| match part {
        Part::Done((kinds, rows)) => {
            seen.join(&kinds, rows);
            Ok(())
        }
        Part::Undone(source, lines) => seen.observe(options, Records::resume(options, source, limits, (&names, lines))),
    })?;
    Ok(seen.inferred())
}

/// What was seen of a file.
struct Seen {
    names: Vec<String>,
    kinds: Vec<Kind>,
    rows: u64,
}

impl Seen {
    fn nothing(names: &[String]) -> Self {
        Self { names: names.to_vec(), kinds: vec![Kind::Null; names.len()], rows: 0 }
    }

    fn observe(&mut self, options: &CsvOptions, mut records: Records) -> Result<(), DecodeError> {
        while let Some(record) = records.advance()? {
            for (column, kind) in self.kinds.iter_mut().enumerate() {
                let field = record.field(column)?;
                if *kind != Kind::Text && !is_null(options, field) {
                    *kind = kind.widened(field);
                }
            }
            self.rows += 1;
        }
        Ok(())
    }

    fn join(&mut self, kinds: &[Kind], rows: u64) {
        self.kinds.iter_mut().zip(kinds).for_each(|(kind, other)| *kind = kind.join(*other));
        self.rows += rows;
    }

    fn inferred(self) -> Inferred {
        let fields = self.names.iter().zip(self.kinds).map(|(name, kind)| Field::new(name, kind.data_type(), true));
        Inferred { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())), rows: self.rows }
    }
}

fn decode<'s>(
    reading: &Reading,
    source: Source,
    schema: &SchemaRef,
    sink: &'s mut Sink<'s>,
) -> Result<u64, DecodeError> {
    match Text::open(reading, source.into_reader())? {
        Text::Records(records) => {
            let plan = plan(reading, records.names(), schema, Vec::new())?;
            decode_records(&plan, *records, 0, sink)
        }
        Text::Blocks(blocks) => {
            let (names, plan) = (blocks.names.clone(), Arc::new(plan(reading, &blocks.names, schema, Vec::new())?));
            let plan_of_records = Arc::clone(&plan);
            decode_blocks(plan, blocks, sink, |unread, (rows, sink)| {
                let Some((source, lines)) = unread else { return Err(DecodeError::Stopped) };
                let records = Records::resume(&reading.options.csv, source, reading.limits, (&names, lines));
                decode_records(&plan_of_records, records, rows, sink)
            })
        }
    }
}

/// Read a file once: its first block tells the types. None where they turn out not to hold what follows.
pub(super) fn decode_guessing<'s>(
    reading: &Reading,
    source: Source,
    sink: &'s mut Sink<'s>,
) -> Result<OnePass, DecodeError> {
    let (options, limits) = (&reading.options.csv, reading.limits);
    let Text::Blocks(blocks) = Text::open(reading, source.into_reader())? else { return Ok(OnePass::Unfit) };
    let mut seen = Seen::nothing(&blocks.names);
    match block::observe(&blocks.parts.first, options, limits, seen.kinds.clone()) {
        Some((kinds, rows)) => seen.join(&kinds, rows),
        None => return Ok(OnePass::Unfit),
    }
    let kinds = seen.kinds.clone();
    let schema = seen.inferred().schema;
    let plan = plan(reading, &blocks.names, &schema, kinds)?;
    let mut fits = true;
    let outcome = decode_blocks(Arc::new(plan), blocks, sink, |_, _| {
        fits = false;
        Err(DecodeError::Stopped)
    });
    match outcome {
        Err(DecodeError::Stopped) if !fits => Ok(OnePass::Unfit),
        outcome => Ok(OnePass::Read(Inferred { schema, rows: outcome? })),
    }
}

fn plan(reading: &Reading, names: &[String], schema: &SchemaRef, guess: Vec<Kind>) -> Result<Plan, DecodeError> {
    let targets = targets(names, schema)?;
    let missing = (0..schema.fields().len()).filter(|at| !targets.contains(at)).collect();
    let (options, limits) = (reading.options.csv.clone(), reading.limits.clone());
    Ok(Plan { options, limits, schema: SchemaRef::clone(schema), targets, missing, guess })
}

/// Text that is not read by blocks, and how many lines are before it.
type Unread = (Box<dyn Read + Send>, u64);

/// Read a file by blocks; `by_records` reads what that does not do for, and tells how many rows of the file there are
/// then.
fn decode_blocks(
    plan: Arc<Plan>,
    blocks: TextBlocks,
    sink: &mut Sink<'_>,
    mut by_records: impl FnMut(Option<Unread>, (u64, &mut Sink<'_>)) -> Result<u64, DecodeError>,
) -> Result<u64, DecodeError> {
    let mut rows = 0;
    let job = move |block: &[u8]| plan.decode(block);
    blocks.parts.each(job, |part| {
        let unread: Option<Unread> = match part {
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
    Ok(rows)
}

/// Read records one by one, after as many rows; how many rows of the file there are then.
fn decode_records(plan: &Plan, mut records: Records, rows: u64, sink: &mut Sink<'_>) -> Result<u64, DecodeError> {
    let mut sink = sink;
    let mut batches = Batches::new(Format::Csv, &plan.schema, &plan.limits, &mut sink).after(rows);
    while let Some(record) = records.advance()? {
        for (from, &to) in plan.targets.iter().enumerate() {
            let field = record.field(from)?;
            let column = &mut batches.columns()[to];
            let stored = if is_null(&plan.options, field) { column.append_null() } else { column.append_text(field) };
            stored.map_err(|refused| batches.refusal(refused, record.line()))?;
        }
        for &at in &plan.missing {
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

/// Whether the field stands for a missing value. Quotes make no difference.
fn is_null(options: &CsvOptions, field: &str) -> bool {
    (field.is_empty() && options.empty_as_null) || options.null_values.iter().any(|null| null == field)
}

#[cfg(test)]
mod tests;
