//! The formats that uploads come in.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Compression;

/// A format or option that is not one that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// No format goes by this name.
    #[error("format {0:?} is not one of csv, tsv, ndjson, json, parquet, arrow, avro, zip")]
    UnknownFormat(String),
    /// No compression goes by this name.
    #[error("content encoding {0:?} is not one of identity, gzip, zstd, bzip2, xz, snappy")]
    UnknownCompression(String),
    /// No charset goes by this name.
    #[error("charset {0:?} is not one of utf-8, utf-16, utf-16le, utf-16be, iso-8859-1, windows-1252")]
    UnknownCharset(String),
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
    /// Apache Arrow's IPC format, as a stream or as a file (Feather 2).
    Arrow,
    /// Apache Avro's object container files.
    Avro,
    /// A ZIP archive, each of whose members is a file of another format.
    Zip,
}

impl Format {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 7] = [Self::Csv, Self::Ndjson, Self::Json, Self::Parquet, Self::Arrow, Self::Avro, Self::Zip];

    /// The name, which is also the extension of raw objects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Avro => "avro",
            Self::Zip => "zip",
        }
    }

    /// Whether files of this format say by themselves which columns they have, so that one without rows makes a table.
    pub fn has_schema(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow | Self::Avro)
    }

    /// Whether files of this format are text, in one charset or another.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Ndjson | Self::Json)
    }

    /// Whether the types of such a file's columns are guessed from its values.
    pub fn is_guessed(self) -> bool {
        self.is_text() || self == Self::Zip
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
            "application/vnd.apache.arrow.stream" | "application/vnd.apache.arrow.file" => Some(Self::Arrow),
            "application/avro" | "application/vnd.apache.avro" | "application/x-avro" | "avro/binary" => {
                Some(Self::Avro)
            }
            "application/zip" | "application/x-zip-compressed" => Some(Self::Zip),
            _ => None,
        }
    }

    /// The format and compression that a file name's endings stand for.
    pub fn from_file_name(name: &str) -> (Option<Self>, Option<Compression>) {
        let lower = name.to_ascii_lowercase();
        let (stem, compression) = match lower.rsplit_once('.') {
            Some((stem, ending)) => match Compression::from_ending(ending) {
                Some(compression) => (stem, Some(compression)),
                None => (lower.as_str(), None),
            },
            None => (lower.as_str(), None),
        };
        let format = match stem.rsplit_once('.').map(|(_, ending)| ending) {
            Some("csv" | "tsv" | "tab" | "txt") => Some(Self::Csv),
            Some("ndjson" | "jsonl") => Some(Self::Ndjson),
            Some("json") => Some(Self::Json),
            Some("parquet" | "pq") => Some(Self::Parquet),
            Some("arrow" | "arrows" | "feather" | "ipc") => Some(Self::Arrow),
            Some("avro") => Some(Self::Avro),
            Some("zip") => Some(Self::Zip),
            _ => None,
        };
        (format, compression)
    }

    /// Whether a file name's endings say that tabs separate its fields.
    pub fn is_tab_separated(name: &str) -> bool {
        let lower = name.to_ascii_lowercase();
        let stem = match lower.rsplit_once('.') {
            Some((stem, ending)) if Compression::from_ending(ending).is_some() => stem,
            _ => lower.as_str(),
        };
        stem.ends_with(".tsv") || stem.ends_with(".tab")
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
            "arrow" | "ipc" | "feather" => Ok(Self::Arrow),
            "avro" => Ok(Self::Avro),
            "zip" => Ok(Self::Zip),
            _ => Err(FormatError::UnknownFormat(text.chars().take(64).collect())),
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
        assert_eq!(Format::from_file_name("x.avro.bz2"), (Some(Format::Avro), Some(Compression::Bzip2)));
        assert_eq!(Format::from_file_name("x.feather"), (Some(Format::Arrow), None));
        assert_eq!(Format::from_file_name("noending"), (None, None));
    }

    #[test]
    fn a_media_type_with_parameters_is_understood() {
        assert_eq!(Format::from_media_type("Text/CSV; charset=utf-8"), Some(Format::Csv));
        assert_eq!(Format::from_media_type("application/vnd.apache.arrow.stream"), Some(Format::Arrow));
        assert_eq!(Format::from_media_type("application/octet-stream"), None);
    }

    #[test]
    fn every_format_and_compression_is_found_by_its_own_name() {
        for format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
            for compression in Compression::ALL {
                let name = format!("x.{format}{}", compression.extension());
                let found = Some(compression).filter(|found| *found != Compression::Identity);
                assert_eq!(Format::from_file_name(&name), (Some(format), found), "{name}");
            }
        }
        for compression in Compression::ALL {
            assert_eq!(compression.as_str().parse(), Ok(compression));
        }
    }

    #[test]
    fn the_names_of_tab_separated_files_are_known() {
        assert!(Format::is_tab_separated("a.TSV.xz") && Format::is_tab_separated("a.tab"));
        assert!(!Format::is_tab_separated("a.csv") && !Format::is_tab_separated("tsv"));
    }
}
