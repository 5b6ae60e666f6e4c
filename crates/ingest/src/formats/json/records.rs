//! The records of a JSON file, cut out of a stream one after another without looking into them.
//!
//! Invariant: one record at a time is in memory, and none that is longer than the limit.

use std::io::{BufRead as _, BufReader, Read};

use sluice_domain::Format;

use super::super::Reading;
use crate::{decode_error::DecodeError, formats::blocks::Before, row_sink::SourceRecord};

const BUFFER_BYTES: usize = 64 << 10;

/// Where the reader is among the records.
#[derive(Clone, Copy, PartialEq)]
enum Position {
    /// In a file of lines.
    Lines,
    /// Before the one object that the file is.
    Alone,
    /// Right after the bracket that opens the array.
    First,
    /// After a record of the array.
    Between,
    /// After the one value that the file is.
    End,
}

/// A file that is read record by record.
pub(super) struct Records {
    source: BufReader<Box<dyn Read + Send>>,
    position: Position,
    format: Format,
    limit_bytes: usize,
    record: Vec<u8>,
    /// The line that the record begins in.
    line: u64,
    /// The line that the reader is in.
    line_now: u64,
    element: u64,
}

impl Records {
    pub(super) fn open(reading: &Reading, source: Box<dyn Read + Send>) -> Result<Self, DecodeError> {
        let mut records = Self::resume(reading, super::super::without_byte_order_mark(source)?, Before::default());
        let first = records.next_mark()?.ok_or(DecodeError::Empty)?;
        if records.format == Format::Json {
            records.begin(first)?;
        }
        Ok(records)
    }

    /// Go on in the midst of a file of lines.
    pub(super) fn resume(reading: &Reading, source: Box<dyn Read + Send>, before: Before) -> Self {
        Self {
            source: BufReader::with_capacity(BUFFER_BYTES, source),
            position: Position::Lines,
            format: reading.options.format,
            limit_bytes: reading.limits.record_bytes,
            record: Vec::new(),
            line: before.lines + 1,
            line_now: before.lines + 1,
            element: 0,
        }
    }

    /// The bytes of the record.
    pub(super) fn record(&self) -> &[u8] {
        &self.record
    }

    /// The record as it stands in the file.
    pub(super) fn source(&self) -> SourceRecord {
        let bytes = self.record.trim_ascii().to_vec();
        SourceRecord { line: Some(self.line), bytes, ..SourceRecord::default() }
    }

    /// The line that the record begins in.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The error for the record.
    pub(super) fn malformed(&self, reason: &str) -> DecodeError {
        let reason = match self.element {
            0 => reason.to_owned(),
            element => format!("element {element}: {reason}"),
        };
        DecodeError::Malformed { format: self.format, line: Some(self.line), column: None, reason }
    }

    /// Go to the next record; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool, DecodeError> {
        self.record.clear();
        let mark = self.next_mark()?;
        self.line = self.line_now;
        match (self.position, mark) {
            (Position::Lines | Position::Alone | Position::End, None) => Ok(false),
            (Position::Lines, Some(_)) => self.read_line(),
            (Position::Alone, Some(_)) => {
                self.position = Position::End;
                self.read_object()
            }
            (Position::First | Position::Between, None) => Err(self.malformed("the array is not closed")),
            (Position::First | Position::Between, Some(b']')) => {
                self.skip_mark();
                self.position = Position::End;
                self.advance()
            }
            (Position::First, Some(first)) => self.read_element(first),
            (Position::Between, Some(b',')) => {
                self.skip_mark();
                let first = self.next_mark()?.filter(|mark| !matches!(mark, b']' | b','));
                self.line = self.line_now;
                let first = first.ok_or_else(|| self.malformed("a value must follow the comma"))?;
                self.read_element(first)
            }
            (Position::Between, Some(_)) => Err(self.malformed("there must be a comma between two elements")),
            (Position::End, Some(_)) => {
                self.element = 0;
                Err(self.malformed("more follows the one value that the file may be; one object a line is ndjson"))
            }
        }
    }

    /// Find out whether the file is an array or one object.
    fn begin(&mut self, first: u8) -> Result<(), DecodeError> {
        self.line = self.line_now;
        match first {
            b'[' => {
                self.skip_mark();
                self.position = Position::First;
                Ok(())
            }
            b'{' => {
                self.position = Position::Alone;
                Ok(())
            }
            _ => Err(self.malformed("the file must be an array of objects, or one object")),
        }
    }

    /// The next byte that is no white space, not yet taken.
    fn next_mark(&mut self) -> Result<Option<u8>, DecodeError> {
        loop {
            let buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let blank = buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
            self.line_now += line_ends(&buffer[..blank]);
            let mark = buffer.get(blank).copied();
            self.source.consume(blank);
            if mark.is_some() {
                return Ok(mark);
            }
        }
    }

    fn skip_mark(&mut self) {
        self.source.consume(1);
    }

    fn read_line(&mut self) -> Result<bool, DecodeError> {
        self.source.by_ref().take(self.limit_bytes as u64 + 1).read_until(b'\n', &mut self.record)?;
        if self.record.last() == Some(&b'\n') {
            self.record.pop();
            self.line_now += 1;
        }
        self.check_length()?;
        Ok(true)
    }

    fn check_length(&self) -> Result<(), DecodeError> {
        if self.record.len() > self.limit_bytes {
            return Err(self.malformed(&format!("the record has more than {} bytes", self.limit_bytes)));
        }
        Ok(())
    }

    fn read_element(&mut self, first: u8) -> Result<bool, DecodeError> {
        self.element += 1;
        self.position = Position::Between;
        match first {
            b'{' | b'[' => self.read_object(),
            _ => self.read_scalar(),
        }
    }

    /// An element that is no row, up to what ends it.
    fn read_scalar(&mut self) -> Result<bool, DecodeError> {
        let (mut in_string, mut escaped) = (false, false);
        self.read_value(|part| {
            part.iter().position(|byte| {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if in_string => escaped = true,
                    b'"' => in_string = !in_string,
                    b',' | b']' | b'\n' => return !in_string,
                    _ => {}
                }
                false
            })
        })
    }

    fn read_object(&mut self) -> Result<bool, DecodeError> {
        let mut scanner = Scanner::default();
        self.read_value(|part| scanner.end_in(part))
    }

    /// A value up to its end, which may be in any of the parts that it comes in.
    fn read_value(&mut self, mut end_in: impl FnMut(&[u8]) -> Option<usize>) -> Result<bool, DecodeError> {
        loop {
            let buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                return Err(self.malformed("the file ends within the record"));
            }
            let end = end_in(buffer);
            let length = end.unwrap_or(buffer.len());
            self.line_now += line_ends(&buffer[..length]);
            self.record.extend_from_slice(&buffer[..length]);
            self.source.consume(length);
            self.check_length()?;
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

/// Follows brackets and strings, to see where a value ends.
#[derive(Default)]
pub(super) struct Scanner {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scanner {
    /// How much of this part belongs to the value, if it ends within.
    pub(super) fn end_in(&mut self, part: &[u8]) -> Option<usize> {
        for (at, &byte) in part.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

pub(super) fn line_ends(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}
