//! The rows of an upload on their way from the decoder into the table: what of each goes on, and which are set aside.
//!
//! Invariant: a row that is set aside keeps every value that it was read with.

use std::{collections::BTreeSet, io, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray as _, BooleanArray, ListArray, RecordBatch, RecordBatchOptions, StructArray,
        new_null_array,
    },
    buffer::BooleanBuffer,
    compute::filter_record_batch,
    datatypes::{DataType, FieldRef, SchemaRef},
    error::ArrowError,
};
use sluice_domain::{RuleAction, Validation, WriteOptions};
use sluice_quality::{Evaluation, SetAside};

use super::{Admission, ContractBreach};
use crate::{
    DecodeError,
    derive::Derive,
    quality::{AskedSuite, Rules},
    row_sink::{BadRow, SourceRecord},
};

/// Rows as the table takes them, and those that it does not take.
pub(crate) struct Passed {
    pub(crate) rows: RecordBatch,
    pub(crate) bad: Vec<BadRow>,
}

/// Lets rows through.
pub(crate) struct Gate {
    wanted: SchemaRef,
    /// For each wanted column, its place among those that are read; none where its values are left out.
    places: Vec<Option<usize>>,
    quarantines_columns: bool,
    takes_as_read: bool,
    derive: Derive,
    rules: Arc<Rules>,
    suite: Option<Evaluation>,
    numbers: Numbers,
}

impl Gate {
    pub(crate) fn new(admission: &Admission, write: &WriteOptions) -> Result<Self, ContractBreach> {
        Ok(Self::with_rules(admission, Arc::new(admission.rules(write)?)))
    }

    /// For rows that are read in the columns of the table, with rules that are ready.
    pub(crate) fn with_rules(admission: &Admission, rules: Arc<Rules>) -> Self {
        let Admission { shape, decoded, wanted, emptied, .. } = admission;
        let place = |field: &FieldRef| {
            let is_emptied = emptied.contains(field.name());
            decoded.index_of(field.name()).ok().filter(|_| !is_emptied)
        };
        Self {
            wanted: Arc::clone(wanted),
            places: wanted.fields().iter().map(place).collect(),
            quarantines_columns: admission.quarantines_columns(),
            takes_as_read: decoded == wanted && emptied.is_empty() && rules.is_empty(),
            derive: Derive::new(wanted, &shape.layout.derived),
            rules,
            suite: None,
            numbers: Numbers::default(),
        }
    }

    /// Ask the suite of the table too.
    pub(crate) fn asking(mut self, suite: Option<&AskedSuite>) -> Self {
        self.suite = suite.map(|suite| suite.begin(&self.wanted));
        self.takes_as_read &= self.suite.is_none();
        self
    }

    /// What came of the suite.
    pub(crate) fn finish(self) -> Option<Validation> {
        self.suite.map(Evaluation::finish)
    }

    /// A record was found to be none: it has a number too.
    pub(crate) fn skip(&mut self, number: u64) {
        if !self.takes_as_read {
            self.numbers.skip(number);
        }
        if let Some(suite) = &mut self.suite {
            suite.add_unreadable(1);
        }
    }

    /// Let the rows of a batch through.
    ///
    /// # Errors
    /// [`DecodeError::BrokenRule`] of a rule that refuses the whole upload, and values that derived columns do not have.
    pub(crate) fn pass(&mut self, batch: RecordBatch) -> Result<Passed, DecodeError> {
        if self.takes_as_read {
            return Ok(Passed { rows: self.derive.apply(batch)?, bad: Vec::new() });
        }
        let mut numbers = self.numbers.take(batch.num_rows());
        let mut bad = Vec::new();
        let read = self.without_unknown(batch, &mut numbers, &mut bad)?;
        let rows = self.derive.apply(self.project(&read).map_err(unexpected)?)?;
        let broken = self.rules.broken(&rows).map_err(unexpected)?;
        let mut kept = vec![true; rows.num_rows()];
        for broken in &broken {
            kept[broken.row] = false;
            let error = DecodeError::BrokenRule {
                row: numbers[broken.row],
                column: broken.rule.column.as_str().to_owned(),
                rule: broken.rule.name.as_str().to_owned(),
                message: broken.message(),
            };
            if broken.action() == RuleAction::Reject {
                return Err(error);
            }
            bad.push(BadRow { number: numbers[broken.row], source: SourceRecord::of_values(&read, broken.row), error });
        }
        let places: Vec<usize> = (0..kept.len()).filter(|row| kept[*row]).collect();
        let rows = if broken.is_empty() { rows } else { kept_rows(&rows, kept)? };
        let Some(suite) = &mut self.suite else { return Ok(Passed { rows, bad }) };
        suite.add_unreadable(bad.len() as u64);
        let aside = suite.look(&rows);
        let mut kept = vec![true; rows.num_rows()];
        for SetAside { row, column, rule, message } in aside {
            kept[row] = false;
            let (row, number) = (places[row], numbers[places[row]]);
            let error = DecodeError::BrokenRule { row: number, column, rule, message };
            bad.push(BadRow { number, source: SourceRecord::of_values(&read, row), error });
        }
        let rows = if kept.contains(&false) { kept_rows(&rows, kept)? } else { rows };
        Ok(Passed { rows, bad })
    }

    /// The rows without those that have a value in a column that the table does not get.
    fn without_unknown(
        &self,
        batch: RecordBatch,
        numbers: &mut Vec<u64>,
        bad: &mut Vec<BadRow>,
    ) -> Result<RecordBatch, DecodeError> {
        let unknown = if self.quarantines_columns { self.unknown(&batch) } else { Vec::new() };
        if unknown.iter().all(|(_, rows)| rows.count_set_bits() == 0) {
            return Ok(batch);
        }
        let mut kept = vec![true; batch.num_rows()];
        for (row, kept) in kept.iter_mut().enumerate() {
            let Some((column, _)) = unknown.iter().find(|(_, rows)| rows.value(row)) else { continue };
            *kept = false;
            let error = DecodeError::UnknownColumn { column: column.clone(), line: None };
            bad.push(BadRow { number: numbers[row], source: SourceRecord::of_values(&batch, row), error });
        }
        let mut is_kept = kept.iter();
        numbers.retain(|_| is_kept.next().is_some_and(|kept| *kept));
        kept_rows(&batch, kept)
    }

    /// The columns that the table does not get, and the rows with a value in them.
    fn unknown(&self, batch: &RecordBatch) -> Vec<(String, BooleanBuffer)> {
        let mut found = Vec::new();
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            match self.wanted.field_with_name(field.name()) {
                Ok(wanted) => unknown_within(field.name(), column, wanted.data_type(), &mut found),
                Err(_) => found.push((field.name().clone(), values_of(column))),
            }
        }
        found
    }

    fn project(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = self.wanted.fields().iter().zip(&self.places).map(|(field, place)| match place {
            Some(place) => project(batch.column(*place), field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.wanted), columns.collect::<Result<_, _>>()?, &options)
    }
}

fn kept_rows(batch: &RecordBatch, kept: Vec<bool>) -> Result<RecordBatch, DecodeError> {
    filter_record_batch(batch, &BooleanArray::from(kept)).map_err(unexpected)
}

fn unexpected(error: ArrowError) -> DecodeError {
    DecodeError::Read(io::Error::other(error))
}

/// Which rows have a value.
fn values_of(column: &ArrayRef) -> BooleanBuffer {
    column.logical_nulls().map_or_else(|| BooleanBuffer::new_set(column.len()), |nulls| nulls.into_inner())
}

/// The same values without fields that the type does not have.
fn project(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        (from, to) if from == to => Ok(Arc::clone(array)),
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let from = array.as_struct();
            let children = fields.iter().map(|field| match from.column_by_name(field.name()) {
                Some(child) => project(child, field.data_type()),
                None => Ok(new_null_array(field.data_type(), from.len())),
            });
            let children = children.collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), children, from.nulls().cloned())?))
        }
        (DataType::List(_), DataType::List(item)) => {
            let from = array.as_list::<i32>();
            let values = project(from.values(), item.data_type())?;
            let (item, offsets) = (Arc::clone(item), from.offsets().clone());
            Ok(Arc::new(ListArray::try_new(item, offsets, values, from.nulls().cloned())?))
        }
        (from, to) => Err(ArrowError::SchemaError(format!("{from} was read where {to} is wanted"))),
    }
}

/// The fields within a column that the type does not have, and the rows with a value in them.
fn unknown_within(path: &str, array: &ArrayRef, to: &DataType, found: &mut Vec<(String, BooleanBuffer)>) {
    match (array.data_type(), to) {
        (from, to) if from == to => {}
        (DataType::Struct(from), DataType::Struct(fields)) => {
            let (array, there, mut within) = (array.as_struct(), values_of(array), Vec::new());
            for (field, child) in from.iter().zip(array.columns()) {
                let path = format!("{path}.{}", field.name());
                match fields.find(field.name()) {
                    Some((_, field)) => unknown_within(&path, child, field.data_type(), &mut within),
                    None => within.push((path, values_of(child))),
                }
            }
            found.extend(within.into_iter().map(|(path, rows)| (path, &rows & &there)));
        }
        (DataType::List(_), DataType::List(item)) => {
            let (array, mut within) = (array.as_list::<i32>(), Vec::new());
            unknown_within(path, array.values(), item.data_type(), &mut within);
            for (path, items) in within {
                let any = |row: usize| {
                    let (start, end) = (array.value_offsets()[row] as usize, array.value_offsets()[row + 1] as usize);
                    array.is_valid(row) && (start..end).any(|item| items.value(item))
                };
                found.push((path, BooleanBuffer::collect_bool(array.len(), any)));
            }
        }
        _ => {}
    }
}

/// Which record of the file a row was, where records between them were none.
#[derive(Default)]
struct Numbers {
    taken: u64,
    /// Records that are no rows, of which rows before them may not have come yet.
    skipped: BTreeSet<u64>,
}

impl Numbers {
    fn skip(&mut self, number: u64) {
        self.skipped.insert(number);
        self.pass_skipped();
    }

    /// The numbers of the next rows.
    fn take(&mut self, rows: usize) -> Vec<u64> {
        let mut numbers = Vec::with_capacity(rows);
        for _ in 0..rows {
            self.taken += 1;
            numbers.push(self.taken);
            self.pass_skipped();
        }
        numbers
    }

    fn pass_skipped(&mut self) {
        while self.skipped.first() == Some(&(self.taken + 1)) {
            self.skipped.pop_first();
            self.taken += 1;
        }
    }
}

#[cfg(test)]
mod tests;
