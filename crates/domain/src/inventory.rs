//! What a table's folder should hold, byte for byte.

use crate::UploadId;

/// A data file as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// Its path below the table's folder.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// Its SHA-256, in lower-case hexadecimal.
    pub sha256: String,
    /// How many rows it holds.
    pub rows: u64,
    /// The upload whose rows they are; none where a table operation wrote them.
    pub upload: Option<UploadId>,
}

/// An entry of a table's log as it was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// The version that it made.
    pub version: u64,
    /// Its text.
    pub content: String,
}
