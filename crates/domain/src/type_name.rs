//! The names of column types: Delta's own, and what others call the same.
//!
//! Invariant: a name that was made from a type is read back as that type.

use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};

/// How deep types may lie within one another.
const MAX_DEPTH: usize = 32;
/// The longest name of a type, in bytes.
const MAX_NAME_BYTES: usize = 10_000;
/// Digits that a decimal holds.
const MAX_DIGITS: u8 = 38;

/// A type that is not one of a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a type: {reason}")]
pub struct TypeNameError {
    /// The name, shortened.
    pub name: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// The type of this name: Delta's (`long`, `decimal(10,2)`, `array<string>`, `struct<a:long>`, `map<string,long>`), or
/// a usual other one (`int64`, `bigint`, `str`, `bool`); case does not matter but in the names of fields.
///
/// # Errors
/// A name that is none.
pub fn parse_type(name: &str) -> Result<DataType, TypeNameError> {
    let refused = |reason| TypeNameError { name: name.chars().take(64).collect(), reason };
    if name.len() > MAX_NAME_BYTES {
        return Err(refused("it is too long"));
    }
    parse_at(name, 0).map_err(refused)
}

fn parse_at(name: &str, depth: usize) -> Result<DataType, &'static str> {
    if depth > MAX_DEPTH {
        return Err("it is nested too deeply");
    }
    let name = name.trim();
    let Some((head, inner)) = split_head(name) else { return parse_plain(name) };
    let parts = split_parts(inner);
    match (head.to_ascii_lowercase().as_str(), parts.as_slice()) {
        ("array" | "list", [item]) => {
            Ok(DataType::List(Arc::new(Field::new("element", parse_at(item, depth + 1)?, true))))
        }
        ("map", [key, value]) => {
            let key = Field::new("key", parse_at(key, depth + 1)?, false);
            let value = Field::new("value", parse_at(value, depth + 1)?, true);
            let entries = Field::new("key_value", DataType::Struct(vec![key, value].into()), false);
            Ok(DataType::Map(Arc::new(entries), false))
        }
        ("struct", [_, ..]) => parse_fields(&parts, depth),
        ("decimal" | "numeric", digits) => parse_decimal(digits),
        _ => Err("there is no such type"),
    }
}

fn parse_fields(parts: &[&str], depth: usize) -> Result<DataType, &'static str> {
    let mut fields: Vec<Field> = Vec::new();
    for part in parts {
        let (name, data_type) = part.split_once(':').ok_or("a field of a struct is written name:type")?;
        let name = name.trim();
        if name.is_empty() {
            return Err("a field of a struct has no name");
        }
        if fields.iter().any(|field| field.name().to_lowercase() == name.to_lowercase()) {
            return Err("a struct has two fields of one name");
        }
        fields.push(Field::new(name, parse_at(data_type, depth + 1)?, true));
    }
    Ok(DataType::Struct(fields.into()))
}

fn parse_decimal(digits: &[&str]) -> Result<DataType, &'static str> {
    let read = |text: &&str| text.trim().parse::<u8>().ok();
    let (precision, scale) = match digits {
        [precision] => (read(precision), Some(0)),
        [precision, scale] => (read(precision), read(scale)),
        _ => (None, None),
    };
    match precision.zip(scale) {
        Some((precision @ 1..=MAX_DIGITS, scale)) if scale <= precision => {
            Ok(DataType::Decimal128(precision, scale as i8))
        }
        _ => Err("a decimal is written decimal(precision,scale), with 1 to 38 digits"),
    }
}

fn parse_plain(name: &str) -> Result<DataType, &'static str> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "boolean" | "bool" => DataType::Boolean,
        "byte" | "tinyint" | "int8" => DataType::Int8,
        "short" | "smallint" | "int16" => DataType::Int16,
        "integer" | "int" | "int32" => DataType::Int32,
        "long" | "bigint" | "int64" => DataType::Int64,
        "float" | "real" | "float32" => DataType::Float32,
        "double" | "float64" | "double precision" => DataType::Float64,
        "decimal" | "numeric" => DataType::Decimal128(10, 0),
        "string" | "str" | "text" | "varchar" | "utf8" | "object" => DataType::Utf8,
        "binary" | "bytes" => DataType::Binary,
        "date" | "date32" => DataType::Date32,
        "timestamp" | "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "timestamp_ntz" | "datetime" => DataType::Timestamp(TimeUnit::Microsecond, None),
        _ => return Err("there is no such type"),
    })
}

/// The name before the brackets, and what is between them.
fn split_head(name: &str) -> Option<(&str, &str)> {
    let open = name.find(['<', '('])?;
    let close = if name[open..].starts_with('<') { '>' } else { ')' };
    Some((name[..open].trim(), name[open + 1..].strip_suffix(close)?))
}

/// What stands between the commas that are in no brackets.
fn split_parts(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0_usize, 0);
    for (at, character) in text.char_indices() {
        match character {
            '<' | '(' => depth += 1,
            '>' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// Delta's name of a type; Arrow's where Delta has none.
pub fn type_name(data_type: &DataType) -> String {
    use DataType as T;
    match data_type {
        T::Boolean => "boolean".to_owned(),
        T::Int8 => "byte".to_owned(),
        T::Int16 => "short".to_owned(),
        T::Int32 => "integer".to_owned(),
        T::Int64 => "long".to_owned(),
        T::Float32 => "float".to_owned(),
        T::Float64 => "double".to_owned(),
        T::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        T::Utf8 | T::LargeUtf8 | T::Utf8View => "string".to_owned(),
        T::Binary | T::LargeBinary | T::BinaryView => "binary".to_owned(),
        T::Date32 => "date".to_owned(),
        T::Timestamp(_, None) => "timestamp_ntz".to_owned(),
        T::Timestamp(_, Some(_)) => "timestamp".to_owned(),
        T::List(item) | T::LargeList(item) => format!("array<{}>", type_name(item.data_type())),
        T::Struct(fields) => {
            let fields = fields.iter().map(|field| format!("{}:{}", field.name(), type_name(field.data_type())));
            format!("struct<{}>", fields.collect::<Vec<_>>().join(","))
        }
        T::Map(entries, _) => match entries.data_type() {
            T::Struct(pair) if pair.len() == 2 => {
                format!("map<{},{}>", type_name(pair[0].data_type()), type_name(pair[1].data_type()))
            }
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("BIGINT", "long")]
    #[case("int64", "long")]
    #[case(" float64 ", "double")]
    #[case("str", "string")]
    #[case("bool", "boolean")]
    #[case("decimal(10, 2)", "decimal(10,2)")]
    #[case("decimal(10)", "decimal(10,0)")]
    #[case("Array<Struct<Name:str, tags:array<int>>>", "array<struct<Name:string,tags:array<integer>>>")]
    #[case("map<string, decimal(5,2)>", "map<string,decimal(5,2)>")]
    #[case("timestamp_ntz", "timestamp_ntz")]
    fn a_type_has_many_names_and_one_that_is_told(#[case] name: &str, #[case] told: &str) {
        assert_eq!(type_name(&parse_type(name).unwrap()), told);
    }

    #[rstest]
    #[case("")]
    #[case("longer")]
    #[case("array<long")]
    #[case("array<long,long>")]
    #[case("array<>")]
    #[case("struct<>")]
    #[case("struct<a>")]
    #[case("struct<:long>")]
    #[case("struct<a:long,A:long>")]
    #[case("decimal(39,0)")]
    #[case("decimal(2,3)")]
    #[case("decimal(0,0)")]
    #[case("decimal<10,2>x")]
    #[case("map<string>")]
    #[case("long)")]
    fn what_is_no_type_is_refused(#[case] name: &str) {
        assert!(parse_type(name).is_err(), "{:?}", parse_type(name));
    }

    #[test]
    fn a_type_of_endless_depth_is_refused() {
        let deep = |depth: usize| format!("{}long{}", "array<".repeat(depth), ">".repeat(depth));
        assert!(parse_type(&deep(MAX_DEPTH)).is_ok());
        assert!(parse_type(&deep(MAX_DEPTH + 1)).is_err());
        assert!(parse_type(&"(".repeat(MAX_NAME_BYTES + 1)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_type_or_refused(text in "[a-z<>():,0-9 é]{0,40}") {
            if let Ok(data_type) = parse_type(&text) {
                prop_assert_eq!(parse_type(&type_name(&data_type)).unwrap(), data_type);
            }
        }
    }
}
