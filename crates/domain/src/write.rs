//! How the rows of an upload come into a table that may have rows already.

use serde::{Deserialize, Serialize};

/// What becomes of the rows that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteMode {
    /// They stay.
    #[default]
    Append,
    /// They are replaced, all of them.
    Overwrite,
    /// Those of the partitions that the upload has rows of are replaced.
    OverwritePartitions,
    /// Those with the key of a row of the upload take its values.
    Merge,
    /// There must be none: the table must have no version.
    ErrorIfExists,
}

/// Which rows of one upload stand for those with the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepRows {
    /// The first one.
    First,
    /// The last one.
    Last,
    /// None of them, where there are several.
    None,
}

/// Among which rows a key is there once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DedupScope {
    /// Those of the upload and those of the table.
    #[default]
    Both,
    /// Those of the upload.
    Within,
    /// Those of the table; the upload may have several of a key that the table lacks.
    Across,
}

/// How rows are told apart by their keys, where a key is to be in the table once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DedupOptions {
    /// The columns of the key; all columns where one is `*`.
    pub keys: Vec<String>,
    /// Among which rows.
    pub scope: DedupScope,
    /// Which row of one upload stands for its key; by default the first one, or the greatest by `order_by`.
    pub keep: Option<KeepRows>,
}

/// How rows are brought in by their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MergeOptions {
    /// The columns of the key.
    pub keys: Vec<String>,
    /// Whether rows of the table with the key of a row of the upload stay as they are.
    pub ignore_matched: bool,
    /// Whether rows of the upload with a key that the table lacks are dropped.
    pub ignore_not_matched: bool,
    /// The column of the upload that says of a row that its match is to be deleted.
    pub delete_when: Option<String>,
}

/// How an upload changes its table; kept in the ledger so that it can be done again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WriteOptions {
    /// What becomes of the rows that are there.
    pub mode: WriteMode,
    /// For [`WriteMode::Merge`].
    pub merge: MergeOptions,
    /// For the other modes; without keys every row is taken.
    pub dedup: DedupOptions,
    /// The column whose greatest value tells the newest row of a key.
    pub order_by: Option<String>,
}

impl WriteOptions {
    /// Whether rows are added just as they come.
    pub fn is_plain_append(&self) -> bool {
        self.mode == WriteMode::Append && self.dedup.keys.is_empty()
    }

    /// Whether rows are looked at by their keys.
    pub fn is_keyed(&self) -> bool {
        self.mode == WriteMode::Merge || !self.dedup.keys.is_empty()
    }

    /// Whether the rows of the table decide what becomes of those of the upload.
    pub fn reads_table(&self) -> bool {
        match self.mode {
            WriteMode::Merge => true,
            WriteMode::Append => !self.dedup.keys.is_empty() && self.dedup.scope != DedupScope::Within,
            _ => false,
        }
    }

    /// Whether rows that are there may change or go.
    pub fn changes_rows(&self) -> bool {
        match self.mode {
            WriteMode::Append | WriteMode::ErrorIfExists => false,
            WriteMode::Overwrite | WriteMode::OverwritePartitions => true,
            WriteMode::Merge => !self.merge.ignore_matched || self.merge.delete_when.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_rows_are_added_as_they_come() {
        let options = WriteOptions::default();
        assert!(options.is_plain_append() && !options.reads_table() && !options.changes_rows());
    }

    #[test]
    fn a_merge_that_ignores_matches_changes_nothing_unless_it_deletes() {
        let mut options = WriteOptions { mode: WriteMode::Merge, ..WriteOptions::default() };
        assert!(options.changes_rows());
        options.merge.ignore_matched = true;
        assert!(!options.changes_rows());
        options.merge.delete_when = Some("gone".into());
        assert!(options.changes_rows());
    }
}
