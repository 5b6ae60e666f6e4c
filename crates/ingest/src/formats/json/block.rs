//! One block of lines to rows: those written like the one before column by column, others one by one.
//!
//! Invariant: what comes of a block is what comes of its records one by one, or nothing does: a block with something
//! wrong in it is left to whoever names places.

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{DataType, SchemaRef},
};
use sluice_domain::ReadOptions;

use super::{
    super::{Reading, table_columns, table_type},
    Entries, parse,
    shape::Shapes,
    template::{Span, Template, Token},
};
use crate::{
    columns::{BATCH_BYTES, CELL_BYTES, Cells, FieldIndex, Fields, Value},
    kinds::Kind,
    limits::DecodeLimits,
};

/// How much the rows of one block may take; few bytes can be many missing values.
const MAX_ROWS_BYTES: usize = 4 * BATCH_BYTES;

/// How many rows go into the columns at a time: what they are read from stays in the cache for all columns.
const ROWS_IN_CACHE: usize = 256;

/// How the blocks of one file are read.
pub(super) struct Plan {
    pub(super) options: ReadOptions,
    pub(super) limits: DecodeLimits,
    pub(super) schema: SchemaRef,
    /// What the beginning of the file looks like, where that tells the schema.
    pub(super) guess: Option<Shapes>,
}

/// The rows of a block so far.
struct Rows<'p> {
    plan: &'p Plan,
    block: &'p str,
    index: FieldIndex,
    fields: Fields,
    shapes: Option<Shapes>,
    template: Option<Template>,
    /// Values that were found by the template, row by row, and are in no column yet.
    spans: Vec<Span>,
    /// Those that are in columns.
    rows: usize,
    /// What they take.
    bytes: usize,
    /// What all take that were ever in columns.
    bytes_in_all: usize,
    batches: Vec<RecordBatch>,
}

impl Plan {
    pub(super) fn new(reading: &Reading, schema: &SchemaRef, guess: Option<Shapes>) -> Self {
        let (options, limits) = (reading.options.clone(), reading.limits.clone());
        Self { options, limits, schema: SchemaRef::clone(schema), guess }
    }

    pub(super) fn reading(&self) -> Reading<'_> {
        Reading { options: &self.options, limits: &self.limits }
    }

    /// Whether the schema is that of such records, where it was guessed.
    pub(super) fn is_guessed(&self, shapes: Option<Shapes>) -> bool {
        shapes.is_none_or(|shapes| table_columns(&shapes.into_fields().into()) == self.schema)
    }

    /// The rows of a block.
    pub(super) fn decode(&self, block: &[u8]) -> Option<Vec<RecordBatch>> {
        let block = std::str::from_utf8(block).ok().filter(|block| block.len() <= u32::MAX as usize)?;
        let mut fields = Fields::new(self.schema.fields());
        if self.options.json.coerce {
            fields.coerce();
        }
        let mut rows = Rows {
            plan: self,
            block,
            index: FieldIndex::of(self.schema.fields().iter().map(|field| field.name())),
            fields,
            shapes: self.guess.clone(),
            template: None,
            spans: Vec::new(),
            rows: 0,
            bytes: 0,
            bytes_in_all: 0,
            batches: Vec::new(),
        };
        rows.read()?;
        Some(rows.batches)
    }
}

impl Rows<'_> {
    fn read(&mut self) -> Option<()> {
        let mut start = 0;
        while start < self.block.len() {
            let end = memchr::memchr(b'\n', &self.block.as_bytes()[start..]).map_or(self.block.len(), |at| start + at);
            self.record(start, end)?;
            start = end + 1;
        }
        self.end_batch()?;
        self.plan.is_guessed(self.shapes.take()).then_some(())
    }

    fn record(&mut self, start: usize, end: usize) -> Option<()> {
        let line = self.block.get(start..end)?;
        let record = line.trim_start_matches([' ', '\t', '\r']);
        if record.is_empty() {
            return Some(());
        }
        if record.len() > self.plan.limits.record_bytes {
            return None;
        }
        let start = end - record.len();
        let is_read = match &self.template {
            Some(template) => template.read(self.block.as_bytes(), (start, end), &mut self.spans),
            None => false,
        };
        if !is_read {
            self.unlike(record)?;
        }
        if self.waiting() >= ROWS_IN_CACHE {
            self.take_spans()?;
        }
        let width = CELL_BYTES * self.fields.width().max(1);
        self.bytes += record.len() + width;
        let is_full = self.waiting() + self.rows >= self.plan.limits.batch_rows.max(1) || self.bytes >= BATCH_BYTES;
        if is_full { self.end_batch() } else { Some(()) }
    }

    /// Add a record that is not written like the one before.
    fn unlike(&mut self, record: &str) -> Option<()> {
        self.take_spans()?;
        let entries = self.entries(record)?;
        if let Some(shapes) = &mut self.shapes {
            shapes.observe(&entries).ok()?;
        }
        let mut cells = Cells::of_one_record();
        self.fields.append(&entries, &mut cells).ok()?;
        self.bytes += cells.spent() * CELL_BYTES;
        self.rows += 1;
        self.template = Template::of(record.as_bytes(), &self.index);
        Some(())
    }

    fn entries<'r>(&self, record: &'r str) -> Option<Entries<'r>> {
        match parse::parse(record, &self.plan.options.json.null_values, self.plan.limits.depth) {
            Ok(Value::Object(entries)) => Some(entries),
            _ => None,
        }
    }

    /// How many rows the template found that are in no column yet.
    fn waiting(&self) -> usize {
        self.template.as_ref().map_or(0, |template| self.spans.len() / template.columns.len())
    }

    /// Put what the template found into the columns.
    fn take_spans(&mut self) -> Option<()> {
        let waiting = self.waiting();
        let (Some(template), 1..) = (&self.template, waiting) else { return Some(()) };
        let (block, stride) = (self.block, template.columns.len());
        let null_values = &self.plan.options.json.null_values;
        // What is to be guessed is what values are, not what they could be taken for.
        let coerces = self.plan.options.json.coerce && self.shapes.is_none();
        let is_null = |span: &Span| match span.token {
            Token::Null => true,
            Token::String => null_values.iter().any(|null| null == span.text(block)),
            Token::Boolean | Token::Number => false,
        };
        for (at, field) in self.plan.schema.fields().iter().enumerate() {
            let column = self.fields.columns.get_mut(at)?;
            let Some(position) = template.columns.iter().position(|column| *column == at) else {
                column.append_nulls(waiting).ok()?;
                continue;
            };
            let spans = || (0..waiting).filter_map(|row| self.spans.get(row * stride + position));
            let values = || spans().filter(|span| !is_null(span));
            let guess = self.shapes.as_ref().map(|shapes| shapes.kind(at));
            if !takes_strings(field.data_type(), coerces) && values().any(|span| span.token == Token::String)
                || guess.is_some_and(|guess| !is_as_guessed(guess, values().map(|span| (*span, block))))
            {
                return None;
            }
            column.append_texts(spans().map(|span| (!is_null(span)).then(|| span.text(block)))).ok()?;
        }
        self.spans.clear();
        self.rows += waiting;
        Some(())
    }

    fn end_batch(&mut self) -> Option<()> {
        self.take_spans()?;
        if self.rows == 0 {
            return Some(());
        }
        self.bytes_in_all += self.bytes;
        if self.bytes_in_all > MAX_ROWS_BYTES {
            return None;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let columns = self.fields.finish().ok()?;
        let schema = SchemaRef::clone(&self.plan.schema);
        self.batches.push(RecordBatch::try_new_with_options(schema, columns, &options).ok()?);
        (self.rows, self.bytes) = (0, 0);
        Some(())
    }
}

/// Whether a column takes strings: numbers and booleans are none in quotes where it does not coerce, but for decimals.
fn takes_strings(data_type: &DataType, coerces: bool) -> bool {
    use DataType as T;
    match data_type {
        T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Decimal128(..) | T::Date32 | T::Timestamp(..) => true,
        T::Boolean => coerces,
        other => coerces && (other.is_integer() || other.is_floating()),
    }
}

/// Whether values are of the kind that was guessed, as far as storing them does not tell.
fn is_as_guessed<'b>(guess: Option<Kind>, mut values: impl Iterator<Item = (Span, &'b str)>) -> bool {
    match guess {
        // Texts take everything, and decimals what is written with a point too.
        Some(kind @ (Kind::Null | Kind::BigInteger)) => {
            let joined = values.fold(kind, |kind, (span, block)| kind.join(span.kind(block)));
            table_type(&joined.data_type()) == table_type(&kind.data_type())
        }
        // A moment between spaces is stored as such, and is a text where nobody asked for moments.
        Some(Kind::Date | Kind::Local | Kind::Zoned) => {
            values.all(|(span, block)| !span.text(block).starts_with(' ') && !span.text(block).ends_with(' '))
        }
        Some(Kind::Boolean | Kind::SmallInteger | Kind::Integer | Kind::Float | Kind::Text) => true,
        // A list or a struct takes none.
        None => false,
    }
}
