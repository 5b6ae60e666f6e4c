//! How a table's files are laid out: what the upload that makes the table says, and what is kept with the table.
//!
//! Invariant: a derived column is a function of one other column of the same row, and of nothing else.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ColumnName;

/// A text that names no column to partition by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A function that there is not.
    #[error("{0:?} is not one of year, month, day, hour, date")]
    UnknownFunction(String),
    /// Brackets or names that are none.
    #[error("{0:?} is neither a column nor a function of one, such as year(order_date)")]
    Malformed(String),
}

/// What is taken of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatePart {
    /// The year, as a number.
    Year,
    /// The month, from 1.
    Month,
    /// The day of the month, from 1.
    Day,
    /// The hour, from 0 to 23.
    Hour,
    /// The day as a date.
    Date,
}

impl DatePart {
    /// Every part.
    pub const ALL: [Self; 5] = [Self::Year, Self::Month, Self::Day, Self::Hour, Self::Date];

    /// The name, which is also that of the column that it makes by default.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Date => "date",
        }
    }
}

impl FromStr for DatePart {
    type Err = LayoutError;
    fn from_str(text: &str) -> Result<Self, LayoutError> {
        let found = Self::ALL.into_iter().find(|part| part.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| LayoutError::UnknownFunction(text.chars().take(64).collect()))
    }
}

/// A column whose values are computed from another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DerivedColumn {
    /// Its name.
    pub name: String,
    /// What is taken.
    pub part: DatePart,
    /// Of which column.
    pub source: String,
}

impl fmt::Display for DerivedColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.part.as_str(), self.source)?;
        if self.name == self.part.as_str() { Ok(()) } else { write!(f, " as {}", self.name) }
    }
}

impl DerivedColumn {
    /// Read `year(order_date)` or `year(order_date) as y`; none where the text is a plain name.
    ///
    /// # Errors
    /// A text with brackets that is neither.
    pub fn parse(text: &str) -> Result<Option<Self>, LayoutError> {
        let malformed = || LayoutError::Malformed(text.chars().take(64).collect());
        let Some((function, rest)) = text.split_once('(') else { return Ok(None) };
        let (source, rest) = rest.rsplit_once(')').ok_or_else(malformed)?;
        let part: DatePart = function.trim().parse()?;
        let source: ColumnName = source.trim().parse().map_err(|_| malformed())?;
        let name = match rest.trim() {
            "" => part.as_str().to_owned(),
            rest => {
                let name = rest.split_once(char::is_whitespace).filter(|(word, _)| word.eq_ignore_ascii_case("as"));
                let (_, name) = name.ok_or_else(malformed)?;
                name.trim().parse::<ColumnName>().map_err(|_| malformed())?.into()
            }
        };
        Ok(Some(Self { name, part, source: source.into() }))
    }
}

/// How files are laid out; what is empty or `None` is as the settings say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TableLayout {
    /// The columns that are computed, each of them one that the table is partitioned by.
    pub derived: Vec<DerivedColumn>,
    /// The columns that the rows of each file are sorted by, ascending, missing values last.
    pub sort_by: Vec<String>,
    /// The columns with bloom filters.
    pub bloom_filter: Vec<String>,
    /// The columns with statistics, where it is not all that come first.
    pub stats_columns: Vec<String>,
    /// The size at which a file is closed and another begun, in bytes.
    pub target_file_bytes: Option<u64>,
    /// How many rows a row group has at the most.
    pub row_group_rows: Option<u64>,
    /// How large a row group is at the most before compression, in bytes.
    pub row_group_bytes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, DatePart, String)> {
        let found = DerivedColumn::parse(text).unwrap();
        found.map(|column| (column.name, column.part, column.source))
    }

    #[test]
    fn a_function_of_a_column_is_told_from_a_column() {
        assert_eq!(parsed("order_date"), None);
        assert_eq!(parsed("year(order_date)"), Some(("year".into(), DatePart::Year, "order_date".into())));
        assert_eq!(parsed("Hour( a b ) AS h"), Some(("h".into(), DatePart::Hour, "a b".into())));
        assert_eq!(parsed("date(f(x))"), Some(("date".into(), DatePart::Date, "f(x)".into())));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["year(", "year()", "(x)", "decade(x)", "year(x) y", "year(x) as", "year(x) as ", "year(x)z"] {
            assert!(DerivedColumn::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_derivation_reads_as_it_was_written() {
        for text in ["year(order_date)", "hour(ts) as h"] {
            assert_eq!(DerivedColumn::parse(text).unwrap().unwrap().to_string(), text);
        }
    }
}
