//! Whole tables, looked at once.
//!
//! Invariant: a scan is of one version, in bounded memory, and takes one of the places for uploads that are decoded.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt as _;
use sluice_catalog::CatalogError;
use sluice_domain::{TableEntry, TableFormat, TableRef, Terms};
use sluice_quality::{OtherTable, References, needs};
use sluice_table::TableRows;
use tokio::{sync::mpsc, task::spawn_blocking};

use crate::{
    IngestError,
    pipeline::{BATCHES_AHEAD, joined},
    road::Road,
};

/// Rows as they come, to a thread that may wait for them.
pub(super) struct Batches(mpsc::Receiver<RecordBatch>);

impl Iterator for Batches {
    type Item = RecordBatch;

    fn next(&mut self) -> Option<RecordBatch> {
        self.0.blocking_recv()
    }
}

/// Look at rows as they come: who looks computes in a thread of its own.
pub(super) async fn scan<T: Send + 'static>(
    rows: TableRows,
    wanted: Option<Vec<usize>>,
    look: impl FnOnce(Batches) -> T + Send + 'static,
) -> Result<T, IngestError> {
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let looking = spawn_blocking(move || look(Batches(receiver)));
    let mut batches = Box::pin(rows.read(wanted));
    while let Some(batch) = batches.next().await {
        if sender.send(batch?).await.is_err() {
            break;
        }
    }
    drop(sender);
    joined(looking, "scan").await
}

impl Road {
    /// What the suite of a table asks of other tables.
    pub(crate) async fn references(&self, terms: &Terms) -> Arc<References> {
        let Some(suite) = &terms.suite else { return Arc::default() };
        let mut references = References::new();
        for (name, columns) in needs(suite).tables {
            let found = self.other_table(&name, &columns).await.map_err(|error| error.to_string());
            references.insert(name, found);
        }
        Arc::new(references)
    }

    /// The rows of the newest version of a table of any format.
    pub(super) async fn rows_of(&self, entry: &TableEntry) -> Result<TableRows, IngestError> {
        let table = self.shelf.get(entry);
        if entry.format == TableFormat::Parquet {
            return Ok(TableRows::of_plain(table.folder(), self.plain.snapshot(entry).await?.as_ref()));
        }
        self.tails.check(entry.id, &table).await?;
        Ok(table.rows(None).await?)
    }

    async fn other_table(
        &self,
        name: &str,
        columns: &std::collections::HashSet<String>,
    ) -> Result<OtherTable, IngestError> {
        let absent = || CatalogError::TableNotFound { name: name.to_owned() };
        let name: TableRef = name.parse().map_err(|_| absent())?;
        let entry = self.catalog.tables().find(&name).await?;
        let rows = self.rows_of(&entry).await?;
        let wanted = columns.iter().filter_map(|column| rows.schema.index_of(column).ok()).collect();
        let mut other = OtherTable::of(columns);
        scan(rows, Some(wanted), move |batches| {
            batches.for_each(|batch| other.add(&batch));
            other
        })
        .await
    }
}
