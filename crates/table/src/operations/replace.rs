//! Replacement: rows and columns take the place of all that the table holds when they are committed.
//!
//! Invariant: rows and columns change in one commit; nobody sees one without the other.

use arrow::datatypes::SchemaRef;
use deltalake::DeltaTable;
use serde_json::json;

use super::{Rewrite, RowChanges, schema_change::upgrade};
use crate::{
    DataFile, Scope, Table, TableError,
    log::change::{Change, Reads, Removes},
    schema::{check_partition_columns, to_delta},
};

/// Put rows and columns in the place of all.
#[derive(Debug, Clone)]
pub struct Replace {
    /// The columns that the table is to have; those that it is partitioned by are among them.
    pub schema: SchemaRef,
    /// The files that hold the rows.
    pub files: Vec<DataFile>,
}

impl Table {
    pub(super) fn prepare_replace(&self, replace: &Replace, newest: &DeltaTable) -> Result<Rewrite, TableError> {
        let state = newest.snapshot()?;
        check_partition_columns(&replace.schema, state.metadata().partition_columns())?;
        let columns = to_delta(&replace.schema)?;
        let rows = replace.files.iter().map(DataFile::rows).sum();
        let mut change = Change {
            operation: "WRITE",
            parameters: vec![("mode", "Overwrite".to_owned())],
            removes: Removes::Scope(Scope::All),
            ..Change::append(replace.files.clone())
        };
        if *state.schema() != columns {
            let encode = |error: serde_json::Error| TableError::Encode(Box::new(error));
            let mut metadata = serde_json::to_value(state.metadata()).map_err(encode)?;
            metadata["schemaString"] = json!(serde_json::to_string(&columns).map_err(encode)?);
            change.metadata = Some(serde_json::from_value(metadata).map_err(encode)?);
            change.protocol = upgrade(state.protocol(), &columns)?;
            change.columns = Some(columns);
            // Columns that others gave the table meanwhile would be taken away unseen.
            change.reads = Reads::Metadata(state.version());
        }
        Ok(Rewrite { change, rows: RowChanges { inserted: rows, ..RowChanges::default() } })
    }
}
