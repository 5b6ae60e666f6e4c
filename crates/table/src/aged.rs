//! Which rows of a table are older than an instant, as far as its log tells without a data file being read.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, SchemaRef};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde_json::Value;

use crate::{
    Delete, Refusal, Table, TableError,
    live::{LiveFile, live_files},
    operations::by_partition,
};

/// How timestamps are written as partition values.
const TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S%.f";

/// Rows that are older than an instant, of a table or of one of its partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgedRows {
    /// The value of the partition, where the table is partitioned by what tells the age.
    pub partition: Option<String>,
    /// The files that hold some.
    pub files: u64,
    /// The size of those of them that hold nothing else, in bytes.
    pub size_bytes: u64,
    /// How many rows; none where a file holds others too, or does not tell.
    pub rows: Option<u64>,
}

/// Files that a compaction would put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SmallFiles {
    /// How many.
    pub files: u64,
    /// Their size, in bytes.
    pub size_bytes: u64,
}

/// What a file holds.
enum Share {
    Nothing,
    Some,
    All,
}

/// A column that tells the age of rows.
struct AgeColumn {
    name: String,
    is_date: bool,
    is_partition: bool,
    before: DateTime<Utc>,
}

impl Table {
    /// The rows older than this by a column of dates or timestamps, or else by the time of their data files.
    ///
    /// # Errors
    /// [`TableError::Refused`] for a column that tells no age, [`TableError::NotCreated`], or the store's.
    pub async fn find_aged(&self, column: Option<&str>, before: DateTime<Utc>) -> Result<Vec<AgedRows>, TableError> {
        let newest = self.at(None).await?;
        let files = live_files(&newest)?;
        let Some(column) = column else {
            let old = files.iter().filter(|file| file.written_before(before));
            return Ok(collect(old.map(|file| (None, file, Share::All))));
        };
        let partition_by = newest.snapshot()?.metadata().partition_columns();
        let column = AgeColumn::of(column, &newest.snapshot()?.snapshot().arrow_schema(), partition_by, before)?;
        Ok(collect(files.iter().map(|file| (column.partition_of(file), file, column.share_of(file)))))
    }

    /// What deletes the rows older than this by a column.
    ///
    /// # Errors
    /// As [`Self::find_aged`].
    pub async fn delete_aged(&self, column: &str, before: DateTime<Utc>) -> Result<Delete, TableError> {
        let newest = self.at(None).await?;
        let partition_by = newest.snapshot()?.metadata().partition_columns();
        let column = AgeColumn::of(column, &newest.snapshot()?.snapshot().arrow_schema(), partition_by, before)?;
        Ok(Delete { predicate: column.condition() })
    }

    /// The files below a size, in partitions that have so many of them at least.
    ///
    /// # Errors
    /// [`TableError::NotCreated`], or the store's.
    pub async fn find_small_files(&self, below_bytes: u64, min_files: usize) -> Result<SmallFiles, TableError> {
        let newest = self.at(None).await?;
        let small = live_files(&newest)?.into_iter().filter(|file| file.size_bytes < below_bytes);
        let mut found = SmallFiles::default();
        for files in by_partition(small).into_values().filter(|files| files.len() >= min_files.max(2)) {
            found.files += files.len() as u64;
            found.size_bytes += files.iter().map(|file| file.size_bytes).sum::<u64>();
        }
        Ok(found)
    }
}

impl AgeColumn {
    fn of(name: &str, schema: &SchemaRef, partition_by: &[String], before: DateTime<Utc>) -> Result<Self, Refusal> {
        let field = schema.field_with_name(name).map_err(|_| Refusal::UnknownColumn { column: name.to_owned() })?;
        let is_date = match field.data_type() {
            DataType::Date32 => true,
            DataType::Timestamp(..) => false,
            other => {
                let reason = format!("column {name} is {other}, and only dates and timestamps tell an age");
                return Err(Refusal::BadPredicate { reason });
            }
        };
        let is_partition = partition_by.iter().any(|column| column == name);
        Ok(Self { name: name.to_owned(), is_date, is_partition, before })
    }

    /// For which rows it is true that they are older.
    fn condition(&self) -> String {
        let name = self.name.replace('"', "\"\"");
        match self.is_date {
            true => format!("\"{name}\" < DATE '{}'", self.before.date_naive()),
            false => format!(
                "\"{name}\" < to_timestamp_micros('{}')",
                self.before.naive_utc().format("%Y-%m-%dT%H:%M:%S%.6f")
            ),
        }
    }

    fn partition_of(&self, file: &LiveFile) -> Option<String> {
        let value = file.values.get(&self.name).cloned().flatten();
        self.is_partition.then(|| value.unwrap_or_default())
    }

    fn share_of(&self, file: &LiveFile) -> Share {
        if self.is_partition {
            let value = file.values.get(&self.name).and_then(Option::as_deref);
            return if value.is_some_and(|value| self.is_old(value) == Some(true)) {
                Share::All
            } else {
                Share::Nothing
            };
        }
        let stats: Option<Value> = file.stats.as_deref().and_then(|stats| serde_json::from_str(stats).ok());
        let Some(stats) = stats else { return Share::Some };
        let bound = |name: &str| stats[name][&self.name].as_str().and_then(|value| self.is_old(value));
        match (bound("minValues"), bound("maxValues")) {
            (Some(false), _) => Share::Nothing,
            // Rows without a value are not older than anything.
            (_, Some(true)) if stats["nullCount"][&self.name].as_u64() == Some(0) => Share::All,
            _ if self.has_no_values(&stats) => Share::Nothing,
            _ => Share::Some,
        }
    }

    fn has_no_values(&self, stats: &Value) -> bool {
        stats["nullCount"][&self.name].as_u64().is_some_and(|missing| stats["numRecords"].as_u64() == Some(missing))
    }

    /// Whether a value as the log writes it is older; none where it cannot be read.
    fn is_old(&self, value: &str) -> Option<bool> {
        if self.is_date {
            return value.parse::<NaiveDate>().ok().map(|day| day < self.before.date_naive());
        }
        let zoned = DateTime::parse_from_rfc3339(value).ok().map(|moment| moment.to_utc());
        let plain = || NaiveDateTime::parse_from_str(value, TIMESTAMP).ok().map(|moment| moment.and_utc());
        let ago = || value.parse::<NaiveDateTime>().ok().map(|moment| moment.and_utc());
        zoned.or_else(plain).or_else(ago).map(|moment| moment < self.before)
    }
}

/// Add up what files hold, partition by partition.
fn collect<'a>(files: impl Iterator<Item = (Option<String>, &'a LiveFile, Share)>) -> Vec<AgedRows> {
    let mut parts: BTreeMap<Option<String>, AgedRows> = BTreeMap::new();
    for (partition, file, share) in files.filter(|(_, _, share)| !matches!(share, Share::Nothing)) {
        let new = || AgedRows { partition: partition.clone(), rows: Some(0), ..AgedRows::default() };
        let part = parts.entry(partition.clone()).or_insert_with(new);
        part.files += 1;
        let rows = match share {
            Share::All => {
                part.size_bytes += file.size_bytes;
                file.rows()
            }
            _ => None,
        };
        part.rows = part.rows.zip(rows).map(|(so_far, rows)| so_far + rows);
    }
    parts.into_values().collect()
}
