//! As what the columns of a file are read, so that reading them takes no more memory than the file's own pages.
//!
//! Invariant: a text or binary value that many rows share is in memory once, until the rows are handed on.

use std::{slice, sync::Arc};

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use parquet::{
    arrow::arrow_reader::ArrowReaderMetadata,
    basic::Type as PhysicalType,
    schema::types::{ColumnDescPtr, ColumnDescriptor},
};

/// What a value takes in memory, unless its type says otherwise.
const VALUE_BYTES: usize = 8;
/// A view of a text or binary value, or a decimal.
const VIEW_BYTES: usize = 16;

/// How a file is read.
pub(super) struct Plan {
    /// The columns as the reader is to make them.
    pub(super) schema: SchemaRef,
    /// What a row takes in memory, the bytes that views point to and further items of lists not counted.
    pub(super) row_bytes: usize,
}

/// How to read the columns that a reader would make of this file by itself.
pub(super) fn plan(metadata: &ArrowReaderMetadata) -> Plan {
    let mut leaves = Leaves { columns: metadata.parquet_schema().columns().iter(), row_bytes: 0 };
    let fields: Vec<FieldRef> = metadata.schema().fields().iter().map(|field| leaves.field(field)).collect();
    let schema = Schema::new_with_metadata(fields, metadata.schema().metadata().clone());
    Plan { schema: Arc::new(schema), row_bytes: leaves.row_bytes }
}

/// The columns of the file in the order in which a walk over the fields comes by them.
struct Leaves<'m> {
    columns: slice::Iter<'m, ColumnDescPtr>,
    row_bytes: usize,
}

impl Leaves<'_> {
    fn field(&mut self, field: &FieldRef) -> FieldRef {
        let data_type = self.data_type(field.data_type());
        Arc::new(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(field.metadata().clone()))
    }

    fn data_type(&mut self, data_type: &DataType) -> DataType {
        use DataType as T;
        match data_type {
            T::Struct(fields) => T::Struct(fields.iter().map(|field| self.field(field)).collect()),
            T::List(item) | T::ListView(item) => T::List(self.field(item)),
            T::LargeList(item) | T::LargeListView(item) => T::LargeList(self.field(item)),
            T::FixedSizeList(item, size) => T::FixedSizeList(self.field(item), *size),
            T::Map(entries, sorted) => T::Map(self.field(entries), *sorted),
            leaf => self.leaf(leaf),
        }
    }

    fn leaf(&mut self, data_type: &DataType) -> DataType {
        use DataType as T;
        let column = self.columns.next();
        let plain = match data_type {
            T::Dictionary(_, values) => values,
            other => other,
        };
        let read = match (plain, column.map(|column| column.physical_type())) {
            (T::Utf8 | T::LargeUtf8, Some(PhysicalType::BYTE_ARRAY)) => T::Utf8View,
            (T::Binary | T::LargeBinary, Some(PhysicalType::BYTE_ARRAY)) => T::BinaryView,
            // Nanoseconds in 64 bits end in the year 2262, these timestamps do not.
            (T::Timestamp(TimeUnit::Nanosecond, zone), Some(PhysicalType::INT96)) => {
                T::Timestamp(TimeUnit::Microsecond, zone.clone())
            }
            (other, _) => other.clone(),
        };
        self.row_bytes = self.row_bytes.saturating_add(column.map_or(VALUE_BYTES, |column| width(column)));
        read
    }
}

fn width(column: &ColumnDescriptor) -> usize {
    match column.physical_type() {
        PhysicalType::FIXED_LEN_BYTE_ARRAY => usize::try_from(column.type_length()).unwrap_or(0).max(VIEW_BYTES),
        PhysicalType::BYTE_ARRAY | PhysicalType::INT96 => VIEW_BYTES,
        _ => VALUE_BYTES,
    }
}
