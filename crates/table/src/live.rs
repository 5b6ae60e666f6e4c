//! The live files of a version: what is read, replaced and removed.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use deltalake::{
    DeltaTable,
    kernel::{LogicalFileView, Remove},
};
use sluice_domain::PlainFile;

use crate::{DataFile, Refusal, TableError, partition::told_values};

/// Which part of a table's rows is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every row.
    All,
    /// The rows of these partitions: each gives some of the partition columns a value, as text or missing.
    Partitions(Vec<BTreeMap<String, Option<String>>>),
}

impl Scope {
    /// Whether the partition with these values is in it.
    pub(crate) fn holds(&self, values: &HashMap<String, Option<String>>) -> bool {
        // The log has a missing value as an absent or an empty one, too.
        let value = |column: &String| values.get(column).and_then(Option::as_deref).unwrap_or_default();
        match self {
            Self::All => true,
            Self::Partitions(partitions) => partitions.iter().any(|partition| {
                partition.iter().all(|(column, wanted)| value(column) == wanted.as_deref().unwrap_or_default())
            }),
        }
    }

    /// Check that it names partition columns only.
    pub(crate) fn check(&self, partition_by: &[String]) -> Result<(), Refusal> {
        let Self::Partitions(partitions) = self else { return Ok(()) };
        let unknown = partitions.iter().flat_map(BTreeMap::keys).find(|column| !partition_by.contains(column));
        match unknown {
            None => Ok(()),
            Some(column) => {
                let reason = "the table is not partitioned by it";
                Err(Refusal::BadPartitioning { column: column.clone(), reason })
            }
        }
    }
}

/// A file that a version of the table holds.
#[derive(Debug, Clone)]
pub(crate) struct LiveFile {
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
    pub(crate) values: HashMap<String, Option<String>>,
    /// Bounds of its values, as the log has them.
    pub(crate) stats: Option<String>,
    /// When it was written, in milliseconds of Unix time, as the log has it.
    pub(crate) written_at: i64,
    /// What takes it out of the table.
    pub(crate) remove: Remove,
}

impl LiveFile {
    fn of(file: &LogicalFileView) -> Result<Self, TableError> {
        if file.deletion_vector_descriptor().is_some() {
            return Err(Refusal::UnsupportedFeature { feature: "deletionVectors".to_owned() }.into());
        }
        let remove = remove_of(file);
        Ok(Self {
            path: remove.path.clone(),
            size_bytes: file.size().unsigned_abs(),
            values: file.partition_values_map(),
            stats: file.stats(),
            written_at: file.modification_time(),
            remove,
        })
    }
}

impl LiveFile {
    /// What takes it out of the table while its rows stay, in other files.
    pub(crate) fn into_rearranged(self) -> Remove {
        Remove { data_change: false, ..self.remove }
    }

    /// Whether it was written before an instant.
    pub(crate) fn written_before(&self, instant: DateTime<Utc>) -> bool {
        self.written_at < instant.timestamp_millis()
    }

    /// How many rows it holds, where the log tells.
    pub(crate) fn rows(&self) -> Option<u64> {
        rows_told(self.stats.as_deref())
    }

    /// A file of a plain table, whose folders tell the values of its partition.
    pub(crate) fn told(file: &PlainFile, partition_by: &[String]) -> Self {
        let values = partition_by.iter().cloned().zip(told_values(&file.path, partition_by));
        Self {
            path: file.path.clone(),
            size_bytes: file.size_bytes,
            values: values.collect(),
            stats: None,
            written_at: 0,
            remove: Remove::default(),
        }
    }

    /// A file that was written and is in no version yet.
    pub(crate) fn written(file: &DataFile) -> Self {
        Self {
            path: file.path().to_owned(),
            size_bytes: file.size_bytes(),
            values: file.add.partition_values.clone(),
            stats: file.add.stats.clone(),
            written_at: file.add.modification_time,
            remove: Remove::default(),
        }
    }
}

/// How many rows the statistics of a file tell of.
pub(crate) fn rows_told(stats: Option<&str>) -> Option<u64> {
    let stats: serde_json::Value = serde_json::from_str(stats?).ok()?;
    stats["numRecords"].as_u64()
}

/// The files of a table, in the order of their paths.
pub(crate) fn live_files(table: &DeltaTable) -> Result<Vec<LiveFile>, TableError> {
    let files = table.snapshot()?.log_data();
    let mut files = files.iter().map(|file| LiveFile::of(&file)).collect::<Result<Vec<_>, _>>()?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// What takes a file out of the table.
pub(crate) fn remove_of(file: &LogicalFileView) -> Remove {
    file.remove_action(true)
}
