//! Names of namespaces, tables and columns, parsed once.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest namespace or table name, in characters.
const MAX_NAME_CHARS: usize = 128;
/// The longest column name, in bytes.
const MAX_COLUMN_BYTES: usize = 255;

/// A name that is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name does not follow the rule for namespaces and tables.
    #[error(
        "{what} name {name:?} is not acceptable: use a letter or underscore, then letters, digits, \
         underscores or hyphens, {MAX_NAME_CHARS} characters at most"
    )]
    Illegal {
        /// What was being named.
        what: &'static str,
        /// The name as given, shortened.
        name: String,
    },
    /// The text is not `namespace.table`.
    #[error("{0:?} does not name a table: write namespace.table")]
    NotQualified(String),
    /// A column name that is empty, too long or holds control characters.
    #[error("column name {0:?} is not acceptable: 1 to {MAX_COLUMN_BYTES} bytes, no control characters")]
    IllegalColumn(String),
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The rule for namespaces and tables: `[A-Za-z_][A-Za-z0-9_-]{0,127}`, kept in lower case.
fn parse_name(what: &'static str, text: &str) -> Result<String, NameError> {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if first && rest && text.len() <= MAX_NAME_CHARS {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(NameError::Illegal { what, name: shortened(text) })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text, in lower case.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                parse_name($what, text).map(Self)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of a namespace (a schema in SQL, a database in Glue). Case-insensitive, kept in lower case.
    NamespaceName,
    "namespace"
);
name!(
    /// The name of a table within its namespace. Case-insensitive, kept in lower case.
    TableName,
    "table"
);

/// A table by its two names, written `namespace.table`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableRef {
    /// The namespace the table is in.
    pub namespace: NamespaceName,
    /// The table's own name.
    pub table: TableName,
}

impl TableRef {
    /// Parse both names.
    ///
    /// # Errors
    /// [`NameError::Illegal`] for a name that breaks the rule.
    pub fn parse(namespace: &str, table: &str) -> Result<Self, NameError> {
        Ok(Self { namespace: namespace.parse()?, table: table.parse()? })
    }
}

impl FromStr for TableRef {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (namespace, table) = text.split_once('.').ok_or_else(|| NameError::NotQualified(shortened(text)))?;
        Self::parse(namespace, table)
    }
}

impl TryFrom<String> for TableRef {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<TableRef> for String {
    fn from(table: TableRef) -> String {
        table.to_string()
    }
}

impl fmt::Display for TableRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.namespace, self.table)
    }
}

/// The name of a column: any printable text, its case kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ColumnName(String);

impl ColumnName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ColumnName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let fits = !text.is_empty() && text.len() <= MAX_COLUMN_BYTES && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(NameError::IllegalColumn(shortened(text))) }
    }
}

impl TryFrom<String> for ColumnName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ColumnName> for String {
    fn from(name: ColumnName) -> String {
        name.0
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        let long = "a".repeat(300);
        for name in
            ["", "..", ".", "a/b", "a\\b", "a\0b", "%2e%2e", "a b", "1a", "-a", "naïve", "a.b", "\u{202e}a", &long]
        {
            assert!(name.parse::<TableName>().is_err(), "{name:?} was accepted");
        }
    }

    #[test]
    fn names_are_kept_in_lower_case() {
        let table: TableRef = "NYC.Flights_2013".parse().unwrap();
        assert_eq!(table.to_string(), "nyc.flights_2013");
    }

    #[test]
    fn columns_keep_their_case_and_spaces() {
        assert_eq!("Total Amount".parse::<ColumnName>().unwrap().as_str(), "Total Amount");
        assert!("a\nb".parse::<ColumnName>().is_err());
        assert!("".parse::<ColumnName>().is_err());
    }
}
