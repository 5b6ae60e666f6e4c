//! The columns that a file brings, as they are held against those of a table.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields};

use crate::{columns::FieldIndex, formats::table_type};

/// The columns of a file. Those that are new and have no value are there as text, or not at all: they wait for their
/// first value. Of columns without a value that the table has, that is what their type says.
pub(super) fn brought(found: &Fields, table: Option<&Fields>, with_valueless: bool) -> Fields {
    let table = table.map(|table| (table, FieldIndex::of(table.iter().map(|field| field.name()))));
    let column = |field: &FieldRef| {
        let known = table.as_ref().and_then(|(table, index)| Some(table[index.find(field.name())?].data_type()));
        let is_new = known.is_none();
        if is_new && !with_valueless && *field.data_type() == DataType::Null {
            return None;
        }
        Some(field.as_ref().clone().with_data_type(brought_type(field.data_type(), known, with_valueless)))
    };
    found.iter().filter_map(column).collect()
}

fn brought_type(found: &DataType, known: Option<&DataType>, with_valueless: bool) -> DataType {
    match (found, known) {
        (DataType::Null, Some(_)) => DataType::Null,
        (DataType::Struct(fields), Some(DataType::Struct(known))) => {
            DataType::Struct(brought(fields, Some(known), with_valueless))
        }
        (DataType::Struct(fields), known) => match brought(fields, None, with_valueless) {
            fields if fields.is_empty() => known.map_or(DataType::Utf8, |_| DataType::Struct(fields)),
            fields => DataType::Struct(fields),
        },
        (DataType::List(item), known) => {
            let known = match known {
                Some(DataType::List(known)) => Some(known.data_type()),
                _ => None,
            };
            DataType::List(Arc::new(with_type(item, brought_type(item.data_type(), known, with_valueless))))
        }
        (found, _) => table_type(found),
    }
}

fn with_type(field: &Field, data_type: DataType) -> Field {
    field.clone().with_data_type(data_type)
}
