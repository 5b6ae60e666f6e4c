//! Data files as batches of the table's columns, in bounded memory.
//!
//! Invariant: what a batch holds is what the table holds: columns that a file lacks are missing, partition columns
//! have the values of the log.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, UInt32Array, new_null_array},
    compute::take,
    datatypes::{Field, Schema, SchemaRef},
};
use deltalake::DeltaTable;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use sluice_domain::{PlainSnapshot, TableLayout};
use sluice_storage::Folder;

use crate::{TableError, layout::layout_of, live::LiveFile};

mod convert;
mod object;

pub(crate) use convert::convert;
use object::ParquetObject;

/// How many rows are decoded at a time, if they do not have many columns.
const BATCH_ROWS: usize = 4096;
/// How many values are decoded at a time, all columns together.
const BATCH_CELLS: usize = 256 << 10;

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

    /// The same for the files of a plain table, whose columns the catalog knows.
    pub(crate) fn of_plain(folder: &Folder, snapshot: &PlainSnapshot) -> Self {
        let schema = Schema::new(snapshot.schema.fields().clone());
        let layout = layout_of(snapshot.schema.metadata());
        let partition_by = snapshot.partition_by.clone();
        Self { folder: folder.clone(), schema: Arc::new(schema), partition_by, layout }
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
        let builder = self.open(file).await?;
        let batch_rows = BATCH_ROWS.min(BATCH_CELLS / self.schema.fields().len().max(1)).max(1);
        let is_wanted = |name: &String| {
            let at = self.schema.index_of(name).ok();
            at.is_some_and(|at| wanted.is_none_or(|wanted| wanted.contains(&at)))
        };
        let roots = builder.schema().fields().iter().enumerate();
        let roots: Vec<usize> = roots.filter(|(_, field)| is_wanted(field.name())).map(|(at, _)| at).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let rows = builder.with_batch_size(batch_rows).with_projection(mask).build()?;
        let (schema, origins) = (self.schema.clone(), self.origins(rows.schema(), file)?);
        Ok(rows.map_err(TableError::from).map(move |batch| shape(&batch?, &schema, &origins)))
    }

    /// The places of the columns that a file has values of: its own, and those that it is partitioned by.
    pub(crate) async fn columns_in(&self, file: &LiveFile) -> Result<Vec<usize>, TableError> {
        let builder = self.open(file).await?;
        let own: HashSet<&String> =
            builder.schema().fields().iter().map(|field| field.name()).chain(&self.partition_by).collect();
        Ok((0..self.schema.fields().len()).filter(|at| own.contains(self.schema.field(*at).name())).collect())
    }

    async fn open(&self, file: &LiveFile) -> Result<ParquetRecordBatchStreamBuilder<ParquetObject>, TableError> {
        let path = deltalake::Path::parse(&file.path).map_err(|error| TableError::Encode(Box::new(error)))?;
        let reader = ParquetObject { store: self.folder.store.clone(), path, size_bytes: file.size_bytes };
        Ok(ParquetRecordBatchStreamBuilder::new(reader).await?)
    }

    /// One row with the values of a file's partition, and no others.
    pub(crate) fn one_row(&self, file: &LiveFile) -> Result<RecordBatch, TableError> {
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let nothing = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
        shape(&nothing, &self.schema, &self.origins(nothing.schema_ref(), file)?)
    }

    /// Where the values of each column come from, for rows that are decoded with these columns.
    fn origins(&self, decoded: &SchemaRef, file: &LiveFile) -> Result<Vec<Origin>, TableError> {
        let places: HashMap<&str, usize> =
            decoded.fields().iter().enumerate().map(|(at, field)| (field.name().as_str(), at)).collect();
        let origin = |field: &Arc<Field>| {
            if self.partition_by.contains(field.name()) {
                let text = file.values.get(field.name()).cloned().flatten().filter(|text| !text.is_empty());
                let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
                return convert(&text, field.data_type()).map(Origin::Partition);
            }
            Ok(places.get(field.name().as_str()).map_or(Origin::Missing, |at| Origin::Decoded(*at)))
        };
        self.schema.fields().iter().map(origin).collect()
    }
}

/// Where the values of a column come from.
enum Origin {
    /// The value of the file's partition, as an array of one.
    Partition(ArrayRef),
    /// The place among the decoded columns.
    Decoded(usize),
    Missing,
}

/// Bring a file's rows into the shape of the table.
fn shape(rows: &RecordBatch, schema: &SchemaRef, origins: &[Origin]) -> Result<RecordBatch, TableError> {
    let column = |(field, origin): (&Arc<Field>, &Origin)| match origin {
        Origin::Partition(value) => Ok(take(value, &UInt32Array::from(vec![0; rows.num_rows()]), None)?),
        Origin::Decoded(at) => convert(rows.column(*at), field.data_type()),
        Origin::Missing => Ok(new_null_array(field.data_type(), rows.num_rows())),
    };
    let columns = schema.fields().iter().zip(origins).map(column).collect::<Result<Vec<_>, TableError>>()?;
    batch_of(schema, columns, rows.num_rows())
}

/// A batch of these columns; what must have values is checked when it is written, not while columns are left out.
fn batch_of(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, TableError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let relaxed = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let relaxed = Schema::new(relaxed.collect::<Vec<_>>());
    Ok(RecordBatch::try_new_with_options(Arc::new(relaxed), columns, &options)?)
}
