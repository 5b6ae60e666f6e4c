//! Rows and suites for the tests.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array as _, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{Field, Schema},
};
use serde_json::{Value, json};
use sluice_domain::{RuleResult, Suite, Validation, parse_moment};
use sluice_quality::{
    Answers, Conditions, Evaluation, QueryAnswer, References, RowCondition, Scope, Setting, parse_suite,
};

/// 2024-06-01T12:00:00Z, the present of the tests.
pub(crate) const NOW: i64 = 1_717_243_200_000_000;

pub(crate) fn ints(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(values))
}

pub(crate) fn floats(values: impl IntoIterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(Float64Array::from_iter(values))
}

pub(crate) fn texts<'t>(values: impl IntoIterator<Item = Option<&'t str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

pub(crate) fn days<'t>(values: impl IntoIterator<Item = Option<&'t str>>) -> ArrayRef {
    let days = values.into_iter().map(|day| day.and_then(parse_moment).and_then(|moment| moment.days()));
    Arc::new(Date32Array::from_iter(days))
}

pub(crate) fn some<T: Copy>(values: &[T]) -> Vec<Option<T>> {
    values.iter().copied().map(Some).collect()
}

pub(crate) fn rows(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, column)| column).collect()).unwrap()
}

/// What the queries of the tests answer: none, thirty rows, the figure 7.
fn answers() -> Answers {
    let answer = |batches: &[RecordBatch]| {
        let mut answer = QueryAnswer::default();
        batches.iter().for_each(|batch| answer.add(batch));
        Ok(Arc::new(answer))
    };
    let of = |values: std::ops::Range<i64>| rows(vec![("n", ints(values.map(Some)))]);
    HashMap::from([
        ("SELECT * FROM {batch} WHERE none".to_owned(), answer(&[])),
        ("SELECT * FROM {batch}".to_owned(), answer(&[of(1..13), of(13..31)])),
        ("SELECT 7 FROM {batch}".to_owned(), answer(&[of(7..8)])),
    ])
}

/// A suite of these rules: kind, parameters, action.
pub(crate) fn suite(rules: &[(&str, Value, &str)]) -> Suite {
    let rules = rules.iter().map(|(kind, kwargs, action)| json!({"kind": kind, "kwargs": kwargs, "action": action}));
    parse_suite(&json!({"name": "tests", "rules": rules.collect::<Vec<_>>()})).unwrap()
}

pub(crate) fn setting(rows: &RecordBatch) -> Setting {
    Setting {
        schema: rows.schema(),
        now_micros: NOW,
        conditions: Conditions::new(),
        references: Arc::default(),
        answers: Arc::new(answers()),
    }
}

/// Ask a suite of a table that comes in batches of one, two, three … rows.
pub(crate) fn ask(suite: &Suite, rows: &RecordBatch) -> Validation {
    ask_with(suite, rows, Conditions::new(), HashMap::new(), Scope::Table)
}

pub(crate) fn ask_with(
    suite: &Suite,
    rows: &RecordBatch,
    conditions: Conditions,
    references: References,
    scope: Scope,
) -> Validation {
    let setting = Setting { conditions, references: Arc::new(references), ..setting(rows) };
    let mut evaluation = Evaluation::new(suite, &setting, scope);
    let (mut from, mut length) = (0, 1);
    while from < rows.num_rows() {
        let count = length.min(rows.num_rows() - from);
        evaluation.look(&rows.slice(from, count));
        (from, length) = (from + count, length + 1);
    }
    evaluation.finish()
}

/// What came of one rule.
pub(crate) fn ask_one(kind: &str, kwargs: Value, rows: &RecordBatch) -> RuleResult {
    ask(&suite(&[(kind, kwargs, "warn")]), rows).results.remove(0)
}

/// Stands for a condition in SQL: that a column of numbers is above 0.
pub(crate) struct Positive(pub(crate) &'static str);

impl RowCondition for Positive {
    fn holds(&self, rows: &RecordBatch) -> Result<BooleanArray, String> {
        let column = rows.column_by_name(self.0).ok_or("there is no such column")?;
        let numbers = column.as_any().downcast_ref::<Int64Array>().ok_or("it holds no whole numbers")?;
        Ok((0..numbers.len()).map(|row| Some(numbers.is_valid(row) && numbers.value(row) > 0)).collect())
    }
}

pub(crate) fn positive(text: &str, column: &'static str) -> Conditions {
    Conditions::from([(text.to_owned(), Ok(Arc::new(Positive(column)) as Arc<dyn RowCondition>))])
}
