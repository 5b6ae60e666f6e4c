//! The types that a query may make values of.
//!
//! A null of a type with a size in it takes that size, for every row, outside of the engine's memory limit.
//!
//! Invariant: no type in a query's text holds a size of its values.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value,
};

use crate::{QueryError, series::last_part};

/// What the names of sized types in arrow's own spelling begin with, in lower case.
const SIZED: &str = "fixedsize";

/// Whether the types that an expression itself names may be used.
pub(crate) fn check_types(expression: &Expr) -> Result<(), QueryError> {
    let sized = match expression {
        Expr::Cast { data_type, .. } | Expr::Convert { data_type: Some(data_type), .. } => is_sized(data_type),
        Expr::TypedString(text) => is_sized(&text.data_type),
        Expr::Struct { fields, .. } => fields.iter().any(|field| is_sized(&field.field_type)),
        Expr::Lambda(lambda) => {
            lambda.params.iter().any(|parameter| parameter.data_type.as_ref().is_some_and(is_sized))
        }
        Expr::Function(function) => return check_function(function),
        _ => false,
    };
    if sized { Err(refused("an array type cannot have a size here: leave it out")) } else { Ok(()) }
}

fn refused(message: &str) -> QueryError {
    QueryError::Plan { message: message.to_owned() }
}

fn is_sized(data_type: &DataType) -> bool {
    match data_type {
        DataType::Array(ArrayElemTypeDef::SquareBracket(_, Some(_))) => true,
        DataType::Array(
            ArrayElemTypeDef::SquareBracket(inner, None)
            | ArrayElemTypeDef::AngleBracket(inner)
            | ArrayElemTypeDef::Parenthesis(inner),
        )
        | DataType::Nullable(inner)
        | DataType::LowCardinality(inner) => is_sized(inner),
        DataType::Map(key, value) => is_sized(key) || is_sized(value),
        DataType::Struct(fields, _) | DataType::Tuple(fields) => fields.iter().any(|field| is_sized(&field.field_type)),
        DataType::Union(fields) => fields.iter().any(|field| is_sized(&field.field_type)),
        DataType::Nested(columns) | DataType::Table(Some(columns)) => {
            columns.iter().any(|column| is_sized(&column.data_type))
        }
        _ => false,
    }
}

/// Some functions are told a type by its name.
fn check_function(function: &Function) -> Result<(), QueryError> {
    let name = last_part(&function.name.to_string());
    if !matches!(name.as_str(), "arrow_cast" | "arrow_try_cast") {
        return Ok(());
    }
    match type_name(&function.args) {
        Some(text) if !text.to_ascii_lowercase().contains(SIZED) => Ok(()),
        Some(_) => Err(refused("a type of a fixed size cannot be used here")),
        None => Err(refused(&format!("the type that {name} is told must be a text in single quotes"))),
    }
}

fn type_name(arguments: &FunctionArguments) -> Option<&str> {
    let FunctionArguments::List(list) = arguments else { return None };
    let [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))] = list.args.as_slice() else {
        return None;
    };
    match &value.value {
        Value::SingleQuotedString(text) => Some(text),
        _ => None,
    }
}
