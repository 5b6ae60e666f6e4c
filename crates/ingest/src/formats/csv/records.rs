//! The records of delimited text, one after another.

use std::{io::Read, str::from_utf8};

use csv::{ByteRecord, Reader, ReaderBuilder};
use sluice_domain::{CsvOptions, Format};

use super::{guard::Guard, header};
use crate::{decode_error::DecodeError, limits::DecodeLimits};

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
    /// How many lines end before the source begins.
    lines_before: u64,
}

/// One record, checked to be text.
pub(super) struct Record<'r> {
    text: &'r str,
    file: &'r Records,
}

impl Records {
    /// Begin to read, with the header where there is one; without a byte order mark.
    pub(super) fn begin(
        options: &CsvOptions,
        source: Box<dyn Read + Send>,
        limits: &DecodeLimits,
    ) -> Result<Self, DecodeError> {
        let mut records = Self::resume(options, source, limits, (&[], 0));
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

    /// Go on in the midst of a file of these columns, after as many lines.
    pub(super) fn resume(
        options: &CsvOptions,
        source: Box<dyn Read + Send>,
        limits: &DecodeLimits,
        (names, lines_before): (&[String], u64),
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
            lines_before,
        }
    }

    /// How many bytes were taken, and how many lines ended in them.
    pub(super) fn taken(&self) -> (usize, u64) {
        let position = self.reader.position();
        (position.byte() as usize, position.line() - 1)
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The next row; none at the end.
    pub(super) fn advance(&mut self) -> Result<Option<Record<'_>>, DecodeError> {
        let is_there = std::mem::take(&mut self.first_is_row) || self.read()?;
        if !is_there {
            return Ok(None);
        }
        match from_utf8(self.record.as_slice()) {
            Ok(text) => Ok(Some(Record { text, file: self })),
            Err(_) => Err(self.not_text()),
        }
    }

    fn read(&mut self) -> Result<bool, DecodeError> {
        self.reader.get_mut().record_ended();
        let start = self.reader.position().clone();
        let is_there = match self.reader.read_byte_record(&mut self.record) {
            Ok(is_there) => is_there,
            Err(error) => return Err(self.refusal(error, self.lines_before + start.line())),
        };
        if is_there && !self.names.is_empty() && self.record.len() != self.names.len() {
            let (found, expected) = (self.record.len(), self.names.len());
            let reason = format!("the record has {found} fields, the first one has {expected}");
            return Err(malformed(self.line(), None, reason));
        }
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
        let line = self.lines_before + self.reader.position().line();
        line.saturating_sub(within + line_ends_after).max(1)
    }

    /// The error for a record with a field that is not UTF-8.
    fn not_text(&self) -> DecodeError {
        let column = self.record.iter().position(|field| from_utf8(field).is_err());
        malformed(self.line(), column.and_then(|at| self.names.get(at)), "the text is not UTF-8")
    }

    fn refusal(&self, error: csv::Error, start_line: u64) -> DecodeError {
        let text = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(error) => at_line(DecodeError::from(error), start_line),
            _ => malformed(start_line, None, text),
        }
    }
}

impl<'r> Record<'r> {
    /// The text of a field.
    pub(super) fn field(&self, column: usize) -> Result<&'r str, DecodeError> {
        // Bytes of two fields may be text together where neither is by itself: then the cut is within a character.
        let field = self.file.record.range(column).and_then(|range| self.text.get(range));
        field.ok_or_else(|| self.file.not_text())
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
