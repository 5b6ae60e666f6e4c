//! Uploads whose bytes do not come in by one request.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};

use crate::{ReadOptions, TableRef, UploadId};

/// How the bytes of an upload come in where one request does not bring them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// In pieces, to a server.
    Resumable,
    /// As a whole, straight to the object store.
    Presigned,
}

impl Delivery {
    /// The way's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resumable => "resumable",
            Self::Presigned => "presigned",
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Delivery {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "resumable" => Ok(Self::Resumable),
            "presigned" => Ok(Self::Presigned),
            other => Err(format!("{other:?} is not a way for bytes to come in")),
        }
    }
}

/// An upload that was announced and has not landed.
///
/// Invariant: the bytes up to `offset_bytes` are durable, and there are never more of them than `size_bytes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialUpload {
    /// The id, which the upload keeps when it lands.
    pub id: UploadId,
    /// How its bytes come in.
    pub delivery: Delivery,
    /// The table that it is for.
    pub table: TableRef,
    /// Who sends it.
    pub principal: String,
    /// The client's name of the file: a note, never a path.
    pub file_name: Option<String>,
    /// What the client said of it, word for word: a note.
    pub note: Option<String>,
    /// How its bytes are read.
    pub options: ReadOptions,
    /// How many bytes there will be.
    pub size_bytes: u64,
    /// How many of them a server has.
    pub offset_bytes: u64,
    /// What their SHA-256 must be, in lower-case hexadecimal, where the client said so.
    pub sha256: Option<String>,
    /// When it was announced.
    pub started_at: DateTime<Utc>,
    /// When it is given up.
    pub expires_at: DateTime<Utc>,
}

impl PartialUpload {
    /// Whether every byte is there.
    pub fn is_whole(&self) -> bool {
        self.offset_bytes == self.size_bytes
    }
}
