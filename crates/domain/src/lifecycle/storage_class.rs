//! Storage classes, as S3 names them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How an object is stored, from the warmest to the coldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StorageClass {
    /// Read at any time.
    #[default]
    Standard,
    /// Read at any time, for a fee.
    StandardIa,
    /// Has to be restored first, which takes hours.
    Glacier,
    /// Has to be restored first, which takes up to two days.
    DeepArchive,
}

impl StorageClass {
    /// Its name in S3.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::StandardIa => "STANDARD_IA",
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
        }
    }

    /// Whether objects of this class can be read without being restored.
    pub fn is_readable(self) -> bool {
        self <= Self::StandardIa
    }
}

impl fmt::Display for StorageClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StorageClass {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Standard, Self::StandardIa, Self::Glacier, Self::DeepArchive];
        let found = known.into_iter().find(|class| class.as_str() == text);
        found.ok_or_else(|| format!("{:?} is not a storage class", text.chars().take(32).collect::<String>()))
    }
}
