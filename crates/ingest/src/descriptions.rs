//! What tables look like, told without opening them where the catalog has kept it.
//!
//! Invariant: a kept description is told only when the log has no version after it. The log is asked for that version by
//! name, so a description is kept no longer than any clean-up leaves entries alone.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use sluice_catalog::{Catalog, KeptDescription};
use sluice_domain::{TableEntry, TableId};
use sluice_table::{Description, Shelf};

use crate::IngestError;

/// How long a description is believed.
const HOLDS: TimeDelta = TimeDelta::hours(24);
/// How long descriptions are gathered before they are written down together.
const GATHERED_FOR: Duration = Duration::from_secs(1);
/// How many descriptions wait to be written down; what comes beyond is found out anew.
const MAX_WAITING: usize = 4096;
/// How many are written in one transaction: others that write wait for it.
const AT_ONCE: usize = 256;
/// The longest description that is kept, in bytes: one of some hundred columns.
const MAX_BODY_BYTES: usize = 128 << 10;

/// Describes tables.
#[derive(Clone)]
pub(crate) struct Descriptions {
    catalog: Catalog,
    shelf: Arc<Shelf>,
    waiting: Arc<Waiting>,
}

/// The descriptions that are not written down yet.
#[derive(Default)]
struct Waiting {
    kept: Mutex<HashMap<TableId, KeptDescription>>,
    /// Whether somebody is about to write them down.
    has_writer: AtomicBool,
}

impl Descriptions {
    pub(crate) fn new(catalog: Catalog, shelf: Arc<Shelf>) -> Self {
        Self { catalog, shelf, waiting: Arc::default() }
    }

    /// The newest version of a table with a log.
    pub(crate) async fn newest(&self, entry: &TableEntry) -> Result<Description, IngestError> {
        let table = self.shelf.get(entry);
        if let Some(description) = self.kept(entry.id).await?
            && table.is_newest(description.version).await?
        {
            return Ok(description);
        }
        let description = table.describe(None).await?;
        self.keep(entry.id, &description);
        Ok(description)
    }

    async fn kept(&self, id: TableId) -> Result<Option<Description>, IngestError> {
        let waiting = self.waiting.lock().get(&id).cloned();
        let kept = match waiting {
            Some(kept) => Some(kept),
            None => self.catalog.descriptions().find(id).await?,
        };
        let young = kept.filter(|kept| Utc::now().signed_duration_since(kept.kept_at).abs() < HOLDS);
        // What another release wrote in another form is found out anew.
        Ok(young.and_then(|kept| serde_json::from_str(&kept.body).ok()))
    }

    fn keep(&self, table: TableId, description: &Description) {
        let Ok(body) = serde_json::to_string(description) else { return };
        if body.len() > MAX_BODY_BYTES {
            return;
        }
        let kept = KeptDescription { table, version: description.version, body, kept_at: Utc::now() };
        let mut waiting = self.waiting.lock();
        if waiting.len() < MAX_WAITING {
            waiting.insert(table, kept);
        }
        drop(waiting);
        if !self.waiting.has_writer.swap(true, Ordering::SeqCst) {
            tokio::spawn(Arc::clone(&self.waiting).write_down(self.catalog.clone()));
        }
    }
}

impl Waiting {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TableId, KeptDescription>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Write down what is gathered in a while. What cannot be written is forgotten: it is found out anew.
    async fn write_down(self: Arc<Self>, catalog: Catalog) {
        tokio::time::sleep(GATHERED_FOR).await;
        self.has_writer.store(false, Ordering::SeqCst);
        let gathered: Vec<_> = self.lock().values().cloned().collect();
        for some in gathered.chunks(AT_ONCE) {
            if let Err(error) = catalog.descriptions().keep(some).await {
                tracing::warn!(%error, "descriptions of tables are not kept");
            }
            let mut waiting = self.lock();
            for written in some {
                if waiting.get(&written.table).is_some_and(|kept| kept == written) {
                    waiting.remove(&written.table);
                }
            }
        }
    }
}
