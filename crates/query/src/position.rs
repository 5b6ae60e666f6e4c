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
            Self::Syntax { message } | Self::Plan { message } | Self::Evaluation { message } => told(message),
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

/// Where a statement names a table first.
pub fn position_of(sql: &str, table: &TableRef) -> Option<Position> {
    let tokens = Tokenizer::new(&LakeDialect, sql).tokenize_with_location().ok()?;
    let words: Vec<&TokenWithSpan> =
        tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let is = |token: &Token, name: &str| matches!(token, Token::Word(word) if word.value.eq_ignore_ascii_case(name));
    let found = words.windows(3).find(|window| {
        is(&window[0].token, table.namespace.as_str())
            && window[1].token == Token::Period
            && is(&window[2].token, table.table.as_str())
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
    fn a_table_is_found_where_it_is_named_and_not_where_it_is_spoken_of() {
        let sql = "SELECT 'raw.orders' -- raw.orders\nFROM \"raw\" . Orders";
        assert_eq!(position_of(sql, &"raw.orders".parse().unwrap()), Some(Position { line: 2, column: 6 }));
        assert_eq!(position_of(sql, &"raw.other".parse().unwrap()), None);
    }
}
