//! From batches that come one by one to files: in the order they come in, or sorted where the table's layout says so.
//!
//! Invariant: rows are sorted in bounded memory; what is more goes to scratch files.
//! Invariant: rows that are equal in the order stay in the order that they came in, so that doing it again gives the
//! same files.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::{
    array::{RecordBatch, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use deltalake::datafusion::{
    catalog::streaming::StreamingTable,
    error::Result as DataFusionResult,
    execution::{
        SendableRecordBatchStream, TaskContext,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::FairSpillPool,
        runtime_env::RuntimeEnvBuilder,
    },
    logical_expr::SortExpr,
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
    prelude::{Expr, SessionConfig, SessionContext},
};
use futures::{StreamExt as _, stream};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

use super::{StagedFiles, TableWriter};
use crate::TableError;

/// How many sorted batches wait for the writer.
const BATCHES_AHEAD: usize = 2;
/// How many rows are sorted at a time.
const BATCH_ROWS: usize = 1024;
/// The column of the rows' places, which no other column can be called like: names have no control characters.
const PLACE: &str = "\u{1}place";

impl TableWriter {
    /// Write rows as they come until there are no more; sorted within each partition where the layout says so.
    ///
    /// A task of its own: it ends with the files, or with what went wrong.
    pub fn feed(self, rows: mpsc::Receiver<RecordBatch>) -> JoinHandle<Result<StagedFiles, TableError>> {
        match self.order() {
            None => spawn_blocking(move || write_all(self, rows)),
            Some(order) => tokio::spawn(self.feed_sorted(rows, order)),
        }
    }

    /// By what rows are sorted: first by partition, so that one file after the other is written.
    fn order(&self) -> Option<Vec<SortExpr>> {
        let ascending = |name: &String| Expr::Column(name.as_str().into()).sort(true, false);
        let present = |name: &&String| self.schema.field_with_name(name).is_ok();
        let sort_by: Vec<&String> = self.settings.layout.sort_by.iter().filter(present).collect();
        let all = self.partition_by.iter().chain(sort_by.iter().copied());
        let place = Expr::Column(PLACE.into()).sort(true, false);
        (!sort_by.is_empty()).then(|| all.map(ascending).chain([place]).collect())
    }

    async fn feed_sorted(
        self,
        rows: mpsc::Receiver<RecordBatch>,
        order: Vec<SortExpr>,
    ) -> Result<StagedFiles, TableError> {
        let session = bounded_session(self.settings.sort_memory_bytes, &self.scratch_dir)?;
        let schema = SchemaRef::clone(&self.schema);
        let width = schema.fields().len();
        let feed = Feed { schema: placed_schema(&schema), rows: Mutex::new(Some(rows)) };
        let table = StreamingTable::try_new(SchemaRef::clone(&feed.schema), vec![Arc::new(feed)])?;
        let mut sorted = session.read_table(Arc::new(table))?.sort(order)?.execute_stream().await?;
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let writing = spawn_blocking(move || write_all(self, receiver));
        while let Some(batch) = sorted.next().await {
            let batch = RecordBatch::try_new(SchemaRef::clone(&schema), batch?.columns()[..width].to_vec())?;
            if sender.send(batch).await.is_err() {
                // The writer stopped, and knows why.
                break;
            }
        }
        drop((sender, sorted));
        writing.await.map_err(TableError::encode)?
    }
}

/// A writer that is not told of a failure before it closes its files for nothing; no commit will name them.
fn write_all(mut writer: TableWriter, mut rows: mpsc::Receiver<RecordBatch>) -> Result<StagedFiles, TableError> {
    while let Some(batch) = rows.blocking_recv() {
        writer.write(&batch)?;
    }
    writer.finish()
}

/// A session that sorts in so much memory, and in scratch files beyond.
pub(crate) fn bounded_session(
    memory_bytes: usize,
    scratch_dir: &std::path::Path,
) -> Result<SessionContext, TableError> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![scratch_dir.to_owned()]));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(memory_bytes)))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(BATCH_ROWS)
        // What a merge of spilled runs keeps aside must fit into small pools, too.
        .with_sort_spill_reservation_bytes(memory_bytes / 4);
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

/// The columns and the rows' places. What must have values is checked when it is written, not while it is sorted.
fn placed_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.chain([Field::new(PLACE, DataType::UInt64, false)]).collect::<Vec<_>>()))
}

/// The rows with their places, of which the first is given.
fn placed(schema: SchemaRef, batch: &RecordBatch, first: u64) -> DataFusionResult<RecordBatch> {
    let places = UInt64Array::from_iter_values(first..first + batch.num_rows() as u64);
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(places));
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// The rows that come, as a table that is read once.
#[derive(Debug)]
struct Feed {
    schema: SchemaRef,
    rows: Mutex<Option<mpsc::Receiver<RecordBatch>>>,
}

impl PartitionStream for Feed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        let schema = SchemaRef::clone(&self.schema);
        let batches = stream::unfold((rows, 0_u64), move |(rows, first)| {
            let schema = SchemaRef::clone(&schema);
            async move {
                let mut rows = rows?;
                let batch = rows.recv().await?;
                let next = first + batch.num_rows() as u64;
                Some((placed(schema, &batch, first), (Some(rows), next)))
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(SchemaRef::clone(&self.schema), batches))
    }
}
