//! The one statement that the steps of a pipeline come to, and which place of it stands where in the steps.
//!
//! Invariant: every text of a step has lines of its own, so that a place in the statement is one in a step.

use super::{PipelineDefinition, PipelineSettingsError, StepKind, transform::compile};
use crate::TableRef;

/// A statement made of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledStatement {
    /// The text.
    pub sql: String,
    pieces: Vec<Piece>,
}

/// A place in the steps of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementPlace {
    /// The field.
    pub field: String,
    /// The line in it, from 1.
    pub line: u64,
    /// The column in the line, from 1.
    pub column: u64,
}

/// Some lines of the statement, and the field that they are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    field: String,
    first_line: u64,
    lines: u64,
}

/// A text that grows line by line.
#[derive(Default)]
pub(super) struct Text {
    sql: String,
    lines: u64,
    pieces: Vec<Piece>,
}

impl Text {
    pub(super) fn frame(&mut self, line: &str) {
        self.sql.push_str(line);
        self.sql.push('\n');
        self.lines += 1;
    }

    pub(super) fn piece(&mut self, field: String, text: &str) {
        let lines = text.matches('\n').count() as u64 + 1;
        self.pieces.push(Piece { field, first_line: self.lines + 1, lines });
        self.sql.push_str(text);
        self.sql.push('\n');
        self.lines += lines;
    }
}

impl CompiledStatement {
    /// One text, which is this field.
    pub fn of_text(field: &str, sql: &str) -> Self {
        let mut text = Text::default();
        text.piece(field.to_owned(), without_end(sql));
        Self { sql: text.sql.trim_end_matches('\n').to_owned(), pieces: text.pieces }
    }

    pub(super) fn of(definition: &PipelineDefinition) -> Result<Self, PipelineSettingsError> {
        let mut text = Text::default();
        let last = definition.steps.len().saturating_sub(1);
        for at in 0..definition.steps.len() {
            if last > 0 {
                let name = definition.steps[at].name_at(at);
                text.frame(&if at == 0 { format!("WITH \"{name}\" AS (") } else { format!("), \"{name}\" AS (") });
            }
            step(definition, at, &mut text)?;
        }
        if last > 0 {
            text.frame(&format!(") SELECT * FROM \"{}\"", definition.steps[last].name_at(last)));
        }
        Ok(Self { sql: text.sql.trim_end_matches('\n').to_owned(), pieces: text.pieces })
    }

    /// Which place of the steps a place of the statement is: the next one where it is none of theirs.
    pub fn place(&self, line: u64, column: u64) -> Option<StatementPlace> {
        let piece = self.pieces.iter().find(|piece| line < piece.first_line + piece.lines).or(self.pieces.last())?;
        let inside = line >= piece.first_line && line < piece.first_line + piece.lines;
        let (line, column) = if inside { (line - piece.first_line + 1, column) } else { (1, 1) };
        Some(StatementPlace { field: piece.field.clone(), line, column })
    }

    /// The field that a failure without a place is about.
    pub fn field(&self) -> &str {
        match self.pieces.as_slice() {
            [only] => &only.field,
            [first, ..] if self.pieces.iter().all(|piece| !piece.field.starts_with("steps")) => {
                first.field.split('[').next().unwrap_or(&first.field)
            }
            _ => "steps",
        }
    }
}

/// A statement without the semicolon at its end: it may be a part of another.
fn without_end(sql: &str) -> &str {
    let trimmed = sql.trim_end();
    trimmed.strip_suffix(';').unwrap_or(trimmed)
}

fn step(definition: &PipelineDefinition, at: usize, text: &mut Text) -> Result<(), PipelineSettingsError> {
    let field = |name: String| if definition.is_short() { name } else { format!("steps[{at}].{name}") };
    match &definition.steps[at].kind {
        StepKind::Sql(sql) => {
            text.piece(field("sql".into()), without_end(sql));
        }
        StepKind::Transform(transform) => {
            compile(transform, &source(definition, at)?, |name| field(name.to_owned()), text);
        }
        StepKind::Expressions { select, filter } => {
            let from = source(definition, at)?;
            text.frame("SELECT");
            for (number, expression) in select.iter().enumerate() {
                if number > 0 {
                    text.frame(",");
                }
                text.piece(field(format!("expressions[{number}]")), expression);
            }
            text.frame(&format!("FROM {from}"));
            if let Some(filter) = filter {
                text.frame("WHERE (");
                text.piece(field("filter".into()), filter);
                text.frame(")");
            }
        }
    }
    Ok(())
}

/// What a step that names no table is over.
fn source(definition: &PipelineDefinition, at: usize) -> Result<String, PipelineSettingsError> {
    if let Some(before) = at.checked_sub(1) {
        return Ok(format!("\"{}\"", definition.steps[before].name_at(before)));
    }
    match definition.inputs.as_slice() {
        [TableRef { namespace, table }] => Ok(format!("\"{namespace}\".\"{table}\"")),
        _ => Err(PipelineSettingsError::new("inputs", "a first step that is not SQL is over one input: name it")),
    }
}
