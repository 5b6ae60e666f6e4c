//! The formats that uploads come in, and the options of reading them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{BadRowLimits, TableFormat, TableLayout, WriteOptions};

/// A format or option that is not one that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// No format goes by this name.
    #[error("format {0:?} is not one of csv, ndjson, json, parquet")]
    UnknownFormat(String),
    /// No compression goes by this name.
    #[error("content encoding {0:?} is not one of identity, gzip, zstd")]
    UnknownCompression(String),
    /// An option's value is not acceptable.
    #[error("option {option} is not acceptable: {reason}")]
    BadOption {
        /// The option's name.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// What the bytes of an upload are, once decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Delimited text (RFC 4180 and its relatives, tab-separated included).
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// One JSON array of objects, or one object.
    Json,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Csv, Self::Ndjson, Self::Json, Self::Parquet];

    /// The name, which is also the extension of raw objects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }

    /// The format that a media type stands for; none for types that say nothing about it.
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "text/csv" | "application/csv" | "text/tab-separated-values" => Some(Self::Csv),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
                Some(Self::Ndjson)
            }
            "application/json" => Some(Self::Json),
            "application/vnd.apache.parquet" | "application/parquet" | "application/x-parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// The format and compression that a file name's endings stand for.
    pub fn from_file_name(name: &str) -> (Option<Self>, Option<Compression>) {
        let lower = name.to_ascii_lowercase();
        let (stem, compression) = match lower.rsplit_once('.') {
            Some((stem, "gz" | "gzip")) => (stem, Some(Compression::Gzip)),
            Some((stem, "zst" | "zstd")) => (stem, Some(Compression::Zstd)),
            _ => (lower.as_str(), None),
        };
        let format = match stem.rsplit_once('.').map(|(_, ending)| ending) {
            Some("csv" | "tsv" | "tab" | "txt") => Some(Self::Csv),
            Some("ndjson" | "jsonl") => Some(Self::Ndjson),
            Some("json") => Some(Self::Json),
            Some("parquet" | "pq") => Some(Self::Parquet),
            _ => None,
        };
        (format, compression)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = FormatError;
    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text.to_ascii_lowercase().as_str() {
            "csv" | "tsv" => Ok(Self::Csv),
            "ndjson" | "jsonl" => Ok(Self::Ndjson),
            "json" => Ok(Self::Json),
            "parquet" => Ok(Self::Parquet),
            _ => Err(FormatError::UnknownFormat(text.chars().take(64).collect())),
        }
    }
}

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
}

impl Compression {
    /// The name, as in `Content-Encoding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What the raw object's name ends with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
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
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            other => Err(FormatError::UnknownCompression(other.chars().take(64).collect())),
        }
    }
}

/// How delimited text is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvOptions {
    /// Whether the first record names the columns.
    pub header: bool,
    /// The byte between fields.
    pub delimiter: u8,
    /// The byte around fields that hold delimiters or line ends; none switches quoting off.
    pub quote: Option<u8>,
    /// Texts that stand for a missing value, besides the empty field.
    pub null_values: Vec<String>,
    /// Whether an empty field is a missing value (otherwise it is an empty string).
    pub empty_as_null: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { header: true, delimiter: b',', quote: Some(b'"'), null_values: Vec::new(), empty_as_null: true }
    }
}

/// How JSON is read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JsonOptions {
    /// Strings that stand for a missing value, besides `null`.
    pub null_values: Vec<String>,
    /// Whether strings are taken for the numbers and booleans that the table's columns want.
    #[serde(default)]
    pub coerce: bool,
}

/// Everything that decides how an upload's bytes become rows; kept in the ledger so that it can be done again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadOptions {
    /// The format of the decompressed bytes.
    pub format: Format,
    /// The compression around them.
    pub compression: Compression,
    /// For [`Format::Csv`].
    pub csv: CsvOptions,
    /// For [`Format::Ndjson`] and [`Format::Json`].
    pub json: JsonOptions,
    /// The columns to partition by, if this upload makes the table; empty where the caller did not say.
    pub partition_by: Vec<String>,
    /// How many of its rows may be bad.
    #[serde(default)]
    pub bad_rows: BadRowLimits,
    /// The format of the table, if this upload makes it; none where the caller did not say.
    #[serde(default)]
    pub table_format: Option<TableFormat>,
    /// How the table's files are laid out, if this upload makes it; empty where the caller did not say.
    #[serde(default)]
    pub layout: TableLayout,
    /// What becomes of the rows that are there.
    #[serde(default)]
    pub write: WriteOptions,
}

impl ReadOptions {
    /// Those of a plain file of this format.
    pub fn of(format: Format) -> Self {
        Self {
            format,
            compression: Compression::default(),
            csv: CsvOptions::default(),
            json: JsonOptions::default(),
            partition_by: Vec::new(),
            bad_rows: BadRowLimits::default(),
            table_format: None,
            layout: TableLayout::default(),
            write: WriteOptions::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_tells_format_and_compression() {
        assert_eq!(Format::from_file_name("a/B.CSV.gz"), (Some(Format::Csv), Some(Compression::Gzip)));
        assert_eq!(Format::from_file_name("x.jsonl"), (Some(Format::Ndjson), None));
        assert_eq!(Format::from_file_name("noending"), (None, None));
    }

    #[test]
    fn a_media_type_with_parameters_is_understood() {
        assert_eq!(Format::from_media_type("Text/CSV; charset=utf-8"), Some(Format::Csv));
        assert_eq!(Format::from_media_type("application/octet-stream"), None);
    }
}
