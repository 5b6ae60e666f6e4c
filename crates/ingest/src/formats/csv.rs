//! Delimited text.
//!
//! Empty lines are no records. A record has as many fields as the header; quoted fields may hold line ends.
//!
//! Invariant: every field is either stored as it is or named in an error, with its line and column.
//! Invariant: blocks are a faster way to what records one by one come to; no row, type or error depends on it.

use std::{borrow::Cow, sync::Arc};

use arrow::datatypes::{DataType, SchemaRef};
use sluice_domain::{CsvOptions, Format};

use self::{
    block::Plan,
    infer::{Seen, infer},
    records::{Next, Record, Records},
    text::{Text, TextBlocks},
};
use super::{Decoder, OnePass, Reading, Source};
use crate::{
    columns::{Batches, Counts, FieldIndex, Refused},
    decode_error::DecodeError,
    kinds::Kind,
    limits::DecodeLimits,
    row_sink::RowSink,
};

mod block;
mod decimal;
mod fields;
mod guard;
mod header;
mod infer;
mod records;
mod sniff;
mod text;

pub(crate) use sniff::{SAMPLE_BYTES, resolved};

pub(super) const DECODER: Decoder = Decoder { infer, decode };

fn decode(reading: &Reading, source: Source, schema: &SchemaRef, sink: &mut dyn RowSink) -> Result<u64, DecodeError> {
    let read = match Text::open(reading, source.into_reader())? {
        Text::Records(records) => {
            let plan = plan(reading, records.names(), schema, Vec::new())?;
            decode_records(&plan, *records, Counts::default(), sink)
        }
        Text::Blocks(blocks) => {
            let plan = plan(reading, &blocks.names, schema, Vec::new())?;
            decode_blocks(&Arc::new(plan), blocks, sink)
        }
    };
    // Nothing was guessed that could be wrong.
    read?.map(|counts| counts.rows).ok_or(DecodeError::Stopped)
}

/// Read a file once: its first block tells the types, unless they turn out not to hold what follows.
pub(super) fn decode_guessing(
    reading: &Reading,
    source: Source,
    sink: &mut dyn RowSink,
) -> Result<OnePass, DecodeError> {
    let (options, limits) = (&reading.options.csv, reading.limits);
    let Text::Blocks(blocks) = Text::open(reading, source.into_reader())? else { return Ok(OnePass::Unfit) };
    let mut seen = Seen::nothing(&blocks.names);
    match block::observe(&blocks.parts.first, options, limits, seen.kinds.clone()) {
        Some((kinds, rows)) => seen.join(&kinds, rows),
        None => return Ok(OnePass::Unfit),
    }
    let kinds = seen.kinds.clone();
    let schema = seen.inferred().table_columns();
    let plan = plan(reading, &blocks.names, &schema, kinds)?;
    let read = decode_blocks(&Arc::new(plan), blocks, sink)?;
    Ok(read.map_or(OnePass::Unfit, |_| OnePass::Read))
}

fn plan(reading: &Reading, names: &[String], schema: &SchemaRef, guess: Vec<Kind>) -> Result<Plan, DecodeError> {
    let targets = targets(names, schema)?;
    let missing = (0..schema.fields().len()).filter(|at| !targets.contains(at)).collect();
    let (options, limits) = (reading.options.csv.clone(), reading.limits.clone());
    Ok(Plan { options, limits, schema: SchemaRef::clone(schema), targets, missing, guess })
}

/// Read a file by blocks, and what that does not do for by records; none where it is not what was guessed.
fn decode_blocks(plan: &Arc<Plan>, blocks: TextBlocks, sink: &mut dyn RowSink) -> Result<Option<Counts>, DecodeError> {
    let TextBlocks { names, parts } = blocks;
    let plan_of_jobs = Arc::clone(plan);
    parts.rows(
        move |block| plan_of_jobs.decode(block),
        |(source, before), counts, sink| {
            decode_records(plan, Records::resume(&plan.options, source, &plan.limits, (&names, before)), counts, sink)
        },
        sink,
    )
}

/// Read records one by one, after as many; how many of the file there are then. None where they are not what was
/// guessed.
fn decode_records(
    plan: &Plan,
    mut records: Records,
    before: Counts,
    sink: &mut dyn RowSink,
) -> Result<Option<Counts>, DecodeError> {
    let mut batches = Batches::new(Format::Csv, &plan.schema, &plan.limits, sink).after(before);
    loop {
        match records.advance()? {
            Next::Row(record) if !plan.is_as_guessed(&record) => return Ok(None),
            Next::Row(record) => match append(&mut batches, &record, plan) {
                Ok(()) => batches.end_row(record.size_bytes())?,
                Err(refused) => {
                    let error = batches.refusal(refused, record.line());
                    batches.end_bad_row(record.source(), error)?;
                }
            },
            Next::Bad(error) => batches.end_bad_row(records.source(), error)?,
            Next::End => return batches.finish().map(Some),
        }
    }
}

/// Add the fields of a record to the columns, and missing values to those that the file does not have.
fn append(batches: &mut Batches, record: &Record, plan: &Plan) -> Result<(), Refused> {
    let columns = batches.columns();
    for (from, &to) in plan.targets.iter().enumerate() {
        let (field, column) = (record.field(from), &mut columns[to]);
        match field {
            field if is_null(&plan.options, field) => column.append_null(),
            field if *plan.schema.field(to).data_type() == DataType::Utf8 => column.append_text(field),
            field => column.append_text(&number(&plan.options, field)),
        }?;
    }
    plan.missing.iter().try_for_each(|&at| columns[at].append_null())
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
