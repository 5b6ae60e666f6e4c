//! The blocks of a text, worked on by all cores.
//!
//! Invariant: what is taken of the blocks is taken in their order, whichever core is done with its block first.

use std::io::Read;

use super::blocks::{Before, Blocks, Next, line_ends};
use crate::{decode_error::DecodeError, in_order::InOrder};

/// A text of which the first block was cut.
pub(super) struct Parts<F> {
    /// What is to be read of the first block.
    pub(super) first: Vec<u8>,
    /// Those after it.
    pub(super) blocks: Blocks<F>,
    /// What is before the first one.
    pub(super) before: Before,
}

/// A part of a text whose turn has come.
pub(super) enum Part<T> {
    /// What a job made of a block.
    Done(T),
    /// A text that no job made anything of, and what is before it.
    Undone(Box<dyn Read + Send>, Before),
}

/// What came of a block.
struct Finished<T> {
    block: Vec<u8>,
    result: Option<T>,
    lines: u64,
}

impl<F: Fn(&[u8]) -> Option<usize>> Parts<F> {
    /// The parts of a text from its start.
    pub(super) fn begin(mut blocks: Blocks<F>) -> Result<Self, DecodeError> {
        let (first, blocks) = match blocks.next()? {
            Next::Block(block) => (block, blocks),
            Next::End => (Vec::new(), blocks),
            Next::Uncut(rest) => (Vec::new(), blocks.put_back(rest)),
        };
        Ok(Self { first, blocks, before: Before::default() })
    }

    /// Give every block to `job`, on all cores, and what comes of them to `take`, in order.
    pub(super) fn each<T: Send + 'static>(
        mut self,
        job: impl Fn(&[u8]) -> Option<T> + Clone + Send + 'static,
        mut take: impl FnMut(Part<T>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut jobs = InOrder::new();
        let mut before = self.before;
        let mut hand_on = |Finished { block, result, lines }: Finished<T>| {
            let bytes = block.len() as u64;
            let (part, spare) = match result {
                Some(result) => (Part::Done(result), block),
                None => (Part::Undone(Box::new(std::io::Cursor::new(block)), before), Vec::new()),
            };
            before = Before { lines: before.lines + lines, bytes: before.bytes + bytes };
            take(part).map(|()| spare)
        };
        let mut next = Ok(Next::Block(std::mem::take(&mut self.first)));
        while let Ok(Next::Block(block)) = next {
            if jobs.is_full() {
                let spare = jobs.pop().map_or(Ok(Vec::new()), &mut hand_on)?;
                self.blocks.reuse(spare);
            }
            let job = job.clone();
            jobs.push(move || {
                let (result, lines) = (job(&block), line_ends(&block));
                Finished { block, result, lines }
            });
            next = self.blocks.next();
        }
        // What is wrong with earlier records is said first.
        while let Some(finished) = jobs.pop() {
            hand_on(finished)?;
        }
        match next? {
            Next::Uncut(rest) => take(Part::Undone(rest, before)),
            Next::Block(_) | Next::End => Ok(()),
        }
    }
}
