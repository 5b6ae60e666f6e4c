//! Records that are no rows, as bytes: the length of a header, the header, and the record as it is.

use std::io;

use super::frame::nonsense;
use crate::row_sink::BadRow;

/// What comes before the record.
pub(super) fn header(row: &BadRow) -> io::Result<Vec<u8>> {
    let message = serde_json::to_vec(row)?;
    let length = u32::try_from(message.len()).map_err(|_| nonsense("a header that is too long"))?;
    Ok([&length.to_le_bytes()[..], &message].concat())
}

/// The record in the bytes of a frame.
pub(super) fn decode(bytes: &[u8]) -> io::Result<BadRow> {
    let (length, rest) = bytes.split_first_chunk().ok_or_else(|| nonsense("a record without a header"))?;
    let header = rest.split_at_checked(u32::from_le_bytes(*length) as usize);
    let (header, record) = header.ok_or_else(|| nonsense("a record with a header that is cut off"))?;
    let mut row: BadRow = serde_json::from_slice(header)?;
    row.source.bytes = record.to_vec();
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DecodeError, row_sink::SourceRecord};

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let source = SourceRecord { line: Some(3), bytes: vec![0, 255, b'x'], ..SourceRecord::default() };
        let row = BadRow { number: 2, source: source.clone(), error: DecodeError::Empty };
        let bytes = [header(&row).unwrap(), row.source.bytes.clone()].concat();
        let read = decode(&bytes).unwrap();
        assert_eq!((read.number, read.source), (2, source));
        for length in [0, 3, 10] {
            assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
        }
    }
}
