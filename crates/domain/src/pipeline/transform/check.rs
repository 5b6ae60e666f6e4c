//! What of a transform can be checked without its columns.

use std::collections::BTreeSet;

use arrow_schema::DataType;
use serde_json::Value;

use super::{Deduplicate, Keep, MaskColumns, MaskKind, Pivot, SessionWindow, Transform, TumblingWindow, Unpivot};
use crate::parse_type;

/// The most columns that a transform names, and the most values of a pivot.
const MAX_COLUMNS: usize = 200;
/// The longest name of a column, in bytes.
const MAX_NAME_BYTES: usize = 255;
/// The longest text among the values, and the longest salt, in bytes.
const MAX_TEXT_BYTES: usize = 1024;
/// The longest stretch of time, and the longest pause: a year.
const MAX_SECONDS: u32 = 366 * 86_400;
/// The hexadecimal digits of a hash.
const HASH_DIGITS: u8 = 64;

/// A field of the transform, and what is wrong with it.
type Checked = Result<(), (String, String)>;

fn bad(field: impl Into<String>, reason: impl Into<String>) -> Checked {
    Err((field.into(), reason.into()))
}

impl Transform {
    /// Check what it says; fields are told below the step, as `cast.columns.amount`.
    pub(crate) fn check(&self) -> Checked {
        let own = self.field();
        match self {
            Self::Deduplicate(deduplicate) => check_deduplicate(deduplicate),
            Self::Cast(cast) => {
                check_map("cast.columns", cast.columns.keys())?;
                cast.columns.iter().try_for_each(|(column, name)| check_type(column, name))
            }
            Self::FillNull(values) => {
                check_map(own, values.keys())?;
                values.iter().try_for_each(|(column, value)| check_value(&format!("{own}.{column}"), value))
            }
            Self::Rename(names) => {
                check_map(own, names.keys())?;
                let new: Vec<String> = names.values().cloned().collect();
                check_columns(own, &new)
            }
            Self::Drop(columns) | Self::Select(columns) => check_some(own, columns),
            Self::Filter(condition) if condition.trim().is_empty() => bad(own, "it is empty"),
            Self::Filter(_) => Ok(()),
            Self::Unpivot(unpivot) => check_unpivot(unpivot),
            Self::Pivot(pivot) => check_pivot(pivot),
            Self::Mask(mask) => check_mask(mask),
            Self::TumblingWindow(TumblingWindow { time, every_seconds, name }) => {
                check_seconds("tumbling_window.every_seconds", *every_seconds)?;
                check_window(own, time, name.as_ref())
            }
            Self::SessionWindow(SessionWindow { time, gap_seconds, keys, name }) => {
                check_seconds("session_window.gap_seconds", *gap_seconds)?;
                check_columns("session_window.keys", keys)?;
                check_window(own, time, name.as_ref())
            }
        }
    }
}

fn check_name(field: &str, name: &str) -> Checked {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
        return bad(field, format!("a column has a name of 1 to {MAX_NAME_BYTES} bytes"));
    }
    Ok(())
}

fn check_columns(field: &str, columns: &[String]) -> Checked {
    if columns.len() > MAX_COLUMNS {
        return bad(field, format!("there are more than {MAX_COLUMNS} columns"));
    }
    let mut seen = BTreeSet::new();
    for column in columns {
        check_name(field, column)?;
        if !seen.insert(column) {
            return bad(field, format!("{column} is named twice"));
        }
    }
    Ok(())
}

fn check_some(field: &str, columns: &[String]) -> Checked {
    if columns.is_empty() { bad(field, "it names no column") } else { check_columns(field, columns) }
}

fn check_map<'n>(field: &str, names: impl Iterator<Item = &'n String>) -> Checked {
    let names: Vec<String> = names.cloned().collect();
    check_some(field, &names)
}

fn check_value(field: &str, value: &Value) -> Checked {
    match value {
        Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::String(text) if text.len() <= MAX_TEXT_BYTES && !text.contains('\0') => Ok(()),
        Value::String(_) => bad(field, format!("the text is longer than {MAX_TEXT_BYTES} bytes, or holds a NUL")),
        Value::Null | Value::Array(_) | Value::Object(_) => bad(field, "it is not a text, a number or a boolean"),
    }
}

fn check_type(column: &str, name: &str) -> Checked {
    let field = format!("cast.columns.{column}");
    match parse_type(name) {
        Ok(DataType::List(_) | DataType::Struct(_) | DataType::Map(..)) => {
            bad(field, "a cast is to a type of single values")
        }
        Ok(_) => Ok(()),
        Err(error) => bad(field, error.to_string()),
    }
}

fn check_deduplicate(deduplicate: &Deduplicate) -> Checked {
    let Deduplicate { keys, keep, order_by } = deduplicate;
    check_columns("deduplicate.keys", keys)?;
    check_columns("deduplicate.order_by", order_by)?;
    match (keep, keys.is_empty(), order_by.is_empty()) {
        (Keep::None, true, _) => bad("deduplicate.keys", "keep: none needs the columns by which rows are the same"),
        (Keep::First | Keep::Last, false, true) => {
            bad("deduplicate.order_by", "a table has no order: say by which columns a row is the first or the last")
        }
        (Keep::None, ..) | (_, true, _) if !order_by.is_empty() => {
            bad("deduplicate.order_by", "there is nothing to choose: the rows are the same, or none of them stays")
        }
        _ => Ok(()),
    }
}

fn check_unpivot(unpivot: &Unpivot) -> Checked {
    check_some("unpivot.columns", &unpivot.columns)?;
    check_name("unpivot.name_column", &unpivot.name_column)?;
    check_name("unpivot.value_column", &unpivot.value_column)?;
    match unpivot.name_column == unpivot.value_column {
        true => bad("unpivot.value_column", "it is the name_column, too"),
        false => Ok(()),
    }
}

fn check_pivot(pivot: &Pivot) -> Checked {
    check_some("pivot.index", &pivot.index)?;
    check_name("pivot.column", &pivot.column)?;
    check_name("pivot.value", &pivot.value)?;
    for (at, value) in pivot.values.iter().enumerate() {
        check_value(&format!("pivot.values[{at}]"), value)?;
    }
    let names: Vec<String> = pivot.values.iter().map(super::compile::text_of).collect();
    check_some("pivot.values", &names)?;
    match names.iter().find(|name| pivot.index.contains(name)) {
        Some(name) => bad("pivot.values", format!("{name} is a column of the index, too")),
        None => Ok(()),
    }
}

fn check_mask(mask: &MaskColumns) -> Checked {
    check_map("mask.columns", mask.columns.keys())?;
    let hashes = mask.columns.values().any(|kind| *kind == MaskKind::Hash);
    match (&mask.salt, mask.length) {
        (None, _) if hashes => bad("mask.salt", "a hash without a salt can be looked up: give one"),
        (Some(salt), _) if salt.is_empty() || salt.len() > MAX_TEXT_BYTES || salt.contains('\0') => {
            bad("mask.salt", format!("it is empty, longer than {MAX_TEXT_BYTES} bytes, or holds a NUL"))
        }
        (_, Some(length)) if length == 0 || length > HASH_DIGITS => {
            bad("mask.length", format!("it is not between 1 and {HASH_DIGITS}"))
        }
        (Some(_), _) | (_, Some(_)) if !hashes => bad("mask.salt", "only a hash has a salt and a length"),
        _ => Ok(()),
    }
}

fn check_seconds(field: &str, seconds: u32) -> Checked {
    match seconds {
        1..=MAX_SECONDS => Ok(()),
        _ => bad(field, format!("it is not between 1 and {MAX_SECONDS}")),
    }
}

fn check_window(field: &str, time: &str, name: Option<&String>) -> Checked {
    check_name(&format!("{field}.time"), time)?;
    name.map_or(Ok(()), |name| check_name(&format!("{field}.as"), name))
}
