//! The statement that makes other engines see a table, in their own words.
//!
//! Invariant: names are quoted as the engine quotes them, so that no name changes what the statement does.

mod duckdb;
mod hive;
mod spark;

use std::{fmt, str::FromStr};

use arrow_schema::{Field, Schema};

use crate::{TableFormat, TableRef};

/// An engine that a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Amazon Athena.
    Athena,
    /// Apache Hive.
    Hive,
    /// Apache Spark.
    Spark,
    /// DuckDB.
    DuckDb,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Athena, Self::Hive, Self::Spark, Self::DuckDb];

    /// The engine's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Athena => "athena",
            Self::Hive => "hive",
            Self::Spark => "spark",
            Self::DuckDb => "duckdb",
        }
    }
}

impl FromStr for Dialect {
    type Err = DdlError;
    fn from_str(text: &str) -> Result<Self, DdlError> {
        let shortened = || text.chars().take(64).collect();
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == text).ok_or_else(|| DdlError::Dialect(shortened()))
    }
}

/// Why there is no statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DdlError {
    /// The engine is not known.
    #[error("{0:?} is not one of athena, hive, spark, duckdb")]
    Dialect(String),
    /// The engine has no type for a column.
    #[error("column {column}: {dialect} has no type for {data_type}")]
    Type {
        /// The column.
        column: String,
        /// The type, in Arrow's words.
        data_type: String,
        /// The engine.
        dialect: &'static str,
    },
    /// The engine cannot read the table's format.
    #[error("{dialect} reads no {format} tables by a statement of its own")]
    Format {
        /// The engine.
        dialect: &'static str,
        /// The format.
        format: &'static str,
    },
}

/// A table, as far as a statement tells of it.
#[derive(Debug, Clone, Copy)]
pub struct DdlTable<'t> {
    /// Its name.
    pub name: &'t TableRef,
    /// The format of its files.
    pub format: TableFormat,
    /// Its columns.
    pub schema: &'t Schema,
    /// Those that it is partitioned by.
    pub partition_by: &'t [String],
    /// Where it lies: a URL without a slash at its end.
    pub location: &'t str,
    /// Whether a table of that name may be there already.
    pub if_not_exists: bool,
}

impl DdlTable<'_> {
    /// The statement for this engine.
    ///
    /// # Errors
    /// A type or a format that the engine does not have.
    pub fn statement(&self, dialect: Dialect) -> Result<String, DdlError> {
        match dialect {
            Dialect::Athena | Dialect::Hive => hive::statement(self, dialect),
            Dialect::Spark => spark::statement(self),
            Dialect::DuckDb => duckdb::statement(self),
        }
    }

    fn guard(&self) -> &'static str {
        if self.if_not_exists { "IF NOT EXISTS " } else { "" }
    }

    /// The columns in the files, and those in the names of folders.
    fn columns(&self) -> (Vec<&Field>, Vec<&Field>) {
        let is_partition = |field: &&Field| self.partition_by.contains(field.name());
        let (mut partitions, files): (Vec<&Field>, Vec<&Field>) =
            self.schema.fields().iter().map(AsRef::as_ref).partition(is_partition);
        partitions.sort_by_key(|field| self.partition_by.iter().position(|name| name == field.name()));
        (files, partitions)
    }

    /// Where it lies in the words of Hadoop: `s3a://` is Spark's and Hive's own client, `s3://` everybody else's.
    fn location_for(&self, dialect: Dialect) -> String {
        match (dialect, self.location.strip_prefix("s3://")) {
            (Dialect::Spark | Dialect::Hive, Some(path)) => format!("s3a://{path}"),
            _ => self.location.to_owned(),
        }
    }
}

/// A name between back ticks.
fn ticked(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text between single quotes, which are doubled.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn no_type(field: &Field, data_type: impl fmt::Display, dialect: Dialect) -> DdlError {
    DdlError::Type { column: field.name().clone(), data_type: data_type.to_string(), dialect: dialect.as_str() }
}

#[cfg(test)]
mod tests;
