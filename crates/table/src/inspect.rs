//! A table's folder as it is, for those who compare it with what it should hold, and put it right.
//!
//! Invariant: nothing is overwritten or taken away before a copy of it lies in the `_sluice/aside` folder.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::Utc;
use futures::TryStreamExt as _;
use object_store::{ObjectStoreExt as _, path::Path};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sluice_storage::StorageError;

use crate::{Table, TableError};

/// The folder of the log.
const LOG_FOLDER: &str = "_delta_log";
/// The folder of what was set aside.
const ASIDE_FOLDER: &str = "_sluice/aside";

/// A data file that a version of the table holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LiveFile {
    /// Its place below the table's folder.
    pub path: Path,
    /// Its size, as the log tells it.
    pub size_bytes: u64,
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
    pub async fn log_versions(&self) -> Result<BTreeSet<u64>, TableError> {
        let listed = self.folder().store.list(Some(&Path::from(LOG_FOLDER)));
        let names: Vec<_> = listed.map_ok(|meta| meta.location).try_collect().await.map_err(StorageError::from)?;
        Ok(names.iter().filter_map(version_of).collect())
    }

    /// The bytes of a log entry; none where it is missing.
    ///
    /// # Errors
    /// The store's.
    pub async fn read_entry_bytes(&self, version: u64) -> Result<Option<Bytes>, TableError> {
        self.read(&entry_path(version)).await
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
            Ok(LiveFile { path, size_bytes: file.size().unsigned_abs() })
        });
        live.collect()
    }

    /// Make a log entry what it was when it was committed.
    ///
    /// # Errors
    /// The store's.
    pub async fn restore_entry(&self, version: u64, content: &str) -> Result<(), TableError> {
        let path = entry_path(version);
        self.copy_aside(&path).await?;
        self.folder()
            .store
            .put(&path, Bytes::copy_from_slice(content.as_bytes()).into())
            .await
            .map_err(StorageError::from)?;
        self.forget_snapshot().await;
        Ok(())
    }

    /// Take a log entry away that is none.
    ///
    /// # Errors
    /// The store's.
    pub async fn set_entry_aside(&self, version: u64) -> Result<(), TableError> {
        self.set_aside(&entry_path(version)).await?;
        self.forget_snapshot().await;
        Ok(())
    }

    /// Move an object of the table's folder out of the way.
    ///
    /// # Errors
    /// The store's.
    pub async fn set_aside(&self, path: &Path) -> Result<(), TableError> {
        if self.copy_aside(path).await? {
            self.folder().store.delete(path).await.map_err(StorageError::from)?;
        }
        Ok(())
    }

    /// Keep a copy of an object of the table's folder; false where it is missing.
    ///
    /// # Errors
    /// The store's.
    pub async fn copy_aside(&self, path: &Path) -> Result<bool, TableError> {
        let aside = Path::from(format!("{ASIDE_FOLDER}/{}/{path}", Utc::now().timestamp_micros()));
        match self.folder().store.copy(path, &aside).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(StorageError::from(error).into()),
        }
    }

    async fn read(&self, path: &Path) -> Result<Option<Bytes>, TableError> {
        match self.folder().store.get(path).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(StorageError::from)?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(StorageError::from(error).into()),
        }
    }
}

fn entry_path(version: u64) -> Path {
    Path::from(format!("{LOG_FOLDER}/{version:020}.json"))
}

fn version_of(path: &Path) -> Option<u64> {
    let (name, extension) = path.filename()?.split_once('.')?;
    (extension == "json" && name.len() == 20).then(|| name.parse().ok()).flatten()
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
