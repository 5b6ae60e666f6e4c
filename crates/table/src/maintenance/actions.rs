//! The lines of a Delta log, as much of them as tells what a table holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::IgnoredAny};
use sha2::{Digest as _, Sha256};

type Texts = BTreeMap<String, Option<String>>;

/// One line of a commit, or one row of a checkpoint.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    pub(super) add: Option<Add>,
    pub(super) remove: Option<Remove>,
    pub(super) cdc: Option<ChangeFile>,
    pub(super) txn: Option<Transaction>,
    pub(super) meta_data: Option<Metadata>,
    pub(super) protocol: Option<Protocol>,
    pub(super) domain_metadata: Option<DomainMetadata>,
    /// Parts of a checkpoint that lie elsewhere.
    pub(super) sidecar: Option<IgnoredAny>,
}

/// A data file that is in the table. `dataChange` is left out: writers of checkpoints may clear it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Add {
    pub(super) path: String,
    #[serde(default)]
    partition_values: Texts,
    size: i64,
    modification_time: i64,
    stats: Option<String>,
    tags: Option<Texts>,
    pub(super) deletion_vector: Option<DeletionVector>,
    base_row_id: Option<i64>,
    default_row_commit_version: Option<i64>,
}

/// A data file that is not in the table any more.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Remove {
    pub(super) path: String,
    /// When, in milliseconds since 1970.
    pub(super) deletion_timestamp: Option<i64>,
    pub(super) deletion_vector: Option<DeletionVector>,
}

#[derive(Deserialize)]
pub(super) struct ChangeFile {
    pub(super) path: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeletionVector {
    storage_type: String,
    path_or_inline_dv: String,
    offset: Option<i64>,
    size_in_bytes: i64,
    cardinality: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Transaction {
    pub(super) app_id: String,
    pub(super) version: i64,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    id: String,
    name: Option<String>,
    description: Option<String>,
    format: Option<Format>,
    schema_string: String,
    partition_columns: Vec<String>,
    #[serde(default)]
    pub(super) configuration: Texts,
    created_time: Option<i64>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Format {
    provider: String,
    #[serde(default)]
    options: Option<Texts>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Protocol {
    min_reader_version: i64,
    min_writer_version: i64,
    reader_features: Option<Vec<String>>,
    writer_features: Option<Vec<String>>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct DomainMetadata {
    pub(super) domain: String,
    configuration: String,
    #[serde(default)]
    pub(super) removed: bool,
}

/// What tells two contents of an action apart.
pub(super) type Fingerprint = [u8; 16];

impl Add {
    pub(super) fn fingerprint(&self) -> Result<Fingerprint, serde_json::Error> {
        let digest = Sha256::digest(serde_json::to_vec(self)?);
        let mut fingerprint = Fingerprint::default();
        fingerprint.iter_mut().zip(digest).for_each(|(byte, from)| *byte = from);
        Ok(fingerprint)
    }
}

/// What names a data file in a log: one file may come again with other rows deleted.
pub(super) fn file_key(path: String, vector: Option<&DeletionVector>) -> String {
    match vector {
        None => path,
        Some(vector) => {
            let offset = vector.offset.map(|offset| format!("@{offset}")).unwrap_or_default();
            // No path holds a line break: they are encoded in the log.
            format!("{path}\n{}{}{offset}", vector.storage_type, vector.path_or_inline_dv)
        }
    }
}

/// The path that a key begins with.
pub(super) fn path_of(key: &str) -> &str {
    key.split_once('\n').map_or(key, |(path, _)| path)
}

impl Protocol {
    /// The order of features means nothing, and none are written in two ways.
    pub(super) fn normal(mut self) -> Self {
        for features in [&mut self.reader_features, &mut self.writer_features] {
            features.iter_mut().for_each(|features| features.sort());
            *features = features.take().filter(|features| !features.is_empty());
        }
        self
    }
}
