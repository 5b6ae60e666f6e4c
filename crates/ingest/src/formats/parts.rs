//! The blocks of a text, worked on by all cores.
//!
//! Invariant: what is taken of the blocks is taken in their order, whichever core is done with its block first.

use std::io::Read;

use arrow::array::RecordBatch;

use super::blocks::{Before, Blocks, Next, line_ends};
use crate::{columns::Counts, decode_error::DecodeError, in_order::InOrder, row_sink::RowSink};

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

/// A text, and what is before it.
type Text = (Box<dyn Read + Send>, Before);

/// What came of a block.
struct Finished<T> {
    block: Vec<u8>,
    result: Option<T>,
    lines: u64,
}

impl<F: Fn(&[u8]) -> Option<usize>> Parts<F> {
    /// Hand on the rows that `job` makes of each block, and those that `records` reads, after as many, of a text that it
    /// makes nothing of; how many there were. None where that is not what was guessed.
    pub(super) fn rows(
        self,
        job: impl Fn(&[u8]) -> Option<Vec<RecordBatch>> + Clone + Send + 'static,
        mut records: impl FnMut(Text, Counts, &mut dyn RowSink) -> Result<Option<Counts>, DecodeError>,
        sink: &mut dyn RowSink,
    ) -> Result<Option<Counts>, DecodeError> {
        let (mut counts, mut is_as_guessed) = (Counts::default(), true);
        let outcome = self.each(job, |part| match part {
            Part::Done(batches) => counts.hand_on(batches, &mut *sink),
            Part::Undone(source, before) => {
                let read = records((source, before), counts, &mut *sink)?;
                is_as_guessed = read.is_some();
                counts = read.ok_or(DecodeError::Stopped)?;
                Ok(())
            }
        });
        match outcome {
            Err(DecodeError::Stopped) if !is_as_guessed => Ok(None),
            outcome => outcome.map(|()| Some(counts)),
        }
    }

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
