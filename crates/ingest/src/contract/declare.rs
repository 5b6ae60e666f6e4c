//! Schemas by declaration: tables that are made before their first row, and columns that come before theirs.
//!
//! Invariant: nothing is dropped, renamed or narrowed; a declaration that would is refused by the column's name.
//! Invariant: doing it again changes nothing.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use sluice_catalog::{CatalogError, NewSchemaVersion};
use sluice_domain::{
    ColumnName, Contract, Grant, LogRecord, TableEntry, TableFormat, TableLayout, TableRef, ZoneName, type_name,
};
use sluice_table::{
    CommittedEntry, CreateOutcome, Description, Evolve, NewTable, Table, TableError, TypeStep, check_partition_columns,
    storable_type, type_step,
};

use super::SchemaError;
use crate::{Ingest, IngestError, columns::FieldIndex, quality::Rules};

/// How often a declaration is begun anew because others changed the table.
const MAX_ROUNDS: u32 = 10;
/// How long the comment of a column may be, in bytes.
const MAX_COMMENT_BYTES: usize = 16 << 10;
/// The name under which fields keep what is said about them.
const COMMENT: &str = "comment";

/// A column that a table is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredColumn {
    /// Its name.
    pub name: ColumnName,
    /// Its type.
    pub data_type: DataType,
    /// Whether values may be missing. Where they may not, rows without one are bad.
    pub nullable: bool,
    /// What it is.
    pub comment: Option<String>,
}

/// What a table is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// Its columns.
    pub columns: Vec<DeclaredColumn>,
    /// The columns to partition by; none where the table is to stay as it is.
    pub partition_by: Option<Vec<String>>,
    /// Whether texts are taken for what columns want; none leaves that as it is.
    pub coerce: Option<bool>,
}

impl Declaration {
    /// The columns of a table that does not exist yet.
    pub(super) fn schema(&self, limit: usize) -> Result<Schema, SchemaError> {
        if self.columns.is_empty() || self.columns.len() > limit {
            let column = self.columns.last().map_or_else(|| "*".to_owned(), |column| column.name.as_str().to_owned());
            return Err(SchemaError::BadColumn { column, reason: format!("a table has 1 to {limit} columns") });
        }
        let mut names = std::collections::HashSet::new();
        let fields = self.columns.iter().map(|column| {
            let name = column.name.as_str();
            if !names.insert(name.to_lowercase()) {
                return Err(SchemaError::ColumnTwice { column: name.to_owned() });
            }
            column.field()
        });
        Ok(Schema::new(fields.collect::<Result<Vec<_>, _>>()?))
    }

    /// The partition columns as the schema spells them.
    fn partition_columns(&self, schema: &Schema) -> Vec<String> {
        let index = FieldIndex::of(schema.fields().iter().map(|field| field.name()));
        let spelled = |name: &String| index.find(name).map_or(name, |at| schema.field(at).name()).clone();
        self.partition_by.iter().flatten().map(spelled).collect()
    }
}

impl DeclaredColumn {
    fn field(&self) -> Result<Field, SchemaError> {
        let bad = |reason: String| SchemaError::BadColumn { column: self.name.as_str().to_owned(), reason };
        if storable_type(&self.data_type).as_ref() != Some(&self.data_type) {
            return Err(bad(format!("tables here do not hold {}", type_name(&self.data_type))));
        }
        let mut field = Field::new(self.name.as_str(), self.data_type.clone(), self.nullable);
        if let Some(comment) = &self.comment {
            if comment.len() > MAX_COMMENT_BYTES {
                return Err(bad(format!("its comment has more than {MAX_COMMENT_BYTES} bytes")));
            }
            field.set_metadata(HashMap::from([(COMMENT.to_owned(), comment.clone())]));
        }
        Ok(field)
    }
}

impl Ingest {
    /// Make a table with these columns, or bring an existing one to have them; gives its entry, and whether it was made.
    ///
    /// # Errors
    /// [`SchemaError::Taken`] where something would be dropped, renamed or narrowed, and what the columns, the store or
    /// the catalog say.
    pub async fn declare_schema(
        &self,
        grant: &Grant,
        name: &TableRef,
        declaration: &Declaration,
    ) -> Result<(TableEntry, bool), SchemaError> {
        let wanted = declaration.schema(self.road.pipeline.settings.decode.columns)?;
        let partition_by = declaration.partition_columns(&wanted);
        check_partition_columns(&wanted, &partition_by)?;
        let catalog = &self.road.catalog;
        let entry = match catalog.tables().find(name).await {
            Err(CatalogError::TableNotFound { .. }) => {
                let (zone, format) = (ZoneName::Raw, TableFormat::Delta);
                let owner = grant.principal().to_owned();
                let new =
                    sluice_catalog::NewTable { name: name.clone(), zone, format, partition_by, folder: None, owner };
                catalog.tables().reserve(&new).await?
            }
            found => found?,
        };
        check_has_log(&entry)?;
        let is_made = self.bring_about(grant, &entry, declaration, &Arc::new(wanted)).await?;
        if let Some(coerce) = declaration.coerce {
            catalog.contracts().set_coerce(entry.id, coerce, grant.principal()).await?;
        }
        self.rows.writer.targets.forget(name);
        Ok((catalog.tables().find_by_id(entry.id).await?, is_made))
    }

    /// Put a contract in the place of the table's.
    ///
    /// # Errors
    /// [`SchemaError::Contract`] naming a rule that cannot be asked of the table's columns; the catalog's.
    pub async fn set_contract(&self, grant: &Grant, name: &TableRef, contract: &Contract) -> Result<(), SchemaError> {
        let catalog = &self.road.catalog;
        let entry = catalog.tables().find(name).await?;
        check_has_log(&entry)?;
        let description = self.road.shelf.get(&entry).describe(None).await?;
        Rules::new(&contract.rules, &description.schema)?;
        catalog.contracts().set_contract(entry.id, contract, grant.principal()).await?;
        self.rows.writer.targets.forget(name);
        Ok(())
    }

    /// Create or evolve, from the start again where others changed the table; whether it was made.
    async fn bring_about(
        &self,
        grant: &Grant,
        entry: &TableEntry,
        declaration: &Declaration,
        wanted: &Arc<Schema>,
    ) -> Result<bool, SchemaError> {
        let table = self.road.shelf.get(entry);
        let _turn = table.take_turn().await;
        self.road.tails.check(entry.id, &table).await?;
        for _ in 0..MAX_ROUNDS {
            match table.describe(None).await {
                Err(TableError::NotCreated) => {
                    let partition_by = declaration.partition_columns(wanted);
                    let layout = TableLayout::default();
                    let new =
                        NewTable { name: entry.name.to_string(), schema: Arc::clone(wanted), partition_by, layout };
                    if let CreateOutcome::Created(made) = table.create_empty(&new).await? {
                        self.write_down(grant, entry, &table, Some(made)).await?;
                        return Ok(true);
                    }
                }
                description => match self.evolve(entry, &table, &description?, (declaration, wanted)).await {
                    Err(SchemaError::Ingest(IngestError::Table(error))) if error.starts_over() => {
                        tracing::debug!(%error, table.name = %entry.name, "a declaration starts over");
                    }
                    made => {
                        self.write_down(grant, entry, &table, made?).await?;
                        return Ok(false);
                    }
                },
            }
        }
        Err(TableError::Contended { attempts: MAX_ROUNDS }.into())
    }

    /// Bring a table that exists to have the columns; gives the commit, if one was needed.
    async fn evolve(
        &self,
        entry: &TableEntry,
        table: &Table,
        description: &Description,
        (declaration, wanted): (&Declaration, &Schema),
    ) -> Result<Option<CommittedEntry>, SchemaError> {
        let (actual, asked) = (&description.partition_by, declaration.partition_columns(&description.schema));
        if declaration.partition_by.is_some() && *actual != asked {
            return Err(SchemaError::OtherPartitioning { actual: actual.join(", "), asked: asked.join(", ") });
        }
        let base = Arc::clone(&description.schema);
        let schema = Arc::new(evolved(&base, wanted)?);
        Ok(self.road.commit_columns(entry, table, Evolve { base, schema, files: Vec::new() }).await?)
    }

    /// Write down that the table is there, what was committed, and the schema that it has.
    async fn write_down(
        &self,
        grant: &Grant,
        entry: &TableEntry,
        table: &Table,
        made: Option<CommittedEntry>,
    ) -> Result<(), SchemaError> {
        let catalog = &self.road.catalog;
        let description = table.describe(made.as_ref().map(|made| made.version)).await?;
        catalog.tables().activate(entry.id, &description.partition_by).await?;
        if let Some(made) = made {
            let record = LogRecord { version: made.version, content: made.text() };
            catalog.inventory().enter_commit(entry.id, &record).await?;
        }
        let schema = NewSchemaVersion {
            table_id: entry.id,
            table_version: description.version,
            schema: description.schema.as_ref().clone(),
            upload_id: None,
            run_id: None,
            principal: grant.principal().to_owned(),
        };
        catalog.schemas().record(&schema).await?;
        Ok(())
    }
}

fn check_has_log(entry: &TableEntry) -> Result<(), SchemaError> {
    if entry.format == TableFormat::Parquet { Err(SchemaError::Plain) } else { Ok(()) }
}

/// The columns of a table once it has those of a declaration.
fn evolved(base: &Schema, wanted: &Schema) -> Result<Schema, SchemaError> {
    let declared = FieldIndex::of(wanted.fields().iter().map(|field| field.name()));
    let there = FieldIndex::of(base.fields().iter().map(|field| field.name()));
    let new: Vec<&FieldRef> = wanted.fields().iter().filter(|field| there.find(field.name()).is_none()).collect();
    let mut columns = Vec::new();
    for column in base.fields() {
        let Some(at) = declared.find(column.name()) else {
            let alike = new.iter().find(|field| field.data_type() == column.data_type());
            let renamed = alike.map(|field| field.name().clone());
            return Err(SchemaError::Taken { column: column.name().clone(), change: "dropped".to_owned(), renamed });
        };
        columns.push(changed(column, wanted.field(at))?);
    }
    for column in new {
        if !column.is_nullable() {
            let reason = "rows that are there have no value in it".to_owned();
            return Err(SchemaError::BadColumn { column: column.name().clone(), reason });
        }
        columns.push(column.as_ref().clone());
    }
    Ok(Schema::new_with_metadata(columns, base.metadata().clone()))
}

/// A column as the declaration wants it.
fn changed(column: &Field, wanted: &Field) -> Result<Field, SchemaError> {
    let refused = |change: String| SchemaError::Taken { column: column.name().clone(), change, renamed: None };
    if column.is_nullable() && !wanted.is_nullable() {
        return Err(refused("made to never be missing: rows that are there may lack it".to_owned()));
    }
    let data_type = match type_step(column.data_type(), wanted.data_type()) {
        Some(TypeStep::Same) => column.data_type(),
        Some(TypeStep::Added | TypeStep::Widened) => wanted.data_type(),
        None => {
            let (from, to) = (type_name(column.data_type()), type_name(wanted.data_type()));
            return Err(refused(format!("changed from {from} to {to}: values would be lost")));
        }
    };
    let mut changed = column.clone().with_data_type(data_type.clone()).with_nullable(wanted.is_nullable());
    if let Some(comment) = wanted.metadata().get(COMMENT) {
        changed.metadata_mut().insert(COMMENT.to_owned(), comment.clone());
    }
    Ok(changed)
}
