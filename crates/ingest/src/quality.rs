//! Which rows of a batch break the rules of their table's contract.
//!
//! Invariant: a row is named once, with the first rule that it breaks, in the order of the rules.
//! Invariant: a missing value keeps every rule but the one that wants a value.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    buffer::BooleanBuffer,
    datatypes::{DataType, Schema},
    error::ArrowError,
};
use sluice_domain::{ContractError, RowCheck, RowRule, RuleAction};
use sluice_quality::ValueCheck;

use crate::columns::FieldIndex;

mod answers;
mod asked;
mod gauges;
mod scans;
mod service;

pub use answers::AskTable;
pub(crate) use asked::AskedSuite;
pub(crate) use gauges::QualityGauges;

/// The rules of a contract, ready for the rows of a table.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Ready>,
}

#[derive(Debug)]
struct Ready {
    rule: Arc<RowRule>,
    /// The place of its column; none where the table does not have it, and no row a value in it.
    column: Option<usize>,
    check: ValueCheck,
}

/// A row that breaks a rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BrokenRule {
    /// The place of the row in its batch.
    pub(crate) row: usize,
    /// The rule.
    pub(crate) rule: Arc<RowRule>,
}

impl BrokenRule {
    /// What the row is told.
    pub(crate) fn message(&self) -> String {
        self.rule.told()
    }

    /// What becomes of it.
    pub(crate) fn action(&self) -> RuleAction {
        self.rule.action
    }
}

impl Rules {
    /// Make rules ready for a table. Of a column that the table does not have (uploads may bring it later) every value is
    /// missing.
    ///
    /// # Errors
    /// [`ContractError::BadRule`] naming the rule that cannot be asked of its column's type.
    pub(crate) fn new(rules: &[RowRule], schema: &Schema) -> Result<Self, ContractError> {
        let index = FieldIndex::of(schema.fields().iter().map(|field| field.name()));
        let mut ready = Vec::new();
        for rule in rules {
            let column = index.find(rule.column.as_str());
            let data_type = column.map_or(&DataType::Null, |column| schema.field(column).data_type());
            if column.is_none() && rule.check != RowCheck::NotNull {
                continue;
            }
            let bad = |reason| ContractError::BadRule { name: rule.name.as_str().to_owned(), reason };
            let check = ValueCheck::new(&rule.check, data_type).map_err(bad)?;
            ready.push(Ready { rule: Arc::new(rule.clone()), column, check });
        }
        Ok(Self { rules: ready })
    }

    /// Whether there is nothing to look for.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rows that break a rule, in their order. The batch has the columns that the rules were made ready for.
    ///
    /// # Errors
    /// A batch with columns of other types.
    pub(crate) fn broken(&self, batch: &RecordBatch) -> Result<Vec<BrokenRule>, ArrowError> {
        let mut first: Vec<Option<usize>> = Vec::new();
        for (at, ready) in self.rules.iter().enumerate() {
            let broken = match ready.column {
                Some(column) => ready.check.broken(batch.column(column))?,
                None => BooleanBuffer::new_set(batch.num_rows()),
            };
            if broken.count_set_bits() == 0 {
                continue;
            }
            first.resize(batch.num_rows(), None);
            for row in broken.set_indices() {
                first[row].get_or_insert(at);
            }
        }
        let named = first.iter().enumerate().filter_map(|(row, rule)| rule.map(|rule| (row, rule)));
        Ok(named.map(|(row, rule)| BrokenRule { row, rule: Arc::clone(&self.rules[rule].rule) }).collect())
    }
}

#[cfg(test)]
mod tests;
