//! Views: statements under a name, which queries read as if they were tables.
//!
//! Invariant: no view reads itself, however many others are in between.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Action, Caller, ErrorKind, Failure, NamespaceName, TableRef};

/// How many views may read one another, one after the other.
pub const MAX_VIEW_DEPTH: usize = 8;
/// The longest statement, in bytes.
const MAX_STATEMENT_BYTES: usize = 65_536;
/// The longest description, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 4096;

/// What a view is, as somebody says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewDefinition {
    /// One `SELECT` over tables and other views.
    pub sql: String,
    /// What it is for.
    pub description: Option<String>,
}

/// A column of a view, as it was when the view was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewColumn {
    /// The name.
    pub name: String,
    /// The type, by the name of [`crate::type_name`].
    #[serde(rename = "type")]
    pub data_type: String,
}

/// A view as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The name, which no table has.
    pub name: TableRef,
    /// What it is.
    pub definition: ViewDefinition,
    /// The tables and views that its statement names.
    pub reads: Vec<TableRef>,
    /// Its columns.
    pub columns: Vec<ViewColumn>,
    /// Who defined it last: with their rights it reads.
    pub principal: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was defined last.
    pub updated_at: DateTime<Utc>,
}

impl View {
    /// Whoever reads for the view: with the rights of who defined it, checked when it was saved, over the namespaces of
    /// what it reads. A view shows a part of a table to those who may not see the table; as in PostgreSQL, Snowflake and
    /// Athena, the right to the view is enough.
    pub fn reader(&self) -> Caller {
        let namespaces: Vec<NamespaceName> = self.reads.iter().map(|table| table.namespace.clone()).collect();
        Caller { name: self.principal.clone(), actions: vec![Action::Read], namespaces: Some(namespaces) }
    }
}

/// A view that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct ViewError {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl ViewError {
    /// What is wrong with a field.
    pub fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self { field, reason: reason.into() }
    }
}

impl Failure for ViewError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    fn code(&self) -> &'static str {
        "bad-view"
    }
}

impl ViewDefinition {
    /// Check what can be checked without the tables.
    ///
    /// # Errors
    /// [`ViewError`], naming the field.
    pub fn check(&self) -> Result<(), ViewError> {
        if self.sql.trim().is_empty() || self.sql.len() > MAX_STATEMENT_BYTES {
            return Err(ViewError::new("sql", format!("it is empty, or longer than {MAX_STATEMENT_BYTES} bytes")));
        }
        match &self.description {
            Some(text) if text.len() > MAX_DESCRIPTION_BYTES || text.contains('\0') => {
                let reason = format!("it is longer than {MAX_DESCRIPTION_BYTES} bytes, or holds a NUL");
                Err(ViewError::new("description", reason))
            }
            _ => Ok(()),
        }
    }
}

/// Check that a view that reads these tables and views would not read itself, and is not too deep, given what the other
/// views read.
///
/// # Errors
/// [`ViewError`] for `sql`, with the way.
pub fn check_view_graph(
    name: &TableRef,
    reads: &[TableRef],
    others: &BTreeMap<TableRef, Vec<TableRef>>,
) -> Result<(), ViewError> {
    // Of each level what is read there, and by whom.
    let mut levels: Vec<BTreeMap<&TableRef, &TableRef>> = vec![reads.iter().map(|read| (read, name)).collect()];
    while let Some(level) = levels.last() {
        if level.contains_key(name) {
            return Err(ViewError::new("sql", format!("the view would read itself: {}", told(name, &levels))));
        }
        let mut next = BTreeMap::new();
        for view in level.keys().filter(|read| **read != name) {
            next.extend(others.get(*view).into_iter().flatten().map(|read| (read, *view)));
        }
        if next.is_empty() {
            return Ok(());
        }
        if levels.len() == MAX_VIEW_DEPTH {
            let reason = format!("more than {MAX_VIEW_DEPTH} views would read one another, one after the other");
            return Err(ViewError::new("sql", reason));
        }
        levels.push(next);
    }
    Ok(())
}

/// The way from the view back to itself.
fn told(name: &TableRef, levels: &[BTreeMap<&TableRef, &TableRef>]) -> String {
    let mut way = vec![name];
    let mut at = name;
    for level in levels.iter().rev() {
        let Some(reader) = level.get(at) else { break };
        way.push(reader);
        at = reader;
    }
    way.reverse();
    way.iter().map(ToString::to_string).collect::<Vec<_>>().join(" -> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TableRef {
        text.parse().unwrap()
    }

    fn names(texts: &[&str]) -> Vec<TableRef> {
        texts.iter().map(|text| name(text)).collect()
    }

    #[test]
    fn a_cycle_is_told_by_its_way() {
        let others = [(name("v.b"), names(&["v.c", "raw.x"])), (name("v.c"), names(&["v.a"]))].into();
        let error = check_view_graph(&name("v.a"), &names(&["raw.y", "v.b"]), &others).unwrap_err();
        assert!(error.reason.ends_with("v.a -> v.b -> v.c -> v.a"), "{error}");
        assert!(check_view_graph(&name("v.d"), &names(&["v.d"]), &others).is_err());
        let fine = [(name("v.b"), names(&["raw.x"]))].into();
        assert_eq!(check_view_graph(&name("v.a"), &names(&["v.b", "raw.x"]), &fine), Ok(()));
    }

    #[test]
    fn views_are_not_too_deep() {
        let chain = |depth: usize| -> BTreeMap<TableRef, Vec<TableRef>> {
            (1..depth).map(|at| (name(&format!("v.v{at}")), names(&[&format!("v.v{}", at + 1)]))).collect()
        };
        let check = |depth| check_view_graph(&name("v.v0"), &names(&["v.v1"]), &chain(depth));
        assert_eq!(check(MAX_VIEW_DEPTH), Ok(()));
        assert!(check(MAX_VIEW_DEPTH + 1).is_err());
    }

    #[test]
    fn a_statement_and_a_description_have_a_length() {
        let of = |sql: &str, description: &str| {
            let description = Some(description.to_owned());
            ViewDefinition { sql: sql.into(), description }.check().map_err(|error| error.field)
        };
        assert_eq!(of("SELECT 1", "x"), Ok(()));
        assert_eq!(of(" ", "x"), Err("sql"));
        assert_eq!(of(&"x".repeat(70_000), "x"), Err("sql"));
        assert_eq!(of("SELECT 1", &"x".repeat(5000)), Err("description"));
    }
}
