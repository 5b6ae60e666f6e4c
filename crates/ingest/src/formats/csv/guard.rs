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
    content_bytes: u64,
    /// What was handed out last: the parser does not tell which byte it stopped at.
    last_part: Vec<u8>,
    /// What of the ending is still to come, once the file has ended.
    ending: Option<&'static [u8]>,
}

impl Guard {
    pub(super) fn new(inner: Box<dyn Read + Send>, delimiter: u8, limit_bytes: usize) -> Self {
        let last_part = Vec::new();
        Self {
            inner,
            delimiter,
            limit_bytes,
            since_record: 0,
            delimiters: 0,
            content_bytes: 0,
            last_part,
            ending: None,
        }
    }

    /// A record is complete.
    pub(super) fn record_ended(&mut self) {
        (self.since_record, self.delimiters) = (0, 0);
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
        self.ending.is_some() && end_byte > self.content_bytes + 1
    }

    /// The last of so many bytes, if it was handed out last.
    pub(super) fn byte_before(&self, end_byte: u64) -> Option<u8> {
        let back = usize::try_from(self.content_bytes.checked_sub(end_byte)?).ok()?;
        let at = self.last_part.len().checked_sub(back)?.checked_sub(1)?;
        self.last_part.get(at).copied()
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
        self.content_bytes += count as u64;
        self.last_part.clear();
        self.last_part.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}
