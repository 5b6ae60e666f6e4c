//! Delimited text.
//!
//! Empty lines are no records. A record has as many fields as the header; quoted fields may hold line ends.
//!
//! Invariant: every field is either stored as it is or named in an error, with its line and column.

use std::{borrow::Cow, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
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
    let (mut rows, mut first_bad) = (0, None);
    loop {
        match records.advance()? {
            Next::Row(record) => {
                for (column, kind) in kinds.iter_mut().enumerate() {
                    let field = record.field(column);
                    if *kind != Kind::Text && !is_null(options, field) {
                        *kind = kind.widened(&number(options, field));
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
    let places = Places::new(records.names(), schema)?;
    let mut batches = Batches::new(Format::Csv, schema, reading.limits, sink);
    loop {
        match records.advance()? {
            Next::Row(record) => match append(&mut batches, &record, options, &places) {
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
fn append(batches: &mut Batches, record: &Record, options: &CsvOptions, places: &Places) -> Result<(), Refused> {
    let columns = batches.columns();
    for (from, &Place { column, is_text }) in places.of_fields.iter().enumerate() {
        let (field, column) = (record.field(from), &mut columns[column]);
        match field {
            field if is_null(options, field) => column.append_null(),
            field if is_text => column.append_text(field),
            field => column.append_text(&number(options, field)),
        }?;
    }
    places.missing.iter().try_for_each(|&at| columns[at].append_null())
}

/// Where the fields of a record go.
struct Places {
    of_fields: Vec<Place>,
    /// Columns of the table that the file does not have.
    missing: Vec<usize>,
}

struct Place {
    column: usize,
    is_text: bool,
}

impl Places {
    fn new(names: &[String], schema: &SchemaRef) -> Result<Self, DecodeError> {
        let targets = targets(names, schema)?;
        let missing = (0..schema.fields().len()).filter(|at| !targets.contains(at)).collect();
        let place = |column: usize| Place { column, is_text: *schema.field(column).data_type() == DataType::Utf8 };
        Ok(Self { of_fields: targets.into_iter().map(place).collect(), missing })
    }
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
