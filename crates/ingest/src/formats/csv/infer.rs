//! What types the columns of delimited text have.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use sluice_domain::CsvOptions;

use super::{
    block, is_null, number,
    records::{Next, Records},
    text::Text,
};
use crate::{
    decode_error::DecodeError,
    formats::{Inferred, Reading, Source, parts::Part},
    kinds::Kind,
};

pub(super) fn infer(reading: &Reading, source: Source) -> Result<Inferred, DecodeError> {
    let (options, limits) = (&reading.options.csv, reading.limits);
    let blocks = match Text::open(reading, source.into_reader())? {
        Text::Blocks(blocks) => blocks,
        Text::Records(records) => {
            let mut seen = Seen::nothing(records.names());
            seen.observe(options, *records)?;
            return Ok(seen.inferred());
        }
    };
    let names = blocks.names.clone();
    let mut seen = Seen::nothing(&names);
    let (job_options, job_limits, none_seen) = (options.clone(), limits.clone(), seen.kinds.clone());
    let job = move |block: &[u8]| block::observe(block, &job_options, &job_limits, none_seen.clone());
    blocks.parts.each(job, |part| match part {
        Part::Done((kinds, rows)) => {
            seen.join(&kinds, rows);
            Ok(())
        }
        Part::Undone(source, before) => {
            seen.observe(options, Records::resume(options, source, limits, (&names, before)))
        }
    })?;
    Ok(seen.inferred())
}

/// What was seen of a file.
pub(super) struct Seen {
    names: Vec<String>,
    pub(super) kinds: Vec<Kind>,
    rows: u64,
    first_bad: Option<DecodeError>,
}

impl Seen {
    pub(super) fn nothing(names: &[String]) -> Self {
        Self { names: names.to_vec(), kinds: vec![Kind::Null; names.len()], rows: 0, first_bad: None }
    }

    pub(super) fn observe(&mut self, options: &CsvOptions, mut records: Records) -> Result<(), DecodeError> {
        loop {
            match records.advance()? {
                Next::Row(record) => {
                    for (column, kind) in self.kinds.iter_mut().enumerate() {
                        let field = record.field(column);
                        if *kind != Kind::Text && !is_null(options, field) {
                            *kind = kind.widened(&number(options, field));
                        }
                    }
                    self.rows += 1;
                }
                Next::Bad(error) => {
                    self.first_bad.get_or_insert(error);
                }
                Next::End => return Ok(()),
            }
        }
    }

    pub(super) fn join(&mut self, kinds: &[Kind], rows: u64) {
        self.kinds.iter_mut().zip(kinds).for_each(|(kind, other)| *kind = kind.join(*other));
        self.rows += rows;
    }

    pub(super) fn inferred(self) -> Inferred {
        let fields = self.names.iter().zip(self.kinds).map(|(name, kind)| Field::new(name, kind.data_type(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Inferred { schema, rows: self.rows, first_bad: self.first_bad }
    }
}
