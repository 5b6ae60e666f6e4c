//! Why a file does not become rows: always naming the place, so that its sender can mend it.

use std::io;

use serde::{Deserialize, Serialize};
use sluice_domain::{Compression, ErrorKind, Failure, Format};

/// The longest value that an error repeats, in characters.
const MAX_VALUE_CHARS: usize = 80;

/// A file that could not be decoded. Lines and rows are counted from 1, rows without the header.
///
/// What is no fault of the file has no serial form: it is for whoever reads the file, not for whoever decodes it.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum DecodeError {
    /// Send a file with content.
    #[error("the file has nothing to make a table of: no columns, or no rows that tell their types")]
    Empty,
    /// Compress the file again, or say how it is compressed.
    #[error("this is not good {compression}: {reason}")]
    BrokenCompression {
        /// How it was said to be compressed.
        compression: Compression,
        /// What is wrong with it.
        reason: String,
    },
    /// Send the file in parts.
    #[error("the decoded content is larger than {limit_bytes} bytes, the most that is taken of this file")]
    TooLarge {
        /// How many decoded bytes this file may have.
        limit_bytes: u64,
    },
    /// Mend the file at this place, or say which format it is.
    #[error("this is not good {format}: {}{reason}", place(*line, column.as_deref()))]
    Malformed {
        /// What it was read as.
        format: Format,
        /// The line.
        line: Option<u64>,
        /// The column.
        column: Option<String>,
        /// What is wrong there.
        reason: String,
    },
    /// Send fewer columns.
    #[error("the file has more than {limit} columns, fields within objects counted")]
    TooManyColumns {
        /// How many it may have.
        limit: usize,
    },
    /// Send values that are nested less.
    #[error("{}arrays and objects are nested more than {limit} deep", place(*line, None))]
    TooDeep {
        /// How deep they may be.
        limit: usize,
        /// The line.
        line: Option<u64>,
    },
    /// Send a value that the column holds.
    #[error("{}{value:?} does not fit into {expected}", row_place(*row, *line, column))]
    Mismatch {
        /// The row; none where the whole column does not fit.
        row: Option<u64>,
        /// The line, in text formats.
        line: Option<u64>,
        /// The column, with the path within it.
        column: String,
        /// The value, shortened.
        value: String,
        /// The type it should have.
        expected: String,
    },
    /// Leave the column out, or add it to the table.
    #[error("{}the table has no column {column:?}", place(*line, None))]
    UnknownColumn {
        /// The column, with the path within it.
        column: String,
        /// The line, in text formats.
        line: Option<u64>,
    },
    /// Send a row that keeps the rule.
    #[error("row {row}, column {column:?}: {message} (rule {rule:?})")]
    BrokenRule {
        /// The row.
        row: u64,
        /// The column that the rule looks at.
        column: String,
        /// The rule's name.
        rule: String,
        /// What must be true.
        message: String,
    },
    /// Mend the rows, or let more of them be bad.
    #[error("{count} rows are bad, more than may be; the first of them: {first}")]
    TooManyBadRows {
        /// How many were found.
        count: u64,
        /// What is wrong with the first one.
        first: String,
    },
    /// Mend this member of the archive.
    #[error("{member:?} in the archive: {error}")]
    Member {
        /// The member's name, shortened.
        member: String,
        /// What is wrong with it.
        error: Box<Self>,
    },
    /// Nothing: whoever wanted the rows no longer does.
    #[error("the decoding was stopped")]
    #[serde(skip)]
    Stopped,
    /// Try again later.
    #[error("the stored content could not be read")]
    #[serde(skip)]
    Read(#[source] io::Error),
}

impl DecodeError {
    /// Whether it says that rows do not fit the columns of a table, which other columns may take.
    pub(crate) fn is_misfit(&self) -> bool {
        match self {
            Self::Mismatch { .. } | Self::UnknownColumn { .. } => true,
            Self::Member { error, .. } => error.is_misfit(),
            _ => false,
        }
    }

    /// The same error, of a member of an archive; what is no fault of the file stays what it is.
    pub(crate) fn in_member(self, member: &str) -> Self {
        match self {
            Self::Stopped | Self::Read(_) | Self::Member { .. } => self,
            error => Self::Member { member: shortened(member), error: Box::new(error) },
        }
    }

    /// A file that breaks the rules of its format, at no line in particular.
    pub(crate) fn malformed(format: Format, reason: impl Into<String>) -> Self {
        Self::Malformed { format, line: None, column: None, reason: reason.into() }
    }
}

/// A reader hands on what an inner reader found wrong; what is not a [`DecodeError`] is no fault of the file.
impl From<io::Error> for DecodeError {
    fn from(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(Self::Read)
    }
}

impl From<DecodeError> for io::Error {
    fn from(error: DecodeError) -> Self {
        Self::other(error)
    }
}

impl Failure for DecodeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Empty
            | Self::TooManyColumns { .. }
            | Self::TooDeep { .. }
            | Self::Mismatch { .. }
            | Self::UnknownColumn { .. }
            | Self::BrokenRule { .. }
            | Self::TooManyBadRows { .. } => ErrorKind::Invalid,
            Self::BrokenCompression { .. } | Self::Malformed { .. } => ErrorKind::Malformed,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Member { error, .. } => error.kind(),
            Self::Stopped => ErrorKind::Internal,
            Self::Read(_) => ErrorKind::Unavailable,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Empty => "empty-file",
            Self::BrokenCompression { .. } => "broken-compression",
            Self::TooLarge { .. } => "decoded-too-large",
            Self::Malformed { .. } => "malformed-file",
            Self::TooManyColumns { .. } => "too-many-columns",
            Self::TooDeep { .. } => "too-deep",
            Self::Mismatch { .. } => "type-mismatch",
            Self::UnknownColumn { .. } => "unknown-column",
            Self::BrokenRule { .. } => "broken-rule",
            Self::TooManyBadRows { .. } => "too-many-bad-rows",
            Self::Member { error, .. } => error.code(),
            Self::Stopped => "decoding-stopped",
            Self::Read(_) => "content-unreadable",
        }
    }
}

/// A value as errors repeat it.
pub(crate) fn shortened(value: &str) -> String {
    match value.char_indices().nth(MAX_VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

fn place(line: Option<u64>, column: Option<&str>) -> String {
    match (line, column) {
        (Some(line), Some(column)) => format!("line {line}, column {column:?}: "),
        (Some(line), None) => format!("line {line}: "),
        (None, Some(column)) => format!("column {column:?}: "),
        (None, None) => String::new(),
    }
}

fn row_place(row: Option<u64>, line: Option<u64>, column: &str) -> String {
    let row = row.map_or(String::new(), |row| format!("row {row}, "));
    let line = line.map_or(String::new(), |line| format!("line {line}, "));
    format!("{row}{line}column {column:?}: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_its_way_through_a_reader() {
        let error: io::Error = DecodeError::TooLarge { limit_bytes: 7 }.into();
        assert!(matches!(DecodeError::from(error), DecodeError::TooLarge { limit_bytes: 7 }));
        let foreign = io::Error::from(io::ErrorKind::TimedOut);
        assert!(matches!(DecodeError::from(foreign), DecodeError::Read(_)));
    }

    #[test]
    fn the_text_names_the_place() {
        let error = DecodeError::Mismatch {
            row: Some(2),
            line: Some(3),
            column: "age".into(),
            value: shortened(&"é".repeat(100)),
            expected: "Int64".into(),
        };
        let text = error.to_string();
        assert!(text.starts_with("row 2, line 3, column \"age\": \"éé"), "{text}");
        assert!(text.ends_with("éé…\" does not fit into Int64"), "{text}");
        assert!(text.chars().count() < 160);
    }
}
