//! Data files as batches of the table's columns, in bounded memory.
//!
//! Invariant: what a batch holds is what the table holds: columns that a file lacks are missing, partition columns
//! have the values of the log.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, UInt32Array, new_null_array},
    compute::take,
    datatypes::{Field, Schema, SchemaRef},
};
use deltalake::DeltaTable;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use sluice_domain::TableLayout;
use sluice_storage::Folder;

use crate::{TableError, layout::layout_of, live::LiveFile};

mod convert;
mod object;

pub(crate) use convert::convert;
use object::ParquetObject;

/// How many rows are decoded at a time.
const BATCH_ROWS: usize = 4096;

/// Reads the files of one version.
#[derive(Debug, Clone)]
pub(crate) struct FileReader {
    folder: Folder,
    /// The table's columns.
    pub(crate) schema: SchemaRef,
    /// Those that it is partitioned by.
    pub(crate) partition_by: Vec<String>,
    /// How its files are laid out.
    pub(crate) layout: TableLayout,
}

impl FileReader {
    pub(crate) fn new(folder: &Folder, table: &DeltaTable) -> Result<Self, TableError> {
        let state = table.snapshot()?;
        let partition_by = state.metadata().partition_columns().to_vec();
        let layout = layout_of(state.metadata().configuration());
        Ok(Self { folder: folder.clone(), schema: state.snapshot().arrow_schema(), partition_by, layout })
    }

    /// A reader of the same files as rows of other columns.
    pub(crate) fn with_schema(self, schema: SchemaRef) -> Self {
        Self { schema, ..self }
    }

    /// The rows of a file, all columns of the table in order.
    pub(crate) async fn read(
        &self,
        file: &LiveFile,
    ) -> Result<impl Stream<Item = Result<RecordBatch, TableError>> + Send + use<>, TableError> {
        self.read_columns(file, None).await
    }

    /// The same with only these columns decoded; the others are there and have no values.
    pub(crate) async fn read_columns(
        &self,
        file: &LiveFile,
        wanted: Option<&[usize]>,
    ) -> Result<impl Stream<Item = Result<RecordBatch, TableError>> + Send + use<>, TableError> {
        let path = deltalake::Path::parse(&file.path).map_err(|error| TableError::Encode(Box::new(error)))?;
        let reader = ParquetObject { store: self.folder.store.clone(), path, size_bytes: file.size_bytes };
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await?.with_batch_size(BATCH_ROWS);
        let is_wanted = |name: &String| {
            let at = self.schema.index_of(name).ok();
            at.is_some_and(|at| wanted.is_none_or(|wanted| wanted.contains(&at)))
        };
        let roots = builder.schema().fields().iter().enumerate();
        let roots: Vec<usize> = roots.filter(|(_, field)| is_wanted(field.name())).map(|(at, _)| at).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let rows = builder.with_projection(mask).build()?;
        let values = self.partition_values(file)?;
        let schema = self.schema.clone();
        Ok(rows.map_err(TableError::from).map(move |batch| shape(&batch?, &schema, &values)))
    }

    /// One row with the values of a file's partition, and no others.
    pub(crate) fn one_row(&self, file: &LiveFile) -> Result<RecordBatch, TableError> {
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let nothing = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
        shape(&nothing, &self.schema, &self.partition_values(file)?)
    }

    /// The value of each partition column as an array of one.
    fn partition_values(&self, file: &LiveFile) -> Result<Vec<(String, ArrayRef)>, TableError> {
        let columns = self.partition_by.iter().map(|name| {
            let text = file.values.get(name).cloned().flatten().filter(|text| !text.is_empty());
            let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
            Ok((name.clone(), convert(&text, self.schema.field_with_name(name)?.data_type())?))
        });
        columns.collect()
    }
}

/// Bring a file's rows into the shape of the table.
fn shape(rows: &RecordBatch, schema: &SchemaRef, values: &[(String, ArrayRef)]) -> Result<RecordBatch, TableError> {
    let column = |field: &Arc<Field>| {
        if let Some((_, value)) = values.iter().find(|(name, _)| name == field.name()) {
            return Ok(take(value, &UInt32Array::from(vec![0; rows.num_rows()]), None)?);
        }
        match rows.column_by_name(field.name()) {
            Some(column) => convert(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), rows.num_rows())),
        }
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, TableError>>()?;
    batch_of(schema, columns, rows.num_rows())
}

/// A batch of these columns; what must have values is checked when it is written, not while columns are left out.
fn batch_of(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, TableError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let relaxed = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let relaxed = Schema::new(relaxed.collect::<Vec<_>>());
    Ok(RecordBatch::try_new_with_options(Arc::new(relaxed), columns, &options)?)
}
