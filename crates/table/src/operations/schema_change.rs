//! Changes of what a table is, not of its rows: columns, comments, properties.
//!
//! Invariant: every file that is in the table reads the same afterwards; columns that it lacks have no values.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, Schema};
use deltalake::{
    DeltaTable,
    kernel::{Metadata, Protocol, StructType, contains_timestampntz},
};
use serde_json::{Value, json};

use crate::{
    Refusal, TableError,
    log::change::{Change, Reads},
    schema::to_delta,
};

mod properties;

use properties::check_property;

/// How many columns a table may have.
pub(super) const MAX_COLUMNS: usize = 10_000;
/// How long a comment may be, in bytes.
const MAX_COMMENT_BYTES: usize = 16 << 10;

/// A change of a table's columns, properties or comments.
#[derive(Debug, Clone)]
pub enum SchemaChange {
    /// Add columns at the end. Rows that are there have no values in them.
    AddColumns(Vec<Field>),
    /// Give a column another type. Only its own is taken: files that are there hold values of that one.
    ChangeType {
        /// The column.
        column: String,
        /// The type.
        data_type: DataType,
    },
    /// Take a column away. None can be: files that are there hold values of it, and would bring them back.
    DropColumn(String),
    /// Set properties of the table, or drop those without a value.
    SetProperties(BTreeMap<String, Option<String>>),
    /// Say what the table is, or take back what was said.
    SetDescription(Option<String>),
    /// Say what a column is, or take back what was said.
    SetColumnComment {
        /// The column.
        column: String,
        /// What it is.
        comment: Option<String>,
    },
}

impl SchemaChange {
    /// The commit that makes the change on top of this version.
    pub(super) fn plan(&self, newest: &DeltaTable) -> Result<Change, TableError> {
        let state = newest.snapshot()?;
        let encode = |error| TableError::Encode(Box::<dyn std::error::Error + Send + Sync>::from(error));
        let old: Value = serde_json::to_value(state.metadata()).map_err(|error: serde_json::Error| encode(error))?;
        let mut metadata = old.clone();
        let mut schema: Value = serde_json::to_value(state.schema()).map_err(encode)?;
        self.edit(&mut metadata, &mut schema, state.metadata())?;
        metadata["schemaString"] = json!(schema.to_string());
        let columns: StructType = serde_json::from_value(schema).map_err(encode)?;
        let same = columns == *state.schema() && metadata["configuration"] == old["configuration"];
        let same = same && metadata["description"] == old["description"];
        let metadata = serde_json::from_value::<Metadata>(metadata).map_err(encode)?;
        Ok(Change {
            operation: self.operation(),
            protocol: upgrade(state.protocol(), &columns)?,
            metadata: (!same).then_some(metadata),
            reads: Reads::Metadata(state.version()),
            ..Change::append(Vec::new())
        })
    }

    fn operation(&self) -> &'static str {
        match self {
            Self::AddColumns(_) => "ADD COLUMNS",
            Self::ChangeType { .. } | Self::SetColumnComment { .. } => "CHANGE COLUMN",
            Self::DropColumn(_) => "DROP COLUMNS",
            Self::SetProperties(_) | Self::SetDescription(_) => "SET TBLPROPERTIES",
        }
    }

    fn edit(&self, metadata: &mut Value, schema: &mut Value, old: &Metadata) -> Result<(), TableError> {
        match self {
            Self::AddColumns(columns) => add_columns(schema, columns),
            Self::ChangeType { column, data_type } => {
                let new = to_delta(&Schema::new(vec![Field::new(column, data_type.clone(), true)]))?;
                let new = serde_json::to_value(&new).unwrap_or_default()["fields"][0]["type"].clone();
                let reason = "the files that are there hold values of another type";
                let same = find_column(schema, column)?["type"] == new;
                if same { Ok(()) } else { Err(Refusal::unchangeable(column, reason).into()) }
            }
            Self::DropColumn(column) => {
                find_column(schema, column)?;
                let reason = if old.partition_columns().contains(column) {
                    "the table is partitioned by it"
                } else {
                    "the files that are there hold values of it"
                };
                Err(Refusal::unchangeable(column, reason).into())
            }
            Self::SetProperties(properties) => set_properties(metadata, properties),
            Self::SetDescription(description) => {
                check_comment("description", description)?;
                metadata["description"] = json!(description);
                Ok(())
            }
            Self::SetColumnComment { column, comment } => {
                check_comment(column, comment)?;
                let notes = &mut find_column(schema, column)?["metadata"];
                match (comment, notes.as_object_mut()) {
                    (None, Some(notes)) => drop(notes.remove("comment")),
                    (comment, _) => notes["comment"] = json!(comment),
                }
                Ok(())
            }
        }
    }
}

fn find_column<'a>(schema: &'a mut Value, column: &str) -> Result<&'a mut Value, TableError> {
    let found = schema["fields"].as_array_mut().into_iter().flatten().find(|field| field["name"] == column);
    found.ok_or_else(|| Refusal::unknown(column).into())
}

fn add_columns(schema: &mut Value, columns: &[Field]) -> Result<(), TableError> {
    let refused = |column: &Field, reason: &'static str| TableError::from(Refusal::unchangeable(column.name(), reason));
    for column in columns {
        if !column.is_nullable() {
            return Err(refused(column, "rows that are there have no value in it"));
        }
        let Some(all) = schema["fields"].as_array_mut() else {
            return Err(refused(column, "the table has no columns"));
        };
        // Engines that do not tell case apart could not read a table with both.
        let same = |field: &Value| {
            field["name"].as_str().is_some_and(|name| name.to_lowercase() == column.name().to_lowercase())
        };
        if all.iter().any(same) {
            return Err(refused(column, "there is one of that name"));
        }
        if all.len() >= MAX_COLUMNS || column.name().is_empty() {
            return Err(refused(column, "a table has no more than 10,000 columns, each with a name"));
        }
        if crate::storable_type(column.data_type()).as_ref() != Some(column.data_type()) {
            let (column, data_type) = (column.name().clone(), column.data_type().to_string());
            return Err(Refusal::UnsupportedType { column, data_type }.into());
        }
        let new = to_delta(&Schema::new(vec![column.clone()]))?;
        let new = serde_json::to_value(&new).map_err(|error| TableError::Encode(Box::new(error)))?;
        all.push(new["fields"][0].clone());
    }
    Ok(())
}

fn set_properties(metadata: &mut Value, properties: &BTreeMap<String, Option<String>>) -> Result<(), TableError> {
    for (key, value) in properties {
        check_property(key, value.as_deref())?;
        match (value, metadata["configuration"].as_object_mut()) {
            (Some(value), _) => metadata["configuration"][key.as_str()] = json!(value),
            (None, Some(configuration)) => drop(configuration.remove(key)),
            (None, None) => {}
        }
    }
    Ok(())
}

fn check_comment(of: &str, comment: &Option<String>) -> Result<(), TableError> {
    match comment {
        Some(comment) if comment.len() > MAX_COMMENT_BYTES => {
            Err(Refusal::BadProperty { key: of.to_owned(), reason: "a comment has no more than 16 KiB" }.into())
        }
        _ => Ok(()),
    }
}

/// The protocol that the columns need beyond the table's.
pub(super) fn upgrade(protocol: &Protocol, columns: &StructType) -> Result<Option<Protocol>, TableError> {
    let has = protocol.writer_features().into_iter().flatten().any(|feature| feature.as_ref() == "timestampNtz");
    if has || !contains_timestampntz(columns.fields()) {
        return Ok(None);
    }
    let listed = |features: Value| -> Vec<Value> { features.as_array().cloned().unwrap_or_default() };
    let old = serde_json::to_value(protocol).map_err(|error| TableError::Encode(Box::new(error)))?;
    let (mut readers, mut writers) = (listed(old["readerFeatures"].clone()), listed(old["writerFeatures"].clone()));
    if protocol.min_writer_version() < 7 {
        // What older versions of the protocol have without naming it.
        writers.extend([json!("appendOnly"), json!("invariants")]);
    }
    readers.push(json!("timestampNtz"));
    writers.push(json!("timestampNtz"));
    let protocol = json!({
        "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": readers, "writerFeatures": writers,
    });
    serde_json::from_value(protocol).map(Some).map_err(|error| TableError::Encode(Box::new(error)))
}
