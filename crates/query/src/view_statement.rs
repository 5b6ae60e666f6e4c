//! `CREATE VIEW` and `DROP VIEW`: the statements that change the catalog and no data. They are read here, and carried out
//! by whoever owns the views.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use sluice_domain::TableRef;

use crate::{QueryError, dialect::LakeDialect};

/// The longest statement that is looked at, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// How the statements are written.
const CREATE: &str = "CREATE [OR REPLACE] VIEW namespace.name AS SELECT …";
const DROP: &str = "DROP VIEW [IF EXISTS] namespace.name";

/// A statement about a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewStatement {
    /// There is to be a view.
    Create {
        /// Its name.
        name: TableRef,
        /// What it is: the whole text with blanks before the `SELECT`, so that a place in it is one in the text.
        sql: String,
        /// Whether it takes the place of one that is there.
        replaces: bool,
    },
    /// A view is to go.
    Drop {
        /// Its name.
        name: TableRef,
        /// Whether there may be none.
        if_exists: bool,
    },
}

impl ViewStatement {
    /// The statement about a view that a text is; none for any other, queries and mistakes among them.
    ///
    /// # Errors
    /// [`QueryError::Syntax`] for one that is begun well and ends badly.
    pub fn parse(sql: &str) -> Result<Option<Self>, QueryError> {
        let begins =
            |word: &str| sql.trim_start().get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        if sql.len() > MAX_BYTES || !(begins("create") || begins("drop")) {
            return Ok(None);
        }
        let Ok(tokens) = Tokenizer::new(&LakeDialect, sql).tokenize_with_location() else { return Ok(None) };
        let tokens = tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
        let mut words = Words(tokens.collect::<Vec<_>>().into_iter().peekable());
        let creates = words.take("create");
        if !creates && !words.take("drop") {
            return Ok(None);
        }
        let replaces = words.take("or") && words.take("replace");
        if !words.take("view") {
            return Ok(None);
        }
        match if creates { words.created(sql, replaces) } else { words.dropped() } {
            Some(statement) => Ok(Some(statement)),
            None => {
                let message = format!("it is written {}", if creates { CREATE } else { DROP });
                Err(QueryError::Syntax { message })
            }
        }
    }
}

struct Words(std::iter::Peekable<std::vec::IntoIter<TokenWithSpan>>);

impl Words {
    /// Whether the next word is this one, which is passed then.
    fn take(&mut self, word: &str) -> bool {
        let is_it = |token: &TokenWithSpan| matches!(&token.token, Token::Word(next) if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word));
        self.0.next_if(is_it).is_some()
    }

    fn name(&mut self) -> Option<TableRef> {
        let parts = (self.0.next()?.token, self.0.next()?.token, self.0.next()?.token);
        let (Token::Word(namespace), Token::Period, Token::Word(name)) = parts else { return None };
        TableRef::parse(&namespace.value, &name.value).ok()
    }

    fn created(mut self, sql: &str, replaces: bool) -> Option<ViewStatement> {
        let name = self.name()?;
        if !self.take("as") {
            return None;
        }
        let begin = self.0.next()?.span.start;
        let before: usize = sql.split_inclusive('\n').take(usize::try_from(begin.line - 1).ok()?).map(str::len).sum();
        let column = usize::try_from(begin.column - 1).ok()?;
        let at = before + sql.get(before..)?.char_indices().nth(column)?.0;
        let blanks: String = sql[..at].chars().map(|letter| if letter == '\n' { letter } else { ' ' }).collect();
        Some(ViewStatement::Create { name, sql: blanks + &sql[at..], replaces })
    }

    fn dropped(mut self) -> Option<ViewStatement> {
        let if_exists = self.take("if");
        if if_exists && !self.take("exists") {
            return None;
        }
        let name = self.name()?;
        self.0.next_if(|token| token.token == Token::SemiColon);
        self.0.next().is_none().then_some(ViewStatement::Drop { name, if_exists })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_view_is_made_of_what_follows_its_name() {
        let text = "create OR replace\n view Ć -- no\n";
        assert!(ViewStatement::parse(text).is_err());
        let text = "Create or Replace VIEW \"shop\".Paid AS\n  SELECT 'ö', id\nFROM a.b;";
        let Some(ViewStatement::Create { name, sql, replaces }) = ViewStatement::parse(text).unwrap() else { panic!() };
        assert_eq!((name.to_string().as_str(), replaces), ("shop.paid", true));
        assert_eq!(sql.trim_start(), "SELECT 'ö', id\nFROM a.b;");
        assert_eq!(sql.lines().nth(1), text.lines().nth(1), "places stay");
    }

    #[rstest]
    #[case("DROP VIEW a.b", false)]
    #[case(" drop view if exists a.b ; ", true)]
    fn a_view_is_dropped(#[case] text: &str, #[case] if_exists: bool) {
        let name = "a.b".parse().unwrap();
        assert_eq!(ViewStatement::parse(text).unwrap(), Some(ViewStatement::Drop { name, if_exists }));
    }

    #[rstest]
    #[case("SELECT 1")]
    #[case("CREATE TABLE a.b (x INT)")]
    #[case("DROP TABLE a.b")]
    #[case("CREATE MATERIALIZED VIEW a.b AS SELECT 1")]
    #[case("create")]
    #[case("")]
    fn other_texts_are_none(#[case] text: &str) {
        assert_eq!(ViewStatement::parse(text).unwrap(), None);
    }

    #[rstest]
    #[case("CREATE VIEW b AS SELECT 1")]
    #[case("CREATE VIEW a.b (x) AS SELECT 1")]
    #[case("CREATE VIEW a.b AS")]
    #[case("DROP VIEW a.b, a.c")]
    #[case("DROP VIEW a.b; SELECT 1")]
    #[case("DROP VIEW a.b CASCADE")]
    fn what_is_written_badly_is_refused(#[case] text: &str) {
        assert!(matches!(ViewStatement::parse(text), Err(QueryError::Syntax { .. })));
    }
}
