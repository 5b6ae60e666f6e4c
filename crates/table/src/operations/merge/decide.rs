//! What becomes of each row of a source and of each row of the table that it matches, bucket by bucket.
//!
//! Invariant: a key that the source has is in the table once afterwards, or not at all.

use std::collections::{BTreeMap, HashMap};

use arrow::{array::BooleanBufferBuilder, buffer::BooleanBuffer};

use super::{
    Keep, MergeRule, Source,
    keys::{KeySpill, Record},
};
use crate::{Matched, RowChanges, TableError};

/// Rows of the table that may have a key of the source.
pub(super) struct Candidates {
    pub(super) records: KeySpill,
    /// How many rows each file has; files that were left out have none.
    pub(super) file_rows: Vec<u64>,
}

/// What becomes of the rows.
pub(super) struct Decisions {
    /// The rows of the source that are rows of the table as they are.
    pub(super) written: BooleanBuffer,
    /// The rows of the source that take what they lack from the row of the table that they match.
    pub(super) patches: BooleanBuffer,
    /// The rows that each file loses.
    pub(super) removed: BTreeMap<u32, BooleanBuffer>,
    pub(super) rows: RowChanges,
}

/// The row of the source that stands for its key.
struct Winner {
    number: u64,
    order: Box<[u8]>,
    /// How many rows of the source have the key.
    rows: u64,
    /// Whether rows of the table have it, and the newest of them.
    matched: Option<Box<[u8]>>,
    /// Whether these rows leave the table.
    replaces: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Inserted,
    Updated,
    Deleted,
    Deduplicated,
    Rejected,
}

type Winners = HashMap<Box<[u8]>, Winner>;

struct Deciding<'s> {
    source: &'s Source,
    is_partial: bool,
    written: BooleanBufferBuilder,
    patches: BooleanBufferBuilder,
    removed: BTreeMap<u32, BooleanBufferBuilder>,
    rows: RowChanges,
}

/// Decide on every row. A source that is partial lacks columns of the table. Blocks.
pub(super) fn decide(
    source: &Source,
    candidates: Option<&Candidates>,
    is_partial: bool,
) -> Result<Decisions, TableError> {
    let rows = usize::try_from(source.rows).map_err(TableError::encode)?;
    let mut deciding = Deciding {
        source,
        is_partial,
        written: none_of(rows),
        patches: none_of(if is_partial { rows } else { 0 }),
        removed: BTreeMap::new(),
        rows: RowChanges::default(),
    };
    for bucket in source.index.buckets() {
        deciding.decide_bucket(bucket, candidates)?;
    }
    let removed = deciding.removed.into_iter().map(|(file, mut rows)| (file, rows.finish())).collect();
    let (mut written, mut patches) = (deciding.written, deciding.patches);
    Ok(Decisions { written: written.finish(), patches: patches.finish(), removed, rows: deciding.rows })
}

/// A bit for each of so many rows, none of them set.
pub(super) fn none_of(rows: usize) -> BooleanBufferBuilder {
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, false);
    bits
}

impl Deciding<'_> {
    fn decide_bucket(&mut self, bucket: usize, candidates: Option<&Candidates>) -> Result<(), TableError> {
        let mut winners = find_winners(self.source, bucket)?;
        if winners.is_empty() {
            return Ok(());
        }
        if let Some(candidates) = candidates {
            candidates.records.read(bucket, |record| {
                match_row(&mut winners, &record);
                Ok(())
            })?;
        }
        let source = self.source;
        source.index.read(bucket, |record| {
            if let Some(winner) = winners.get_mut(record.key) {
                self.settle(&record, winner);
            }
            Ok(())
        })?;
        let Some(candidates) = candidates else { return Ok(()) };
        candidates.records.read(bucket, |record| {
            if winners.get(record.key).is_some_and(|winner| winner.replaces) {
                let rows = candidates.file_rows[record.file as usize] as usize;
                self.removed.entry(record.file).or_insert_with(|| none_of(rows)).set_bit(record.number as usize, true);
            }
            Ok(())
        })
    }

    /// Write down what becomes of a row of the source.
    fn settle(&mut self, record: &Record<'_>, winner: &mut Winner) {
        let (number, rows) = (record.number as usize, &mut self.rows);
        match fate(&self.source.rule, record, winner) {
            Fate::Inserted => {
                rows.inserted += 1;
                self.written.set_bit(number, true);
            }
            Fate::Updated => {
                rows.updated += 1;
                winner.replaces = true;
                let bits = if self.is_partial { &mut self.patches } else { &mut self.written };
                bits.set_bit(number, true);
            }
            Fate::Deleted => {
                rows.deleted += 1;
                winner.replaces = true;
            }
            Fate::Deduplicated => rows.deduplicated += 1,
            Fate::Rejected => rows.rejected += 1,
        }
    }
}

fn find_winners(source: &Source, bucket: usize) -> Result<Winners, TableError> {
    let mut winners = Winners::new();
    source.index.read(bucket, |record| {
        let Some(winner) = winners.get_mut(record.key) else {
            let Record { number, order, .. } = record;
            let winner = Winner { number, order: order.into(), rows: 1, matched: None, replaces: false };
            winners.insert(record.key.into(), winner);
            return Ok(());
        };
        winner.rows += 1;
        let is_newer = match source.rule.keep {
            Keep::Last => record.order >= &*winner.order,
            Keep::First | Keep::None | Keep::All => record.order > &*winner.order,
        };
        if is_newer {
            winner.number = record.number;
            winner.order = record.order.into();
        }
        Ok(())
    })?;
    Ok(winners)
}

fn match_row(winners: &mut Winners, record: &Record<'_>) {
    let Some(winner) = winners.get_mut(record.key) else { return };
    if winner.matched.as_deref().is_none_or(|newest| newest < record.order) {
        winner.matched = Some(record.order.into());
    }
}

fn fate(rule: &MergeRule, record: &Record<'_>, winner: &Winner) -> Fate {
    let survives = match rule.keep {
        Keep::All => true,
        Keep::None => winner.rows == 1,
        Keep::First | Keep::Last => winner.number == record.number,
    };
    if !survives {
        return Fate::Deduplicated;
    }
    match &winner.matched {
        None if record.deletes || !rule.insert => Fate::Rejected,
        None => Fate::Inserted,
        // The table has a newer one.
        Some(newest) if record.order < &**newest => Fate::Deduplicated,
        Some(_) if record.deletes || rule.matched == Matched::Delete => Fate::Deleted,
        // Two rows of one key cannot both take the place of one.
        Some(_) if rule.matched == Matched::Keep || rule.keep == Keep::All => Fate::Deduplicated,
        Some(_) => Fate::Updated,
    }
}
