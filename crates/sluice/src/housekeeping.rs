//! What the catalog wants done beside requests: words of old tables entered, reads counted, old events forgotten.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use sluice_catalog::{Catalog, CatalogError};
use sluice_domain::{TableId, TableReads};
use tokio::{task::AbortHandle, time::MissedTickBehavior};

/// How often reads are written down.
const PAUSE: Duration = Duration::from_secs(10);
/// How many tables' words are entered in one transaction: others that write wait for it.
const TABLES_AT_ONCE: u32 = 20;
/// How long events are kept.
const EVENT_DAYS: i64 = 30;
/// How many old events are forgotten in one transaction.
const EVENTS_AT_ONCE: u32 = 1000;

/// How often tables were read since it was written down last.
#[derive(Debug, Default)]
pub(crate) struct ReadCounts(Mutex<HashMap<TableId, u64>>);

impl ReadCounts {
    pub(crate) fn add(&self, table: TableId) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(table).or_default() += 1;
    }

    fn take(&self) -> Vec<TableReads> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }
}

/// The work in the background; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    catalog: Catalog,
    reads: Arc<ReadCounts>,
    task: AbortHandle,
}

impl Housekeeping {
    pub(crate) fn start(catalog: Catalog) -> Self {
        let reads = Arc::new(ReadCounts::default());
        let work = keep(catalog.clone(), Arc::clone(&reads));
        Self { catalog, reads, task: tokio::spawn(work).abort_handle() }
    }

    pub(crate) fn reads(&self) -> Arc<ReadCounts> {
        Arc::clone(&self.reads)
    }

    /// End it, and write down what was counted last.
    pub(crate) async fn end(self) {
        self.task.abort();
        if let Err(error) = write_reads(&self.catalog, &self.reads).await {
            tracing::warn!(%error, "the last reads of tables were not counted");
        }
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(catalog: Catalog, reads: Arc<ReadCounts>) {
    let mut ticks = tokio::time::interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for done in [write_reads(&catalog, &reads).await, enter_words(&catalog).await, forget_events(&catalog).await] {
            if let Err(error) = done {
                tracing::warn!(%error, "the catalog's upkeep is tried again");
            }
        }
    }
}

async fn write_reads(catalog: &Catalog, reads: &ReadCounts) -> Result<(), CatalogError> {
    match reads.take() {
        none if none.is_empty() => Ok(()),
        reads => catalog.discovery().count_reads(&reads, Utc::now()).await,
    }
}

async fn enter_words(catalog: &Catalog) -> Result<(), CatalogError> {
    while catalog.discovery().index_missing(TABLES_AT_ONCE).await? > 0 {}
    Ok(())
}

async fn forget_events(catalog: &Catalog) -> Result<(), CatalogError> {
    let before = Utc::now() - TimeDelta::days(EVENT_DAYS);
    while catalog.changes().forget_changes(before, EVENTS_AT_ONCE).await? == u64::from(EVENTS_AT_ONCE) {}
    Ok(())
}
