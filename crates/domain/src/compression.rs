//! How the bytes of an upload are compressed as a whole.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::FormatError;

/// How the bytes of an upload are compressed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    Identity,
    /// RFC 1952, several members included.
    Gzip,
    /// RFC 8878, several frames included.
    Zstd,
    /// Several streams included.
    Bzip2,
    /// Several streams included.
    Xz,
    /// Snappy's framing format, several streams included.
    Snappy,
}

impl Compression {
    /// Every compression, in the order of the documentation.
    pub const ALL: [Self; 6] = [Self::Identity, Self::Gzip, Self::Zstd, Self::Bzip2, Self::Xz, Self::Snappy];

    /// The name, as in `Content-Encoding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Snappy => "snappy",
        }
    }

    /// What the raw object's name ends with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
            Self::Bzip2 => ".bz2",
            Self::Xz => ".xz",
            Self::Snappy => ".sz",
        }
    }

    /// The compression that the last ending of a file's name stands for, in lower case and without its point.
    pub(crate) fn from_ending(ending: &str) -> Option<Self> {
        match ending {
            "gz" | "gzip" => Some(Self::Gzip),
            "zst" | "zstd" => Some(Self::Zstd),
            "bz2" | "bzip2" => Some(Self::Bzip2),
            "xz" => Some(Self::Xz),
            "sz" | "snappy" => Some(Self::Snappy),
            _ => None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Compression {
    type Err = FormatError;
    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "identity" | "none" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            "bzip2" | "x-bzip2" => Ok(Self::Bzip2),
            "xz" | "x-xz" => Ok(Self::Xz),
            "snappy" | "x-snappy-framed" => Ok(Self::Snappy),
            other => Err(FormatError::UnknownCompression(other.chars().take(64).collect())),
        }
    }
}
