//! Lists and structs from their parts.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, ListArray, StructArray},
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::DataType,
    error::ArrowError,
};

/// A list of this type.
pub(crate) fn list(
    data_type: &DataType,
    offsets: OffsetBuffer<i32>,
    items: ArrayRef,
    validity: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    match data_type {
        DataType::List(item) => Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, items, validity)?)),
        other => Err(ArrowError::CastError(format!("{other} is not a list"))),
    }
}

/// A struct of this type.
pub(crate) fn object(
    data_type: &DataType,
    fields: Vec<ArrayRef>,
    validity: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    match data_type {
        DataType::Struct(types) => Ok(Arc::new(StructArray::try_new(types.clone(), fields, validity)?)),
        other => Err(ArrowError::CastError(format!("{other} is not a struct"))),
    }
}
