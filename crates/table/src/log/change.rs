//! What a commit does, and how that is written as an entry of the log.

use std::collections::BTreeMap;

use chrono::Utc;
use deltalake::kernel::{Add, Metadata, Protocol, Remove, StructType};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sluice_domain::RowCounts;

use super::entry::Entry;
use crate::{DataFile, TableError, Transaction, live::Scope};

/// The name of an entry's id, which is unique to the attempt that wrote it.
pub const COMMIT_ID_TAG: &str = "sluice.commit_id";
/// The name of the list of uploads whose rows an entry holds.
pub const UPLOADS_TAG: &str = "sluice.uploads";
/// The name of the epoch of the maintenance that wrote an entry.
pub const EPOCH_TAG: &str = "sluice.epoch";

/// The name of the run of a pipeline that an entry is the commit of.
pub const RUN_TAG: &str = "sluice.run";

/// The rows of one upload within a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadPart {
    /// The upload.
    pub id: String,
    /// How many rows of it are in the commit.
    pub rows: u64,
    /// The hash of the bytes that were sent.
    pub sha256: String,
    /// Who sent it.
    pub principal: String,
    /// What became of its rows, where not all of them are in the commit as they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<RowCounts>,
}

/// Why and for whom a commit is made.
#[derive(Debug, Clone, Default)]
pub struct Provenance {
    /// What makes it happen once; none for what may happen again, as maintenance does.
    pub transaction: Option<Transaction>,
    /// The places that others' streams of rows get to with it.
    pub offsets: Vec<Transaction>,
    /// The uploads whose rows it holds.
    pub uploads: Vec<UploadPart>,
    /// Notes left in the log.
    pub tags: BTreeMap<String, String>,
    /// The epoch of the lease under which maintenance commits.
    pub epoch: Option<u64>,
}

/// An entry that stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedEntry {
    /// Its version.
    pub version: u64,
    /// Its exact bytes.
    pub bytes: bytes::Bytes,
}

impl CommittedEntry {
    /// Its text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The paths of the files that it adds, as the log has them.
    pub fn added_paths(&self) -> Vec<String> {
        Entry::parse(self.version, &self.bytes).map(|entry| entry.added_paths()).unwrap_or_default()
    }

    /// What its writer left under this name.
    pub fn tag(&self, name: &str) -> Option<String> {
        Entry::parse(self.version, &self.bytes).ok()?.tags().remove(name)
    }

    /// The uploads whose rows it holds.
    pub fn uploads(&self) -> Vec<UploadPart> {
        Entry::parse(self.version, &self.bytes).map(|entry| entry.uploads()).unwrap_or_default()
    }
}

/// Which files a commit removes.
#[derive(Debug, Clone)]
pub(crate) enum Removes {
    /// These, which must be live.
    Files(Vec<Remove>),
    /// Whatever is live in the scope when the commit is made.
    Scope(Scope),
}

/// What a commit must not have missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Nothing: it is right on top of any version that its files fit.
    Nothing,
    /// The table's rows at this version.
    Rows(u64),
    /// The table's columns and properties at this version.
    Metadata(u64),
    /// Rows, columns and properties at this version.
    All(u64),
    /// Only the files that it removes, as they were at this version.
    Files(u64),
}

impl Reads {
    /// The version that was read.
    pub(crate) fn base(self) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::Rows(base) | Self::Metadata(base) | Self::All(base) | Self::Files(base) => Some(base),
        }
    }
}

/// What a commit does.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) operation: &'static str,
    pub(crate) parameters: Vec<(&'static str, String)>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) metadata: Option<Metadata>,
    /// The columns that the table has afterwards, where its files are written for others than it has.
    pub(crate) columns: Option<StructType>,
    pub(crate) files: Vec<DataFile>,
    pub(crate) removes: Removes,
    /// Whether other rows are in the table afterwards; a mere rearrangement leaves them, as do those of its files that
    /// say so themselves.
    pub(crate) data_change: bool,
    pub(crate) reads: Reads,
}

impl Change {
    /// Rows that are added to whatever the table holds.
    pub(crate) fn append(files: Vec<DataFile>) -> Self {
        Self {
            operation: "WRITE",
            parameters: vec![("mode", "Append".to_owned())],
            protocol: None,
            metadata: None,
            columns: None,
            files,
            removes: Removes::Files(Vec::new()),
            data_change: true,
            reads: Reads::Nothing,
        }
    }

    /// Whether it adds files to whatever the table holds, and nothing else.
    pub(crate) fn is_append(&self) -> bool {
        let removes_nothing = matches!(&self.removes, Removes::Files(files) if files.is_empty());
        removes_nothing && self.reads == Reads::Nothing && self.metadata.is_none() && self.protocol.is_none()
    }

    /// Whether it leaves the table as it is.
    pub(crate) fn is_empty(&self) -> bool {
        let removes_nothing = matches!(&self.removes, Removes::Files(files) if files.is_empty());
        self.files.is_empty() && removes_nothing && self.metadata.is_none() && self.protocol.is_none()
    }

    /// The entry's bytes, given the files that it removes.
    pub(crate) fn encode(&self, id: &str, removes: &[Remove], of: &Provenance) -> Result<bytes::Bytes, TableError> {
        let mut lines = vec![json!({"commitInfo": self.commit_info(id, removes, of)})];
        lines.extend(self.protocol.iter().map(|protocol| json!({"protocol": protocol})));
        lines.extend(self.metadata.iter().map(|metadata| json!({"metaData": metadata})));
        let transactions = of.transaction.iter().chain(&of.offsets);
        lines.extend(transactions.map(|txn| json!({"txn": {"appId": txn.app_id, "version": txn.sequence}})));
        let now = Utc::now().timestamp_millis();
        for remove in removes {
            let data_change = self.data_change && remove.data_change;
            let remove = Remove { data_change, deletion_timestamp: Some(now), ..remove.clone() };
            lines.push(json!({"remove": remove}));
        }
        for file in &self.files {
            let data_change = self.data_change && file.add.data_change;
            lines.push(json!({"add": Add { data_change, ..file.add.clone() }}));
        }
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, &line).map_err(|error| TableError::Encode(Box::new(error)))?;
            bytes.push(b'\n');
        }
        Ok(bytes.into())
    }

    fn commit_info(&self, id: &str, removes: &[Remove], of: &Provenance) -> Value {
        let parameters = self.parameters.iter().map(|(key, value)| ((*key).to_owned(), json!(value)));
        let info = json!({
            "timestamp": Utc::now().timestamp_millis(),
            "operation": self.operation,
            "operationParameters": parameters.collect::<Map<_, _>>(),
            "engineInfo": concat!("sluice/", env!("CARGO_PKG_VERSION")),
            "isBlindAppend": self.reads == Reads::Nothing && removes.is_empty() && self.metadata.is_none(),
        });
        let mut info = match info {
            Value::Object(info) => info,
            _ => Map::new(),
        };
        if let Some(base) = self.reads.base() {
            info.insert("readVersion".to_owned(), json!(base));
        }
        // A tag cannot stand for what the engine says: its names come last.
        info.extend(
            of.tags.iter().filter(|(key, _)| key.contains('.')).map(|(key, value)| (key.clone(), json!(value))),
        );
        info.insert(COMMIT_ID_TAG.to_owned(), json!(id));
        if !of.uploads.is_empty() {
            info.insert(UPLOADS_TAG.to_owned(), json!(of.uploads));
        }
        if let Some(epoch) = of.epoch {
            info.insert(EPOCH_TAG.to_owned(), json!(epoch));
        }
        info.into()
    }
}
