//! Queries over the whole table that rules ask: what they say, and what is kept of an answer.
//!
//! Invariant: no query is run here; the answers come from elsewhere, each bounded in what is kept of it.

use std::{collections::HashMap, sync::Arc};

use arrow::array::{Array as _, RecordBatch};
use serde_json::{Map, Value};
use sluice_domain::{Suite, SuiteError, TableRef};

use crate::{
    cells::{floats, is_number, shown},
    kinds::{Kind, Reach},
};

/// What stands for the table in a query.
pub(crate) const BATCH: &str = "{batch}";
/// The longest query, in bytes.
pub(crate) const MAX_QUERY_BYTES: usize = 10_000;
/// How many queries a suite may ask.
const MAX_QUERIES: usize = 20;
/// How many rows of an answer are kept.
const MAX_SHOWN_ROWS: usize = 20;
/// How many columns of such a row are kept.
const MAX_SHOWN_COLUMNS: usize = 50;

/// The parameters that hold a query.
pub(crate) const UNEXPECTED_ROWS: &str = "unexpected_rows_query";
pub(crate) const QUERY: &str = "query";

/// A query that a suite asks of its whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableQuery {
    /// Where it stands in the suite, like `rules[2].kwargs.query`.
    pub field: String,
    /// One `SELECT`, in which `{batch}` stands for the table.
    pub text: String,
    /// Whether it is to give one column, whose first value counts.
    pub gives_value: bool,
}

impl TableQuery {
    /// The query with the table's name in it.
    pub fn over(&self, table: &TableRef) -> String {
        let TableRef { namespace, table } = table;
        self.text.replace(BATCH, &format!("\"{namespace}\".\"{table}\""))
    }
}

/// The queries of a suite, in the order of its rules.
pub fn queries(suite: &Suite) -> Vec<TableQuery> {
    let of_rule = |(at, rule): (usize, &sluice_domain::Rule)| {
        Kind::find(&rule.kind).filter(|kind| kind.reach == Reach::Query)?;
        let name = [UNEXPECTED_ROWS, QUERY].into_iter().find(|name| rule.kwargs.contains_key(*name))?;
        let text = rule.kwargs.get(name)?.as_str()?.to_owned();
        Some(TableQuery { field: format!("rules[{at}].kwargs.{name}"), text, gives_value: name == QUERY })
    };
    suite.rules.iter().enumerate().filter_map(of_rule).collect()
}

/// Check that there are not too many.
pub(crate) fn check_count(suite: &Suite) -> Result<(), SuiteError> {
    match queries(suite).len() > MAX_QUERIES {
        true => Err(SuiteError::new("rules", format!("they ask more than {MAX_QUERIES} queries of the whole table"))),
        false => Ok(()),
    }
}

/// What a query answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueryAnswer {
    pub(crate) rows: u64,
    /// The first rows, by the names of their columns.
    pub(crate) shown: Vec<Value>,
    /// The first value of the first row, as it is shown, and as a number where it is one.
    pub(crate) value: Option<(Value, Option<f64>)>,
}

impl QueryAnswer {
    /// Add rows of the answer.
    pub fn add(&mut self, rows: &RecordBatch) {
        if self.rows == 0 && rows.num_rows() > 0 && rows.num_columns() > 0 {
            let first = rows.column(0).slice(0, 1);
            let number = is_number(first.data_type()).then(|| floats(&first).ok()).flatten();
            let number = number.filter(|number| number.is_valid(0)).map(|number| number.value(0));
            self.value = Some((shown(&first, 0), number));
        }
        let kept = MAX_SHOWN_ROWS.saturating_sub(self.shown.len()).min(rows.num_rows());
        self.shown.extend((0..kept).map(|row| as_object(rows, row)));
        self.rows += rows.num_rows() as u64;
    }
}

fn as_object(rows: &RecordBatch, row: usize) -> Value {
    let fields = rows.schema_ref().fields().iter().zip(rows.columns()).take(MAX_SHOWN_COLUMNS);
    fields.map(|(field, column)| (field.name().clone(), shown(column, row))).collect::<Map<_, _>>().into()
}

/// Answers by the texts of their queries, or why there is none.
pub type Answers = HashMap<String, Result<Arc<QueryAnswer>, String>>;
