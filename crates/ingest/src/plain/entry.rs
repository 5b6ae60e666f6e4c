//! What the catalog keeps of a version of a plain table, as text.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_domain::{ErrorKind, FileRecord, StoredFailure, UploadEntry};
use sluice_table::{UploadPart, VersionEntry};

use crate::IngestError;

/// One version: the files that it adds, and whose rows they hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PlainEntry {
    committed_at: DateTime<Utc>,
    uploads: Vec<AddedUpload>,
    pub(crate) files: Vec<AddedFile>,
}

/// A file that a version adds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AddedFile {
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
    pub(crate) rows: u64,
    pub(crate) sha256: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct AddedUpload {
    id: String,
    rows: u64,
    sha256: String,
    principal: String,
}

impl PlainEntry {
    pub(crate) fn new(upload: &UploadEntry, committed_at: DateTime<Utc>, files: &[FileRecord]) -> Self {
        let added = |file: &FileRecord| AddedFile {
            path: file.path.clone(),
            size_bytes: file.size_bytes,
            rows: file.rows,
            sha256: file.sha256.clone(),
        };
        let upload = AddedUpload {
            id: upload.id.to_string(),
            rows: files.iter().map(|file| file.rows).sum(),
            sha256: upload.landed.sha256.clone(),
            principal: upload.principal.clone(),
        };
        Self { committed_at, uploads: vec![upload], files: files.iter().map(added).collect() }
    }

    pub(crate) fn to_text(&self) -> Result<String, IngestError> {
        serde_json::to_string(self).map_err(unreadable)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, IngestError> {
        serde_json::from_str(text).map_err(unreadable)
    }

    /// As the history of the table tells it.
    pub(crate) fn into_version(self, version: u64) -> VersionEntry {
        let part = |upload: AddedUpload| UploadPart {
            id: upload.id,
            rows: upload.rows,
            sha256: upload.sha256,
            principal: upload.principal,
            counts: None,
        };
        VersionEntry {
            version,
            committed_at: Some(self.committed_at),
            operation: Some("WRITE".to_owned()),
            tags: std::collections::HashMap::new(),
            files_added: self.files.len() as u64,
            files_removed: 0,
            rows_added: self.files.iter().map(|file| file.rows).sum(),
            changes_metadata: false,
            uploads: self.uploads.into_iter().map(part).collect(),
        }
    }
}

/// The catalog is damaged, which is for the log and not for the caller.
fn unreadable(error: serde_json::Error) -> IngestError {
    IngestError::Stored(StoredFailure {
        kind: ErrorKind::Internal,
        code: "internal".into(),
        detail: format!("an entry of a plain table cannot be read or written: {error}"),
    })
}
