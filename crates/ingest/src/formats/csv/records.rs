//! The records of delimited text, one after another.

use std::{io::Read, str::from_utf8};

use csv::{ByteRecord, Reader, ReaderBuilder};
use sluice_domain::{CsvOptions, Format};

use super::{guard::Guard, header};
use crate::{
    error::DecodeError,
    limits::DecodeLimits,
};

const BUFFER_BYTES: usize = 64 << 10;

/// A file that is read record by record.
pub(super) struct Records {
    reader: Reader<Guard>,
    record: ByteRecord,
    names: Vec<String>,
    record_bytes: usize,
    /// Whether the first record, which gave its length alone, is a row too.
    first_is_row: bool,
}

/// One record, checked to be text.
pub(super) struct Record<'r> {
    text: &'r str,
    record: &'r ByteRecord,
    names: &'r [String],
}

impl Records {
    /// Begin to read, with the header where there is one.
    pub(super) fn open(
        options: &CsvOptions,
        source: Box<dyn Read + Send>,
        limits: &DecodeLimits,
    ) -> Result<Self, DecodeError> {
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).delimiter(options.delimiter).buffer_capacity(BUFFER_BYTES);
        match options.quote {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        let source = super::super::without_byte_order_mark(source)?;
        let mut records = Self {
            reader: builder.from_reader(Guard::new(source, limits.record_bytes)),
            record: ByteRecord::new(),
            names: Vec::new(),
            record_bytes: limits.record_bytes,
            first_is_row: !options.header,
        };
        if !records.read()? {
            return Err(DecodeError::Empty);
        }
        if records.record.len() > limits.columns {
            return Err(DecodeError::TooManyColumns { limit: limits.columns });
        }
        records.names = header::names(&records.record, options.header)?;
        Ok(records)
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
        let (record, names) = (&self.record, &self.names[..]);
        match from_utf8(record.as_slice()) {
            Ok(text) => Ok(Some(Record { text, record, names })),
            Err(_) => Err(not_text(record, names)),
        }
    }

    fn read(&mut self) -> Result<bool, DecodeError> {
        self.reader.get_mut().record_ended();
        let start = self.reader.position().clone();
        let is_there = self.reader.read_byte_record(&mut self.record).map_err(|error| refusal(error, start.line()))?;
        let end_byte = self.reader.position().byte();
        let malformed = |reason: &str| malformed(line(&self.record), None, reason);
        if is_there && self.reader.get_ref().is_unclosed(end_byte) {
            return Err(malformed("the record begins here, and a quote in it is never closed"));
        }
        if end_byte - start.byte() > self.record_bytes as u64 + 2 {
            return Err(at_line(Guard::too_long(self.record_bytes), line(&self.record)));
        }
        Ok(is_there)
    }
}

impl<'r> Record<'r> {
    /// The text of a field.
    pub(super) fn field(&self, column: usize) -> Result<&'r str, DecodeError> {
        // Bytes of two fields may be text together where neither is by itself: then the cut is within a character.
        let field = self.record.range(column).and_then(|range| self.text.get(range));
        field.ok_or_else(|| not_text(self.record, self.names))
    }

    /// The line that it begins in.
    pub(super) fn line(&self) -> u64 {
        line(self.record)
    }

    /// How long its texts are together.
    pub(super) fn size_bytes(&self) -> usize {
        self.text.len()
    }
}

fn line(record: &ByteRecord) -> u64 {
    record.position().map_or(1, csv::Position::line)
}

fn malformed(line: u64, column: Option<&String>, reason: impl Into<String>) -> DecodeError {
    DecodeError::Malformed { format: Format::Csv, line: Some(line), column: column.cloned(), reason: reason.into() }
}

/// The error for a record with a field that is not UTF-8.
fn not_text(record: &ByteRecord, names: &[String]) -> DecodeError {
    let column = record.iter().position(|field| from_utf8(field).is_err());
    malformed(line(record), column.and_then(|at| names.get(at)), "the text is not UTF-8")
}

fn refusal(error: csv::Error, start_line: u64) -> DecodeError {
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(error) => at_line(DecodeError::from(error), start_line),
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.map_or(start_line, |pos| pos.line());
            malformed(line, None, format!("the record has {len} fields, the first one has {expected_len}"))
        }
        _ => malformed(start_line, None, text),
    }
}

fn at_line(error: DecodeError, at: u64) -> DecodeError {
    match error {
        DecodeError::Malformed { format, line: None, column, reason } => {
            DecodeError::Malformed { format, line: Some(at), column, reason }
        }
        other => other,
    }
}
