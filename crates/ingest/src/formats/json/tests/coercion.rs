//! Strings in the columns of a declared table.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rstest::rstest;
use sluice_domain::Format;

use super::{decode, decoded, options, rows_of, source};
use crate::{decode_error::DecodeError, limits::DecodeLimits, row_sink::Strict};

/// The columns of a declared table.
fn accounts() -> SchemaRef {
    let tags = DataType::List(Field::new("element", DataType::Int64, true).into());
    let columns = [
        ("id", DataType::Int64),
        ("name", DataType::Utf8),
        ("age", DataType::Int64),
        ("balance", DataType::Float64),
        ("active", DataType::Boolean),
        ("tags", tags),
    ];
    Schema::new(columns.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()).into()
}

fn coerced(text: &str) -> Result<Vec<Vec<String>>, DecodeError> {
    let mut options = options(Format::Ndjson);
    options.json.coerce = true;
    let mut rows = Vec::new();
    decode(
        &options,
        source(text.as_bytes()),
        &accounts(),
        &DecodeLimits::default(),
        &mut Strict(|batch| {
            rows.extend(rows_of(&batch));
            Ok(())
        }),
    )?;
    Ok(rows)
}

#[rstest]
#[case("True", "true")]
#[case("False", "false")]
#[case("true", "true")]
#[case("false", "false")]
#[case("1", "true")]
#[case("0", "false")]
fn strings_are_taken_for_what_columns_want_where_that_is_wanted(#[case] text: &str, #[case] active: &str) {
    let record =
        format!(r#"{{"id":"1","name":"Alice","age":"25","balance":"1000.0","active":"{text}","tags":["7",8]}}"#);
    let row = ["1", "Alice", "25", "1000.0", active, "[7, 8]"].map(str::to_owned).to_vec();
    assert_eq!(coerced(&record).unwrap(), [row]);
    let refused = decoded(Format::Ndjson, record.as_bytes(), &accounts()).unwrap_err();
    assert!(matches!(refused, DecodeError::Mismatch { ref column, .. } if column == "id"), "{refused}");
}

#[rstest]
#[case(r#"{"id":"1.5"}"#, "id")]
#[case(r#"{"age":"old"}"#, "age")]
#[case(r#"{"active":"yes"}"#, "active")]
#[case(r#"{"active":"2"}"#, "active")]
#[case(r#"{"balance":""}"#, "balance")]
#[case(r#"{"tags":["x"]}"#, "tags.element")]
fn a_string_that_cannot_be_taken_names_row_and_column(#[case] bad: &str, #[case] named: &str) {
    let error = coerced(&format!("{{\"id\":1}}\n{bad}\n")).unwrap_err();
    match &error {
        DecodeError::Mismatch { row: Some(2), line: Some(2), column, .. } => assert_eq!(column, named, "{error}"),
        other => panic!("{other}"),
    }
}
