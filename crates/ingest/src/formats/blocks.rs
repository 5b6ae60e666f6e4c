//! A text cut into blocks between records, so that several can be decoded at a time.
//!
//! Invariant: the blocks one after another are the text; where they are cut depends on its bytes alone, and each but
//! the last ends where a record does.

use std::io::{Cursor, Read};

use crate::decode_error::DecodeError;

/// The least size of a block, but for the last. Small in tests, so that every file of theirs has many.
pub(super) const BLOCK_BYTES: usize = if cfg!(test) { 256 } else { 1 << 19 };

/// How many blocks that are done with are kept for others.
const MAX_SPARE_BLOCKS: usize = 4;

/// How much of a text is before some place in it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Before {
    pub(super) lines: u64,
    pub(super) bytes: u64,
}

/// What comes next of a text.
pub(super) enum Next {
    /// Whole records.
    Block(Vec<u8>),
    /// What begins with a record that is longer than what blocks are made for, or that never ends.
    Uncut(Box<dyn Read + Send>),
    /// Nothing more.
    End,
}

/// Cuts a text.
pub(super) struct Blocks<F> {
    source: Box<dyn Read + Send>,
    /// The beginning of the next block.
    rest: Vec<u8>,
    /// The memory of blocks that are done with: fresh memory costs more than what is read into it.
    spare: Vec<Vec<u8>>,
    has_ended: bool,
    /// What was not cut and is still to be had.
    uncut: Option<Box<dyn Read + Send>>,
    /// Where the last record ends in bytes that begin with a record.
    end_of_records: F,
    max_bytes: usize,
}

impl<F: Fn(&[u8]) -> Option<usize>> Blocks<F> {
    /// Records longer than `record_bytes` are not looked for.
    pub(super) fn new(source: Box<dyn Read + Send>, record_bytes: usize, end_of_records: F) -> Self {
        let max_bytes = record_bytes.saturating_add(2 * BLOCK_BYTES);
        Self { source, rest: Vec::new(), spare: Vec::new(), has_ended: false, uncut: None, end_of_records, max_bytes }
    }

    /// The next block.
    pub(super) fn next(&mut self) -> Result<Next, DecodeError> {
        if let Some(uncut) = self.uncut.take() {
            return Ok(Next::Uncut(uncut));
        }
        let mut block = std::mem::take(&mut self.rest);
        loop {
            self.fill(&mut block)?;
            if self.has_ended {
                return Ok(if block.is_empty() { Next::End } else { Next::Block(block) });
            }
            if let Some(end) = (self.end_of_records)(&block) {
                self.rest = self.spare.pop().unwrap_or_default();
                self.rest.extend_from_slice(&block[end..]);
                block.truncate(end);
                return Ok(Next::Block(block));
            }
            if block.len() >= self.max_bytes {
                let source = std::mem::replace(&mut self.source, Box::new(std::io::empty()));
                self.has_ended = true;
                return Ok(Next::Uncut(Box::new(Cursor::new(block).chain(source))));
            }
        }
    }

    /// Read until the block is twice as long as it was, and no shorter than the least.
    fn fill(&mut self, block: &mut Vec<u8>) -> Result<(), DecodeError> {
        if self.has_ended {
            return Ok(());
        }
        let wanted = (2 * block.len()).max(BLOCK_BYTES).min(self.max_bytes.max(block.len()));
        let missing = if block.len() < BLOCK_BYTES { BLOCK_BYTES - block.len() } else { wanted - block.len() };
        block.reserve(missing);
        let count = self.source.by_ref().take(missing as u64).read_to_end(block)?;
        self.has_ended = count < missing;
        Ok(())
    }

    /// Take the memory of a block that is done with, for one to come.
    pub(super) fn reuse(&mut self, mut block: Vec<u8>) {
        if block.capacity() <= 2 * BLOCK_BYTES && self.spare.len() < MAX_SPARE_BLOCKS {
            block.clear();
            self.spare.push(block);
        }
    }

    /// Give back what was not cut, to be had again as it is.
    pub(super) fn put_back(mut self, uncut: Box<dyn Read + Send>) -> Self {
        self.uncut = Some(uncut);
        self
    }

    /// What is left of the text after `start`, which was taken from it.
    pub(super) fn uncut(self, start: Vec<u8>) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(start).chain(Cursor::new(self.rest)).chain(self.source))
    }
}

/// How many lines end in these bytes.
pub(super) fn line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives bytes in pieces of this size, as networks do.
    struct Dripping(Cursor<Vec<u8>>, usize);

    impl Read for Dripping {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let length = buffer.len().min(self.1);
            self.0.read(&mut buffer[..length])
        }
    }

    fn cut(text: &[u8], piece: usize, record_bytes: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
        let source = Dripping(Cursor::new(text.to_vec()), piece);
        let end = |bytes: &[u8]| memchr::memrchr(b'\n', bytes).map(|at| at + 1);
        let mut blocks = Blocks::new(Box::new(source), record_bytes, end);
        let mut found = Vec::new();
        loop {
            match blocks.next().unwrap() {
                Next::Block(block) => found.push(block),
                Next::End => return (found, Vec::new()),
                Next::Uncut(mut source) => {
                    let mut rest = Vec::new();
                    source.read_to_end(&mut rest).unwrap();
                    return (found, rest);
                }
            }
        }
    }

    #[test]
    fn blocks_are_the_text_whatever_the_pieces_it_comes_in() {
        let line = |number: usize| format!("{number:0width$}\n", width = number % 150 + 1);
        let text: String = (0..2000).map(line).collect();
        let (blocks, rest) = cut(text.as_bytes(), 1000, 1 << 20);
        assert!(rest.is_empty() && blocks.len() > 100);
        assert_eq!(blocks.concat(), text.as_bytes());
        assert!(blocks.iter().all(|block| block.ends_with(b"\n") && block.len() <= BLOCK_BYTES));
        assert_eq!(cut(text.as_bytes(), 7, 1 << 20).0, blocks);
    }

    #[test]
    fn a_record_longer_than_a_block_makes_it_longer_and_one_beyond_the_limit_ends_the_cutting() {
        let text = [vec![b'x'; 20 * BLOCK_BYTES], b"\ny\n".to_vec()].concat();
        let (blocks, rest) = cut(&text, 50, 30 * BLOCK_BYTES);
        assert!(rest.is_empty());
        assert_eq!(blocks.concat(), text);
        let (blocks, rest) = cut(&text, 50, 1000);
        assert!(blocks.is_empty());
        assert_eq!(rest, text);
    }

    #[test]
    fn a_block_that_was_taken_can_be_put_back() {
        let text = b"a\nb\nc".repeat(BLOCK_BYTES);
        let source = Box::new(Cursor::new(text.clone()));
        let mut blocks = Blocks::new(source, 100, |bytes: &[u8]| memchr::memrchr(b'\n', bytes).map(|at| at + 1));
        let Next::Block(first) = blocks.next().unwrap() else { panic!("no block") };
        let mut whole = Vec::new();
        blocks.uncut(first).read_to_end(&mut whole).unwrap();
        assert!(whole == text);
    }
}
