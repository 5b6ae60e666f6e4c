//! Rows of a source that lacks columns of the table: what they lack comes from the rows that they match.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{BooleanArray, RecordBatch},
    buffer::BooleanBuffer,
    compute::filter_record_batch,
    datatypes::SchemaRef,
};

use super::{
    Source,
    keys::{Encoder, KeySpill, Record},
};
use crate::{TableError, TableWriter};

/// How many rows are put together at a time.
const BATCH_ROWS: usize = 1024;

/// The rows of the table that the source matches, dealt into buckets by their keys.
pub(super) struct Patching {
    source: Arc<Source>,
    table: SchemaRef,
    whole: Encoder,
    replaced: KeySpill,
}

impl Patching {
    pub(super) fn new(source: Arc<Source>, table: &SchemaRef) -> Result<Self, TableError> {
        let whole = every_column(table)?;
        let replaced = KeySpill::new(&source.scratch_dir, source.index.hash().clone());
        Ok(Self { source, table: table.clone(), whole, replaced })
    }

    /// Remember rows of the table that are removed from their file.
    pub(super) fn keep(&mut self, batch: &RecordBatch, removed: &BooleanArray) -> Result<(), TableError> {
        let batch = filter_record_batch(batch, removed)?;
        push_rows(&mut self.replaced, (&self.source.keys, &self.whole), &batch)
    }

    /// Write the rows that are chosen, with what they lack. Blocks.
    pub(super) fn write(self, chosen: &BooleanBuffer, writer: &mut TableWriter) -> Result<(), TableError> {
        let mut news = KeySpill::new(&self.source.scratch_dir, self.source.index.hash().clone());
        let own = every_column(&self.source.schema)?;
        self.source.read(chosen, |batch| push_rows(&mut news, (&self.source.keys, &own), &batch))?;
        for bucket in news.buckets() {
            let mut olds: HashMap<Box<[u8]>, Vec<u8>> = HashMap::new();
            self.replaced.read(bucket, |old| {
                olds.insert(old.key.into(), old.order.to_vec());
                Ok(())
            })?;
            let (mut own_rows, mut old_rows) = (Vec::new(), Vec::new());
            news.read(bucket, |new| {
                // Every row that is chosen has a match.
                let Some(old) = olds.remove(new.key) else { return Err(super::spill::torn()) };
                own_rows.push(new.order.to_vec());
                old_rows.push(old);
                if own_rows.len() == BATCH_ROWS {
                    writer.write(&self.joined(&own, (&own_rows, &old_rows))?)?;
                    own_rows.clear();
                    old_rows.clear();
                }
                Ok(())
            })?;
            if !own_rows.is_empty() {
                writer.write(&self.joined(&own, (&own_rows, &old_rows))?)?;
            }
        }
        Ok(())
    }

    fn joined(&self, own: &Encoder, rows: (&[Vec<u8>], &[Vec<u8>])) -> Result<RecordBatch, TableError> {
        let (news, olds) = (own.decode(rows.0)?, self.whole.decode(rows.1)?);
        let columns = self.table.fields().iter().zip(olds).map(|(field, old)| {
            let own = self.source.schema.index_of(field.name()).ok();
            own.map_or(old, |own| news[own].clone())
        });
        Ok(RecordBatch::try_new(self.table.clone(), columns.collect())?)
    }
}

fn every_column(schema: &SchemaRef) -> Result<Encoder, TableError> {
    let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    Encoder::new(schema, &columns)
}

fn push_rows(spill: &mut KeySpill, (keys, whole): (&Encoder, &Encoder), batch: &RecordBatch) -> Result<(), TableError> {
    let (keys, rows) = (keys.encode(batch)?, whole.encode(batch)?);
    for (key, row) in keys.iter().zip(&rows) {
        spill.push(&Record { key: key.as_ref(), order: row.data(), number: 0, file: 0, deletes: false })?;
    }
    Ok(())
}
