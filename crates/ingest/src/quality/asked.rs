//! The suite of a table, asked of the rows that come in.
//!
//! Invariant: what becomes of a row follows from the row, the suite and the time when its upload landed.

use std::sync::Arc;

use arrow::{
    array::{BooleanArray, RecordBatch},
    datatypes::SchemaRef,
};
use chrono::{DateTime, Utc};
use sluice_domain::Suite;
use sluice_quality::{Answers, Conditions, Evaluation, References, RowCondition, Scope, Setting, needs};
use sluice_table::Condition;

/// A suite, and what it is asked with.
#[derive(Debug, Clone)]
pub(crate) struct AskedSuite {
    pub(crate) suite: Suite,
    /// The present.
    pub(crate) now: DateTime<Utc>,
    /// What is known of other tables.
    pub(crate) references: Arc<References>,
    /// Whether the rows have some of the table's columns alone.
    pub(crate) is_partial: bool,
}

impl AskedSuite {
    /// Begin to ask rows with these columns. Queries over the whole table are not asked of an upload. To be called where computing may take a moment.
    pub(crate) fn begin(&self, schema: &SchemaRef) -> Evaluation {
        let evaluation = self.evaluation(schema, Scope::Upload, Arc::default());
        if self.is_partial { evaluation.of_some_columns() } else { evaluation }
    }

    /// The same of rows that are in the table, with what its queries over all of them answered.
    pub(crate) fn begin_table(&self, schema: &SchemaRef, answers: Arc<Answers>) -> Evaluation {
        self.evaluation(schema, Scope::Table, answers)
    }

    /// The same of rows that a run of a pipeline brings, all of which stay.
    pub(crate) fn begin_run(&self, schema: &SchemaRef) -> Evaluation {
        let evaluation = self.evaluation(schema, Scope::Run, Arc::default());
        if self.is_partial { evaluation.of_some_columns() } else { evaluation }
    }

    fn evaluation(&self, schema: &SchemaRef, scope: Scope, answers: Arc<Answers>) -> Evaluation {
        let setting = Setting {
            schema: Arc::clone(schema),
            now_micros: self.now.timestamp_micros(),
            conditions: conditions(&self.suite, schema),
            references: Arc::clone(&self.references),
            answers,
        };
        Evaluation::new(&self.suite, &setting, scope)
    }
}

/// The conditions of a suite, planned over these columns.
pub(crate) fn conditions(suite: &Suite, schema: &SchemaRef) -> Conditions {
    let plan = |text: String| {
        let planned = Condition::plan(&text, schema).map_err(|error| error.to_string());
        (text, planned.map(|condition| Arc::new(Planned(condition)) as Arc<dyn RowCondition>))
    };
    needs(suite).conditions.into_iter().map(plan).collect()
}

struct Planned(Condition);

impl RowCondition for Planned {
    fn holds(&self, rows: &RecordBatch) -> Result<BooleanArray, String> {
        self.0.holds(rows).map_err(|error| error.to_string())
    }
}
