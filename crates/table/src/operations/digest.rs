//! What rows a set of files holds, whatever their order: a count and a hash, to compare what went in with what came
//! out.

use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    row::{RowConverter, SortField},
};
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use crate::{DataFile, TableError, live::LiveFile, reader::FileReader};

/// Rows in fewer cells are hashed where they are.
const FEW_CELLS: usize = 16 << 10;

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

    /// The same with the rows of a batch.
    pub(super) async fn with(mut self, batch: &RecordBatch) -> Result<Self, TableError> {
        if batch.num_rows() * batch.num_columns() < FEW_CELLS {
            self.add(batch)?;
            return Ok(self);
        }
        let batch = batch.clone();
        let adding = spawn_blocking(move || self.add(&batch).map(|()| self));
        adding.await.map_err(TableError::encode)?
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        for row in &self.converter.convert_columns(batch.columns())? {
            let hash = Sha256::digest(row.as_ref());
            let half = hash.iter().take(16).fold(0, |half, byte| half << 8 | u128::from(*byte));
            // A sum counts rows that are there twice; an exclusive or would not.
            self.sum = self.sum.wrapping_add(half);
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
                found = found.with(&batch).await?;
            }
        }
        if (found.rows, found.sum) == (self.rows, self.sum) {
            return Ok(());
        }
        let reason = format!("{} rows were read and {} other ones written", self.rows, found.rows);
        Err(TableError::encode(std::io::Error::other(reason)))
    }
}
