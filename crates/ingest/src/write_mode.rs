//! Uploads that do more than add rows: what their options mean for the table, and what cannot be.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use sluice_domain::{
    DedupScope, ErrorKind, Failure, KeepRows, MergedRows, RowCounts, TableFormat, TableRef, UploadEntry, WriteMode,
    WriteOptions,
};
use sluice_table::{DeleteMarker, Keep, Matched, MergeRule, Refusal, RowChanges, TableError, spelled};

use crate::pipeline::Shape;

/// Stands for all columns among the keys.
const EVERY_COLUMN: &str = "*";

/// A mode that does not fit the table as it is.
#[derive(Debug, thiserror::Error)]
pub enum ModeError {
    /// Choose another name, or add to the table.
    #[error("the table {table} exists, and the upload was to make it")]
    TableExists {
        /// The table.
        table: TableRef,
    },
    /// Overwrite the whole table.
    #[error("the table {table} has no partitions to overwrite")]
    NotPartitioned {
        /// The table.
        table: TableRef,
    },
    /// Add the rows as they are.
    #[error("the table {table} is of plain Parquet files: it takes appends without keys only")]
    AppendOnly {
        /// The table.
        table: TableRef,
    },
}

/// What a mode depends on.
pub(crate) struct TargetFacts<'t> {
    pub(crate) exists: bool,
    pub(crate) partition_by: &'t [String],
    pub(crate) format: TableFormat,
}

impl Failure for ModeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TableExists { .. } => ErrorKind::AlreadyExists,
            Self::NotPartitioned { .. } | Self::AppendOnly { .. } => ErrorKind::Invalid,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::TableExists { .. } => "table-exists",
            Self::NotPartitioned { .. } => "not-partitioned",
            Self::AppendOnly { .. } => "append-only-table",
        }
    }
}

/// Check that the mode fits a table, which has a version already or has none yet.
pub(crate) fn check_mode(entry: &UploadEntry, target: &TargetFacts) -> Result<(), ModeError> {
    let (table, write) = (entry.table.clone(), &entry.options.write);
    match write.mode {
        WriteMode::ErrorIfExists if target.exists => Err(ModeError::TableExists { table }),
        WriteMode::OverwritePartitions if target.partition_by.is_empty() => Err(ModeError::NotPartitioned { table }),
        mode if target.format == TableFormat::Parquet
            && (write.is_keyed() || !matches!(mode, WriteMode::Append | WriteMode::ErrorIfExists)) =>
        {
            Err(ModeError::AppendOnly { table })
        }
        _ => Ok(()),
    }
}

/// The columns of the table that an upload makes: those that it has, without a marker that only says what to delete.
pub(crate) fn made_columns(found: SchemaRef, write: &WriteOptions) -> SchemaRef {
    let Some(marker) = write.merge.delete_when.as_deref().and_then(|marker| spelled(&found, marker)) else {
        return found;
    };
    let kept: Vec<_> = found.fields().iter().filter(|field| field.name() != marker.name()).cloned().collect();
    Arc::new(Schema::new(kept))
}

/// The columns in which an upload into a table is read: those of the table that the upload has, and its marker.
pub(crate) fn read_columns(found: &Schema, shape: &Shape, write: &WriteOptions) -> SchemaRef {
    let Shape { schema: table, layout, .. } = shape;
    let is_derived = |name: &str| layout.derived.iter().any(|derived| derived.name == name);
    let mut fields: Vec<_> = table
        .fields()
        .iter()
        .filter(|field| found.fields().is_empty() || spelled(found, field.name()).is_some() || is_derived(field.name()))
        .cloned()
        .collect();
    if let Some(marker) = write.merge.delete_when.as_deref().and_then(|marker| spelled(found, marker))
        && spelled(table, marker.name()).is_none()
    {
        fields.push(Arc::new(marker.clone()));
    }
    Arc::new(Schema::new(fields))
}

/// How the rows of an upload that is read in these columns find those of the table.
pub(crate) fn rule(write: &WriteOptions, columns: &Schema, table: &Schema) -> Result<MergeRule, TableError> {
    let order_by = write.order_by.as_deref().map(|column| key(columns, column)).transpose()?;
    let keep = write.dedup.keep.map(|keep| match keep {
        KeepRows::First => Keep::First,
        KeepRows::Last => Keep::Last,
        KeepRows::None => Keep::None,
    });
    if write.mode != WriteMode::Merge {
        let newest = if order_by.is_some() { Keep::Last } else { Keep::First };
        let keep = if write.dedup.scope == DedupScope::Across { Keep::All } else { keep.unwrap_or(newest) };
        let keys = all_spelled(columns, &write.dedup.keys)?;
        let (matched, insert) = (Matched::Keep, true);
        return Ok(MergeRule { keys, order_by, delete_when: None, keep, matched, insert, missing_is_value: true });
    }
    let marker = write.merge.delete_when.as_deref().map(|column| {
        let column = key(columns, column)?;
        let stored = table.column_with_name(&column).is_some();
        Ok::<_, Refusal>(DeleteMarker { column, stored })
    });
    Ok(MergeRule {
        keys: all_spelled(columns, &write.merge.keys)?,
        order_by,
        delete_when: marker.transpose()?,
        keep: keep.unwrap_or(Keep::Last),
        matched: if write.merge.ignore_matched { Matched::Keep } else { Matched::Update },
        insert: !write.merge.ignore_not_matched,
        missing_is_value: false,
    })
}

fn all_spelled(columns: &Schema, asked: &[String]) -> Result<Vec<String>, Refusal> {
    if asked.iter().any(|column| column == EVERY_COLUMN) {
        return Ok(columns.fields().iter().map(|field| field.name().clone()).collect());
    }
    asked.iter().map(|column| key(columns, column)).collect()
}

/// A column's name as the schema spells it.
fn key(columns: &Schema, asked: &str) -> Result<String, Refusal> {
    let found = spelled(columns, asked).map(|field| field.name().clone());
    found.ok_or_else(|| Refusal::BadKey { column: asked.to_owned(), reason: "the upload has no such column" })
}

/// What became of the rows of an upload that an operation brought in.
pub(crate) fn counts_of(rows: RowChanges, mode: WriteMode) -> RowCounts {
    let RowChanges { inserted, updated, deleted, deduplicated, rejected, .. } = rows;
    let committed = inserted + updated + deleted;
    let merged = (mode == WriteMode::Merge).then_some(MergedRows { inserted, updated, deleted });
    RowCounts { committed, deduplicated, rejected, merged, ..RowCounts::default() }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};
    use sluice_domain::{DedupOptions, MergeOptions};

    use super::*;

    fn columns(names: &[&str]) -> SchemaRef {
        let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
        Arc::new(Schema::new(fields))
    }

    fn shape_of(table: &SchemaRef) -> Shape {
        let (schema, partition_by) = (table.clone(), Vec::new());
        Shape { schema, partition_by, layout: sluice_domain::TableLayout::default() }
    }

    fn merge(keys: &[&str], delete_when: Option<&str>) -> WriteOptions {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        let merge = MergeOptions { keys, delete_when: delete_when.map(str::to_owned), ..MergeOptions::default() };
        WriteOptions { mode: WriteMode::Merge, merge, ..WriteOptions::default() }
    }

    #[test]
    fn a_marker_is_read_and_not_stored_unless_the_table_has_it() {
        let (found, write) = (columns(&["ID", "op", "new"]), merge(&["id"], Some("OP")));
        assert_eq!(made_columns(found.clone(), &write), columns(&["ID", "new"]));
        let table = columns(&["id", "v", "new"]);
        let read = read_columns(&found, &shape_of(&table), &write);
        assert_eq!(read, columns(&["id", "new", "op"]));
        let told = rule(&write, &read, &table).unwrap();
        assert_eq!(told.keys, ["id"]);
        assert!(!told.delete_when.unwrap().stored);
        let table = columns(&["id", "op"]);
        let told = rule(&write, &read_columns(&found, &shape_of(&table), &write), &table).unwrap();
        assert!(told.delete_when.unwrap().stored);
    }

    #[test]
    fn what_the_ledger_kept_before_there_were_modes_is_an_append() {
        let stored = r#"{"format": "csv", "compression": "identity", "csv": {"header": true, "delimiter": 44,
            "quote": 34, "null_values": [], "empty_as_null": true}, "json": {"null_values": []}, "partition_by": []}"#;
        let options: sluice_domain::ReadOptions = serde_json::from_str(stored).unwrap();
        assert!(options.write.is_plain_append());
    }

    #[test]
    fn a_key_that_the_upload_lacks_is_named() {
        let error = rule(&merge(&["nope"], None), &columns(&["id"]), &columns(&["id", "nope"])).unwrap_err();
        assert!(error.code() == "bad-key" && error.to_string().contains("nope"), "{error}");
    }

    #[test]
    fn the_newest_row_stands_for_its_key_where_rows_have_an_order() {
        let keeps = |order_by: Option<&str>, keep, scope| {
            let dedup = DedupOptions { keys: vec!["*".into()], scope, keep };
            let write = WriteOptions { dedup, order_by: order_by.map(str::to_owned), ..WriteOptions::default() };
            let told = rule(&write, &columns(&["a", "b"]), &columns(&["a", "b"])).unwrap();
            assert_eq!(told.keys, ["a", "b"]);
            told.keep
        };
        assert_eq!(keeps(None, None, DedupScope::Both), Keep::First);
        assert_eq!(keeps(Some("b"), None, DedupScope::Both), Keep::Last);
        assert_eq!(keeps(None, Some(KeepRows::None), DedupScope::Within), Keep::None);
        assert_eq!(keeps(None, None, DedupScope::Across), Keep::All);
    }
}
