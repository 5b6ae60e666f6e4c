//! The limits on the text of a query, before it is parsed.
//!
//! The engine walks a statement recursively, and a long chain of operators makes a deep tree however flat it looks:
//! a few kilobytes of `1+1+…` exhaust the stack of the process.
//!
//! Invariant: what passes has a tree whose depth the engine's stacks can hold.

use datafusion::sql::sqlparser::{
    keywords::Keyword,
    tokenizer::{Token, TokenWithSpan, Tokenizer},
};

use crate::{QueryError, dialect::LakeDialect};

/// The most words, numbers and signs of a query.
const MAX_TOKENS: usize = 10_000;
/// The most operators of a query, wherever they stand.
const MAX_OPERATORS: usize = 500;
/// The words that make the tree one level deeper, as the signs do.
const OPERATORS: [Keyword; 19] = {
    use Keyword::{
        AND, AT, BETWEEN, COLLATE, DIV, ILIKE, IN, IS, JOIN, LIKE, NOT, NOTNULL, OPERATOR, OR, OVERLAPS, REGEXP, RLIKE,
        SIMILAR, XOR,
    };
    [
        AND, AT, BETWEEN, COLLATE, DIV, ILIKE, IN, IS, JOIN, LIKE, NOT, NOTNULL, OPERATOR, OR, OVERLAPS, REGEXP, RLIKE,
        SIMILAR, XOR,
    ]
};
/// The most `UNION`, `INTERSECT` and `EXCEPT` of a query.
const MAX_SET_OPERATIONS: usize = 100;
/// The deepest nesting of brackets.
const MAX_NESTING: usize = 100;

/// The tokens of a text that is within the limits.
///
/// # Errors
/// [`QueryError::TooComplex`] beyond a limit, [`QueryError::Syntax`] for what is not even words.
pub(crate) fn tokenize(sql: &str, max_bytes: usize) -> Result<Vec<TokenWithSpan>, QueryError> {
    within("bytes", sql.len(), max_bytes)?;
    if sql.contains('\0') {
        return Err(QueryError::Syntax { message: "it holds a NUL character".into() });
    }
    let tokens = Tokenizer::new(&LakeDialect, sql)
        .tokenize_with_location()
        .map_err(|error| QueryError::Syntax { message: error.to_string() })?;
    Counts::of(&tokens).check()?;
    Ok(tokens)
}

fn within(what: &'static str, count: usize, limit: usize) -> Result<(), QueryError> {
    if count > limit { Err(QueryError::TooComplex { what, limit: limit as u64 }) } else { Ok(()) }
}

#[derive(Default)]
struct Counts {
    tokens: usize,
    operators: usize,
    set_operations: usize,
    nesting: usize,
    deepest: usize,
}

impl Counts {
    fn of(tokens: &[TokenWithSpan]) -> Self {
        let mut counts = Self::default();
        tokens.iter().for_each(|token| counts.add(&token.token));
        counts
    }

    fn add(&mut self, token: &Token) {
        match token {
            Token::Whitespace(_) | Token::EOF => return,
            Token::LParen | Token::LBracket | Token::LBrace => self.nesting += 1,
            Token::RParen | Token::RBracket | Token::RBrace => self.nesting = self.nesting.saturating_sub(1),
            _ => {}
        }
        self.tokens += 1;
        self.deepest = self.deepest.max(self.nesting);
        self.operators += usize::from(is_operator(token));
        self.set_operations += usize::from(is_set_operation(token));
    }

    fn check(&self) -> Result<(), QueryError> {
        within("words and signs", self.tokens, MAX_TOKENS)?;
        within("operators", self.operators, MAX_OPERATORS)?;
        within("set operations", self.set_operations, MAX_SET_OPERATIONS)?;
        within("levels of nesting", self.deepest, MAX_NESTING)
    }
}

fn is_set_operation(token: &Token) -> bool {
    use Keyword::{EXCEPT, INTERSECT, MINUS, UNION};
    matches!(token, Token::Word(word) if matches!(word.keyword, UNION | INTERSECT | EXCEPT | MINUS))
}

/// Whether a token can make the tree one level deeper without a bracket: unknown signs can.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => OPERATORS.contains(&word.keyword),
        Token::Comma | Token::Period | Token::SemiColon | Token::Placeholder(_) => false,
        Token::LParen | Token::RParen | Token::RBracket | Token::LBrace | Token::RBrace => false,
        other => !is_literal(other),
    }
}

fn is_literal(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn chain(term: &str, joint: &str, count: usize) -> String {
        format!("SELECT {}", vec![term; count].join(joint))
    }

    #[rstest]
    #[case::plus(chain("1", "+", 5_000))]
    #[case::more_plus(chain("1", "+", 20_000))]
    #[case::or(chain("true", " OR ", 20_000))]
    #[case::concatenation(chain("'x'", "||", 20_000))]
    #[case::union(chain("1", " UNION ALL SELECT ", 5_000))]
    #[case::is_null(chain("1 IS NULL", " IS NULL ", 501))]
    #[case::subscripts(format!("SELECT x{}", "[1]".repeat(501)))]
    #[case::casts(format!("SELECT 1{}", "::int".repeat(501)))]
    #[case::minus_signs(format!("SELECT {} 1", "- ".repeat(501)))]
    #[case::joins(format!("SELECT 1 FROM a.b{}", " JOIN a.b USING (x)".repeat(501)))]
    #[case::words(chain("1", ",", 5_001))]
    #[case::parentheses(format!("SELECT {}1{}", "(".repeat(101), ")".repeat(101)))]
    #[case::bytes(format!("SELECT '{}'", "x".repeat(70_000)))]
    fn what_is_beyond_a_limit_is_refused(#[case] sql: String) {
        let limit = if sql.contains("xxx") { 65_536 } else { usize::MAX };
        assert!(matches!(tokenize(&sql, limit), Err(QueryError::TooComplex { .. })));
    }

    #[rstest]
    #[case::operators(chain("1", "+", 501))]
    #[case::set_operations(chain("1", " UNION ALL SELECT ", 101))]
    #[case::list(chain("1", ",", 4_900))]
    #[case::parentheses(format!("SELECT {}1{}", "(".repeat(100), ")".repeat(100)))]
    fn what_is_at_a_limit_passes(#[case] sql: String) {
        assert!(tokenize(&sql, usize::MAX).is_ok());
    }

    #[rstest]
    #[case("SELECT '\0'")]
    #[case("SELECT 'open")]
    fn what_is_not_words_is_a_syntax_error(#[case] sql: &str) {
        assert!(matches!(tokenize(sql, 100), Err(QueryError::Syntax { .. })));
    }
}
