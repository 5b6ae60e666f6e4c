//! The names of the columns.

use std::{collections::HashSet, str::from_utf8};

use csv::ByteRecord;
use sluice_domain::{ColumnName, Format};

use crate::decode_error::DecodeError;

/// Names for the fields of a record: its own words where it is a header, numbers from 1 else.
///
/// Nameless columns are called by their number; of several with one name, the later ones are told apart by a suffix.
pub(super) fn names(record: &ByteRecord, is_header: bool) -> Result<Vec<String>, DecodeError> {
    let mut taken = HashSet::new();
    let numbered = (1..).map(|number| format!("column_{number}"));
    numbered
        .zip(record)
        .map(|(number, field)| {
            let name = if is_header && !field.is_empty() { checked(field, &number)? } else { number };
            Ok(untaken(name, &mut taken))
        })
        .collect()
}

fn checked(field: &[u8], number: &str) -> Result<String, DecodeError> {
    let refusal = |reason: String| DecodeError::Malformed {
        format: Format::Csv,
        line: Some(1),
        column: Some(number.to_owned()),
        reason,
    };
    let name = from_utf8(field).map_err(|_| refusal("the name is not UTF-8".to_owned()))?;
    let name: ColumnName = name.parse().map_err(|error: sluice_domain::NameError| refusal(error.to_string()))?;
    Ok(name.into())
}

fn untaken(name: String, taken: &mut HashSet<String>) -> String {
    let suffixed = (1..).map(|suffix| format!("{name}_{suffix}"));
    let free = std::iter::once(name.clone()).chain(suffixed).find(|name| taken.insert(name.to_lowercase()));
    free.unwrap_or(name)
}
