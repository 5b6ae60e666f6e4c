//! Functions whose result is as long as an argument says, which the engine allocates outside of its memory limit.
//!
//! Invariant: each such length is a number in the text, and all of them multiplied stay within a limit.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value,
};

use crate::QueryError;

/// The most elements or characters that the calls of one query make of one value, calls inside calls multiplied.
/// The engine makes them for some eight thousand rows at once.
const MAX_LENGTH: u64 = 10_000;
/// The most rows of a series in `FROM`, which is made piece by piece.
const MAX_SERIES_ROWS: u64 = 1_000_000;

/// What the lengths of a query come to.
#[derive(Debug)]
pub(crate) struct Lengths(u64);

impl Default for Lengths {
    fn default() -> Self {
        Self(1)
    }
}

impl Lengths {
    /// Count one call of a function in an expression.
    pub(crate) fn add(&mut self, function: &Function) -> Result<(), QueryError> {
        let name = last_part(&function.name.to_string());
        let Some(length) = Length::of(&name) else { return Ok(()) };
        let arguments = match &function.args {
            FunctionArguments::List(list) => list.args.as_slice(),
            FunctionArguments::None | FunctionArguments::Subquery(_) => &[],
        };
        self.0 = self.0.saturating_mul(length.read(&name, arguments)?.max(1));
        within("repeated characters or elements", self.0, MAX_LENGTH)
    }
}

/// Whether `FROM name(arguments)` may be run.
pub(crate) fn check_table_function(name: &str, arguments: &[FunctionArg]) -> Result<(), QueryError> {
    match name {
        "unnest" => Ok(()),
        "generate_series" | "range" => {
            within("rows in a series", Length::Series.read(name, arguments)?, MAX_SERIES_ROWS)
        }
        other => Err(QueryError::Plan { message: format!("there is no table function {other}") }),
    }
}

/// The function's own name, in lower case and without quotes.
pub(crate) fn last_part(name: &str) -> String {
    name.rsplit('.').next().unwrap_or_default().trim_matches(['"', '`']).to_ascii_lowercase()
}

fn within(what: &'static str, count: u64, limit: u64) -> Result<(), QueryError> {
    if count > limit { Err(QueryError::TooComplex { what, limit }) } else { Ok(()) }
}

/// Where the length of a call's result is told.
enum Length {
    Argument(usize),
    Series,
}

impl Length {
    fn of(name: &str) -> Option<Self> {
        match name {
            "space" => Some(Self::Argument(0)),
            "repeat" | "lpad" | "rpad" | "array_repeat" | "list_repeat" | "array_resize" | "list_resize" => {
                Some(Self::Argument(1))
            }
            "generate_series" | "range" | "sequence" => Some(Self::Series),
            _ => None,
        }
    }

    fn read(&self, name: &str, arguments: &[FunctionArg]) -> Result<u64, QueryError> {
        let number = |at: usize| {
            arguments.get(at).and_then(literal).ok_or_else(|| QueryError::Plan {
                message: format!("what {name} is told about its length must be whole numbers in the text"),
            })
        };
        match self {
            Self::Argument(at) => Ok(u64::try_from(number(*at)?).unwrap_or(0)),
            Self::Series if arguments.len() == 1 => Ok(u64::try_from(number(0)?).unwrap_or(0)),
            Self::Series => {
                let step = if arguments.len() > 2 { number(2)? } else { 1 };
                Ok(number(1)?.abs_diff(number(0)?) / step.unsigned_abs().max(1) + 1)
            }
        }
    }
}

fn literal(argument: &FunctionArg) -> Option<i64> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => whole_number(expression),
        _ => None,
    }
}

fn whole_number(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Nested(inner) => whole_number(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => whole_number(expr)?.checked_neg(),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}
