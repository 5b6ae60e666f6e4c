//! Rows whose fields within objects are columns of their own.

use std::borrow::Cow;

use super::{
    Entries,
    parse::{BadRecord, repeated},
};
use crate::{
    columns::{FieldIndex, Value},
    decode_error::shortened,
};

/// The longest name that is put together: no column has one that is longer.
const MAX_NAME_BYTES: usize = 255;

/// The row with the fields of its objects in their place, each called by the names that lead to it.
pub(super) fn flattened<'r>(entries: Entries<'r>, separator: &str) -> Result<Entries<'r>, BadRecord> {
    let mut flat = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        add(&mut flat, key, value, separator)?;
    }
    match repeated(&flat) {
        Some(name) => Err(BadRecord::Malformed(format!("two values are called {:?} once flattened", shortened(name)))),
        None => Ok(flat),
    }
}

fn add<'r>(flat: &mut Entries<'r>, name: Cow<'r, str>, value: Value<'r>, separator: &str) -> Result<(), BadRecord> {
    let Value::Object(fields) = value else {
        flat.push((name, value));
        return Ok(());
    };
    for (key, value) in fields {
        if name.len() + separator.len() + key.len() > MAX_NAME_BYTES {
            let reason = format!("the name of a flattened column has more than {MAX_NAME_BYTES} bytes");
            return Err(BadRecord::Malformed(reason));
        }
        add(flat, Cow::Owned(format!("{name}{separator}{key}")), value, separator)?;
    }
    Ok(())
}

/// The row without missing values that have no column: where an object is missing, its fields are.
pub(super) fn known<'r>(mut entries: Entries<'r>, columns: &FieldIndex) -> Entries<'r> {
    entries.retain(|(name, value)| *value != Value::Null || columns.find(name).is_some());
    entries
}
