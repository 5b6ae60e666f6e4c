//! Which Arrow types a Delta table holds, and what Delta calls them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use deltalake::kernel::{
    Protocol, StructField, StructType, contains_timestampntz, engine::arrow_conversion::TryIntoKernel as _,
};
use serde_json::json;

use crate::{Refusal, TableError, describe::Column, stats::StatsScope};

/// The type in which a Delta table holds values of `data_type` without loss, or none if there is none.
///
/// Unsigned and small types widen, views and dictionaries unfold, times of day become text; nanosecond timestamps
/// keep their place as microseconds (the caller checks that nothing is cut off).
pub fn storable_type(data_type: &DataType) -> Option<DataType> {
    use DataType as T;
    Some(match data_type {
        T::Boolean | T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::Float32 | T::Float64 | T::Date32 => {
            data_type.clone()
        }
        T::UInt8 => T::Int16,
        T::UInt16 => T::Int32,
        T::UInt32 => T::Int64,
        T::UInt64 => T::Decimal128(20, 0),
        T::Float16 => T::Float32,
        T::Date64 => T::Timestamp(TimeUnit::Microsecond, None),
        T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Time32(_) | T::Time64(_) | T::Null => T::Utf8,
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Timestamp(_, None) => T::Timestamp(TimeUnit::Microsecond, None),
        T::Timestamp(_, Some(_)) => T::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        T::Decimal32(precision, scale)
        | T::Decimal64(precision, scale)
        | T::Decimal128(precision, scale)
        | T::Decimal256(precision, scale)
            if *scale >= 0 && *precision <= 38 && *scale as u8 <= *precision =>
        {
            T::Decimal128(*precision, *scale)
        }
        T::Dictionary(_, value) => storable_type(value)?,
        T::List(item) | T::LargeList(item) | T::ListView(item) | T::FixedSizeList(item, _) => {
            T::List(Arc::new(Field::new("element", storable_type(item.data_type())?, true)))
        }
        T::Map(entries, _) => {
            let T::Struct(fields) = entries.data_type() else { return None };
            let [key, value] = fields.as_ref() else { return None };
            let key = Field::new("key", storable_type(key.data_type())?, false);
            let value = Field::new("value", storable_type(value.data_type())?, true);
            T::Map(Arc::new(Field::new("key_value", T::Struct(vec![key, value].into()), false)), false)
        }
        T::Struct(fields) => {
            let fields: Option<Vec<_>> = fields
                .iter()
                .map(|field| Some(Field::new(field.name(), storable_type(field.data_type())?, true)))
                .collect();
            T::Struct(fields.filter(|fields| !fields.is_empty())?.into())
        }
        _ => return None,
    })
}

/// The schema as Delta has it.
pub(crate) fn to_delta(schema: &Schema) -> Result<StructType, TableError> {
    schema.try_into_kernel().map_err(|error| TableError::Encode(Box::new(error)))
}

/// The lowest protocol that readers and writers of these columns must speak.
pub(crate) fn protocol_for(columns: &StructType) -> Result<Protocol, TableError> {
    let protocol = if contains_timestampntz(columns.fields()) {
        let features = ["timestampNtz"];
        json!({
            "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features,
        })
    } else {
        json!({"minReaderVersion": 1, "minWriterVersion": 2})
    };
    serde_json::from_value(protocol).map_err(|error| TableError::Encode(Box::new(error)))
}

/// The columns that files were written for.
#[derive(Debug)]
pub(crate) struct Layout {
    columns: StructType,
    partition_by: Vec<String>,
    /// Which of them have statistics in the log.
    pub(crate) stats: StatsScope,
}

impl Layout {
    pub(crate) fn new(schema: &Schema, partition_by: &[String], stats: StatsScope) -> Result<Self, TableError> {
        Ok(Self { columns: to_delta(schema)?, partition_by: partition_by.to_vec(), stats })
    }

    /// Why files of this layout are not files of a table; none if they are. Columns that they lack read as missing.
    pub(crate) fn misfit(&self, table: &StructType, partition_by: &[String]) -> Option<String> {
        if self.partition_by != partition_by {
            return Some(format!("it is partitioned by [{}]", partition_by.join(", ")));
        }
        let other = self.columns.fields().find(|own| {
            let same = |field: &StructField| field.data_type() == own.data_type();
            !table.field(own.name()).is_some_and(same)
        });
        if let Some(other) = other {
            return Some(format!("the column {} is gone or of another type", other.name()));
        }
        let mut missing = table.fields().filter(|field| self.columns.field(field.name()).is_none());
        let needed = missing.find(|field| !field.is_nullable());
        needed.map(|field| format!("the column {} must have values", field.name()))
    }
}

/// Each column with its Delta and Arrow type, partition columns marked.
///
/// # Errors
/// A type that Delta has no name for.
pub fn columns_of(schema: &Schema, partition_by: &[String]) -> Result<Vec<Column>, TableError> {
    let delta = to_delta(schema)?;
    let columns = schema.fields().iter().zip(delta.fields()).map(|(field, delta)| Column {
        name: field.name().clone(),
        delta_type: match delta.data_type() {
            deltalake::kernel::DataType::Primitive(primitive) => primitive.to_string(),
            nested => nested.to_string(),
        },
        arrow_type: field.data_type().to_string(),
        nullable: field.is_nullable(),
        partition: partition_by.contains(field.name()),
    });
    Ok(columns.collect())
}

/// Check that a table with this schema can be partitioned by these columns.
///
/// # Errors
/// [`TableError::BadPartitioning`] naming the column that cannot be one.
pub fn check_partition_columns(schema: &Schema, partition_by: &[String]) -> Result<(), TableError> {
    let bad = |column: &String, reason| Err(Refusal::BadPartitioning { column: column.clone(), reason }.into());
    for (at, column) in partition_by.iter().enumerate() {
        let Ok(field) = schema.field_with_name(column) else {
            return bad(column, "there is no such column");
        };
        if partition_by[..at].contains(column) {
            return bad(column, "it is named twice");
        }
        if field.data_type().is_nested() || matches!(field.data_type(), DataType::Binary) {
            return bad(column, "its type cannot be a partition value");
        }
    }
    match partition_by.first() {
        Some(first) if partition_by.len() == schema.fields().len() => {
            bad(first, "no column would be left for the data")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(DataType::UInt64, Some(DataType::Decimal128(20, 0)))]
    #[case(DataType::LargeUtf8, Some(DataType::Utf8))]
    #[case(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), Some(DataType::Utf8))]
    #[case(DataType::Timestamp(TimeUnit::Nanosecond, Some("+02:00".into())),
           Some(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))))]
    #[case(DataType::Duration(TimeUnit::Second), None)]
    #[case(DataType::Decimal256(60, 0), None)]
    fn every_type_has_one_place_or_none(#[case] from: DataType, #[case] to: Option<DataType>) {
        assert_eq!(storable_type(&from), to);
    }

    #[test]
    fn a_table_cannot_be_all_partition_columns() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        assert!(check_partition_columns(&schema, &["a".into()]).is_err());
        assert!(check_partition_columns(&schema, &["b".into()]).is_err());
        assert!(check_partition_columns(&schema, &[]).is_ok());
    }
}
