//! A file's schema as it is handed to the reader of rows.

use serde_json::{Map, Value};

use super::{container::malformed, rows::RowShape};
use crate::decode_error::DecodeError;

/// The schema and the shape of its rows, with texts left to be texts: the reader would make binary values of UUIDs.
pub(super) fn as_it_is_read(schema: &[u8]) -> Result<(Vec<u8>, RowShape), DecodeError> {
    let refusal = |error: serde_json::Error| malformed(&format!("its schema is no JSON: {error}"));
    let mut schema: Value = serde_json::from_slice(schema).map_err(refusal)?;
    leave_texts(&mut schema);
    let rows = RowShape::of(&schema)?;
    Ok((serde_json::to_vec(&schema).map_err(refusal)?, rows))
}

fn leave_texts(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if is_text_uuid(object) {
                object.remove("logicalType");
            }
            // Names, documentation and defaults are no schemas.
            for key in ["type", "fields", "items", "values"] {
                object.get_mut(key).into_iter().for_each(leave_texts);
            }
        }
        Value::Array(members) => members.iter_mut().for_each(leave_texts),
        _ => {}
    }
}

fn is_text_uuid(object: &Map<String, Value>) -> bool {
    object.get("type").is_some_and(|own| own == "string")
        && object.get("logicalType").is_some_and(|logical| logical == "uuid")
}
