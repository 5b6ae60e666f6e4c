//! The table of kinds: for each its name, its parameters, and what asks it. A file per family.
//!
//! Invariant: a parameter that a kind does not have is refused by name, so that nothing is asked otherwise than meant.

use serde_json::{Map, Value};
use sluice_domain::{Rule, Suite};

use crate::{
    arguments::{ArgumentError, Arguments},
    expectation::Binder,
    setting::Needs,
};

mod bounds;
mod column_test;
mod columns;
mod distinct;
mod figures;
mod moments;
mod nulls;
mod order;
mod pairs;
mod queries;
mod rows;
mod smoothing;
mod spread;
mod sql;
mod texts;
mod types;
mod uniqueness;
mod values;

pub(crate) use figures::{Sums, first};
pub(crate) use spread::quantile;
pub(crate) use sql::MAX_EXPRESSION_BYTES;
pub(crate) use types::pandas_name;

/// What a kind looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The columns, whatever the rows are.
    Columns,
    /// Each row by itself: the same row is always judged alike.
    Row,
    /// Each row, in the light of other ones or of other tables.
    RowAmongOthers,
    /// All rows together.
    Whole,
    /// All rows of the table, by a query that is run elsewhere: nothing of an upload.
    Query,
}

/// A kind of rule.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) reach: Reach,
    pub(crate) parameters: &'static [&'static str],
    /// Read the parameters.
    pub(crate) parse: fn(&Arguments<'_>) -> Result<Binder, ArgumentError>,
}

const FAMILIES: &[&[Kind]] = &[
    columns::KINDS,
    nulls::KINDS,
    uniqueness::KINDS,
    distinct::KINDS,
    values::KINDS,
    texts::KINDS,
    moments::KINDS,
    pairs::KINDS,
    figures::KINDS,
    spread::KINDS,
    rows::KINDS,
    sql::KINDS,
    order::KINDS,
    smoothing::KINDS,
    queries::KINDS,
];

/// The names of all kinds.
pub fn kind_names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().copied().flatten().map(|kind| kind.name)
}

impl Kind {
    /// The kind of this name; case does not matter.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        FAMILIES.iter().copied().flatten().find(|kind| kind.name.eq_ignore_ascii_case(name))
    }

    /// Read the parameters of a rule.
    pub(crate) fn read(&self, kwargs: &Map<String, Value>) -> Result<Binder, ArgumentError> {
        match kwargs.keys().find(|name| !self.parameters.contains(&name.as_str())) {
            Some(unknown) => {
                let known = self.parameters.join(", ");
                Err(ArgumentError::new(unknown, format!("{} has no such parameter; it has {known}", self.name)))
            }
            None => (self.parse)(&Arguments(kwargs)),
        }
    }
}

/// What a suite needs to know of elsewhere.
pub fn needs(suite: &Suite) -> Needs {
    let mut needs = Needs::default();
    for rule in &suite.rules {
        needs.conditions.extend(rule.row_condition.clone());
        needs.conditions.extend(sql::expression(rule));
        if let Some((table, column)) = other_table(rule) {
            needs.tables.entry(table.to_owned()).or_default().extend(column.map(str::to_owned));
        }
    }
    needs
}

fn other_table(rule: &Rule) -> Option<(&str, Option<&str>)> {
    let text = |name: &str| rule.kwargs.get(name).and_then(Value::as_str);
    text("other_table_name").map(|table| (table, text("other_column")))
}
