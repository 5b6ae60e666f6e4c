//! Everything that decides how an upload's bytes become rows.
//!
//! Invariant: what an older version stored can be read, and means what it meant then.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{BadRowLimits, Compression, Format, FormatError, TableFormat, TableLayout, WriteOptions};

/// How deep a path to the rows of a document may lead.
const MAX_PATH_STEPS: usize = 32;

/// How the characters of a text are written as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Charset {
    /// UTF-8, a byte order mark allowed.
    Utf8,
    /// UTF-16 as its byte order mark says; little-endian without one.
    Utf16,
    /// UTF-16, little-endian.
    Utf16Le,
    /// UTF-16, big-endian.
    Utf16Be,
    /// Windows-1252, of which Latin-1 is a part.
    Windows1252,
}

impl Charset {
    /// The name of the charset, as in `Content-Type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf16 => "utf-16",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
            Self::Windows1252 => "windows-1252",
        }
    }

    /// The text of the parameter `charset` of a media type.
    pub fn name_in_media_type(media_type: &str) -> Option<&str> {
        let mut parameters = media_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
        let value = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset")).map(|(_, value)| value);
        value.map(|value| value.trim().trim_matches('"'))
    }
}

impl FromStr for Charset {
    type Err = FormatError;
    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "us-ascii" | "ascii" => Ok(Self::Utf8),
            "utf-16" | "utf16" => Ok(Self::Utf16),
            "utf-16le" | "utf-16-le" => Ok(Self::Utf16Le),
            "utf-16be" | "utf-16-be" => Ok(Self::Utf16Be),
            "iso-8859-1" | "latin-1" | "latin1" | "windows-1252" | "cp1252" => Ok(Self::Windows1252),
            other => Err(FormatError::UnknownCharset(other.chars().take(64).collect())),
        }
    }
}

/// What of a dialect the sender left open: then the beginning of the file tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OpenDialect {
    /// The byte between fields.
    pub delimiter: bool,
    /// The byte around fields.
    pub quote: bool,
    /// Whether there is a header.
    pub header: bool,
}

impl OpenDialect {
    /// Whether anything is left open.
    pub fn is_any(self) -> bool {
        self.delimiter || self.quote || self.header
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
    /// What stands between the whole and the fraction of a number is a comma, not a point.
    #[serde(default)]
    pub decimal_comma: bool,
    /// What the sender left open; its value is what was found in the file, once that was looked for.
    #[serde(default)]
    pub open: OpenDialect,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            header: true,
            delimiter: b',',
            quote: Some(b'"'),
            null_values: Vec::new(),
            empty_as_null: true,
            decimal_comma: false,
            open: OpenDialect::default(),
        }
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
    /// Where in a document the rows are; none where the document is the rows.
    #[serde(default)]
    pub record_path: Option<RecordPath>,
    /// What stands between the names of an object and of its fields, where those become columns of their own.
    #[serde(default)]
    pub flatten: Option<String>,
}

/// The way through a document to its rows: keys, and places in arrays counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPath(pub Vec<String>);

/// A JSON Pointer (`/data/items`), or keys with points between them (`data.items`, `$.data.items`).
impl FromStr for RecordPath {
    type Err = FormatError;
    fn from_str(text: &str) -> Result<Self, FormatError> {
        let bad = |reason: String| FormatError::BadOption { option: "record_path", reason };
        let steps: Vec<String> = match text.strip_prefix('/') {
            Some(pointer) => pointer
                .split('/')
                .map(unescaped)
                .collect::<Option<_>>()
                .ok_or_else(|| bad("a tilde in a JSON Pointer must be followed by 0 or 1".to_owned()))?,
            None => match text.strip_prefix('$').unwrap_or(text).trim_start_matches('.') {
                "" => Vec::new(),
                keys => keys.split('.').map(str::to_owned).collect(),
            },
        };
        if steps.is_empty() || steps.len() > MAX_PATH_STEPS {
            return Err(bad(format!("it does not have 1 to {MAX_PATH_STEPS} steps")));
        }
        Ok(Self(steps))
    }
}

/// A step of a JSON Pointer (RFC 6901) as it is meant.
fn unescaped(step: &str) -> Option<String> {
    let mut parts = step.split('~');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.try_fold(first, |text, part| match part.as_bytes().first() {
        Some(b'0') => Some(text + "~" + &part[1..]),
        Some(b'1') => Some(text + "/" + &part[1..]),
        _ => None,
    })
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
    /// How the characters of a text are written; none: UTF-8, or what a byte order mark says.
    #[serde(default)]
    pub charset: Option<Charset>,
    /// For [`Format::Zip`]: the format of every member; none: what each one's name says.
    #[serde(default)]
    pub member_format: Option<Format>,
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
            charset: None,
            member_format: None,
            partition_by: Vec::new(),
            bad_rows: BadRowLimits::default(),
            table_format: None,
            layout: TableLayout::default(),
            write: WriteOptions::default(),
        }
    }

    /// Whether a request with these options asks for the same: what was found in the file since makes no difference.
    pub fn is_asked_by(&self, request: &Self) -> bool {
        let mut asked = self.as_asked();
        if !asked.csv.open.is_any() {
            // Older versions left nothing open, and took what was not said for what it is by default.
            asked.csv.open = request.csv.open;
        }
        asked == *request
    }

    fn as_asked(&self) -> Self {
        let (mut asked, unsaid) = (self.clone(), CsvOptions::default());
        let OpenDialect { delimiter, quote, header } = self.csv.open;
        if delimiter {
            asked.csv.delimiter = unsaid.delimiter;
        }
        if quote {
            asked.csv.quote = unsaid.quote;
        }
        if header {
            asked.csv.header = unsaid.header;
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_in_a_file_is_not_what_was_asked_for() {
        let mut asked = ReadOptions { compression: Compression::Gzip, ..ReadOptions::of(Format::Csv) };
        asked.csv.open = OpenDialect { delimiter: true, quote: false, header: true };
        let mut found = asked.clone();
        (found.csv.delimiter, found.csv.header) = (b';', false);
        assert!(found.is_asked_by(&asked));
        found.csv.quote = None;
        assert!(!found.is_asked_by(&asked));
        let said = ReadOptions { compression: Compression::Gzip, ..ReadOptions::of(Format::Csv) };
        assert!(said.is_asked_by(&asked) && !asked.is_asked_by(&said));
    }

    #[test]
    fn options_of_an_older_version_are_read() {
        let text = r#"{"format":"csv","compression":"gzip","csv":{"header":false,"delimiter":59,"quote":34,
            "null_values":["NA"],"empty_as_null":true},"json":{"null_values":[]},"partition_by":["a"]}"#;
        let options: ReadOptions = serde_json::from_str(text).unwrap();
        assert_eq!((options.csv.delimiter, options.csv.header, options.csv.open.is_any()), (b';', false, false));
        assert_eq!((options.charset, options.json.record_path), (None, None));
    }

    #[test]
    fn a_record_path_is_a_pointer_or_keys_with_points() {
        let steps = |text: &str| text.parse::<RecordPath>().map(|path| path.0);
        assert_eq!(steps("/data/items").unwrap(), ["data", "items"]);
        assert_eq!(steps("$.data.0.items").unwrap(), ["data", "0", "items"]);
        assert_eq!(steps("/a~1b/m~0n/").unwrap(), ["a/b", "m~n", ""]);
        for bad in ["", "$", "/a~2b", "/a~", &"/a".repeat(33)] {
            assert!(steps(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_charset_of_a_media_type_is_found() {
        let found = |text| Charset::name_in_media_type(text).map(str::parse::<Charset>);
        assert_eq!(found("text/csv; header=present; Charset=\"Latin1\""), Some(Ok(Charset::Windows1252)));
        assert_eq!(found("text/csv"), None);
        assert!(found("text/csv; charset=klingon").is_some_and(|charset| charset.is_err()));
    }
}
