//! The records of delimited text, one after another.

use std::{io::Read, str::from_utf8};

use csv::{ByteRecord, Reader, ReaderBuilder};
use sluice_domain::{CsvOptions, Format};

use super::{guard::Guard, header};
use crate::{decode_error::DecodeError, formats::blocks::Before, limits::DecodeLimits, row_sink::SourceRecord};

const BUFFER_BYTES: usize = 64 << 10;
/// What ends a record, and is none of its own bytes.
const LINE_END_BYTES: u64 = 2;

/// A file that is read record by record.
pub(super) struct Records {
    reader: Reader<Guard>,
    record: ByteRecord,
    names: Vec<String>,
    record_bytes: usize,
    /// Whether the first record, which gave its length alone, is a row too.
    first_is_row: bool,
    /// What of the file is before the source.
    before: Before,
}

/// What comes next in a file.
pub(super) enum Next<'r> {
    /// A record that is text, with as many fields as there are columns.
    Row(Record<'r>),
    /// A record that is not, behind which reading can go on.
    Bad(DecodeError),
    /// Nothing more.
    End,
}

/// One record, checked to be text.
pub(super) struct Record<'r> {
    text: &'r str,
    file: &'r Records,
}

impl Records {
    /// Begin to read, with the header where there is one.
    pub(super) fn open(
        options: &CsvOptions,
        source: Box<dyn Read + Send>,
        limits: &DecodeLimits,
    ) -> Result<Self, DecodeError> {
        Self::begin(options, super::super::without_byte_order_mark(source)?, limits)
    }

    /// The same without a byte order mark.
    pub(super) fn begin(
        options: &CsvOptions,
        source: Box<dyn Read + Send>,
        limits: &DecodeLimits,
    ) -> Result<Self, DecodeError> {
        let mut records = Self::resume(options, source, limits, (&[], Before::default()));
        records.first_is_row = !options.header;
        if !records.read()? {
            return Err(DecodeError::Empty);
        }
        if records.record.len() > limits.columns {
            return Err(DecodeError::TooManyColumns { limit: limits.columns });
        }
        records.names = header::names(&records.record, options.header)?;
        Ok(records)
    }

    /// Go on in the midst of a file of these columns.
    pub(super) fn resume(
        options: &CsvOptions,
        source: Box<dyn Read + Send>,
        limits: &DecodeLimits,
        (names, before): (&[String], Before),
    ) -> Self {
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(options.delimiter).buffer_capacity(BUFFER_BYTES);
        match options.quote {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        Self {
            reader: builder.from_reader(Guard::new(source, options.delimiter, limits.record_bytes)),
            record: ByteRecord::new(),
            names: names.to_vec(),
            record_bytes: limits.record_bytes,
            first_is_row: false,
            before,
        }
    }

    /// How much was taken.
    pub(super) fn taken(&self) -> Before {
        let position = self.reader.position();
        Before { lines: position.line() - 1, bytes: position.byte() }
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The next record.
    ///
    /// # Errors
    /// What makes it impossible to read on.
    pub(super) fn advance(&mut self) -> Result<Next<'_>, DecodeError> {
        let is_there = std::mem::take(&mut self.first_is_row) || self.read()?;
        if !is_there {
            return Ok(Next::End);
        }
        if self.record.len() != self.names.len() {
            return Ok(Next::Bad(self.unequal()));
        }
        match from_utf8(self.record.as_slice()) {
            // Bytes of two fields may be text together where neither is by itself: then a cut is within a character.
            Ok(text) if (0..self.record.len()).all(|at| self.is_cut_well(text, at)) => {
                Ok(Next::Row(Record { text, file: self }))
            }
            _ => Ok(Next::Bad(self.not_text())),
        }
    }

    fn is_cut_well(&self, text: &str, column: usize) -> bool {
        self.record.range(column).is_some_and(|range| text.is_char_boundary(range.start))
    }

    /// The record that was read last, as it stands in the file.
    pub(super) fn source(&self) -> SourceRecord {
        let (start, bytes) = self.reader.get_ref().record(self.reader.position().byte());
        let byte_offset = Some(self.before.bytes + start);
        SourceRecord { line: Some(self.line()), byte_offset, is_delimited: true, bytes: bytes.to_vec() }
    }

    fn read(&mut self) -> Result<bool, DecodeError> {
        let start = self.reader.position().clone();
        self.reader.get_mut().record_ended(start.byte());
        let is_there = match self.reader.read_byte_record(&mut self.record) {
            Ok(is_there) => is_there,
            Err(error) => return Err(refusal(error, self.before.lines + start.line())),
        };
        let end_byte = self.reader.position().byte();
        if is_there && self.reader.get_ref().is_unclosed(end_byte) {
            let line = self.line_before(0);
            return Err(malformed(line, None, "the record begins here, and a quote in it is never closed"));
        }
        if is_there && end_byte - start.byte() > self.record_bytes as u64 + LINE_END_BYTES {
            return Err(at_line(Guard::too_long(self.record_bytes), self.line()));
        }
        Ok(is_there)
    }

    /// The line that the record begins in: the parser counts line ends, those of its text and its own among them.
    fn line(&self) -> u64 {
        // Of two bytes that end a line, the parser leaves the second one for later.
        let last = self.reader.get_ref().byte_before(self.reader.position().byte());
        self.line_before(u64::from(last != Some(b'\r')))
    }

    /// The line that the record begins in, if this many line ends were taken after it.
    fn line_before(&self, line_ends_after: u64) -> u64 {
        let within = self.record.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64;
        let line = self.before.lines + self.reader.position().line();
        line.saturating_sub(within + line_ends_after).max(1)
    }

    /// The error for a record that has another number of fields.
    fn unequal(&self) -> DecodeError {
        let (found, expected) = (self.record.len(), self.names.len());
        malformed(self.line(), None, format!("the record has {found} fields, the first one has {expected}"))
    }

    /// The error for a record with a field that is not UTF-8.
    fn not_text(&self) -> DecodeError {
        let column = self.record.iter().position(|field| from_utf8(field).is_err());
        malformed(self.line(), column.and_then(|at| self.names.get(at)), "the text is not UTF-8")
    }
}

impl<'r> Record<'r> {
    /// The text of a field.
    pub(super) fn field(&self, column: usize) -> &'r str {
        self.file.record.range(column).and_then(|range| self.text.get(range)).unwrap_or_default()
    }

    /// The record as it stands in the file.
    pub(super) fn source(&self) -> SourceRecord {
        self.file.source()
    }

    /// The line that it begins in.
    pub(super) fn line(&self) -> u64 {
        self.file.line()
    }

    /// How long its texts are together.
    pub(super) fn size_bytes(&self) -> usize {
        self.text.len()
    }
}

fn refusal(error: csv::Error, start_line: u64) -> DecodeError {
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(error) => at_line(DecodeError::from(error), start_line),
        _ => malformed(start_line, None, text),
    }
}

fn malformed(line: u64, column: Option<&String>, reason: impl Into<String>) -> DecodeError {
    DecodeError::Malformed { format: Format::Csv, line: Some(line), column: column.cloned(), reason: reason.into() }
}

fn at_line(error: DecodeError, at: u64) -> DecodeError {
    match error {
        DecodeError::Malformed { format, line: None, column, reason } => {
            DecodeError::Malformed { format, line: Some(at), column, reason }
        }
        other => other,
    }
}
