//! How large a query becomes when each common table expression is put in wherever its name is used.
//!
//! The engine does put it in: forty of them that each use the one before twice are a plan of 2^40 steps.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::Query;

use crate::QueryError;

/// The most queries and tables of a statement, those of common table expressions counted at each use.
const MAX_SIZE: u64 = 1_000;

/// Counts while a statement's queries are walked, outermost first, each with its `WITH` before its body.
#[derive(Debug, Default)]
pub(crate) struct Expansion {
    open: Vec<OpenQuery>,
}

#[derive(Debug)]
struct OpenQuery {
    size: u64,
    /// The names of its common table expressions whose queries are yet to come, the next one last.
    awaited: Vec<String>,
    /// The sizes of those that have come.
    known: BTreeMap<String, u64>,
}

impl Expansion {
    /// A query begins.
    pub(crate) fn enter(&mut self, query: &Query) {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        let mut awaited: Vec<String> = tables.map(|table| table.alias.name.value.to_lowercase()).collect();
        awaited.reverse();
        self.open.push(OpenQuery { size: 1, awaited, known: BTreeMap::new() });
    }

    /// The query that began last ends.
    pub(crate) fn leave(&mut self) -> Result<(), QueryError> {
        let Some(ended) = self.open.pop() else { return Ok(()) };
        match self.open.last_mut().map(|outer| (outer.awaited.pop(), outer)) {
            Some((Some(name), outer)) => {
                let size = outer.known.entry(name).or_default();
                *size = ended.size.max(*size);
                Ok(())
            }
            Some((None, _)) => self.grow(ended.size),
            None => Ok(()),
        }
    }

    /// A table, or a common table expression, is used by this name.
    pub(crate) fn use_name(&mut self, name: &str) -> Result<(), QueryError> {
        let name = name.to_lowercase();
        let size = self.open.iter().rev().find_map(|query| query.known.get(&name)).copied();
        self.grow(size.unwrap_or(1))
    }

    fn grow(&mut self, size: u64) -> Result<(), QueryError> {
        let Some(query) = self.open.last_mut() else { return Ok(()) };
        query.size = query.size.saturating_add(size);
        if query.size > MAX_SIZE {
            return Err(QueryError::TooComplex { what: "tables and queries", limit: MAX_SIZE });
        }
        Ok(())
    }
}
