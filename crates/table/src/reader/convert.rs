//! Columns of a file in the types of the table.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, ListArray, MapArray, StructArray, new_null_array},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Fields},
};

use crate::TableError;

/// Convert without loss, or fail. Fields within structs are found by their names, and missing where there are none.
pub(crate) fn convert(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, TableError> {
    use DataType as T;
    match (column.data_type(), data_type) {
        (from, to) if from == to => Ok(Arc::clone(column)),
        (T::Struct(_), T::Struct(fields)) => Ok(Arc::new(object(column.as_struct(), fields)?)),
        (T::List(_), T::List(item)) => {
            let list = column.as_list::<i32>();
            let items = convert(list.values(), item.data_type())?;
            Ok(Arc::new(ListArray::try_new(Arc::clone(item), list.offsets().clone(), items, list.nulls().cloned())?))
        }
        (T::Map(..), T::Map(entries, sorted)) => {
            let map = column.as_map();
            let T::Struct(fields) = entries.data_type() else { return cast(column, data_type) };
            let pairs = object(map.entries(), fields)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, *sorted)?))
        }
        _ => cast(column, data_type),
    }
}

fn object(rows: &StructArray, fields: &Fields) -> Result<StructArray, TableError> {
    let columns = fields.iter().map(|field| match rows.column_by_name(field.name()) {
        Some(column) => convert(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), rows.len())),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(StructArray::try_new(fields.clone(), columns, rows.nulls().cloned())?)
}

fn cast(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, TableError> {
    Ok(cast_with_options(column, data_type, &CastOptions { safe: false, ..CastOptions::default() })?)
}
