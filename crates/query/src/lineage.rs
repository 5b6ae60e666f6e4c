//! What the columns of a statement's result come from, told from its plan before anything is optimised away.
//!
//! The answer travels as the rows of a query do, so that it is planned where queries are planned: guarded, limited,
//! and in a process of its own where queries have one.
//!
//! Invariant: every column of a table that can change a result is told, as a value or as an influence.

mod expression;
mod plan;
mod relation;
mod rows;

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use datafusion::{common::TableReference, error::Result, logical_expr::LogicalPlan};
use sluice_domain::TableRef;

pub(crate) use rows::read;

/// The lineage of a plan over these tables, as rows.
pub(crate) fn trace(plan: &LogicalPlan, tables: &BTreeMap<TableReference, TableRef>) -> Result<RecordBatch> {
    let mut tracer = plan::Tracer::over(tables);
    let relation = tracer.plan(plan)?;
    rows::write(plan.schema(), &relation, tracer.inputs())
}
