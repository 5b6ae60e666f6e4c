//! A table's folder as it is, for those who compare it with what it should hold, and put it right.
//!
//! Invariant: nothing is overwritten or taken away before a copy of it lies in the `_sluice/aside` folder.

use std::collections::BTreeSet;

use bytes::Bytes;
use deltalake::logstore::LogStore as _;
use object_store::{
    ObjectStoreExt as _,
    path::{Path, PathPart},
};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sluice_storage::StorageError;
use uuid::Uuid;

use crate::{
    MaintenanceError, Table, TableError,
    maintenance::log::{Log, commit_path},
};

/// The folder of what was set aside; readers of tables skip names that begin with `_`.
const ASIDE_FOLDER: [&str; 2] = ["_sluice", "aside"];

/// A data file that a version of the table holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LiveFile {
    /// Its place below the table's folder.
    pub path: Path,
    /// Its size, as the log tells it.
    pub size_bytes: u64,
    /// How many rows it holds; none where the log does not tell.
    pub rows: Option<u64>,
}

/// A log entry, as far as it is looked at here. A line that is none of a log is an error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    add: Option<AddedFile>,
    commit_info: Option<CommitInfo>,
    remove: Option<IgnoredAny>,
    meta_data: Option<IgnoredAny>,
    protocol: Option<IgnoredAny>,
    txn: Option<IgnoredAny>,
    cdc: Option<IgnoredAny>,
    domain_metadata: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct CommitInfo {
    #[serde(rename = "sluice.commit_id")]
    id: Option<String>,
}

#[derive(Deserialize)]
struct AddedFile {
    path: String,
}

impl Line {
    fn is_empty(&self) -> bool {
        let known = [&self.remove, &self.meta_data, &self.protocol, &self.txn, &self.cdc];
        self.add.is_none()
            && self.commit_info.is_none()
            && self.domain_metadata.is_none()
            && known.iter().all(|action| action.is_none())
    }
}

/// What a log entry says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct EntryFacts {
    /// The paths of the data files that it adds, as it writes them.
    pub added: Vec<String>,
    /// Its id, where it was written by this program: no two entries have the same.
    pub commit_id: Option<String>,
}

/// Read a log entry.
///
/// # Errors
/// What is wrong with the entry.
pub fn read_facts(entry: &[u8]) -> Result<EntryFacts, String> {
    let text = std::str::from_utf8(entry).map_err(|error| error.to_string())?;
    if text.trim().is_empty() {
        return Err("it is empty".into());
    }
    let mut facts = EntryFacts::default();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line: Line = serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))?;
        if line.is_empty() {
            return Err(format!("line {} says nothing", number + 1));
        }
        facts.added.extend(line.add.map(|add| add.path));
        facts.commit_id = facts.commit_id.or(line.commit_info.and_then(|info| info.id));
    }
    Ok(facts)
}

/// The place of a data file below the table's folder: the log encodes paths as URLs do.
pub fn object_path(log_path: &str) -> Result<Path, String> {
    let decoded = percent_decode_str(log_path).decode_utf8().map_err(|error| error.to_string())?;
    Path::parse(decoded.as_ref()).map_err(|error| error.to_string())
}

impl Table {
    /// The versions whose log entries are there.
    ///
    /// # Errors
    /// The store's.
    pub async fn log_versions(&self) -> Result<BTreeSet<u64>, MaintenanceError> {
        Ok(Log::list(&self.folder().store).await?.commits.into_keys().collect())
    }

    /// The bytes of a log entry; none where it is missing.
    ///
    /// # Errors
    /// The store's.
    pub async fn read_entry_bytes(&self, version: u64) -> Result<Option<Bytes>, TableError> {
        Ok(self.log_store.read_commit_entry(version).await?)
    }

    /// The data files of the newest version.
    ///
    /// # Errors
    /// [`TableError::NotCreated`], a log that cannot be read, or the store's.
    pub async fn live_files(&self) -> Result<BTreeSet<LiveFile>, TableError> {
        let table = self.newest().await?;
        let files = table.snapshot()?.log_data();
        let live = files.iter().map(|file| {
            let path = Path::parse(file.path().as_ref())
                .map_err(|error| StorageError::from(object_store::Error::from(error)))?;
            let rows = file.num_records().map(|rows| rows as u64);
            Ok(LiveFile { path, size_bytes: file.size().unsigned_abs(), rows })
        });
        live.collect()
    }

    /// Make a log entry what it was when it was committed.
    ///
    /// # Errors
    /// The store's.
    pub async fn restore_entry(&self, version: u64, content: &str) -> Result<(), StorageError> {
        let path = commit_path(version);
        self.copy_aside(&path).await?;
        self.folder().store.put(&path, Bytes::copy_from_slice(content.as_bytes()).into()).await?;
        self.forget_snapshot().await;
        Ok(())
    }

    /// Take a log entry away that is none.
    ///
    /// # Errors
    /// The store's.
    pub async fn set_entry_aside(&self, version: u64) -> Result<(), StorageError> {
        let path = commit_path(version);
        if self.copy_aside(&path).await? {
            self.folder().store.delete(&path).await?;
        }
        self.forget_snapshot().await;
        Ok(())
    }

    /// Keep a copy of an object of the table's folder; false where it is missing.
    ///
    /// # Errors
    /// The store's.
    pub async fn copy_aside(&self, path: &Path) -> Result<bool, StorageError> {
        let moment = Uuid::now_v7().to_string();
        let aside = ASIDE_FOLDER.into_iter().chain([moment.as_str()]).map(PathPart::from).chain(path.parts()).collect();
        match self.folder().store.copy(path, &aside).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"add":{"path":"a","size":1}}"#, &["a"])]
    #[case("{\"commitInfo\":{\"x\":1}}\n{\"add\":{\"path\":\"p=a%2520b/a\"}}\n\n{\"remove\":{\"path\":\"b\"}}\n", &["p=a%2520b/a"])]
    #[case(r#"{"txn":{"appId":"a","version":1}}"#, &[])]
    fn an_entry_names_its_files(#[case] entry: &str, #[case] paths: &[&str]) {
        assert_eq!(read_facts(entry.as_bytes()).unwrap().added, paths);
    }

    #[rstest]
    #[case("")]
    #[case("\n \n")]
    #[case("{\"commitInfo\":{\"x\":1}}\n{\"add\":{\"path\":\"a\"")]
    #[case("{\"garbage\":1}")]
    #[case("null")]
    #[case("not JSON at all")]
    #[case("{\"add\":{\"size\":1}}")]
    fn what_is_no_entry_is_refused(#[case] entry: &str) {
        read_facts(entry.as_bytes()).unwrap_err();
    }
}
