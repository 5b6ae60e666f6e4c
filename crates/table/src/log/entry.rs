//! One entry of the log as it is read back: what it changed, who wrote it, which files it names.

use std::collections::HashMap;

use deltalake::kernel::{CommitInfo, Transaction as Txn};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::paths;
use crate::{EPOCH_TAG, TableError, UPLOADS_TAG, UploadPart};

/// The actions of a commit, as far as they matter here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    pub(crate) commit_info: Option<CommitInfo>,
    pub(crate) add: Option<FileAction>,
    pub(crate) remove: Option<FileAction>,
    cdc: Option<FileAction>,
    txn: Option<Txn>,
    meta_data: Option<IgnoredAny>,
    protocol: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileAction {
    path: String,
    data_change: Option<bool>,
    pub(crate) stats: Option<String>,
    deletion_vector: Option<VectorPlace>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VectorPlace {
    storage_type: String,
}

/// One entry of the log.
pub(crate) struct Entry {
    pub(crate) version: u64,
    pub(crate) lines: Vec<Line>,
}

impl Entry {
    /// Read an entry; one that is empty or torn is an error, since a reader would take it for a commit without rows.
    pub(crate) fn parse(version: u64, bytes: &[u8]) -> Result<Self, TableError> {
        let damaged = |reason: String| TableError::UntrustedLog { version, reason };
        let lines = serde_json::Deserializer::from_slice(bytes).into_iter::<Line>().collect::<Result<Vec<_>, _>>();
        let lines = lines.map_err(|error| damaged(format!("it cannot be read: {error}")))?;
        if lines.is_empty() {
            return Err(damaged("it is empty".to_owned()));
        }
        Ok(Self { version, lines })
    }

    /// Check that every file it names lies below the table.
    pub(crate) fn check_paths(&self) -> Result<(), TableError> {
        for line in &self.lines {
            for action in [&line.add, &line.remove, &line.cdc].into_iter().flatten() {
                let storage = action.deletion_vector.as_ref().map(|vector| vector.storage_type.as_str());
                check_path(self.version, &action.path, paths::fault(&action.path), storage)?;
            }
        }
        Ok(())
    }

    /// Whether it added or removed rows; what does not say that it did not is taken to have.
    pub(crate) fn changes_rows(&self) -> bool {
        let changes = |action: &FileAction| action.data_change.unwrap_or(true);
        self.lines.iter().any(|line| [&line.add, &line.remove].into_iter().flatten().any(changes))
    }

    /// Whether it changed the table's columns, properties or protocol.
    pub(crate) fn changes_metadata(&self) -> bool {
        self.lines.iter().any(|line| line.meta_data.is_some() || line.protocol.is_some())
    }

    /// The place of this commit in the order of a writer's, if it is the writer's.
    pub(crate) fn sequence_of(&self, app_id: &str) -> Option<i64> {
        self.transactions().find(|txn| txn.app_id == app_id).map(|txn| txn.version)
    }

    pub(crate) fn transactions(&self) -> impl Iterator<Item = &Txn> {
        self.lines.iter().filter_map(|line| line.txn.as_ref())
    }

    fn tag(&self, name: &str) -> Option<&Value> {
        self.lines.iter().filter_map(|line| line.commit_info.as_ref()).find_map(|info| info.info.get(name))
    }

    /// The epoch of the maintenance that wrote it.
    pub(crate) fn epoch(&self) -> Option<u64> {
        let value = self.tag(EPOCH_TAG)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    /// The uploads whose rows it holds.
    pub(crate) fn uploads(&self) -> Vec<UploadPart> {
        self.tag(UPLOADS_TAG).and_then(|value| Vec::deserialize(value).ok()).unwrap_or_default()
    }

    /// The paths of the files that it adds.
    pub(crate) fn added_paths(&self) -> Vec<String> {
        let added = self.lines.iter().filter_map(|line| line.add.as_ref());
        added.map(|file| file.path.clone()).collect()
    }

    /// What its writer left beside the uploads.
    pub(crate) fn tags(&self) -> HashMap<String, String> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let infos = self.lines.iter().filter_map(|line| line.commit_info.as_ref());
        let all = infos.flat_map(|info| &info.info).filter(|(key, _)| key.as_str() != UPLOADS_TAG);
        all.map(|(key, value)| (key.clone(), text(value))).collect()
    }
}

/// Check a path that a snapshot gives, which was decoded once, and where its deletion vector lies.
pub(super) fn check_live_path(version: u64, path: &str, storage_type: Option<&str>) -> Result<(), TableError> {
    check_path(version, path, paths::fault_of_decoded(path), storage_type)
}

fn check_path(
    version: u64,
    path: &str,
    fault: Option<&'static str>,
    storage_type: Option<&str>,
) -> Result<(), TableError> {
    if let Some(fault) = fault {
        return Err(TableError::UntrustedLog { version, reason: format!("the path {path:?} {fault}") });
    }
    if storage_type.is_some_and(|storage_type| storage_type != "u" && storage_type != "i") {
        return Err(TableError::UntrustedLog {
            version,
            reason: format!("the deletion vector of {path:?} lies at a path of its own"),
        });
    }
    Ok(())
}
