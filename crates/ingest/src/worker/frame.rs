//! What goes through the pipes between the server and a process that decodes: a tag, a length, so many bytes.
//!
//! Invariant: memory is taken for no frame that is longer than those of its tag may be.

use std::io::{self, Read, Write};

use arrow::buffer::{Buffer, MutableBuffer};
use serde::{Serialize, de::DeserializeOwned};

/// What a message may be long: the schema of a table with as many columns as there may be fits in.
const MESSAGE_BYTES: usize = 32 << 20;
const FAILURE_BYTES: usize = 64 << 10;
const NUMBERS_BYTES: usize = 16;
/// What an answer to a request for bytes may be long.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    /// To the process: what is to be done.
    Task = b'T',
    /// To the process: bytes of the file; fewer than were asked for at its end.
    Piece = b'P',
    /// From the process: it waits for its task.
    Ready = b'H',
    /// From the process: bytes of the file are wanted; from where, and how many.
    Read = b'R',
    /// From the process: what the file holds.
    Inferred = b'I',
    /// From the process: rows.
    Batch = b'B',
    /// From the process: a record that is no row.
    BadRow = b'X',
    /// From the process: what is wrong with the file.
    Failed = b'F',
    /// From the process: how many rows there were.
    Decoded = b'D',
}

const TAGS: [Tag; 9] =
    [Tag::Task, Tag::Piece, Tag::Ready, Tag::Read, Tag::Inferred, Tag::Batch, Tag::BadRow, Tag::Failed, Tag::Decoded];

/// One frame. Its bytes are aligned as arrays of numbers are.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) tag: Tag,
    pub(super) bytes: Buffer,
}

impl Frame {
    /// The next frame; batches are no longer than `batch_bytes`.
    pub(super) fn read(from: &mut impl Read, batch_bytes: usize) -> io::Result<Self> {
        let mut head = [0; 5];
        from.read_exact(&mut head)?;
        let [tag, length @ ..] = head;
        let tag = TAGS.into_iter().find(|known| *known as u8 == tag).ok_or_else(|| nonsense("an unknown tag"))?;
        let length = u32::from_le_bytes(length) as usize;
        let limit = match tag {
            Tag::Task | Tag::Inferred => MESSAGE_BYTES,
            Tag::Piece => PIECE_BYTES,
            Tag::Failed => FAILURE_BYTES,
            Tag::Batch | Tag::BadRow => batch_bytes,
            Tag::Ready | Tag::Read | Tag::Decoded => NUMBERS_BYTES,
        };
        if length > limit {
            return Err(nonsense("a frame that is too long"));
        }
        let mut bytes = MutableBuffer::from_len_zeroed(length);
        from.read_exact(&mut bytes)?;
        Ok(Self { tag, bytes: bytes.into() })
    }

    /// The message in it.
    pub(super) fn message<T: DeserializeOwned>(&self) -> io::Result<T> {
        Ok(serde_json::from_slice(&self.bytes)?)
    }

    /// The numbers in it.
    pub(super) fn numbers<const N: usize>(&self) -> io::Result<[u64; N]> {
        if self.bytes.len() != N * size_of::<u64>() {
            return Err(nonsense("a frame of another length"));
        }
        let mut numbers = [0; N];
        for (number, bytes) in numbers.iter_mut().zip(self.bytes.chunks_exact(size_of::<u64>())) {
            *number = bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        }
        Ok(numbers)
    }
}

/// Write a frame of these parts, one after another.
pub(super) fn write(to: &mut impl Write, tag: Tag, parts: &[&[u8]]) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = u32::try_from(length).map_err(|_| nonsense("a frame that is too long"))?;
    to.write_all(&[tag as u8])?;
    to.write_all(&length.to_le_bytes())?;
    parts.iter().try_for_each(|part| to.write_all(part))?;
    to.flush()
}

pub(super) fn write_message(to: &mut impl Write, tag: Tag, message: &impl Serialize) -> io::Result<()> {
    write(to, tag, &[&serde_json::to_vec(message)?])
}

pub(super) fn write_numbers<const N: usize>(to: &mut impl Write, tag: Tag, numbers: [u64; N]) -> io::Result<()> {
    let bytes = numbers.map(u64::to_le_bytes);
    write(to, tag, &[bytes.as_flattened()])
}

/// What came is not what the other side says when it is sound.
pub(super) fn nonsense(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        write_numbers(&mut bytes, Tag::Read, [7, u64::MAX]).unwrap();
        write_message(&mut bytes, Tag::Task, &["a"]).unwrap();
        let mut from = &bytes[..];
        let first = Frame::read(&mut from, 0).unwrap();
        assert_eq!((first.tag, first.numbers().unwrap()), (Tag::Read, [7, u64::MAX]));
        assert!(first.numbers::<1>().is_err());
        assert_eq!(Frame::read(&mut from, 0).unwrap().message::<Vec<String>>().unwrap(), ["a"]);
        assert_eq!(Frame::read(&mut from, 0).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn no_tag_takes_more_than_it_may() {
        for tag in TAGS {
            let head = [&[tag as u8][..], &u32::MAX.to_le_bytes()].concat();
            let error = Frame::read(&mut &head[..], 1 << 20).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{tag:?}");
        }
        let unknown = Frame::read(&mut &b"?\0\0\0\0"[..], 0).unwrap_err();
        assert_eq!(unknown.kind(), io::ErrorKind::InvalidData);
    }
}
