//! A file of delimited text whose header was read, and what follows it in blocks.

use std::io::{Cursor, Read};

use super::{fields::Marks, records::Records};
use crate::{
    decode_error::DecodeError,
    formats::{
        Reading,
        blocks::{Before, Blocks, Next},
        parts::Parts,
    },
};

pub(super) type EndOfRecords = Box<dyn Fn(&[u8]) -> Option<usize>>;

/// What a file turns out to be.
pub(super) enum Text {
    /// One that is read block by block.
    Blocks(TextBlocks),
    /// One whose first records are too long for that.
    Records(Box<Records>),
}

/// The blocks of a file.
pub(super) struct TextBlocks {
    pub(super) names: Vec<String>,
    pub(super) parts: Parts<EndOfRecords>,
}

impl Text {
    pub(super) fn open(reading: &Reading, source: Box<dyn Read + Send>) -> Result<Self, DecodeError> {
        let (options, limits) = (&reading.options.csv, reading.limits);
        let whole = |source| Records::begin(options, source, limits).map(|records| Self::Records(Box::new(records)));
        let source = super::super::without_byte_order_mark(source)?;
        let marks = Marks::of(options);
        // Numbers with a comma are written anew, one by one.
        if !marks.are_characters() || options.decimal_comma {
            return whole(source);
        }
        let ends: EndOfRecords = Box::new(move |text| marks.end_of_records(text));
        let mut blocks = Blocks::new(source, limits.record_bytes, ends);
        let mut first = match blocks.next()? {
            Next::Block(block) => block,
            Next::Uncut(source) => return whole(source),
            Next::End => return Err(DecodeError::Empty),
        };
        let records = match Records::begin(options, Box::new(Cursor::new(first.clone())), limits) {
            // Nothing but empty lines so far.
            Err(DecodeError::Empty) => return whole(blocks.uncut(first)),
            other => other?,
        };
        let before = if options.header { records.taken() } else { Before::default() };
        let names = records.names().to_vec();
        first.drain(..first.len().min(before.bytes as usize));
        Ok(Self::Blocks(TextBlocks { names, parts: Parts { first, blocks, before } }))
    }
}
