//! Where in a statement a failure is, as far as it tells.

use datafusion::{
    common::Span,
    error::DataFusionError,
    sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer},
};
use sluice_domain::TableRef;

use crate::{QueryError, dialect::LakeDialect};

/// What the parser writes before the line of a place, and what it writes between line and column.
const LINE: &str = "at Line: ";
const COLUMN: &str = ", Column: ";

/// What the engine writes before a column that it does not find.
const NO_FIELD: &str = "No field named ";

/// A place in the text of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: u64,
    /// The column in the line, from 1.
    pub column: u64,
}

impl QueryError {
    /// Where in its statement the failure is; none where that is not known.
    pub fn position(&self, sql: &str) -> Option<Position> {
        match self {
            Self::Plan { message } => told(message).or_else(|| unknown_column(sql, message)),
            Self::Syntax { message } | Self::Evaluation { message } => told(message),
            Self::Table { table, failure } => told(&failure.to_string()).or_else(|| position_of(sql, table)),
            _ => None,
        }
    }

    /// What the failure is, without its place.
    pub fn reason(&self) -> String {
        let text = self.to_string();
        match text.rfind(LINE).filter(|at| told(&text[*at..]).is_some()) {
            Some(at) => text[..at].trim_end().to_owned(),
            None => text,
        }
    }
}

/// A message with the place that its error knows, in the words of the parser.
pub(crate) fn placed(error: &DataFusionError, message: String) -> String {
    match error.diagnostic().and_then(|diagnostic| diagnostic.span) {
        Some(span) if told(&message).is_none() => format!("{message} {}", words_of(span)),
        _ => message,
    }
}

/// A place in the words of the parser.
pub(crate) fn words_of(span: Span) -> String {
    format!("{LINE}{}{COLUMN}{}", span.start.line, span.start.column)
}

/// The last place that a message tells.
fn told(message: &str) -> Option<Position> {
    let (_, place) = message.rsplit_once(LINE)?;
    let (line, rest) = place.split_once(COLUMN)?;
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
    Some(Position { line: line.parse().ok()?, column: digits.parse().ok()? })
}

/// Where a statement names a column last that the engine does not find, as in `EXCLUDE`, whose places it does not keep.
fn unknown_column(sql: &str, message: &str) -> Option<Position> {
    let (_, named) = message.split_once(NO_FIELD)?;
    let name = named.lines().next()?.split(". ").next()?.trim_end_matches('.');
    let column = name.rsplit('.').next()?.trim_matches('"');
    let tokens = Tokenizer::new(&LakeDialect, sql).tokenize_with_location().ok()?;
    let found = tokens.iter().rfind(|token| is_word(&token.token, column))?;
    Some(Position { line: found.span.start.line, column: found.span.start.column })
}

fn is_word(token: &Token, name: &str) -> bool {
    matches!(token, Token::Word(word) if word.value.eq_ignore_ascii_case(name))
}

/// Where a statement names a table first.
pub fn position_of(sql: &str, table: &TableRef) -> Option<Position> {
    let tokens = Tokenizer::new(&LakeDialect, sql).tokenize_with_location().ok()?;
    let words: Vec<&TokenWithSpan> =
        tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let found = words.windows(3).find(|window| {
        is_word(&window[0].token, table.namespace.as_str())
            && window[1].token == Token::Period
            && is_word(&window[2].token, table.table.as_str())
    })?;
    let start = found[0].span.start;
    Some(Position { line: start.line, column: start.column })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_out_of_the_message_and_left_out_of_the_reason() {
        let error = QueryError::Plan { message: "column 'x' not found at Line: 2, Column: 17".into() };
        assert_eq!(error.position(""), Some(Position { line: 2, column: 17 }));
        assert!(error.reason().ends_with("column 'x' not found"), "{}", error.reason());
        let error = QueryError::Plan { message: "at Line: x, Column: 1".into() };
        assert_eq!(error.position(""), None);
        assert!(error.reason().ends_with("Column: 1"));
    }

    #[test]
    fn a_column_without_a_place_is_looked_for_in_the_text() {
        let error =
            QueryError::Plan { message: "Schema error: No field named t.\"Nope\". Valid fields are t.a.".into() };
        let sql = "SELECT * EXCLUDE (\n  \"Nope\"\n) FROM t";
        assert_eq!(error.position(sql), Some(Position { line: 2, column: 3 }));
        assert_eq!(error.position("SELECT 1"), None);
    }

    #[test]
    fn a_table_is_found_where_it_is_named_and_not_where_it_is_spoken_of() {
        let sql = "SELECT 'raw.orders' -- raw.orders\nFROM \"raw\" . Orders";
        assert_eq!(position_of(sql, &"raw.orders".parse().unwrap()), Some(Position { line: 2, column: 6 }));
        assert_eq!(position_of(sql, &"raw.other".parse().unwrap()), None);
    }
}
