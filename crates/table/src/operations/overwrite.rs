//! Overwrite: rows that were written before take the place of whatever the scope holds when they are committed.

use std::collections::{BTreeMap, BTreeSet};

use deltalake::DeltaTable;

use super::{Rewrite, RowChanges};
use crate::{
    DataFile, Refusal, Scope, Table, TableError,
    log::change::{Change, Removes},
};

/// Put rows in the place of others.
#[derive(Debug, Clone)]
pub struct Overwrite {
    /// What is replaced.
    pub scope: Scope,
    /// The files that hold the new rows.
    pub files: Vec<DataFile>,
}

impl Scope {
    /// The partitions that these files lie in.
    pub fn of_files(files: &[DataFile]) -> Self {
        let partitions = files.iter().map(|file| file.add.partition_values.clone().into_iter().collect());
        let distinct: BTreeSet<BTreeMap<String, Option<String>>> = partitions.collect();
        Self::Partitions(distinct.into_iter().collect())
    }
}

impl Table {
    pub(super) fn prepare_overwrite(&self, overwrite: &Overwrite, newest: &DeltaTable) -> Result<Rewrite, TableError> {
        let partition_by = newest.snapshot()?.metadata().partition_columns();
        overwrite.scope.check(partition_by)?;
        let outside = overwrite.files.iter().find(|file| !overwrite.scope.holds(&file.add.partition_values));
        if outside.is_some() {
            let column = partition_by.join(", ");
            return Err(Refusal::BadPartitioning { column, reason: "a row is outside of what is replaced" }.into());
        }
        let rows = overwrite.files.iter().map(DataFile::rows).sum();
        let change = Change {
            operation: "WRITE",
            parameters: vec![("mode", "Overwrite".to_owned())],
            removes: Removes::Scope(overwrite.scope.clone()),
            ..Change::append(overwrite.files.clone())
        };
        Ok(Rewrite { change, rows: RowChanges { inserted: rows, ..RowChanges::default() } })
    }
}
