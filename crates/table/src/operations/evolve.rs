//! Evolution: columns are added and types widened, in the commit that brings the first rows that need it.
//!
//! Columns and fields that are new cost nothing: files that lack them read as missing. For wider types the files that
//! have the column are written anew, in the same commit and as a rearrangement. The protocol has a feature for leaving
//! them (`typeWidening`), but `deltalake`, in Rust and in Python, refuses tables that use it, while DuckDB reads them; a
//! table without the feature whose files have several types is one that the protocol does not know.
//!
//! Invariant: every value that was in the table is in it afterwards, in the same column.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};
use deltalake::{
    DeltaTable,
    kernel::{Metadata, StructType},
};
use serde_json::{Value, json};

use super::{
    Rewrite, RowChanges, Workspace,
    schema_change::{MAX_COLUMNS, upgrade},
};
use crate::{
    CommitFailure, DataFile, Refusal, Table, TableError,
    live::{LiveFile, live_files},
    log::change::{Change, Reads, Removes},
    reader::FileReader,
    schema::{Layout, to_delta},
    stats::StatsScope,
    widening::{TypeStep, type_step},
};

/// Add columns and widen types, together with rows that need it.
#[derive(Debug, Clone)]
pub struct Evolve {
    /// The table's columns when the files were planned.
    pub base: SchemaRef,
    /// The columns that it is to have: those of the base first, in their order.
    pub schema: SchemaRef,
    /// The files that hold the new rows; none where the columns alone change.
    pub files: Vec<DataFile>,
}

impl Evolve {
    /// Whether the table has other columns afterwards.
    pub fn is_change(&self) -> bool {
        !same_columns(&self.base, &self.schema)
    }
}

impl Table {
    pub(super) async fn prepare_evolve(
        &self,
        evolve: &Evolve,
        workspace: &Workspace,
        newest: &DeltaTable,
    ) -> Result<Rewrite, TableError> {
        let reader = FileReader::new(self.folder(), newest)?;
        let rows = evolve.files.iter().map(DataFile::rows).sum();
        let rows = RowChanges { inserted: rows, ..RowChanges::default() };
        if !same_columns(&reader.schema, &evolve.base) {
            check_done(evolve, newest, &reader)?;
            return Ok(Rewrite { change: Change::append(evolve.files.clone()), rows });
        }
        let widened = check_steps(evolve, &reader.partition_by)?;
        let mut change = plan(evolve, newest, !widened.is_empty())?;
        if !widened.is_empty() {
            let reader = reader.with_schema(Arc::clone(&evolve.schema));
            self.widen_files(&reader, workspace, live_files(newest)?, (&widened, &mut change)).await?;
        }
        Ok(Rewrite { change, rows })
    }

    /// Put files with the reader's types into the places of those that have these columns. They get no columns that
    /// they did not have.
    async fn widen_files(
        &self,
        reader: &FileReader,
        workspace: &Workspace,
        live: Vec<LiveFile>,
        (widened, change): (&[usize], &mut Change),
    ) -> Result<(), TableError> {
        let mut alike: BTreeMap<Vec<usize>, Vec<LiveFile>> = BTreeMap::new();
        let (mut size_bytes, limit) = (0, workspace.max_rewrite_bytes);
        for file in live {
            let columns = reader.columns_in(&file).await?;
            let Some(at) = widened.iter().find(|at| columns.contains(at)) else { continue };
            size_bytes += file.size_bytes;
            if size_bytes > limit {
                let reason = format!("files that have it hold more than {limit} bytes, the most that is written anew");
                return Err(Refusal::unchangeable(reader.schema.field(*at).name(), reason).into());
            }
            alike.entry(columns).or_default().push(file);
        }
        for (columns, files) in &alike {
            let narrow = reader.clone().with_schema(Arc::new(reader.schema.project(columns)?));
            let (copies, _) = self.copy_rows(&narrow, workspace, files).await?;
            change.files.extend(copies.into_iter().map(DataFile::into_rearranged));
        }
        let removed = alike.into_values().flatten();
        change.removes = Removes::Files(removed.map(LiveFile::into_rearranged).collect());
        Ok(())
    }
}

/// Whether columns have the same names, types and places.
fn same_columns(one: &Schema, other: &Schema) -> bool {
    let same = |(one, other): (&Arc<Field>, &Arc<Field>)| {
        one.name() == other.name()
            && one.data_type() == other.data_type()
            && one.is_nullable() == other.is_nullable()
            && one.metadata().get("comment") == other.metadata().get("comment")
    };
    one.fields().len() == other.fields().len() && one.fields().iter().zip(other.fields()).all(same)
}

/// Check that others made the change already, so that the files fit as they are.
fn check_done(evolve: &Evolve, newest: &DeltaTable, reader: &FileReader) -> Result<(), TableError> {
    let layout = Layout::new(&evolve.schema, &reader.partition_by, StatsScope::Named(Vec::new()))?;
    let columns = newest.snapshot()?.schema();
    match layout.misfit(&columns, &reader.partition_by) {
        None if evolve.files.is_empty() => {
            let reason = "it has other columns than the change was planned for".to_owned();
            Err(CommitFailure::SchemaChanged { reason }.into())
        }
        Some(reason) => Err(CommitFailure::SchemaChanged { reason }.into()),
        None => Ok(()),
    }
}

/// Check that every column can become what is wanted; gives the places of those whose values have to be written anew
/// for it.
fn check_steps(evolve: &Evolve, partition_by: &[String]) -> Result<Vec<usize>, TableError> {
    let refused = |column: &Field, reason: &'static str| TableError::from(Refusal::unchangeable(column.name(), reason));
    let (old, new) = (evolve.base.fields(), evolve.schema.fields());
    let mut widened = Vec::new();
    for (at, before) in old.iter().enumerate() {
        let after = new.get(at).filter(|after| after.name() == before.name());
        let after = after.ok_or_else(|| refused(before, "it would lose its place or name"))?;
        if before.is_nullable() && !after.is_nullable() {
            return Err(refused(before, "rows that are there may have no value in it"));
        }
        match type_step(before.data_type(), after.data_type()) {
            Some(TypeStep::Same | TypeStep::Added) => {}
            Some(TypeStep::Widened) if partition_by.contains(before.name()) => {
                return Err(refused(before, "the table is partitioned by it"));
            }
            Some(TypeStep::Widened) => widened.push(at),
            None => return Err(refused(before, "its values are not ones of the new type")),
        }
    }
    for (at, column) in new.iter().enumerate().skip(old.len()) {
        check_new(column, &new[..at])?;
    }
    Ok(widened)
}

fn check_new(column: &Field, before: &[Arc<Field>]) -> Result<(), TableError> {
    let refused = |reason: &'static str| TableError::from(Refusal::unchangeable(column.name(), reason));
    if !column.is_nullable() {
        return Err(refused("rows that are there have no value in it"));
    }
    let name = column.name().to_lowercase();
    if before.iter().any(|other| other.name().to_lowercase() == name) {
        return Err(refused("there is one of that name"));
    }
    if before.len() >= MAX_COLUMNS || name.is_empty() {
        return Err(refused("a table has no more than 10,000 columns, each with a name"));
    }
    if crate::storable_type(column.data_type()).as_ref() != Some(column.data_type()) {
        let (column, data_type) = (column.name().clone(), column.data_type().to_string());
        return Err(Refusal::UnsupportedType { column, data_type }.into());
    }
    Ok(())
}

/// The commit of the new rows, and of the columns where they change.
fn plan(evolve: &Evolve, newest: &DeltaTable, is_widened: bool) -> Result<Change, TableError> {
    let append = Change::append(evolve.files.clone());
    if !evolve.is_change() {
        return Ok(append);
    }
    let state = newest.snapshot()?;
    let (metadata, columns) = changed_metadata(state.metadata(), &state.schema(), &evolve.schema)?;
    let base = state.version();
    let (operation, parameters) = match (evolve.files.is_empty(), is_widened) {
        (false, _) => (append.operation, append.parameters.clone()),
        (true, true) => ("CHANGE COLUMN", Vec::new()),
        (true, false) => ("ADD COLUMNS", Vec::new()),
    };
    Ok(Change {
        operation,
        parameters,
        protocol: upgrade(state.protocol(), &columns)?,
        metadata: Some(metadata),
        columns: Some(columns),
        // Rows of another type that came meanwhile would be left behind; with columns that are only new, none are.
        reads: if is_widened { Reads::All(base) } else { Reads::Metadata(base) },
        ..append
    })
}

/// The metadata with the columns as they are to be. What is known of columns besides their types is kept.
fn changed_metadata(
    old: &Metadata,
    columns: &StructType,
    schema: &Schema,
) -> Result<(Metadata, StructType), TableError> {
    let encode = |error: serde_json::Error| TableError::Encode(Box::new(error));
    let mut metadata = serde_json::to_value(old).map_err(encode)?;
    let mut fields = serde_json::to_value(columns).map_err(encode)?;
    let wanted = serde_json::to_value(to_delta(schema)?).map_err(encode)?;
    merge_fields(&mut fields, &wanted);
    metadata["schemaString"] = json!(fields.to_string());
    let columns = serde_json::from_value(fields).map_err(encode)?;
    Ok((serde_json::from_value(metadata).map_err(encode)?, columns))
}

/// Take over types, comments and new fields.
fn merge_fields(old: &mut Value, new: &Value) {
    let Some(fields) = old["fields"].as_array_mut() else { return };
    for wanted in new["fields"].as_array().into_iter().flatten() {
        match fields.iter_mut().find(|field| field["name"] == wanted["name"]) {
            None => fields.push(wanted.clone()),
            Some(field) => {
                field["nullable"] = wanted["nullable"].clone();
                if let Some(comment) = wanted["metadata"].get("comment") {
                    field["metadata"]["comment"] = comment.clone();
                }
                merge_type(&mut field["type"], &wanted["type"]);
            }
        }
    }
}

fn merge_type(old: &mut Value, new: &Value) {
    match old["type"].as_str().map(str::to_owned).as_deref() {
        Some("struct") => merge_fields(old, new),
        Some("array") => merge_type(&mut old["elementType"], &new["elementType"]),
        Some("map") => {
            merge_type(&mut old["keyType"], &new["keyType"]);
            merge_type(&mut old["valueType"], &new["valueType"]);
        }
        _ => *old = new.clone(),
    }
}
