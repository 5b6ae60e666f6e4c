//! Conditions: SQL text over the columns of a table, checked before it is planned.
//!
//! Invariant: a condition is a pure function of one row, of bounded length, and no function in it makes large values.

use std::{collections::HashSet, sync::Arc, thread};

use arrow::{
    array::{Array as _, AsArray as _, BooleanArray, RecordBatch},
    compute::prep_null_mask_filter,
    datatypes::{DataType, SchemaRef},
};
use deltalake::datafusion::{
    common::{
        DFSchema,
        tree_node::{TreeNode as _, TreeNodeRecursion},
    },
    error::DataFusionError,
    logical_expr::Expr,
    physical_expr::{PhysicalExpr, utils::collect_columns},
    physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder},
    prelude::SessionContext,
    sql::sqlparser::{
        dialect::GenericDialect,
        tokenizer::{Token, Tokenizer},
    },
};
use tokio::task::spawn_blocking;

use crate::{Refusal, TableError};

/// How long a condition may be, in bytes.
const MAX_BYTES: usize = 64 << 10;
/// How many words and signs it may have.
const MAX_TOKENS: usize = 512;
/// The stack of the thread that plans it, which descends as deep as the condition is nested.
const STACK_BYTES: usize = 64 << 20;
/// Functions of one row that give no more than they take.
const FUNCTIONS: &[&str] = &[
    "abs",
    "btrim",
    "ceil",
    "character_length",
    "coalesce",
    "date_part",
    "date_trunc",
    "ends_with",
    "floor",
    "get_field",
    "isnan",
    "left",
    "length",
    "lower",
    "ltrim",
    "nullif",
    "octet_length",
    "right",
    "round",
    "rtrim",
    "starts_with",
    "strpos",
    "substr",
    "to_date",
    "to_timestamp",
    "to_timestamp_micros",
    "trim",
    "upper",
];

/// A condition on the rows of a table.
#[derive(Debug, Clone)]
pub(crate) struct Predicate {
    expression: Arc<dyn PhysicalExpr>,
    /// What it says of files by their bounds, where it says anything.
    pub(super) pruning: Option<Arc<PruningPredicate>>,
    /// The columns that it reads.
    pub(super) columns: Vec<usize>,
}

impl Predicate {
    /// Plan a condition over these columns.
    pub(super) async fn parse(text: &str, schema: &SchemaRef) -> Result<Self, TableError> {
        let (text, schema) = (text.to_owned(), schema.clone());
        spawn_blocking(move || Self::plan(&text, &schema)).await.map_err(TableError::encode)?
    }

    /// The same, in a thread that may be kept waiting.
    pub(crate) fn plan(text: &str, schema: &SchemaRef) -> Result<Self, TableError> {
        check_size(text)?;
        let (text, schema) = (text.to_owned(), schema.clone());
        let planner = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || plan(&text, &schema))?;
        planner.join().unwrap_or_else(|_| Err(bad("it cannot be planned").into()))
    }

    /// For which rows it is true; a row for which it is neither true nor false is not one of them.
    pub(crate) fn holds(&self, rows: &RecordBatch) -> Result<BooleanArray, TableError> {
        let value = self.expression.evaluate(rows).map_err(|error| bad(&first_line(&error)))?;
        let value = value.into_array(rows.num_rows())?;
        let value = value.as_boolean();
        Ok(if value.null_count() > 0 { prep_null_mask_filter(value) } else { value.clone() })
    }
}

fn check_size(text: &str) -> Result<(), Refusal> {
    if text.len() > MAX_BYTES {
        return Err(bad(&format!("it has more than {MAX_BYTES} bytes")));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize().map_err(|error| bad(&error.to_string()))?;
    let counted = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).count();
    if counted > MAX_TOKENS {
        return Err(bad(&format!("it has more than {MAX_TOKENS} words and signs")));
    }
    Ok(())
}

fn plan(text: &str, schema: &SchemaRef) -> Result<Predicate, TableError> {
    let refused = |error: DataFusionError| bad(&first_line(&error));
    let session = SessionContext::new();
    let columns = DFSchema::try_from(schema.as_ref().clone()).map_err(refused)?;
    let expression = session.parse_sql_expr(text, &columns).map_err(refused)?;
    check_parts(&expression).map_err(refused)?;
    let expression = session.create_physical_expr(expression, &columns).map_err(refused)?;
    if expression.data_type(schema).map_err(refused)? != DataType::Boolean {
        return Err(bad("it is not true or false").into());
    }
    let read: HashSet<usize> = collect_columns(&expression).iter().map(|column| column.index()).collect();
    let pruning = PruningPredicateBuilder::new().with_file_schema(schema.clone()).try_build(expression.clone());
    let pruning = pruning.ok().map(Arc::new);
    Ok(Predicate { expression, pruning, columns: read.into_iter().collect() })
}

/// Check that the condition is made of what looks at one row, and of bounded functions.
fn check_parts(expression: &Expr) -> Result<(), DataFusionError> {
    let refused = |what: &str| Err(DataFusionError::Plan(format!("{what} cannot be used in a condition")));
    expression.apply(|part| match part {
        Expr::Alias(_)
        | Expr::Column(_)
        | Expr::Literal(..)
        | Expr::BinaryExpr(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::InList(_) => Ok(TreeNodeRecursion::Continue),
        Expr::ScalarFunction(function) if FUNCTIONS.contains(&function.name()) => Ok(TreeNodeRecursion::Continue),
        Expr::ScalarFunction(function) => refused(&format!("the function {}", function.name())),
        _ => refused("a query, an aggregate or a parameter"),
    })?;
    Ok(())
}

fn bad(reason: &str) -> Refusal {
    Refusal::BadPredicate { reason: reason.to_owned() }
}

fn first_line(error: &DataFusionError) -> String {
    error.strip_backtrace().lines().next().unwrap_or_default().to_owned()
}
