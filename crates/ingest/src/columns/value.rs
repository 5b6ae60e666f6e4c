//! JSON values of one record, numbers as they were written.

use std::{borrow::Cow, fmt};

/// A JSON value that borrows from the record's text where it can.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'r> {
    Null,
    Boolean(bool),
    /// As it was written, so that nothing is rounded on the way.
    Number(&'r str),
    String(Cow<'r, str>),
    Array(Vec<Value<'r>>),
    /// In the order of the text; no key twice.
    Object(Vec<(Cow<'r, str>, Value<'r>)>),
}

impl Value<'_> {
    /// The value as text: a string's own, and compact JSON of anything else.
    pub(crate) fn as_text(&self) -> Cow<'_, str> {
        match self {
            Self::String(text) => Cow::Borrowed(text),
            Self::Number(text) => Cow::Borrowed(text),
            other => Cow::Owned(other.to_string()),
        }
    }
}

/// Compact JSON.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => value.fmt(f),
            Self::Number(text) => f.write_str(text),
            Self::String(text) => quoted(text, f),
            Self::Array(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { "," })?;
                    item.fmt(f)?;
                }
                f.write_str("]")
            }
            Self::Object(entries) => {
                f.write_str("{")?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { "," })?;
                    quoted(key, f)?;
                    f.write_str(":")?;
                    value.fmt(f)?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_compactly_and_as_it_came() {
        let value = Value::Object(vec![
            ("a\"".into(), Value::Array(vec![Value::Number("1.50"), Value::Null, Value::Boolean(true)])),
            ("b".into(), Value::String("ü\n".into())),
        ]);
        assert_eq!(value.as_text(), r#"{"a\"":[1.50,null,true],"b":"ü\n"}"#);
        assert_eq!(Value::String("x y".into()).as_text(), "x y");
    }
}
