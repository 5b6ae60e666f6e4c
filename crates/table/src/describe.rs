//! What a table looks like: its columns, size and versions.

use std::{collections::HashMap, sync::Arc};

use arrow_schema::Schema;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_domain::TableLayout;

use crate::{Table, TableError, UploadPart, layout::layout_of, log::entry::Entry};

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as Delta names it.
    pub delta_type: String,
    /// Its type as Arrow names it.
    pub arrow_type: String,
    /// Whether values may be missing.
    pub nullable: bool,
    /// Whether the table is partitioned by it.
    pub partition: bool,
}

/// A table at one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The version.
    pub version: u64,
    /// The schema, in Arrow's types.
    pub schema: Arc<Schema>,
    /// The columns that it is partitioned by.
    pub partition_by: Vec<String>,
    /// How many rows its files hold; none if a file does not tell.
    pub rows: Option<u64>,
    /// How many data files it has.
    pub files: u64,
    /// Their size, in bytes.
    pub size_bytes: u64,
    /// The lowest versions that readers and writers must speak.
    pub protocol: (i32, i32),
    /// How its files are laid out.
    pub layout: TableLayout,
}

/// One version in a table's history.
#[derive(Debug, Clone)]
pub struct VersionEntry {
    /// The version.
    pub version: u64,
    /// When it was committed.
    pub committed_at: Option<DateTime<Utc>>,
    /// What was done, in the words of the Delta log.
    pub operation: Option<String>,
    /// The tags that the committer left, `sluice.` ones included.
    pub tags: HashMap<String, String>,
    /// The uploads whose rows it holds.
    pub uploads: Vec<UploadPart>,
    /// How many data files it added.
    pub files_added: u64,
    /// How many data files it removed.
    pub files_removed: u64,
    /// How many rows the added files hold.
    pub rows_added: u64,
    /// Whether it changed columns, properties or protocol.
    pub changes_metadata: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RowCount {
    num_records: u64,
}

impl Table {
    /// Whether the log has no version after this one, which was read within the last days.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_newest(&self, version: u64) -> Result<bool, TableError> {
        Ok(self.log_store.read_commit_entry(version + 1).await?.is_none())
    }

    /// Describe a version, the newest where none is given.
    ///
    /// # Errors
    /// [`TableError::NoSuchVersion`], [`TableError::NotCreated`], or the store's.
    pub async fn describe(&self, version: Option<u64>) -> Result<Description, TableError> {
        let table = self.at(version).await?;
        let state = table.snapshot()?;
        let files = state.log_data();
        let (mut count, mut size_bytes, mut rows) = (0, 0, Some(0));
        for file in files.iter() {
            count += 1;
            size_bytes += file.size().unsigned_abs();
            rows = rows.and_then(|rows| Some(rows + file.num_records()? as u64));
        }
        let (reader, writer) = (state.protocol().min_reader_version(), state.protocol().min_writer_version());
        Ok(Description {
            version: state.version(),
            schema: state.snapshot().arrow_schema(),
            partition_by: state.metadata().partition_columns().to_vec(),
            rows,
            files: count,
            size_bytes,
            protocol: (reader, writer),
            layout: layout_of(state.metadata().configuration()),
        })
    }

    /// The versions below `before` (the newest where none is given), newest first, `limit` at the most.
    ///
    /// # Errors
    /// [`TableError::NotCreated`], or the store's.
    pub async fn versions(&self, before: Option<u64>, limit: u32) -> Result<Vec<VersionEntry>, TableError> {
        let newest = self.newest().await?.version().ok_or(TableError::NotCreated)?;
        let end = before.map_or(newest + 1, |before| before.min(newest + 1));
        let mut entries = Vec::new();
        for version in (end.saturating_sub(limit.into())..end).rev() {
            let Some(entry) = self.read_entry(version).await? else { break };
            entries.push(summary(&entry));
        }
        Ok(entries)
    }
}

fn summary(entry: &Entry) -> VersionEntry {
    let info = entry.lines.iter().find_map(|line| line.commit_info.as_ref());
    let added = || entry.lines.iter().filter_map(|line| line.add.as_ref());
    let rows = |stats: &str| serde_json::from_str::<RowCount>(stats).map_or(0, |stats| stats.num_records);
    VersionEntry {
        version: entry.version,
        committed_at: info.and_then(|info| info.timestamp).and_then(DateTime::from_timestamp_millis),
        operation: info.and_then(|info| info.operation.clone()),
        tags: entry.tags(),
        uploads: entry.uploads(),
        files_added: added().count() as u64,
        files_removed: entry.lines.iter().filter(|line| line.remove.is_some()).count() as u64,
        changes_metadata: entry.changes_metadata(),
        rows_added: added().filter_map(|add| add.stats.as_deref()).map(rows).sum(),
    }
}
