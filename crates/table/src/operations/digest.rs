//! What rows a set of files holds, whatever their order: a count and a hash, to compare what went in with what came
//! out.

use std::hash::{DefaultHasher, Hasher as _};

use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    row::{RowConverter, SortField},
};
use futures::TryStreamExt as _;

use crate::{DataFile, TableError, live::LiveFile, reader::FileReader};

/// A count and a hash of rows that does not depend on their order.
#[derive(Debug)]
pub(super) struct Digest {
    converter: RowConverter,
    pub(super) rows: u64,
    sum: u128,
}

impl Digest {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self, TableError> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        Ok(Self { converter: RowConverter::new(fields.collect())?, rows: 0, sum: 0 })
    }

    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        for row in &self.converter.convert_columns(batch.columns())? {
            let half = |seed: u64| {
                let mut hasher = DefaultHasher::new();
                hasher.write_u64(seed);
                hasher.write(row.as_ref());
                u128::from(hasher.finish())
            };
            // A sum counts rows that are there twice; an exclusive or would not.
            self.sum = self.sum.wrapping_add(half(1) << 64 | half(2));
            self.rows += 1;
        }
        Ok(())
    }

    /// Check that files, read back from the store, hold just these rows.
    pub(super) async fn verify(&self, files: &[DataFile], reader: &FileReader) -> Result<(), TableError> {
        let mut found = Self::new(&reader.schema)?;
        for file in files {
            let mut batches = reader.read(&LiveFile::written(file)).await?;
            while let Some(batch) = batches.try_next().await? {
                found.add(&batch)?;
            }
        }
        if (found.rows, found.sum) == (self.rows, self.sum) {
            return Ok(());
        }
        let reason = format!("{} rows were read and {} other ones written", self.rows, found.rows);
        Err(TableError::encode(std::io::Error::other(reason)))
    }
}
