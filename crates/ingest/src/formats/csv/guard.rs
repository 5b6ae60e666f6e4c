//! What a CSV parser does not watch itself: records without end, and quotes that nobody closes.

use std::io::{self, Read};

use sluice_domain::Format;

use crate::decode_error::DecodeError;

/// Follows the file's last byte: the first line end ends the last record, the second one is an empty line,
/// unless both lie between quotes that were never closed.
const ENDING: &[u8] = b"\n\n";

/// Delimiters of one record, those between quotes counted too: the parser remembers the place of each.
const MAX_DELIMITERS: usize = 2 << 20;
/// Delimiters are counted in records that are longer than this; shorter ones have no more than a parser may remember.
const SHORT_BYTES: usize = 1 << 20;

/// Hands a file to a parser that keeps whole records in memory.
pub(super) struct Guard {
    inner: Box<dyn Read + Send>,
    delimiter: u8,
    limit_bytes: usize,
    since_record: usize,
    delimiters: usize,
    /// Where the record begins that is read now, or the line ends before it.
    record_start: u64,
    /// What was handed out from some byte of the file on, the record that is read now among it: the parser does not
    /// keep how a record is written.
    kept: Vec<u8>,
    kept_from: u64,
    /// What of the ending is still to come, once the file has ended.
    ending: Option<&'static [u8]>,
}

impl Guard {
    pub(super) fn new(inner: Box<dyn Read + Send>, delimiter: u8, limit_bytes: usize) -> Self {
        Self {
            inner,
            delimiter,
            limit_bytes,
            since_record: 0,
            delimiters: 0,
            record_start: 0,
            kept: Vec::new(),
            kept_from: 0,
            ending: None,
        }
    }

    /// A record is complete; the next one begins at this byte, or behind line ends that do.
    pub(super) fn record_ended(&mut self, at_byte: u64) {
        (self.since_record, self.delimiters) = (0, 0);
        self.record_start = at_byte;
    }

    /// How many bytes of the file were handed out.
    fn content_bytes(&self) -> u64 {
        self.kept_from + self.kept.len() as u64
    }

    /// The record that is read now and reaches up to this byte, as it is written, and the byte that it begins at.
    pub(super) fn record(&self, end_byte: u64) -> (u64, &[u8]) {
        let place = |byte: u64| (byte.saturating_sub(self.kept_from) as usize).min(self.kept.len());
        let (start, end) = (place(self.record_start), place(end_byte));
        let is_line_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let mut record = self.kept.get(start..end).unwrap_or_default();
        let line_ends = record.iter().take_while(|byte| is_line_end(byte)).count();
        record = &record[line_ends..];
        let after = record.iter().rev().take_while(|byte| is_line_end(byte)).count();
        (self.record_start + line_ends as u64, &record[..record.len() - after])
    }

    fn count_delimiters(&mut self, part: &[u8]) -> Result<(), DecodeError> {
        if self.since_record > SHORT_BYTES {
            self.delimiters += part.iter().filter(|&&byte| byte == self.delimiter).count();
        }
        if self.delimiters <= MAX_DELIMITERS {
            return Ok(());
        }
        Err(DecodeError::malformed(Format::Csv, format!("the record has more than {MAX_DELIMITERS} delimiters")))
    }

    /// Whether a record that reaches up to this byte swallowed the ending.
    pub(super) fn is_unclosed(&self, end_byte: u64) -> bool {
        self.ending.is_some() && end_byte > self.content_bytes() + 1
    }

    /// The last of so many bytes, if it is one of the record that is read now.
    pub(super) fn byte_before(&self, end_byte: u64) -> Option<u8> {
        let at = end_byte.checked_sub(self.kept_from)?.checked_sub(1)?;
        self.kept.get(usize::try_from(at).ok()?).copied()
    }

    /// Forget what is before the record that is read now.
    fn forget(&mut self) {
        let count = (self.record_start.saturating_sub(self.kept_from) as usize).min(self.kept.len());
        self.kept.drain(..count);
        self.kept_from += count as u64;
    }

    pub(super) fn too_long(limit_bytes: usize) -> DecodeError {
        DecodeError::malformed(
            Format::Csv,
            format!("the record has more than {limit_bytes} bytes; is there a quote that is not closed?"),
        )
    }
}

impl Read for Guard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(ending) = &mut self.ending {
            return ending.read(buffer);
        }
        if self.since_record > self.limit_bytes {
            return Err(Self::too_long(self.limit_bytes).into());
        }
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            return self.ending.insert(ENDING).read(buffer);
        }
        self.since_record += count;
        self.count_delimiters(&buffer[..count])?;
        self.forget();
        self.kept.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}
