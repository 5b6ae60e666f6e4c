//! Rows of the table: an id, a partition, a value, and what columns were added since.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use serde_json::{Map, Value, json};

use crate::random::Random;

/// The partitions, some with characters that paths have to escape.
pub(crate) const PARTITIONS: [&str; 4] = ["a b", "c/d", "50%", "ü"];

/// One row.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) partition: &'static str,
    pub(crate) value: i64,
}

impl Row {
    pub(crate) fn random(id: i64, random: &mut Random) -> Self {
        let partition = PARTITIONS[random.below(PARTITIONS.len() as u64) as usize];
        Self { id, partition, value: random.below(1000) as i64 }
    }

    /// The value in a column that was added: it follows from the row.
    fn added(&self, column: &str) -> i64 {
        self.value * 10 + column.len() as i64
    }

    /// The row as the journal tells it.
    pub(crate) fn told(&self, schema: &Schema) -> Value {
        let mut told = Map::new();
        for field in schema.fields() {
            let value = match field.name().as_str() {
                "id" => json!(self.id),
                "p" => json!(self.partition),
                "v" => json!(self.value),
                added => json!(self.added(added)),
            };
            told.insert(field.name().clone(), value);
        }
        told.into()
    }
}

/// The columns at the beginning.
pub(crate) fn first_schema() -> SchemaRef {
    let number = |name| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![number("id"), Field::new("p", DataType::Utf8, true), number("v")]))
}

/// The rows in the columns of a schema.
pub(crate) fn batch(rows: &[Row], schema: &SchemaRef) -> RecordBatch {
    let numbers = |value: &dyn Fn(&Row) -> i64| Arc::new(rows.iter().map(value).collect::<Int64Array>()) as ArrayRef;
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "id" => numbers(&|row| row.id),
        "p" => Arc::new(rows.iter().map(|row| Some(row.partition)).collect::<StringArray>()) as ArrayRef,
        "v" => numbers(&|row| row.value),
        added => numbers(&|row| row.added(added)),
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
}
