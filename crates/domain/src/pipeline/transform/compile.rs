//! The `SELECT` that a transform is.
//!
//! Invariant: what a caller wrote stands in the statement only as a quoted name, as a literal, or as a condition within
//! brackets, and has lines of its own, which are those of its field.

use serde_json::Value;

use super::{
    CastColumns, CastErrors, Deduplicate, Keep, MaskColumns, MaskKind, Pivot, SessionWindow, Transform, TumblingWindow,
    Unpivot,
};
use crate::{parse_type, pipeline::statement::Text};

/// The column that tells where a session begins, while they are counted.
const BEGINS: &str = "\"__session_begins\"";

/// Write a transform over `from`; `field` tells the field of the pipeline that one of the transform is.
pub(in crate::pipeline) fn compile(transform: &Transform, from: &str, field: impl Fn(&str) -> String, text: &mut Text) {
    let mut select = Select { from, field: &field, text };
    match transform {
        Transform::Deduplicate(deduplicate) => select.deduplicate(deduplicate),
        Transform::Cast(cast) => select.cast(cast),
        Transform::FillNull(values) => {
            let filled = |(column, value): (&String, &Value)| {
                let column_name = name(column);
                (format!("fill_null.{column}"), format!("coalesce({column_name}, {}) AS {column_name}", literal(value)))
            };
            select.replace(values.iter().map(filled));
            select.end();
        }
        Transform::Rename(names) => {
            select.exclude(names.keys().map(|old| (format!("rename.{old}"), name(old))));
            for (old, new) in names {
                select.text.frame(",");
                select.piece(&format!("rename.{old}"), &format!("{} AS {}", name(old), name(new)));
            }
            select.end();
        }
        Transform::Drop(columns) => {
            select.exclude(numbered("drop", columns));
            select.end();
        }
        Transform::Select(columns) => {
            select.text.frame("SELECT");
            select.list(numbered("select", columns), ",");
            select.end();
        }
        Transform::Filter(condition) => {
            select.all();
            select.text.frame("WHERE (");
            select.piece("filter", condition);
            select.text.frame(")");
        }
        Transform::Unpivot(unpivot) => select.unpivot(unpivot),
        Transform::Pivot(pivot) => select.pivot(pivot),
        Transform::Mask(mask) => select.mask(mask),
        Transform::TumblingWindow(window) => select.tumbling(window),
        Transform::SessionWindow(window) => select.session(window),
    }
}

/// A name as SQL quotes it.
fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// What a value is called as a column.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Columns of a list, each with its field.
fn numbered<'c>(field: &'c str, columns: &'c [String]) -> impl Iterator<Item = (String, String)> + 'c {
    columns.iter().enumerate().map(move |(at, column)| (format!("{field}[{at}]"), name(column)))
}

/// The type of a cast, as `arrow_cast` is told it.
fn type_of(name: &str) -> String {
    // What is no type was refused before.
    parse_type(name).map_or_else(|_| quoted(name), |data_type| quoted(&data_type.to_string()))
}

struct Select<'t, F> {
    from: &'t str,
    field: &'t F,
    text: &'t mut Text,
}

impl<F: Fn(&str) -> String> Select<'_, F> {
    fn piece(&mut self, field: &str, text: &str) {
        self.text.piece((self.field)(field), text);
    }

    fn list(&mut self, pieces: impl Iterator<Item = (String, String)>, joint: &str) {
        for (at, (field, text)) in pieces.enumerate() {
            if at > 0 {
                self.text.frame(joint);
            }
            self.piece(&field, &text);
        }
    }

    fn end(&mut self) {
        self.text.frame(&format!("FROM {}", self.from));
    }

    fn all(&mut self) {
        self.text.frame(&format!("SELECT * FROM {}", self.from));
    }

    /// All columns, these of them by expressions.
    fn replace(&mut self, pieces: impl Iterator<Item = (String, String)>) {
        self.text.frame("SELECT * REPLACE (");
        self.list(pieces, ",");
        self.text.frame(")");
    }

    /// All columns but these.
    fn exclude(&mut self, pieces: impl Iterator<Item = (String, String)>) {
        self.text.frame("SELECT * EXCLUDE (");
        self.list(pieces, ",");
        self.text.frame(")");
    }

    fn deduplicate(&mut self, deduplicate: &Deduplicate) {
        let Deduplicate { keys, keep, order_by } = deduplicate;
        if keys.is_empty() {
            return self.text.frame(&format!("SELECT DISTINCT * FROM {}", self.from));
        }
        self.all();
        let function = if *keep == Keep::None { "count(*)" } else { "row_number()" };
        self.text.frame(&format!("QUALIFY {function} OVER (PARTITION BY"));
        self.list(numbered("deduplicate.keys", keys), ",");
        if *keep != Keep::None {
            let direction = if *keep == Keep::Last { "DESC" } else { "ASC" };
            self.text.frame("ORDER BY");
            let ordered = numbered("deduplicate.order_by", order_by);
            self.list(ordered.map(|(field, column)| (field, format!("{column} {direction} NULLS LAST"))), ",");
        }
        self.text.frame(") = 1");
    }

    fn cast(&mut self, cast: &CastColumns) {
        let CastColumns { columns, on_error } = cast;
        let function = if *on_error == CastErrors::Fail { "arrow_cast" } else { "arrow_try_cast" };
        let field = |column: &String| format!("cast.columns.{column}");
        let call = |column: &String, to: &String| format!("{function}({}, {})", name(column), type_of(to));
        self.replace(
            columns.iter().map(|(column, to)| (field(column), format!("{} AS {}", call(column, to), name(column)))),
        );
        self.end();
        if *on_error == CastErrors::DropRow {
            let stays = |(column, to): (&String, &String)| {
                let call = call(column, to);
                (field(column), format!("({} IS NULL OR {call} IS NOT NULL)", name(column)))
            };
            self.text.frame("WHERE");
            self.list(columns.iter().map(stays), "AND");
        }
    }

    fn unpivot(&mut self, unpivot: &Unpivot) {
        let Unpivot { columns, name_column, value_column } = unpivot;
        self.exclude(numbered("unpivot.columns", columns));
        self.text.frame(", unnest([");
        let names = columns.iter().enumerate();
        self.list(names.map(|(at, column)| (format!("unpivot.columns[{at}]"), quoted(column))), ",");
        self.text.frame("]) AS");
        self.piece("unpivot.name_column", &name(name_column));
        self.text.frame(", unnest([");
        self.list(numbered("unpivot.columns", columns), ",");
        self.text.frame("]) AS");
        self.piece("unpivot.value_column", &name(value_column));
        self.end();
    }

    fn pivot(&mut self, pivot: &Pivot) {
        let Pivot { index, column, values, value, aggregate } = pivot;
        self.text.frame("SELECT");
        self.list(numbered("pivot.index", index), ",");
        for (at, chosen) in values.iter().enumerate() {
            self.text.frame(&format!(", {aggregate}("));
            self.piece("pivot.value", &name(value));
            self.text.frame(") FILTER (WHERE");
            self.piece("pivot.column", &name(column));
            self.text.frame("=");
            let named = format!("{}) AS {}", literal(chosen), name(&text_of(chosen)));
            self.piece(&format!("pivot.values[{at}]"), &named);
        }
        self.end();
        self.text.frame("GROUP BY");
        self.list(numbered("pivot.index", index), ",");
    }

    fn mask(&mut self, mask: &MaskColumns) {
        let masked = |(column, kind): (&String, &MaskKind)| {
            let column_name = name(column);
            let call = match kind {
                MaskKind::Hash => {
                    let salt = quoted(mask.salt.as_deref().unwrap_or_default());
                    let length = mask.length.map(|length| format!(", {length}")).unwrap_or_default();
                    format!("hash_salted({column_name}, {salt}{length})")
                }
                kind => format!("mask_{kind}({column_name})"),
            };
            (format!("mask.columns.{column}"), format!("{call} AS {column_name}"))
        };
        self.replace(mask.columns.iter().map(masked));
        self.end();
    }

    fn tumbling(&mut self, window: &TumblingWindow) {
        let TumblingWindow { time, every_seconds, name: column } = window;
        self.text.frame(&format!("SELECT *, date_bin(INTERVAL '{every_seconds} seconds',"));
        self.piece("tumbling_window.time", &name(time));
        self.text.frame(") AS");
        self.piece("tumbling_window.as", &name(column.as_deref().unwrap_or("window_start")));
        self.end();
    }

    fn session(&mut self, window: &SessionWindow) {
        let SessionWindow { time, gap_seconds, keys: _, name: column } = window;
        self.text.frame(&format!("SELECT * EXCLUDE ({BEGINS}), sum({BEGINS}) OVER ("));
        self.session_order(window);
        self.text.frame(") AS");
        self.piece("session_window.as", &name(column.as_deref().unwrap_or("session")));
        self.text.frame("FROM (SELECT *, CASE WHEN lag(");
        self.piece("session_window.time", &name(time));
        self.text.frame(") OVER (");
        self.session_order(window);
        self.text.frame(&format!(") + INTERVAL '{gap_seconds} seconds' >="));
        self.piece("session_window.time", &name(time));
        self.text.frame(&format!("THEN 0 ELSE 1 END AS {BEGINS}"));
        self.text.frame(&format!("FROM {})", self.from));
    }

    fn session_order(&mut self, window: &SessionWindow) {
        if !window.keys.is_empty() {
            self.text.frame("PARTITION BY");
            self.list(numbered("session_window.keys", &window.keys), ",");
        }
        self.text.frame("ORDER BY");
        self.piece("session_window.time", &name(&window.time));
    }
}
