//! Records in buckets: a little of each bucket waits in memory, the rest lies in a scratch file.
//!
//! Invariant: a bucket gives its records in the order in which they came, as often as it is read.
//! Invariant: memory holds no more of a bucket than one piece and one record.

use std::{
    fs::File,
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::TableError;

/// Where a piece of a bucket lies in the scratch file.
#[derive(Debug, Clone, Copy)]
struct Piece {
    offset: u64,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Bucket {
    waiting: Vec<u8>,
    written: Vec<Piece>,
}

/// Records of any length in a fixed number of buckets.
#[derive(Debug)]
pub(super) struct Spill {
    buckets: Vec<Bucket>,
    piece_bytes: usize,
    scratch_dir: PathBuf,
    scratch: Option<File>,
    end: u64,
}

impl Spill {
    /// No records. A bucket of which as many bytes wait goes to a scratch file in this folder.
    pub(super) fn new(buckets: usize, piece_bytes: usize, scratch_dir: &Path) -> Self {
        let buckets = std::iter::repeat_with(Bucket::default).take(buckets).collect();
        Self { buckets, piece_bytes, scratch_dir: scratch_dir.to_owned(), scratch: None, end: 0 }
    }

    pub(super) fn bucket_count(&self) -> usize {
        self.buckets.len()
    }

    /// Add a record of these parts.
    pub(super) fn push(&mut self, bucket: usize, parts: &[&[u8]]) -> Result<(), TableError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).map_err(TableError::encode)?;
        let waiting = &mut self.buckets[bucket].waiting;
        waiting.extend_from_slice(&length.to_le_bytes());
        parts.iter().for_each(|part| waiting.extend_from_slice(part));
        if waiting.len() < self.piece_bytes { Ok(()) } else { self.write_out(bucket) }
    }

    fn write_out(&mut self, bucket: usize) -> Result<(), TableError> {
        let mut scratch = match &self.scratch {
            Some(scratch) => scratch,
            None => self.scratch.insert(tempfile::tempfile_in(&self.scratch_dir)?),
        };
        let Bucket { waiting, written } = &mut self.buckets[bucket];
        scratch.write_all(waiting)?;
        written.push(Piece { offset: self.end, bytes: waiting.len() });
        self.end += waiting.len() as u64;
        waiting.clear();
        // One long record must not leave its room to a bucket for good.
        waiting.shrink_to(self.piece_bytes);
        Ok(())
    }

    /// Show each record of a bucket.
    pub(super) fn read(
        &self,
        bucket: usize,
        mut show: impl FnMut(&[u8]) -> Result<(), TableError>,
    ) -> Result<(), TableError> {
        let Bucket { waiting, written } = &self.buckets[bucket];
        let mut buffer = Vec::new();
        for piece in written {
            let Some(scratch) = &self.scratch else { break };
            buffer.resize(piece.bytes, 0);
            scratch.read_exact_at(&mut buffer, piece.offset)?;
            show_all(&buffer, &mut show)?;
        }
        show_all(waiting, &mut show)
    }
}

fn show_all(mut bytes: &[u8], show: &mut impl FnMut(&[u8]) -> Result<(), TableError>) -> Result<(), TableError> {
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (record, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(torn)?;
        show(record)?;
        bytes = rest;
    }
    Ok(())
}

/// A scratch file that does not hold what was written to it.
pub(super) fn torn() -> TableError {
    TableError::encode(std::io::Error::other("a scratch file is not as it was written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_order_and_as_often_as_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = Spill::new(3, 40, folder.path());
        let text = |number: usize| "x".repeat(number % 97);
        for number in 0..500 {
            spill.push(number % 3, &[&number.to_le_bytes(), text(number).as_bytes()]).unwrap();
        }
        assert!(spill.scratch.is_some(), "more than a piece was written");
        for _ in 0..2 {
            for bucket in 0..3 {
                let mut expected = (0..500).filter(|number| number % 3 == bucket);
                let shown = spill.read(bucket, |record| {
                    let number = expected.next().unwrap();
                    assert_eq!(record, [number.to_le_bytes().as_slice(), text(number).as_bytes()].concat());
                    Ok(())
                });
                shown.unwrap();
                assert_eq!(expected.next(), None);
            }
        }
    }
}
