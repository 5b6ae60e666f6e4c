//! Whether columns would fit a table, told before any upload brings them.
//!
//! Invariant: nothing is changed, and the answer is that of an upload with these columns and typed values.

use arrow::datatypes::Schema;
use sluice_domain::{SchemaEffect, TableRef, type_name};
use sluice_table::{storable_type, type_step};

use super::{
    ContractBreach, Declaration, SchemaError,
    reconcile::{FileColumns, Reconciled, TableColumns, reconcile},
};
use crate::{Ingest, columns::FieldIndex};

/// What an upload with these columns would meet with.
#[derive(Debug)]
pub struct Compatibility {
    /// The newest version of the table, which it was held against.
    pub table_version: u64,
    /// What would become of the columns; or why the upload would be refused.
    pub verdict: Result<SchemaEffect, ContractBreach>,
    /// Columns whose values the table could take only one by one, where they happen to fit.
    pub doubtful: Vec<DoubtfulColumn>,
}

/// A column of a type that the table's does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoubtfulColumn {
    /// Its name.
    pub column: String,
    /// The type in the table, by Delta's name.
    pub actual: String,
    /// The type that was asked about.
    pub found: String,
}

impl Compatibility {
    /// Whether every row of such an upload would be in the table, with all its columns.
    pub fn is_compatible(&self) -> bool {
        let whole = |effect: &SchemaEffect| effect.discarded.is_empty() && effect.quarantined.is_empty();
        self.verdict.as_ref().is_ok_and(whole) && self.doubtful.is_empty()
    }
}

impl Ingest {
    /// Hold columns against a table and its contract.
    ///
    /// # Errors
    /// Columns that cannot be any table's; the table's and the catalog's.
    pub async fn check_schema(&self, name: &TableRef, declaration: &Declaration) -> Result<Compatibility, SchemaError> {
        let found = declaration.schema(self.road.pipeline.settings.decode.columns)?;
        let entry = self.road.catalog.tables().find(name).await?;
        let description = self.describe(&entry).await?;
        let terms = self.road.catalog.contracts().terms(entry.id).await?;
        let table = TableColumns { schema: &description.schema, partition_by: &description.partition_by };
        let reconciled = reconcile(&table, &FileColumns { schema: &found, guessed: false }, &terms);
        let doubtful = reconciled.as_ref().map(|after| doubtful(&found, &after.schema)).unwrap_or_default();
        let verdict = reconciled.map(|after| {
            let Reconciled { changes, discarded, quarantined, missing, possible_renames, .. } = after;
            SchemaEffect { changes, discarded, quarantined, missing, possible_renames }
        });
        Ok(Compatibility { table_version: description.version, verdict, doubtful })
    }
}

fn doubtful(found: &Schema, after: &Schema) -> Vec<DoubtfulColumn> {
    let index = FieldIndex::of(after.fields().iter().map(|field| field.name()));
    let columns = found.fields().iter().filter_map(|field| {
        let kept = after.field(index.find(field.name())?);
        let stored = storable_type(field.data_type()).unwrap_or_else(|| field.data_type().clone());
        let fits = type_step(&stored, kept.data_type()).is_some();
        (!fits).then(|| DoubtfulColumn {
            column: field.name().clone(),
            actual: type_name(kept.data_type()),
            found: type_name(field.data_type()),
        })
    });
    columns.collect()
}
