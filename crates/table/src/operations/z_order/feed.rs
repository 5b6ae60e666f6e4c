//! The rows of some files with their places on the curve, as a table that is read once from its start to its end.

use std::{fmt, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use deltalake::datafusion::{
    catalog::streaming::StreamingTable,
    error::{DataFusionError, Result as DataFusionResult},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::curve::{CURVE_BYTES, CURVE_COLUMN, Curve};
use crate::{TableError, live::LiveFile, reader::FileReader};

/// Files, and how to read them.
pub(super) struct Feed {
    files: Vec<LiveFile>,
    reader: FileReader,
    curve: Arc<Curve>,
    schema: SchemaRef,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl Feed {
    pub(super) fn new(files: Vec<LiveFile>, reader: FileReader, curve: Curve) -> Self {
        let mut fields: Vec<Field> =
            reader.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        fields.push(Field::new(CURVE_COLUMN, DataType::FixedSizeBinary(CURVE_BYTES), false));
        Self { files, reader, curve: Arc::new(curve), schema: Arc::new(Schema::new(fields)) }
    }

    pub(super) fn into_table(self) -> Result<Arc<StreamingTable>, TableError> {
        Ok(Arc::new(StreamingTable::try_new(self.schema.clone(), vec![Arc::new(self)])?))
    }
}

impl PartitionStream for Feed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (reader, curve, schema) = (self.reader.clone(), self.curve.clone(), self.schema.clone());
        let batches = stream::iter(self.files.clone()).then(move |file| {
            let reader = reader.clone();
            async move { reader.read(&file).await }
        });
        let rows = batches.try_flatten().map(move |batch| placed(&batch?, &curve, &schema));
        let rows = rows.map_err(|error| DataFusionError::External(Box::new(error)));
        let rows: stream::BoxStream<'static, DataFusionResult<RecordBatch>> = rows.boxed();
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows))
    }
}

/// The rows with their places as the last column.
fn placed(batch: &RecordBatch, curve: &Curve, schema: &SchemaRef) -> Result<RecordBatch, TableError> {
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(curve.places(batch)?));
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}
