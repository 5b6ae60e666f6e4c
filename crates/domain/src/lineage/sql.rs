//! The lineage of a statement's columns.

use crate::{TableRef, lineage::Influence};

/// A column of a table that another column, or a result as a whole, depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SqlInput {
    /// The table.
    pub table: TableRef,
    /// Its column.
    pub column: String,
    /// How it is depended on.
    pub influence: Influence,
}

/// One column of a result, and what it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlOutput {
    /// Its name.
    pub name: String,
    /// What its own values depend on.
    pub inputs: Vec<SqlInput>,
}

/// What a statement reads, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SqlLineage {
    /// The columns of the result, in order.
    pub outputs: Vec<SqlOutput>,
    /// What all rows of the result depend on: filters, join keys, groups, order.
    pub influences: Vec<SqlInput>,
    /// The tables that are read, and at which version.
    pub tables: Vec<(TableRef, u64)>,
}

impl SqlLineage {
    /// Leave out all other tables than these.
    pub fn retain(&mut self, is_told: impl Fn(&TableRef) -> bool) {
        self.outputs.iter_mut().for_each(|output| output.inputs.retain(|input| is_told(&input.table)));
        self.influences.retain(|input| is_told(&input.table));
        self.tables.retain(|(table, _)| is_told(table));
    }
}
