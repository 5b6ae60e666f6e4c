//! What a parsed statement may be: one query, or EXPLAIN of one.
//!
//! Invariant: a statement that passes changes nothing, names tables as `namespace.table`, and calls no function that
//! reads anything else.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use datafusion::{
    common::TableReference,
    sql::{
        parser::Statement as EngineStatement,
        resolve::resolve_table_references,
        sqlparser::{
            ast::{Expr, ObjectName, Query, Select, Statement, TableFactor, TableVersion, Value, VisitMut, VisitorMut},
            parser::{Parser, ParserError},
            tokenizer::TokenWithSpan,
        },
    },
};
use sluice_domain::TableRef;

use crate::{
    QueryError,
    dialect::LakeDialect,
    expansion::Expansion,
    series::{Lengths, check_table_function, last_part},
    types::check_types,
};

/// How deep expressions and queries may be inside one another.
const MAX_DEPTH: usize = 50;
/// How deep queries that begin with `WITH` may be inside one another: the engine looks at each twice a level.
const MAX_WITH_DEPTH: usize = 6;
/// The most tables, joined or not, that a query names.
const MAX_RELATIONS: usize = 100;

/// A statement that may be planned.
#[derive(Debug)]
pub(crate) struct ReadOnly {
    /// The statement, without its `VERSION AS OF`.
    pub(crate) statement: EngineStatement,
    /// Whether it asks for the plan, not for rows.
    pub(crate) explains: bool,
    /// The tables that it names: every spelling, and whose name that is.
    pub(crate) tables: BTreeMap<TableReference, TableRef>,
    /// The versions that it asks for; none where it says nothing.
    pub(crate) versions: BTreeMap<TableRef, BTreeSet<Option<u64>>>,
    /// How many tables it names, each as often as it is named.
    pub(crate) relations: usize,
}

/// Parse tokens into a statement that may be planned.
///
/// # Errors
/// [`QueryError::Syntax`], [`QueryError::NotReadOnly`], [`QueryError::TooComplex`], [`QueryError::Plan`].
pub(crate) fn parse(tokens: Vec<TokenWithSpan>) -> Result<ReadOnly, QueryError> {
    let mut statements = Parser::new(&LakeDialect)
        .with_recursion_limit(MAX_DEPTH)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(not_parsed)?;
    let Some(mut statement) = statements.pop() else {
        return Err(QueryError::Syntax { message: "there is no statement".into() });
    };
    if !statements.is_empty() {
        return Err(QueryError::NotReadOnly { statement: "several statements".into() });
    }
    let mut rules = Rules::default();
    if let ControlFlow::Break(error) = statement.visit(&mut rules) {
        return Err(error);
    }
    let explains = matches!(statement, Statement::Explain { .. });
    let statement = EngineStatement::Statement(Box::new(statement));
    let tables = named_tables(&statement, &rules.table_functions)?;
    Ok(ReadOnly { statement, explains, tables, versions: rules.versions, relations: rules.relations })
}

fn not_parsed(error: ParserError) -> QueryError {
    match error {
        ParserError::RecursionLimitExceeded => {
            QueryError::TooComplex { what: "levels of nesting", limit: MAX_DEPTH as u64 }
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => QueryError::Syntax { message },
    }
}

fn named_tables(
    statement: &EngineStatement,
    table_functions: &BTreeSet<String>,
) -> Result<BTreeMap<TableReference, TableRef>, QueryError> {
    let (references, _) = resolve_table_references(statement, true)
        .map_err(|error| QueryError::Plan { message: error.strip_backtrace() })?;
    references
        .into_iter()
        .filter(|reference| reference.schema().is_some() || !table_functions.contains(reference.table()))
        .map(|reference| Ok((reference.clone(), table_name(&reference)?)))
        .collect()
}

fn table_name(reference: &TableReference) -> Result<TableRef, QueryError> {
    match reference {
        TableReference::Partial { schema, table } => {
            TableRef::parse(schema, table).map_err(|error| QueryError::Plan { message: error.to_string() })
        }
        other => Err(not_qualified(&other.to_string())),
    }
}

fn not_qualified(name: &str) -> QueryError {
    let name: String = name.chars().take(64).collect();
    QueryError::Plan { message: format!("{name} does not name a table: write namespace.table") }
}

/// Looks at every part of a statement once.
#[derive(Default)]
struct Rules {
    statement_depth: usize,
    with_depth: usize,
    relations: usize,
    expansion: Expansion,
    lengths: Lengths,
    table_functions: BTreeSet<String>,
    versions: BTreeMap<TableRef, BTreeSet<Option<u64>>>,
}

type Verdict = ControlFlow<QueryError>;

fn verdict(result: Result<(), QueryError>) -> Verdict {
    match result {
        Ok(()) => Verdict::Continue(()),
        Err(error) => Verdict::Break(error),
    }
}

fn not_read_only(what: impl Into<String>) -> Verdict {
    Verdict::Break(QueryError::NotReadOnly { statement: what.into() })
}

impl VisitorMut for Rules {
    type Break = QueryError;

    fn pre_visit_statement(&mut self, statement: &mut Statement) -> Verdict {
        self.statement_depth += 1;
        match statement {
            Statement::Query(_) => Verdict::Continue(()),
            Statement::Explain { .. } if self.statement_depth == 1 => Verdict::Continue(()),
            other => not_read_only(first_word(other)),
        }
    }

    fn post_visit_statement(&mut self, _: &mut Statement) -> Verdict {
        self.statement_depth -= 1;
        Verdict::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> Verdict {
        if !query.locks.is_empty() {
            return not_read_only("SELECT with a lock");
        }
        self.with_depth += usize::from(query.with.is_some());
        if self.with_depth > MAX_WITH_DEPTH {
            let what = "levels of WITH inside one another";
            return Verdict::Break(QueryError::TooComplex { what, limit: MAX_WITH_DEPTH as u64 });
        }
        self.expansion.enter(query);
        Verdict::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> Verdict {
        self.with_depth -= usize::from(query.with.is_some());
        verdict(self.expansion.leave())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Verdict {
        if select.into.is_some() { not_read_only("SELECT INTO") } else { Verdict::Continue(()) }
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Verdict {
        self.relations += 1;
        if self.relations > MAX_RELATIONS {
            return Verdict::Break(QueryError::TooComplex { what: "tables", limit: MAX_RELATIONS as u64 });
        }
        verdict(self.check_factor(factor))
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> Verdict {
        let text = name.0.first().and_then(|part| part.as_ident()).filter(|_| name.0.len() == 1);
        verdict(self.expansion.use_name(text.map_or("", |name| &name.value)))
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> Verdict {
        verdict(self.check_expression(expression))
    }
}

fn first_word(statement: &Statement) -> String {
    statement.to_string().split_whitespace().next().unwrap_or_default().chars().take(32).collect()
}

impl Rules {
    fn check_expression(&mut self, expression: &Expr) -> Result<(), QueryError> {
        check_types(expression)?;
        match expression {
            Expr::Function(function) => self.lengths.add(function),
            _ => Ok(()),
        }
    }

    fn check_factor(&mut self, factor: &mut TableFactor) -> Result<(), QueryError> {
        match factor {
            TableFactor::Table { name, args: Some(arguments), version: None, .. } => {
                let function = last_part(&name.to_string());
                check_table_function(&function, &arguments.args)?;
                self.table_functions.insert(function);
                Ok(())
            }
            // The engine would leave these out without a word.
            TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
                Err(QueryError::Plan { message: "TABLESAMPLE is not supported".into() })
            }
            TableFactor::Table { name, version, .. } => self.note_version(name, version.take()),
            TableFactor::Function { name, .. } => Err(no_table_function(&name.to_string())),
            TableFactor::TableFunction { .. } => Err(no_table_function("TABLE")),
            _ => Ok(()),
        }
    }

    fn note_version(&mut self, name: &ObjectName, version: Option<TableVersion>) -> Result<(), QueryError> {
        let parts: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
        match (parts.as_slice(), version) {
            ([namespace, table], version) => {
                let table = TableRef::parse(&namespace.value, &table.value)
                    .map_err(|error| QueryError::Plan { message: error.to_string() })?;
                let version = version.as_ref().map(version_number).transpose()?;
                self.versions.entry(table).or_default().insert(version);
                Ok(())
            }
            (_, Some(_)) => Err(not_qualified(&name.to_string())),
            // The name of a common table expression, or one that is refused when names are resolved.
            (_, None) => Ok(()),
        }
    }
}

fn no_table_function(name: &str) -> QueryError {
    let name: String = name.chars().take(64).collect();
    QueryError::Plan { message: format!("there is no table function {name}") }
}

fn version_number(version: &TableVersion) -> Result<u64, QueryError> {
    let number = match version {
        TableVersion::VersionAsOf(Expr::Value(value)) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    };
    number.ok_or_else(|| QueryError::Plan {
        message: "a version of a table is asked for by VERSION AS OF and a whole number".into(),
    })
}
