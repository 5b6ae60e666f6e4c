//! The encoders of one data file: its columns are encoded side by side on all cores.
//!
//! Invariant: the same batches make the same bytes, whatever the number of cores and whoever is done first.

use std::{cmp::Reverse, io, path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef},
};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    },
    errors::ParquetError,
    file::{
        metadata::ParquetMetaData,
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
};
use rayon::prelude::*;

use super::{
    flat::{self, FlatChunk, FlatColumn},
    scratch::Scratch,
};
use crate::TableError;

/// Rows in fewer cells are encoded where they are: others would be asked for longer than that takes.
const FEW_CELLS: usize = 16 << 10;

/// A file whose rows go through encoders.
pub(super) struct Encoder {
    file: SerializedFileWriter<Scratch>,
    /// For each field, what makes its encoder; none where the library does.
    makers: Vec<Option<flat::Maker>>,
    library: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// Of the row group under construction, those of each field.
    columns: Vec<FieldEncoder>,
    rows: usize,
    max_rows: usize,
    max_bytes: usize,
}

impl Encoder {
    pub(super) fn open(
        scratch: Scratch,
        schema: SchemaRef,
        properties: WriterProperties,
    ) -> Result<Self, ParquetError> {
        let max_rows = properties.max_row_group_row_count().unwrap_or(usize::MAX).max(1);
        let max_bytes = properties.max_row_group_bytes().unwrap_or(usize::MAX).max(1);
        let makers: Vec<_> = schema.fields().iter().map(|field| flat::maker(field, &properties)).collect();
        let of_library = schema.fields().iter().zip(&makers).filter(|(_, maker)| maker.is_none());
        let of_library = Arc::new(Schema::new(of_library.map(|(field, _)| Arc::clone(field)).collect::<Fields>()));
        let library = ArrowWriter::try_new(io::sink(), of_library, Some(properties.clone()))?;
        let (_, library) = library.into_serialized_writer()?;
        let writer = ArrowWriter::try_new(scratch, SchemaRef::clone(&schema), Some(properties))?;
        let (file, _) = writer.into_serialized_writer()?;
        Ok(Self { file, makers, library, schema, columns: Vec::new(), rows: 0, max_rows, max_bytes })
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
        self.columns.iter().map(FieldEncoder::estimated_bytes).sum()
    }

    /// Encoders for a row group.
    fn field_encoders(&self) -> Result<Vec<FieldEncoder>, ParquetError> {
        let mut library = self.library.create_column_writers(self.file.flushed_row_groups().len())?.into_iter();
        let mut columns = self.file.schema_descr().columns().iter();
        let of_field = |(field, maker): (&FieldRef, &Option<flat::Maker>)| {
            let count = leaves(field.data_type());
            let columns: Vec<_> = columns.by_ref().take(count).cloned().collect();
            match (maker, columns.into_iter().next()) {
                (Some(make), Some(column)) => FieldEncoder::Flat(make(column, self.file.properties())),
                _ => FieldEncoder::Library(library.by_ref().take(count).collect()),
            }
        };
        Ok(self.schema.fields().iter().zip(&self.makers).map(of_field).collect())
    }

    fn write_part(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        if self.columns.is_empty() {
            self.columns = self.field_encoders()?;
        }
        self.rows += batch.num_rows();
        let fields = self.schema.fields();
        let mut work: Vec<_> = self.columns.iter_mut().zip(fields).zip(batch.columns()).collect();
        let write =
            |((encoder, field), array): ((&mut FieldEncoder, &FieldRef), &ArrayRef)| encoder.write(field, array);
        if batch.num_rows() * fields.len() < FEW_CELLS {
            return work.into_iter().try_for_each(write);
        }
        // Those that take the longest go first, so that nobody waits for them at the end.
        work.sort_by_cached_key(|((encoder, _), _)| Reverse(encoder.estimated_bytes()));
        work.into_par_iter().with_max_len(1).try_for_each(write)
    }

    /// End the row group, which empties the memory of the encoders.
    pub(super) fn flush(&mut self) -> Result<(), ParquetError> {
        if std::mem::take(&mut self.rows) == 0 {
            return Ok(());
        }
        let columns = std::mem::take(&mut self.columns);
        let chunks: Vec<_> = columns.into_par_iter().with_max_len(1).map(FieldEncoder::close).collect();
        let mut row_group = self.file.next_row_group()?;
        for chunk in chunks {
            chunk?.append_to(&mut row_group)?;
        }
        row_group.close()?;
        Ok(())
    }

    /// What the encoders hold in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.columns.iter().map(FieldEncoder::memory_bytes).sum()
    }

    /// How large the file would be if it ended here.
    pub(super) fn file_bytes(&self) -> usize {
        self.file.bytes_written() + self.row_group_bytes()
    }

    /// The finished file.
    pub(super) fn finish(mut self) -> Result<(Scratch, ParquetMetaData), TableError> {
        self.flush()?;
        let metadata = self.file.finish()?;
        // It cannot be taken out of a writer that wrote its end.
        let scratch = std::mem::replace(self.file.inner_mut(), Scratch::open(Path::new("")));
        Ok((scratch, metadata))
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

/// What encodes the columns of a field in a row group.
enum FieldEncoder {
    Flat(Box<dyn FlatColumn>),
    Library(Vec<ArrowColumnWriter>),
}

impl FieldEncoder {
    fn write(&mut self, field: &FieldRef, array: &ArrayRef) -> Result<(), ParquetError> {
        match self {
            Self::Flat(column) => column.write(array),
            Self::Library(columns) => {
                let leaves = compute_leaves(field, array)?;
                columns.iter_mut().zip(&leaves).try_for_each(|(column, leaf)| column.write(leaf))
            }
        }
    }

    fn estimated_bytes(&self) -> usize {
        match self {
            Self::Flat(column) => column.estimated_bytes(),
            Self::Library(columns) => columns.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum(),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::Flat(column) => column.memory_bytes(),
            Self::Library(columns) => columns.iter().map(ArrowColumnWriter::memory_size).sum(),
        }
    }

    fn close(self) -> Result<FieldChunks, ParquetError> {
        match self {
            Self::Flat(column) => Ok(FieldChunks::Flat(Box::new(column.close()?))),
            Self::Library(columns) => {
                columns.into_iter().map(ArrowColumnWriter::close).collect::<Result<_, _>>().map(FieldChunks::Library)
            }
        }
    }
}

/// The columns of a field in a row group, encoded.
enum FieldChunks {
    Flat(Box<FlatChunk>),
    Library(Vec<ArrowColumnChunk>),
}

impl FieldChunks {
    fn append_to(self, row_group: &mut SerializedRowGroupWriter<'_, Scratch>) -> Result<(), ParquetError> {
        match self {
            Self::Flat(chunk) => row_group.append_column(&chunk.pages, chunk.close),
            Self::Library(chunks) => chunks.into_iter().try_for_each(|chunk| chunk.append_to_row_group(row_group)),
        }
    }
}
