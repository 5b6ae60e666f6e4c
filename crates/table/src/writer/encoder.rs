//! The encoders of one data file: its columns are encoded side by side on all cores.
//!
//! Invariant: the same batches make the same bytes, whatever the number of cores and whoever is done first.

use std::fs::File;

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{DataType, FieldRef, SchemaRef},
};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    },
    errors::ParquetError,
    file::{metadata::ParquetMetaData, properties::WriterProperties, writer::SerializedFileWriter},
};
use rayon::prelude::*;

use crate::TableError;

/// Rows in fewer cells are encoded where they are: others would be asked for longer than that takes.
const FEW_CELLS: usize = 16 << 10;

/// A file whose rows go through encoders.
pub(super) struct Encoder {
    file: SerializedFileWriter<File>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// Of the row group under construction, those of each field.
    columns: Vec<Vec<ArrowColumnWriter>>,
    rows: usize,
    max_rows: usize,
    max_bytes: usize,
}

impl Encoder {
    pub(super) fn open(file: File, schema: SchemaRef, properties: WriterProperties) -> Result<Self, ParquetError> {
        let max_rows = properties.max_row_group_row_count().unwrap_or(usize::MAX).max(1);
        let max_bytes = properties.max_row_group_bytes().unwrap_or(usize::MAX).max(1);
        let writer = ArrowWriter::try_new(file, SchemaRef::clone(&schema), Some(properties))?;
        let (file, factory) = writer.into_serialized_writer()?;
        Ok(Self { file, factory, schema, columns: Vec::new(), rows: 0, max_rows, max_bytes })
    }

    /// Add rows; those that are more than a row group takes go into the next one.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        let mut start = 0;
        while start < batch.num_rows() {
            let count = self.room().min(batch.num_rows() - start);
            if count > 0 {
                self.write_part(&batch.slice(start, count))?;
                start += count;
            }
            if count == 0 || self.rows >= self.max_rows || self.row_group_bytes() >= self.max_bytes {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// How many rows the row group has room for, by what those that it has take; one that has none takes any.
    fn room(&self) -> usize {
        let by_rows = self.max_rows - self.rows;
        match self.row_group_bytes().checked_div(self.rows) {
            Some(row_bytes @ 1..) => by_rows.min(self.max_bytes.saturating_sub(self.row_group_bytes()) / row_bytes),
            _ => by_rows,
        }
    }

    /// How large the row group would be if it ended here.
    fn row_group_bytes(&self) -> usize {
        self.columns.iter().flatten().map(ArrowColumnWriter::get_estimated_total_bytes).sum()
    }

    fn write_part(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        if self.columns.is_empty() {
            let number = self.file.flushed_row_groups().len();
            let mut columns = self.factory.create_column_writers(number)?.into_iter();
            let of_field = |field: &FieldRef| columns.by_ref().take(leaves(field.data_type())).collect();
            self.columns = self.schema.fields().iter().map(of_field).collect();
        }
        self.rows += batch.num_rows();
        let fields = self.schema.fields();
        let write = |((columns, field), array): ((&mut Vec<ArrowColumnWriter>, &FieldRef), &ArrayRef)| {
            let leaves = compute_leaves(field, array)?;
            columns.iter_mut().zip(&leaves).try_for_each(|(column, leaf)| column.write(leaf))
        };
        if batch.num_rows() * fields.len() < FEW_CELLS {
            return self.columns.iter_mut().zip(fields).zip(batch.columns()).try_for_each(write);
        }
        self.columns.par_iter_mut().zip(fields.par_iter()).zip(batch.columns()).with_max_len(1).try_for_each(write)
    }

    /// End the row group, which empties the memory of the encoders.
    pub(super) fn flush(&mut self) -> Result<(), ParquetError> {
        if std::mem::take(&mut self.rows) == 0 {
            return Ok(());
        }
        let columns: Vec<_> = std::mem::take(&mut self.columns).into_iter().flatten().collect();
        let chunks: Vec<_> = columns.into_par_iter().with_max_len(1).map(ArrowColumnWriter::close).collect();
        let mut row_group = self.file.next_row_group()?;
        for chunk in chunks {
            chunk?.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
        Ok(())
    }

    /// What the encoders hold in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.columns.iter().flatten().map(ArrowColumnWriter::memory_size).sum()
    }

    /// How large the file would be if it ended here.
    pub(super) fn file_bytes(&self) -> usize {
        self.file.bytes_written() + self.row_group_bytes()
    }

    /// The finished file.
    pub(super) fn finish(mut self) -> Result<(File, ParquetMetaData), TableError> {
        self.flush()?;
        let metadata = self.file.finish()?;
        Ok((self.file.inner().try_clone()?, metadata))
    }
}

/// How many columns of a file a field is.
fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => leaves(item.data_type()),
        _ => 1,
    }
}
