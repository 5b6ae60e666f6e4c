//! What a table looks like: its columns, size and versions.

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use arrow::datatypes::Schema;
use chrono::{DateTime, Utc};
use deltalake::kernel::CommitInfo;
use serde::Deserialize;

use crate::{Table, TableError, Transaction, UploadPart, commit::UPLOADS_TAG};

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
#[derive(Debug, Clone)]
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
    /// The uploads whose rows it added.
    pub uploads: Vec<UploadPart>,
    /// How many data files it added.
    pub files_added: u64,
    /// How many data files it removed.
    pub files_removed: u64,
    /// How many rows the added files hold.
    pub rows_added: u64,
}

/// The actions of a commit that a history tells of.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    commit_info: Option<CommitInfo>,
    add: Option<AddLine>,
    remove: Option<serde::de::IgnoredAny>,
    txn: Option<deltalake::kernel::Transaction>,
}

#[derive(Deserialize)]
struct AddLine {
    stats: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RowCount {
    num_records: u64,
}

impl Table {
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
            let Some(lines) = self.read_lines(version).await? else { break };
            entries.push(entry(version, lines));
        }
        Ok(entries)
    }

    /// The version whose commit carries this transaction. A writer's sequences grow from version to version, so the
    /// search ends at the first smaller one.
    pub(crate) async fn find_transaction(&self, wanted: &Transaction, upload: &str) -> Result<Option<u64>, TableError> {
        let newest = self.newest().await?.version().ok_or(TableError::NotCreated)?;
        for version in (0..=newest).rev() {
            let Some(lines) = self.read_lines(version).await? else { break };
            let of_writer = lines.iter().filter_map(|line| line.txn.as_ref()).find(|txn| txn.app_id == wanted.app_id);
            match of_writer.map(|txn| txn.version.cmp(&wanted.sequence)) {
                None => {}
                Some(Ordering::Less) => return Ok(None),
                Some(Ordering::Equal | Ordering::Greater) => {
                    let entry = entry(version, lines);
                    let is_in = entry.uploads.iter().any(|part| part.id == upload);
                    if is_in {
                        return Ok(Some(version));
                    }
                }
            }
        }
        Ok(None)
    }

    async fn read_lines(&self, version: u64) -> Result<Option<Vec<Line>>, TableError> {
        let Some(bytes) = self.log_store.read_commit_entry(version).await? else { return Ok(None) };
        let lines = serde_json::Deserializer::from_slice(&bytes).into_iter::<Line>().collect::<Result<_, _>>();
        lines.map(Some).map_err(|error| {
            deltalake::DeltaTableError::generic(format!("commit {version} of the log cannot be read: {error}")).into()
        })
    }
}

fn entry(version: u64, lines: Vec<Line>) -> VersionEntry {
    let mut entry = VersionEntry {
        version,
        committed_at: None,
        operation: None,
        tags: HashMap::new(),
        uploads: Vec::new(),
        files_added: 0,
        files_removed: 0,
        rows_added: 0,
    };
    for line in lines {
        entry.files_removed += u64::from(line.remove.is_some());
        if let Some(add) = line.add {
            entry.files_added += 1;
            let stats = add.stats.as_deref().and_then(|stats| serde_json::from_str::<RowCount>(stats).ok());
            entry.rows_added += stats.map_or(0, |stats| stats.num_records);
        }
        if let Some(info) = line.commit_info {
            entry.committed_at = info.timestamp.and_then(DateTime::from_timestamp_millis);
            entry.operation = info.operation;
            let text = |value: serde_json::Value| match value {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            entry.uploads = info
                .info
                .get(UPLOADS_TAG)
                .and_then(|parts| serde_json::from_value(parts.clone()).ok())
                .unwrap_or_default();
            entry.tags = info.info.into_iter().map(|(key, value)| (key, text(value))).collect();
        }
    }
    entry
}
