//! What becomes of columns from one schema to the next.

use arrow_schema::{DataType, Field, Fields, Schema};
use serde::{Deserialize, Serialize};

/// A column, or a field within one, that is new or has another type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnChange {
    /// Its name; of a field within others, theirs before it with dots between.
    pub column: String,
    /// What became of it.
    pub kind: ChangeKind,
}

/// What became of a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added {
        /// Its type.
        data_type: DataType,
    },
    /// It holds more values than before.
    Widened {
        /// The type that it had.
        from: DataType,
        /// The type that it has.
        to: DataType,
    },
}

/// What an upload means for the schema of its table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SchemaEffect {
    /// What became new and wider.
    pub changes: Vec<ColumnChange>,
    /// Columns of the upload that were left out.
    pub discarded: Vec<String>,
    /// Columns of the upload that the table does not have: rows with a value in one of them went to quarantine.
    pub quarantined: Vec<String>,
    /// Columns of the table that the upload lacks.
    pub missing: Vec<String>,
    /// A missing column of the table and a new one of the upload that may be the same by another name.
    pub possible_renames: Vec<(String, String)>,
}

/// What is new in a schema, and what has another type than before, in the order of its columns.
pub fn column_changes(old: &Schema, new: &Schema) -> Vec<ColumnChange> {
    let mut changes = Vec::new();
    compare_fields("", old.fields(), new.fields(), &mut changes);
    changes
}

fn compare_fields(prefix: &str, old: &Fields, new: &Fields, changes: &mut Vec<ColumnChange>) {
    for field in new {
        let column = format!("{prefix}{}", field.name());
        match old.find(field.name()) {
            None => {
                let kind = ChangeKind::Added { data_type: field.data_type().clone() };
                changes.push(ColumnChange { column, kind });
            }
            Some((_, before)) => compare(column, before.data_type(), field.data_type(), changes),
        }
    }
}

fn compare(column: String, old: &DataType, new: &DataType, changes: &mut Vec<ColumnChange>) {
    use DataType as T;
    match (old, new) {
        (old, new) if old == new => {}
        (T::Struct(old), T::Struct(new)) => compare_fields(&format!("{column}."), old, new, changes),
        (T::List(old), T::List(new)) => compare_item(column, old, new, changes),
        (old, new) => {
            let kind = ChangeKind::Widened { from: old.clone(), to: new.clone() };
            changes.push(ColumnChange { column, kind });
        }
    }
}

fn compare_item(column: String, old: &Field, new: &Field, changes: &mut Vec<ColumnChange>) {
    compare(format!("{column}.{}", new.name()), old.data_type(), new.data_type(), changes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, data_type: DataType) -> Field {
        Field::new(name, data_type, true)
    }

    #[test]
    fn changes_are_told_with_their_places() {
        let object = |fields: Vec<Field>| DataType::Struct(fields.into());
        let list = |item: DataType| DataType::List(field("element", item).into());
        let old = Schema::new(vec![
            field("a", DataType::Int32),
            field("b", object(vec![field("c", DataType::Int32)])),
            field("d", list(object(vec![field("e", DataType::Utf8)]))),
        ]);
        let new = Schema::new(vec![
            field("a", DataType::Int64),
            field("b", object(vec![field("c", DataType::Float64), field("f", DataType::Utf8)])),
            field("d", list(object(vec![field("e", DataType::Utf8), field("g", DataType::Date32)]))),
            field("h", DataType::Boolean),
        ]);
        let changes = column_changes(&old, &new);
        let told: Vec<_> = changes.iter().map(|change| (change.column.as_str(), &change.kind)).collect();
        let added = |data_type| ChangeKind::Added { data_type };
        let widened = |from, to| ChangeKind::Widened { from, to };
        let expected = [
            ("a", &widened(DataType::Int32, DataType::Int64)),
            ("b.c", &widened(DataType::Int32, DataType::Float64)),
            ("b.f", &added(DataType::Utf8)),
            ("d.element.g", &added(DataType::Date32)),
            ("h", &added(DataType::Boolean)),
        ];
        assert_eq!(told, expected);
        assert!(column_changes(&new, &new).is_empty());
    }
}
