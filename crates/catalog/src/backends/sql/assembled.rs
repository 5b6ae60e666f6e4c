//! Statements whose text depends on what is asked: a list of any length, a condition that may be left out.
//!
//! Invariant: values are bound, never written into the text; text comes from this crate alone.

use sqlx::{
    Any, AssertSqlSafe,
    any::{AnyArguments, AnyRow},
    query::{Query, QueryAs, QueryScalar},
};

/// A statement that grows.
#[derive(Debug)]
pub(super) struct Assembled {
    text: String,
    values: Vec<Value>,
}

/// What is bound.
#[derive(Debug)]
pub(super) enum Value {
    Text(Option<String>),
    Number(Option<i64>),
}

impl Assembled {
    pub(super) fn new(text: &'static str) -> Self {
        Self::with_text(text.to_owned())
    }

    /// Begin with a text that is made, of names that were checked.
    pub(super) fn with_text(text: String) -> Self {
        Self { text, values: Vec::new() }
    }

    pub(super) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(super) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// Values with commas between them; none makes a list that nothing is in.
    pub(super) fn push_list<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        let start = self.values.len();
        for value in values {
            if self.values.len() > start {
                self.text.push_str(", ");
            }
            self.push_bind(value);
        }
        if self.values.len() == start {
            self.text.push_str("NULL");
        }
        self
    }

    /// The rows of an insertion.
    pub(super) fn push_rows<R: IntoIterator<Item = Value>>(&mut self, rows: impl IntoIterator<Item = R>) -> &mut Self {
        for (number, row) in rows.into_iter().enumerate() {
            self.text.push_str(if number == 0 { "VALUES (" } else { ", (" });
            self.push_list(row).push(")");
        }
        self
    }

    pub(super) fn build(self) -> Query<'static, Any, AnyArguments> {
        self.values.into_iter().fold(sqlx::query(AssertSqlSafe(self.text)), |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
        })
    }

    pub(super) fn build_query_as<R>(self) -> QueryAs<'static, Any, R, AnyArguments>
    where
        R: for<'r> sqlx::FromRow<'r, AnyRow>,
    {
        self.values.into_iter().fold(sqlx::query_as(AssertSqlSafe(self.text)), |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
        })
    }

    pub(super) fn build_query_scalar<S>(self) -> QueryScalar<'static, Any, S, AnyArguments>
    where
        (S,): for<'r> sqlx::FromRow<'r, AnyRow>,
    {
        self.values.into_iter().fold(sqlx::query_scalar(AssertSqlSafe(self.text)), |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
        })
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}
