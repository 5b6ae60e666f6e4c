//! Results as bytes: JSON, CSV, Arrow.
//!
//! JSON is exact: integers are numbers with all their digits, decimals are strings with all theirs, dates and times
//! are ISO 8601 strings, binary is hexadecimal, and a float that is not a number or not finite is `null`.
//!
//! Invariant: the columns of a result have different names; a later column of the same name gets a number.

use std::{collections::HashSet, io::Write, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, RecordBatch, StringArray},
    csv,
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
    error::ArrowError,
    ipc::writer::StreamWriter,
    json::{
        Encoder, EncoderFactory, EncoderOptions, WriterBuilder,
        writer::{JsonArray, LineDelimited, NullableEncoder, make_encoder},
    },
    util::display::{ArrayFormatter, FormatOptions},
};
use bytes::Bytes;
use datafusion::error::DataFusionError;

use crate::{QueryError, redaction::Redaction};

/// What a result is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// RFC 4180 with a header; nested values are JSON text, missing ones are empty.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
}

/// Writes one result, batch by batch.
pub struct RowWriter {
    schema: SchemaRef,
    sink: Sink,
}

enum Sink {
    Json(arrow::json::Writer<Vec<u8>, JsonArray>),
    Ndjson(arrow::json::Writer<Vec<u8>, LineDelimited>),
    Csv { header_written: bool },
    Arrow(Box<StreamWriter<Vec<u8>>>),
}

impl RowWriter {
    /// A writer of results with these columns.
    ///
    /// # Errors
    /// [`QueryError::Evaluation`] for types that the format has no form for.
    pub fn new(format: OutputFormat, schema: &Schema) -> Result<Self, QueryError> {
        let schema = with_distinct_names(schema);
        let json = || WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(ExactDecimals));
        let sink = match format {
            OutputFormat::Json => Sink::Json(json().build(Vec::new())),
            OutputFormat::Ndjson => Sink::Ndjson(json().build(Vec::new())),
            OutputFormat::Csv => Sink::Csv { header_written: false },
            OutputFormat::Arrow => {
                Sink::Arrow(Box::new(StreamWriter::try_new(Vec::new(), &schema).map_err(unwritable)?))
            }
        };
        Ok(Self { schema, sink })
    }

    /// The columns as they are named in the output.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The bytes of some rows, and of what stands before them.
    ///
    /// # Errors
    /// [`QueryError::Evaluation`] for values that the format has no form for.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Bytes, QueryError> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), batch.columns().to_vec()).map_err(unwritable)?;
        match &mut self.sink {
            Sink::Json(writer) => writer.write(&batch).map(|()| taken(writer.get_mut())),
            Sink::Ndjson(writer) => writer.write(&batch).map(|()| taken(writer.get_mut())),
            Sink::Csv { header_written } => csv_bytes(&batch, !std::mem::replace(header_written, true)),
            Sink::Arrow(writer) => writer.write(&batch).map(|()| taken(writer.get_mut())),
        }
        .map_err(unwritable)
    }

    /// The bytes that end the output; without rows, those that begin it too.
    ///
    /// # Errors
    /// [`QueryError::Evaluation`] as for [`Self::write`].
    pub fn finish(mut self) -> Result<Bytes, QueryError> {
        match &mut self.sink {
            Sink::Json(writer) => writer.finish().map(|()| taken(writer.get_mut())),
            Sink::Ndjson(writer) => writer.finish().map(|()| taken(writer.get_mut())),
            Sink::Csv { header_written: true } => Ok(Bytes::new()),
            Sink::Csv { header_written: false } => csv_bytes(&RecordBatch::new_empty(self.schema), true),
            Sink::Arrow(writer) => writer.finish().map(|()| taken(writer.get_mut())),
        }
        .map_err(unwritable)
    }
}

fn taken(buffer: &mut Vec<u8>) -> Bytes {
    Bytes::from(std::mem::take(buffer))
}

fn unwritable(error: ArrowError) -> QueryError {
    let message = Redaction::default().message(&DataFusionError::from(error));
    QueryError::Evaluation { message }
}

/// `x, x, x` becomes `x, x_2, x_3`, or the next numbers that are free.
fn with_distinct_names(schema: &Schema) -> SchemaRef {
    let mut taken: HashSet<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let mut seen = HashSet::new();
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|field| {
            if seen.insert(field.name().clone()) {
                return Arc::clone(field);
            }
            let name = (2..).map(|n| format!("{}_{n}", field.name())).find(|name| !taken.contains(name));
            let name = name.unwrap_or_default();
            taken.insert(name.clone());
            Arc::new(field.as_ref().clone().with_name(name))
        })
        .collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn csv_bytes(batch: &RecordBatch, header: bool) -> Result<Bytes, ArrowError> {
    let columns: Vec<ArrayRef> = batch.columns().iter().map(flattened).collect::<Result<_, _>>()?;
    let fields: Vec<Field> = batch
        .schema()
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true))
        .collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let mut bytes = Vec::new();
    csv::WriterBuilder::new().with_header(header).build(&mut bytes).write(&batch)?;
    Ok(bytes.into())
}

/// A column that a CSV field can hold: nested values become JSON text.
fn flattened(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !column.data_type().is_nested() {
        return Ok(Arc::clone(column));
    }
    let field: FieldRef = Arc::new(Field::new("", column.data_type().clone(), true));
    let options = EncoderOptions::default().with_encoder_factory(Arc::new(ExactDecimals));
    let mut encoder = make_encoder(&field, column, &options)?;
    let texts = (0..column.len()).map(|row| {
        let mut text = Vec::new();
        (!encoder.is_null(row)).then(|| {
            encoder.encode(row, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    Ok(Arc::new(texts.collect::<StringArray>()))
}

/// Writes decimals as strings: most readers of JSON take numbers for floats, and would round them.
#[derive(Debug)]
struct ExactDecimals;

impl EncoderFactory for ExactDecimals {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        use DataType::{Decimal32, Decimal64, Decimal128, Decimal256};
        if !matches!(array.data_type(), Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..)) {
            return Ok(None);
        }
        const OPTIONS: FormatOptions<'static> = FormatOptions::new();
        let encoder = QuotedDecimal(ArrayFormatter::try_new(array, &OPTIONS)?);
        Ok(Some(NullableEncoder::new(Box::new(encoder), array.nulls().cloned())))
    }
}

struct QuotedDecimal<'a>(ArrayFormatter<'a>);

impl Encoder for QuotedDecimal<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        let _ = write!(out, "\"{}\"", self.0.value(row));
    }
}
