//! Conditions in SQL over single rows.

use arrow::{array::RecordBatch, buffer::BooleanBuffer};
use serde_json::Value;
use sluice_domain::Rule;

use super::{Kind, Reach};
use crate::{
    arguments::{ArgumentError, Arguments},
    expectation::{Binder, Looked, Ready, RowTest},
    setting::RowCondition,
};

/// The longest condition, in bytes.
pub(crate) const MAX_EXPRESSION_BYTES: usize = 10_000;
/// How many columns of a row that breaks a condition are shown.
const MAX_SHOWN_COLUMNS: usize = 20;
const NAME: &str = "expect_rows_to_satisfy_expression";

pub(super) const KINDS: &[Kind] =
    &[Kind { name: NAME, reach: Reach::Row, parameters: &["expression", "mostly"], parse: expression_holds }];

/// The condition that a rule asks, if it asks one.
pub(super) fn expression(rule: &Rule) -> Option<String> {
    let is_sql = rule.kind.eq_ignore_ascii_case(NAME);
    rule.kwargs.get("expression").filter(|_| is_sql).and_then(Value::as_str).map(str::to_owned)
}

fn expression_holds(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let (expression, mostly) = (arguments.text("expression")?, arguments.mostly()?);
    Ok(Box::new(move |setting| {
        let condition = setting.condition(&expression)?;
        let columns = (0..setting.schema.fields().len().min(MAX_SHOWN_COLUMNS)).collect();
        Ok(Ready::rows(Holds { condition, columns, expression: expression.clone() }, mostly))
    }))
}

/// Whether a condition is true of a row; where it is neither true nor false, it is not.
struct Holds {
    condition: std::sync::Arc<dyn RowCondition>,
    columns: Vec<usize>,
    expression: String,
}

impl RowTest for Holds {
    fn look(&mut self, rows: &RecordBatch) -> Result<Looked, String> {
        let holds = self.condition.holds(rows)?;
        let unexpected = !holds.values();
        Ok(Looked { considered: BooleanBuffer::new_set(rows.num_rows()), unexpected })
    }

    fn columns(&self) -> &[usize] {
        &self.columns
    }

    fn complaints(&self) -> Vec<String> {
        vec![format!("Rows for which this is not true: {}", self.expression)]
    }

    fn counts_missing(&self) -> bool {
        false
    }
}
