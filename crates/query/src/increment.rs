//! Whether a statement gives, over the new rows of a table alone, just what they add to its result over the whole table.
//!
//! Told from the plan before anything is optimised away. Tables that are read whole may be joined, filtered by and
//! summed up as anybody likes; new rows must each go their own way.
//!
//! Invariant: what is not known to be right over new rows alone is refused.

use std::collections::BTreeSet;

use datafusion::{
    common::{
        JoinType, NullEquality, Result as EngineResult, Span,
        tree_node::{TreeNode as _, TreeNodeRecursion},
    },
    logical_expr::{Distinct, Expr, Join, LogicalPlan},
};
use sluice_domain::{ErrorKind, Failure, TableRef};

use crate::{OpenError, QueryError, position::words_of};

/// A statement that does not go with reading new rows only.
#[derive(Debug, thiserror::Error)]
#[error("it cannot be read incrementally: {reason}; take it out of incremental, so that each run reads all{place}")]
struct NotIncremental {
    reason: &'static str,
    /// Where in the statement, in the words of the parser; empty where that is not known.
    place: String,
}

impl Failure for NotIncremental {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    fn code(&self) -> &'static str {
        "not-incremental"
    }
}

/// Check that a plan is right over new rows of these tables.
///
/// # Errors
/// [`QueryError::Table`], naming the table, with the place of what is in the way as far as that is known.
pub(crate) fn check(plan: &LogicalPlan, incremental: &BTreeSet<TableRef>) -> Result<(), QueryError> {
    if incremental.is_empty() {
        return Ok(());
    }
    Walk { incremental }.new_rows(plan).map(drop)
}

/// What is in the way.
const SUMMED: &str = "its rows are summed up, and new rows alone do not tell the sum of all";
const DISTINCT: &str = "its rows are made distinct, and new rows alone do not tell which were there before";
const WINDOW: &str = "a window function looks at other rows, and new rows alone are not all that it would see";
const LIMIT: &str = "LIMIT takes some rows of all, and new rows alone do not tell which";
const INNER: &str = "a subquery reads it, so that new rows of it change what is said of others";
const BOTH_SIDES: &str = "it is joined with another incremental input, and its new rows alone would not meet the old \
                          ones of the other";
const NULL_SIDE: &str = "an outer join keeps the rows of its other side, which would come again with each run";
const SEMI: &str = "its rows decide which rows of another table are in the result";
const SET: &str = "it is in a set operation other than UNION ALL";
const UNION: &str = "a part of the UNION ALL does not read new rows only, and its rows would come again with each run";
const RECURSION: &str = "a recursive query reads it";
const UNKNOWN: &str = "it is not known whether this part of the statement is right over new rows alone";

struct Walk<'a> {
    incremental: &'a BTreeSet<TableRef>,
}

impl Walk<'_> {
    /// The incremental table whose new rows make the rows of a plan, if one does.
    fn new_rows(&self, plan: &LogicalPlan) -> Result<Option<TableRef>, QueryError> {
        self.check_subqueries(plan)?;
        match plan {
            LogicalPlan::TableScan(scan) => {
                if let Some(view) = scan.source.get_logical_plan() {
                    return self.new_rows(&view);
                }
                let name = &scan.table_name;
                let table = name.schema().and_then(|schema| TableRef::parse(schema, name.table()).ok());
                Ok(table.filter(|table| self.incremental.contains(table)))
            }
            LogicalPlan::Projection(projection) => self.new_rows(&projection.input),
            LogicalPlan::Filter(filter) => self.new_rows(&filter.input),
            LogicalPlan::SubqueryAlias(alias) => self.new_rows(&alias.input),
            LogicalPlan::Subquery(subquery) => self.new_rows(&subquery.subquery),
            LogicalPlan::Repartition(repartition) => self.new_rows(&repartition.input),
            LogicalPlan::Unnest(unnest) => self.new_rows(&unnest.input),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.new_rows(&sort.input),
            LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => self.none_in(plan, LIMIT),
            LogicalPlan::Aggregate(_) => self.none_in(plan, SUMMED),
            LogicalPlan::Window(_) => self.none_in(plan, WINDOW),
            LogicalPlan::Distinct(Distinct::All(_) | Distinct::On(_)) => self.none_in(plan, DISTINCT),
            LogicalPlan::RecursiveQuery(_) => self.none_in(plan, RECURSION),
            LogicalPlan::Join(join) => self.joined(plan, join),
            LogicalPlan::Union(union) => {
                let parts = union.inputs.iter().map(|part| self.new_rows(part)).collect::<Result<Vec<_>, _>>()?;
                let table = parts.iter().flatten().next().cloned();
                match table {
                    Some(table) if parts.iter().any(Option::is_none) => Err(refused(table, plan, UNION)),
                    table => Ok(table),
                }
            }
            other => self.none_in(other, UNKNOWN),
        }
    }

    /// Rows of tables that are read whole.
    fn none_in(&self, plan: &LogicalPlan, reason: &'static str) -> Result<Option<TableRef>, QueryError> {
        for input in plan.inputs() {
            if let Some(table) = self.new_rows(input)? {
                return Err(refused(table, plan, reason));
            }
        }
        Ok(None)
    }

    fn joined(&self, plan: &LogicalPlan, join: &Join) -> Result<Option<TableRef>, QueryError> {
        use JoinType::{Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
        let (left, right) = (self.new_rows(&join.left)?, self.new_rows(&join.right)?);
        let halves = matches!(join.join_type, LeftSemi | LeftAnti | RightSemi | RightAnti);
        let (table, is_left) = match (left, right) {
            (None, None) => return Ok(None),
            (Some(table), Some(_)) => return Err(refused(table, plan, BOTH_SIDES)),
            (Some(table), None) => (table, true),
            (None, Some(table)) => (table, false),
        };
        match (join.join_type, is_left) {
            _ if halves && join.null_equality == NullEquality::NullEqualsNull => Err(refused(table, plan, SET)),
            (Inner, _)
            | (Left | LeftSemi | LeftAnti | LeftMark, true)
            | (Right | RightSemi | RightAnti | RightMark, false) => Ok(Some(table)),
            (Left | Right | Full, _) => Err(refused(table, plan, NULL_SIDE)),
            _ => Err(refused(table, plan, SEMI)),
        }
    }

    /// Check that no subquery in the expressions of a node reads new rows only.
    fn check_subqueries(&self, plan: &LogicalPlan) -> Result<(), QueryError> {
        let mut outcome = Ok(());
        // Nothing fails in it but what is noted.
        let _ = plan.apply_subqueries(|subquery| {
            outcome = match self.new_rows(subquery) {
                Ok(None) => return Ok(TreeNodeRecursion::Continue),
                Ok(Some(table)) => Err(refused(table, subquery, INNER)),
                Err(error) => Err(error),
            };
            Ok(TreeNodeRecursion::Stop)
        });
        outcome
    }
}

fn refused(table: TableRef, plan: &LogicalPlan, reason: &'static str) -> QueryError {
    let place = first_place(plan).map(|span| format!(" {}", words_of(span))).unwrap_or_default();
    QueryError::Table { table, failure: OpenError::new(NotIncremental { reason, place }) }
}

/// The first column that the expressions of a node name, as it stands in the text.
fn first_place(plan: &LogicalPlan) -> Option<Span> {
    let mut found = None;
    let look = |expression: &Expr| -> EngineResult<TreeNodeRecursion> {
        expression.apply(|part| {
            if let Expr::Column(column) = part {
                found = found.or_else(|| column.spans.first());
            }
            Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    };
    plan.apply_expressions(look).ok()?;
    found
}
