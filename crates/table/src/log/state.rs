//! The newest snapshot of a table that this process knows, brought up to date by what is new in the log.
//!
//! Invariant: no snapshot is handed out before every path that the log names in it was checked.
//! Invariant: the next entry is asked for by name only while no clean-up can have removed it, and the log is listed
//! otherwise; so a state that slept never takes an old version for the newest.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use deltalake::{DeltaTable, logstore::LogStoreRef};

use super::entry::{Entry, check_live_path};
use crate::{Table, TableError};

/// How long after a listing the log is read entry by entry; clean-ups leave entries alone for days.
const LISTING_HOLDS: Duration = Duration::from_secs(60);
/// With more new entries than this, the files of the newest version are checked instead of each entry.
const MAX_ENTRIES: usize = 64;

/// The newest known version of a table.
pub(crate) struct LogState {
    table: DeltaTable,
    /// The newest version whose entry was read. The table is brought up to it when its files are asked for: those
    /// between changed neither columns nor properties.
    head: u64,
    listed_at: Instant,
    /// The newest sequence of each writer that was asked for, none where the log has none of it.
    sequences: HashMap<String, Option<i64>>,
}

impl LogState {
    /// Read the newest version, if the table has one.
    async fn load(log_store: &LogStoreRef) -> Result<Option<Self>, TableError> {
        if !log_store.is_delta_table_location().await? {
            return Ok(None);
        }
        let listed_at = Instant::now();
        let mut table = DeltaTable::new(log_store.clone());
        table.load().await?;
        check_files(&table)?;
        let newest = table.version().ok_or(TableError::NotCreated)?;
        // A torn newest entry reads like a commit without rows.
        if let Some(bytes) = log_store.read_commit_entry(newest).await? {
            Entry::parse(newest, &bytes)?.check_paths()?;
        }
        Ok(Some(Self { table, head: newest, listed_at, sequences: HashMap::new() }))
    }

    /// Read on, without looking at what the files are now where nothing else changed.
    async fn advance_head(&mut self, log_store: &LogStoreRef) -> Result<(), TableError> {
        let mut new = Vec::new();
        read_on(log_store, self.head, u64::MAX, &mut new).await?;
        let is_plain = new.len() < MAX_ENTRIES && !new.iter().any(Entry::changes_metadata);
        if !is_plain || self.listed_at.elapsed() >= LISTING_HOLDS {
            return self.advance(log_store).await;
        }
        self.note_sequences(&new);
        self.head += new.len() as u64;
        Ok(())
    }

    async fn advance(&mut self, log_store: &LogStoreRef) -> Result<(), TableError> {
        let known = self.head;
        let mut new = Vec::new();
        read_on(log_store, known, u64::MAX, &mut new).await?;
        let is_whole = self.table.version() == Some(known);
        if new.is_empty() && is_whole && self.listed_at.elapsed() < LISTING_HOLDS {
            return Ok(());
        }
        let listed_at = Instant::now();
        let mut next = self.table.clone();
        next.update_incremental(None).await?;
        let newest = next.version().ok_or(TableError::NotCreated)?;
        read_on(log_store, known, newest, &mut new).await?;
        if known + new.len() as u64 >= newest {
            self.note_sequences(&new);
        } else {
            check_files(&next)?;
            self.sequences.clear();
        }
        (self.table, self.head, self.listed_at) = (next, newest, listed_at);
        Ok(())
    }

    fn note_sequences(&mut self, entries: &[Entry]) {
        for txn in entries.iter().flat_map(|entry| entry.transactions()) {
            if let Some(newest) = self.sequences.get_mut(&txn.app_id) {
                *newest = (*newest).max(Some(txn.version));
            }
        }
    }

    async fn newest_sequence(&mut self, log_store: &LogStoreRef, app_id: &str) -> Result<Option<i64>, TableError> {
        if let Some(newest) = self.sequences.get(app_id) {
            return Ok(*newest);
        }
        // What is not noted yet is looked for in the whole table.
        self.advance(log_store).await?;
        let newest = self.table.snapshot()?.transaction_version(log_store.as_ref(), app_id).await?;
        self.sequences.insert(app_id.to_owned(), newest);
        Ok(newest)
    }
}

/// Read and check the entries after those that follow `known` already, up to a version, as far as they are there and
/// few enough.
async fn read_on(log_store: &LogStoreRef, known: u64, to: u64, new: &mut Vec<Entry>) -> Result<(), TableError> {
    while new.len() < MAX_ENTRIES && known + (new.len() as u64) < to {
        let version = known + 1 + new.len() as u64;
        let Some(bytes) = log_store.read_commit_entry(version).await? else { break };
        let entry = Entry::parse(version, &bytes)?;
        entry.check_paths()?;
        new.push(entry);
    }
    Ok(())
}

/// Check every path that a reader of this version would open.
pub(crate) fn check_files(table: &DeltaTable) -> Result<(), TableError> {
    let state = table.snapshot()?;
    for file in state.log_data().iter() {
        let storage_type = file.deletion_vector_descriptor().map(|vector| vector.storage_type.to_string());
        check_live_path(state.version(), &file.path(), storage_type.as_deref())?;
    }
    Ok(())
}

impl Table {
    /// The table at its newest version, or none if it has no version yet.
    pub(crate) async fn find_newest(&self) -> Result<Option<DeltaTable>, TableError> {
        let mut kept = self.state.lock().await;
        match kept.as_mut() {
            Some(state) => state.advance(&self.log_store).await?,
            None => *kept = LogState::load(&self.log_store).await?,
        }
        Ok(kept.as_ref().map(|state| state.table.clone()))
    }

    /// The table at its newest version.
    pub(crate) async fn newest(&self) -> Result<DeltaTable, TableError> {
        self.find_newest().await?.ok_or(TableError::NotCreated)
    }

    /// The newest version of the table, and the table with the columns and properties of that version. Its files may be
    /// those of an earlier one: rows are added without regard to them.
    pub(crate) async fn head(&self) -> Result<(DeltaTable, u64), TableError> {
        let mut kept = self.state.lock().await;
        match kept.as_mut() {
            Some(state) => state.advance_head(&self.log_store).await?,
            None => *kept = LogState::load(&self.log_store).await?,
        }
        kept.as_ref().map(|state| (state.table.clone(), state.head)).ok_or(TableError::NotCreated)
    }

    /// The newest sequence of a writer in the log; none if it has no table, or none of this writer.
    pub(crate) async fn newest_sequence(&self, app_id: &str) -> Result<Option<i64>, TableError> {
        match self.head().await {
            Ok(_) => self.known_sequence(app_id).await,
            Err(TableError::NotCreated) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The newest sequence of a writer at the version that was read last.
    pub(crate) async fn known_sequence(&self, app_id: &str) -> Result<Option<i64>, TableError> {
        let mut kept = self.state.lock().await;
        match kept.as_mut() {
            Some(state) => state.newest_sequence(&self.log_store, app_id).await,
            None => Ok(None),
        }
    }

    /// One entry of the log; none if it is not there (any more).
    pub(crate) async fn read_entry(&self, version: u64) -> Result<Option<Entry>, TableError> {
        let bytes = self.log_store.read_commit_entry(version).await?;
        bytes.map(|bytes| Entry::parse(version, &bytes)).transpose()
    }
}
