//! Z-order: rows with values near to each other in several columns come into the same files, partition by partition.
//!
//! Invariant: it is committed only after the new files were read back and hold just the rows of the old ones.

use deltalake::{DeltaTable, datafusion::prelude::col};
use futures::{StreamExt as _, TryStreamExt as _};

use super::{Rewrite, RowChanges, Workspace, compact::by_partition, digest::Digest, sink::Sink};
use crate::{
    Refusal, Table, TableError,
    live::{LiveFile, live_files},
    log::change::{Change, Reads},
    reader::FileReader,
    writer::bounded_session,
};

mod curve;
mod feed;

use curve::{CURVE_COLUMN, Curve};
use feed::Feed;

/// How many columns the rows are ordered by at the most.
const MAX_COLUMNS: usize = 8;

/// Put rows with values near to each other into the same files.
#[derive(Debug, Clone)]
pub struct ZOrder {
    /// The columns whose values are to be near.
    pub columns: Vec<String>,
    /// How large files should become, in bytes.
    pub target_bytes: u64,
}

impl ZOrder {
    fn columns_in(&self, reader: &FileReader) -> Result<Vec<usize>, Refusal> {
        let refused = |column: &str, reason: &'static str| Refusal::unchangeable(column, reason);
        let columns = self.columns.iter().map(|column| {
            let at = reader.schema.index_of(column).map_err(|_| Refusal::unknown(column))?;
            if reader.partition_by.contains(column) {
                return Err(refused(column, "all rows of a partition have the same value in it"));
            }
            if reader.schema.field(at).data_type().is_nested() {
                return Err(refused(column, "values of its type have no order"));
            }
            Ok(at)
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        if columns.is_empty() || columns.len() > MAX_COLUMNS {
            return Err(refused(&self.columns.join(", "), "rows are ordered by 1 to 8 columns"));
        }
        Ok(columns)
    }
}

impl Table {
    pub(super) async fn prepare_z_order(
        &self,
        z_order: &ZOrder,
        workspace: &Workspace,
        newest: &DeltaTable,
    ) -> Result<Rewrite, TableError> {
        let mut reader = FileReader::new(self.folder(), newest)?;
        // The order of the curve takes the place of the table's own.
        reader.layout.sort_by.clear();
        let columns = z_order.columns_in(&reader)?;
        let mut workspace = workspace.clone();
        workspace.writer.target_file_bytes = usize::try_from(z_order.target_bytes).unwrap_or(usize::MAX);
        let (mut digest, mut files) = (Digest::new(&reader.schema)?, Vec::new());
        let chosen = live_files(newest)?;
        for partition in by_partition(chosen.clone()).into_values() {
            let mut sink = Sink::open(&workspace, &reader)?;
            for file in &partition {
                let mut batches = reader.read(file).await?;
                while let Some(batch) = batches.try_next().await? {
                    digest = digest.with(&batch).await?;
                }
            }
            let curve = Curve::sample(&columns, &partition, &reader).await?;
            sort_into(&mut sink, partition, &reader, (curve, &workspace)).await?;
            files.extend(sink.finish(self.folder()).await?);
        }
        digest.verify(&files, &reader).await?;
        let base = newest.version().ok_or(TableError::NotCreated)?;
        let change = Change {
            operation: "OPTIMIZE",
            parameters: vec![("zOrderBy", z_order.columns.join(", "))],
            data_change: false,
            reads: Reads::Files(base),
            ..Change::append(Vec::new())
        };
        let rows = RowChanges { copied: digest.rows, ..RowChanges::default() };
        Ok(Rewrite::replacing(change, files, &chosen, rows))
    }
}

/// Bring the rows of a partition in the order of the curve, in bounded memory.
async fn sort_into(
    sink: &mut Sink,
    partition: Vec<LiveFile>,
    reader: &FileReader,
    (curve, workspace): (Curve, &Workspace),
) -> Result<(), TableError> {
    let session = bounded_session(workspace.sort_memory_bytes, &workspace.scratch_dir)?;
    let feed = Feed::new(partition, reader.clone(), curve);
    let rows = session.read_table(feed.into_table()?)?.sort(vec![col(CURVE_COLUMN).sort(true, false)])?;
    let mut sorted = rows.execute_stream().await?;
    let last = reader.schema.fields().len();
    let kept: Vec<usize> = (0..last).collect();
    while let Some(batch) = sorted.next().await {
        sink.write(batch?.project(&kept)?).await?;
    }
    Ok(())
}
