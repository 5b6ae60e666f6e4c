use std::io::Cursor;

use arrow::{
    array::{Array as _, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
    util::display::array_value_to_string,
};
use proptest::prelude::*;
use rstest::rstest;
use sluice_domain::{Format, JsonOptions, ReadOptions};

use super::super::{Inferred, Source, decode, infer};
use crate::{
    decode_error::DecodeError,
    limits::DecodeLimits,
    row_sink::{Good, Lenient},
};

fn options(format: Format) -> ReadOptions {
    ReadOptions {
        json: JsonOptions { null_values: vec!["n/a".into()], ..JsonOptions::default() },
        ..ReadOptions::of(format)
    }
}

fn source(bytes: &[u8]) -> Source {
    Source::Stream(Box::new(Cursor::new(bytes.to_vec())))
}

fn inferred(format: Format, bytes: &[u8]) -> Result<Inferred, DecodeError> {
    infer(&options(format), source(bytes), &DecodeLimits::default())?.strictly()
}

fn decoded(format: Format, bytes: &[u8], schema: &SchemaRef) -> Result<Vec<RecordBatch>, DecodeError> {
    let mut batches = Good::default();
    let limits = DecodeLimits { batch_rows: 3, ..DecodeLimits::default() };
    decode(&options(format), source(bytes), schema, &limits, &mut batches)?;
    Ok(batches.0)
}

/// Both passes; the columns as `name:type`, the rows as text with `∅` where a value is missing.
fn both_passes(format: Format, bytes: &[u8]) -> Result<(Vec<String>, Vec<Vec<String>>), DecodeError> {
    let found = inferred(format, bytes)?;
    let schema = found.table_columns();
    let batches = decoded(format, bytes, &schema)?;
    let columns = schema.fields().iter().map(|field| format!("{}:{}", field.name(), type_name(field.data_type())));
    let rows: Vec<Vec<String>> = batches.iter().flat_map(rows_of).collect();
    assert_eq!(rows.len() as u64, found.rows);
    Ok((columns.collect(), rows))
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::List(item) => format!("[{}]", type_name(item.data_type())),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| format!("{}:{}", field.name(), type_name(field.data_type())));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

fn rows_of(batch: &RecordBatch) -> Vec<Vec<String>> {
    let cell = |column: usize, row| match batch.column(column).is_null(row) {
        true => "∅".to_owned(),
        false => array_value_to_string(batch.column(column), row).unwrap(),
    };
    (0..batch.num_rows()).map(|row| (0..batch.num_columns()).map(|column| cell(column, row)).collect()).collect()
}

#[test]
fn lines_become_rows_with_the_union_of_their_keys() {
    let text = "\u{feff}{\"id\": 1, \"tags\": [\"a\", null], \"at\": \"2024-01-01T00:00:00Z\"}\r\n\r\n\
                  {\"place\": {\"x\": 1.5, \"name\": \"\\u00fc\\n\"}, \"id\": 9223372036854775807, \"at\": \"n/a\"}";
    let (columns, rows) = both_passes(Format::Ndjson, text.as_bytes()).unwrap();
    assert_eq!(columns, ["id:Int64", "tags:[Utf8]", "at:Timestamp(µs, \"UTC\")", "place:{x:Float64,name:Utf8}"]);
    assert_eq!(rows[0], ["1", "[a, ]", "2024-01-01T00:00:00Z", "∅"]);
    assert_eq!(rows[1], ["9223372036854775807", "∅", "∅", "{x: 1.5, name: ü\n}"]);
}

#[rstest]
#[case(&["1", "\"a\"", "true"], "Utf8", &["1", "a", "true"])]
#[case(&["1", "1.50"], "Float64", &["1.0", "1.5"])]
#[case(&["9007199254740993", "1.50"], "Utf8", &["9007199254740993", "1.50"])]
#[case(&["9223372036854775808", "-1"], "Decimal128(38, 0)", &["9223372036854775808", "-1"])]
#[case(&["1e400", "1"], "Utf8", &["1e400", "1"])]
#[case(&["\"12\"", "\"13\""], "Utf8", &["12", "13"])]
#[case(&["\"2024-01-01\"", "\"2024-01-01 10:00\""], "Timestamp(µs)", &["2024-01-01T00:00:00", "2024-01-01T10:00:00"])]
#[case(&["{\"x\" : [1, \"é\"]}", "7", "null"], "Utf8", &["{\"x\":[1,\"é\"]}", "7", "∅"])]
#[case(&["[1]", "{\"x\": 1}"], "Utf8", &["[1]", "{\"x\":1}"])]
#[case(&["{}", "{}"], "Utf8", &["{}", "{}"])]
#[case(&["[]", "[null]"], "[Utf8]", &["[]", "[]"])]
#[case(&["[1]", "[2.5, null]"], "[Float64]", &["[1.0]", "[2.5, ]"])]
#[case(
    &["[{\"a\": 1}]", "[{\"b\": [true]}, null]"],
    "[{a:Int64,b:[Boolean]}]",
    &["[{a: 1, b: }]", "[{a: , b: [true]}, ]"]
)]
#[case(&["null", "null"], "Utf8", &["∅", "∅"])]
fn values_share_a_type_that_changes_none(
    #[case] values: &[&str],
    #[case] kind: &str,
    #[case] expected: &[&str],
    #[values(Format::Ndjson, Format::Json)] format: Format,
) {
    let records: Vec<String> = values.iter().map(|value| format!("{{\"a\": {value}}}")).collect();
    let text = match format {
        Format::Json => format!(" [\n{}\n] \n", records.join(",\n")),
        _ => records.join("\n"),
    };
    let (columns, rows) = both_passes(format, text.as_bytes()).unwrap();
    assert_eq!(columns, [format!("a:{kind}")]);
    assert_eq!(rows.concat(), expected);
}

#[test]
fn one_object_alone_is_one_row() {
    let (columns, rows) = both_passes(Format::Json, b"\n{\"a\": \"]}\\\"\", \"b\": [[1], []]}\n").unwrap();
    assert_eq!(columns, ["a:Utf8", "b:[[Int64]]"]);
    assert_eq!(rows, [["]}\"", "[[1], []]"]]);
}

#[rstest]
#[case(Format::Ndjson, "{\"a\":1}\n\n{\"a\":}\n", "line 3: ")]
#[case(Format::Ndjson, "{\"a\":1}\n[1]\n", "line 2: a row must be an object")]
#[case(Format::Ndjson, "{\"a\":1} {\"a\":2}\n", "line 1: ")]
#[case(Format::Ndjson, "{\"a\":01}\n", "line 1: ")]
#[case(Format::Ndjson, "{\"a\":NaN}\n", "line 1: ")]
#[case(Format::Ndjson, "{\"a\":\"\\ud800\"}\n", "line 1: ")]
#[case(Format::Ndjson, "{\"a\":1,\"a\":2}\n", "line 1: the key \"a\" is there twice")]
#[case(Format::Ndjson, "{\"a\":1}\n{\"a\":1,\"A\":2}\n", "line 2: the key \"A\" is there twice, in two cases")]
#[case(Format::Ndjson, "{\"x\":[{\"a\":1,\"a\":2}]}\n", "line 1: the key \"a\" is there twice")]
#[case(Format::Ndjson, "{\"\":1}\n", "line 1: column name \"\" is not acceptable")]
#[case(Format::Json, "[{\"a\":1},\n{\"a\":x}]", "line 2: element 2: ")]
#[case(Format::Json, "[{\"a\":1},\n]", "line 2: element 1: a value must follow the comma")]
#[case(Format::Json, "[{\"a\":1}\n{\"a\":1}]", "line 2: element 1: there must be a comma")]
#[case(Format::Json, "[{\"a\":1},\n 7]", "line 2: element 2: a row must be an object")]
#[case(Format::Json, "[{\"a\":1}", "the array is not closed")]
#[case(Format::Json, "[{\"a\":1", "element 1: the file ends within the record")]
#[case(Format::Json, "[{\"a\":1}]\n x", "line 2: more follows")]
#[case(Format::Json, "{\"a\":1}\n{\"a\":2}\n", "line 2: more follows")]
#[case(Format::Json, "7", "line 1: the file must be an array of objects")]
#[case(Format::Json, "[{\"a\":1]]", "element 1: ")]
fn a_broken_file_is_refused_naming_the_place(#[case] format: Format, #[case] text: &str, #[case] place: &str) {
    let error = inferred(format, text.as_bytes()).unwrap_err();
    assert!(matches!(error, DecodeError::Malformed { .. }), "{error:?}");
    assert!(error.to_string().contains(place), "{error}");
}

#[test]
fn text_that_is_no_utf8_is_refused_naming_the_line() {
    let error = inferred(Format::Ndjson, b"{\"a\":1}\n{\"a\":\"\xff\"}\n").unwrap_err();
    assert!(error.to_string().contains("line 2: the text is not UTF-8"), "{error}");
}

#[rstest]
fn nothing_at_all_is_an_empty_file(
    #[values(Format::Ndjson, Format::Json)] format: Format,
    #[values("", " \n\r\n", "\u{feff}")] text: &str,
) {
    assert!(matches!(inferred(format, text.as_bytes()), Err(DecodeError::Empty)));
}

#[test]
fn rows_without_columns_make_no_schema_and_are_rows_of_an_existing_one() {
    assert!(matches!(inferred(Format::Json, b"[]"), Err(DecodeError::Empty)));
    assert!(matches!(inferred(Format::Json, b"[{},{}]"), Err(DecodeError::Empty)));
    let schema: SchemaRef = Schema::new(vec![Field::new("a", DataType::Int64, true)]).into();
    assert!(decoded(Format::Json, b"[]", &schema).unwrap().is_empty());
    assert_eq!(decoded(Format::Json, b"[{},{}]", &schema).unwrap()[0].num_rows(), 2);
}

#[test]
fn a_value_that_does_not_fit_is_named_with_its_path() {
    let item = Field::new("element", DataType::Struct(vec![Field::new("n", DataType::Int32, false)].into()), true);
    let fields = vec![
        Field::new("list", DataType::List(item.into()), true),
        Field::new("price", DataType::Decimal128(6, 2), true),
    ];
    let schema: SchemaRef = Schema::new(fields).into();
    let good = "{\"LIST\":[{\"N\":5},null],\"price\":\"12.30\"}\n";
    assert_eq!(rows_of(&decoded(Format::Ndjson, good.as_bytes(), &schema).unwrap()[0]), [["[{n: 5}, ]", "12.30"]]);
    for (bad, path) in [
        ("{\"list\":[{\"n\":5},{\"n\":2147483648}]}", "list.element.n"),
        ("{\"list\":[{\"n\":\"5\"}]}", "list.element.n"),
        ("{\"list\":[{\"n\":5.0}]}", "list.element.n"),
        ("{\"list\":[{\"n\":null}]}", "list.element.n"),
        ("{\"list\":[{}]}", "list.element.n"),
        ("{\"list\":{\"n\":5}}", "list"),
        ("{\"price\":1.234}", "price"),
        ("{\"price\":true}", "price"),
    ] {
        let error = decoded(Format::Ndjson, format!("{good}{bad}").as_bytes(), &schema).unwrap_err();
        match error {
            DecodeError::Mismatch { row, line, column, .. } => {
                assert_eq!((row, line, column.as_str()), (Some(2), Some(2), path), "{bad}");
            }
            other => panic!("{bad}: {other:?}"),
        }
    }
    let unknown = decoded(Format::Ndjson, b"{\"list\":[{\"n\":1,\"m\":2}]}", &schema);
    assert!(matches!(unknown, Err(DecodeError::UnknownColumn { column, .. }) if column == "list.element.m"));
    let twice = decoded(Format::Ndjson, b"{\"price\":1,\"Price\":2}", &schema).unwrap_err();
    assert!(twice.to_string().contains("the key is there twice"), "{twice}");
}

#[test]
fn limits_hold() {
    let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let (columns, rows) = both_passes(Format::Ndjson, nested(63).as_bytes()).unwrap();
    assert_eq!(columns, [format!("a:{}Utf8{}", "[".repeat(16), "]".repeat(16))]);
    assert!(rows[0][0].contains(&format!("{}1{}", "[".repeat(47), "]".repeat(47))));
    for format in [Format::Ndjson, Format::Json] {
        assert!(matches!(inferred(format, nested(64).as_bytes()), Err(DecodeError::TooDeep { limit: 64, .. })));
        let deepest = "{\"a\":".to_owned() + &"[".repeat(1_000_000);
        assert!(inferred(format, deepest.as_bytes()).is_err());
    }
    let keys: Vec<String> = (0..2000).map(|at| format!("\"c{at}\":{{\"x\":1}}")).collect();
    let wide = format!("{{{}}}", keys.join(","));
    assert!(matches!(inferred(Format::Ndjson, wide.as_bytes()), Err(DecodeError::TooManyColumns { limit: 2000 })));
    let limits = DecodeLimits { record_bytes: 1000, ..DecodeLimits::default() };
    for (length, fits) in [(1000, true), (1001, false), (200_000, false)] {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
        for (format, text) in [(Format::Ndjson, format!("{long}\n")), (Format::Json, format!("[{long}]"))] {
            assert_eq!(
                infer(&options(format), source(text.as_bytes()), &limits).and_then(Inferred::strictly).is_ok(),
                fits,
                "{length}"
            );
        }
    }
}

#[test]
fn a_record_that_fills_wide_lists_with_missing_values_is_refused() {
    let fields: Vec<Field> = (0..1000).map(|at| Field::new(format!("c{at}"), DataType::Int64, true)).collect();
    let item = Field::new("element", DataType::Struct(fields.into()), true);
    let schema: SchemaRef = Schema::new(vec![Field::new("a", DataType::List(item.into()), true)]).into();
    let few = format!("{{\"a\":[{}{{}}]}}", "{},".repeat(100));
    assert!(decoded(Format::Ndjson, few.as_bytes(), &schema).is_ok());
    for item in ["{}", "null"] {
        let many = format!("{{\"a\":[{}{item}]}}", format!("{item},").repeat(100_000));
        let error = decoded(Format::Ndjson, many.as_bytes(), &schema).unwrap_err();
        assert!(error.to_string().contains("too many values in one record"), "{error}");
    }
    let brackets = format!("{{\"a\":[{}1]}}", "1,".repeat(2_000_000));
    assert!(inferred(Format::Ndjson, brackets.as_bytes()).is_err());
}

fn any_json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        (-1_000_000_i64..1_000_000).prop_map(|number| number.to_string()),
        "-?[1-9][0-9]{0,30}(\\.[0-9]{1,3})?(e[0-9]{1,2})?",
        "2024-0[1-3]-[0-3][0-9]([T ]1[0-9]:00(Z|\\+01)?)?".prop_map(|text| format!("\"{text}\"")),
        "\\PC{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    scalar.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::btree_map("[abc]", inner, 0..4).prop_map(|entries| {
                let entries = entries.iter().map(|(key, value)| format!("\"{key}\" : {value}"));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_the_first_pass_accepts_the_second_pass_reads(values in prop::collection::vec(any_json(), 1..8)) {
        let records: Vec<String> = values.iter().map(|value| format!("{{\"v\":{value}}}")).collect();
        let (_, lines) = both_passes(Format::Ndjson, records.join("\n").as_bytes()).unwrap();
        let (_, elements) = both_passes(Format::Json, format!("[{}]", records.join("\n,")).as_bytes()).unwrap();
        prop_assert_eq!(lines.len(), records.len());
        prop_assert_eq!(lines, elements);
    }

    #[test]
    fn a_text_column_holds_the_json_that_came(value in any_json()) {
        let schema: SchemaRef = Schema::new(vec![Field::new("v", DataType::Utf8, true)]).into();
        let batches = decoded(Format::Ndjson, format!("{{\"v\":[{value}]}}").as_bytes(), &schema).unwrap();
        let stored: serde_json::Value = serde_json::from_str(&rows_of(&batches[0])[0][0]).unwrap();
        prop_assert_eq!(stored, serde_json::from_str::<serde_json::Value>(&format!("[{value}]")).unwrap());
    }

    #[test]
    fn any_whole_numbers_read_back_as_they_were_written(numbers in prop::collection::vec(any::<i64>(), 1..20)) {
        let text: String = numbers.iter().map(|number| format!("{{\"a\":{number}}}\n")).collect();
        let (_, read) = both_passes(Format::Ndjson, text.as_bytes()).unwrap();
        prop_assert_eq!(read.concat(), numbers.iter().map(i64::to_string).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_rows_or_an_error(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:\\ \n1a-.e".to_vec())], 0..60),
        lines in any::<bool>(),
    ) {
        let format = if lines { Format::Ndjson } else { Format::Json };
        let wrapped = [b"{\"a\":".as_slice(), &bytes, b"}"].concat();
        for bytes in [bytes, wrapped] {
            if let Err(error) = both_passes(format, &bytes) {
                prop_assert!(!error.to_string().contains("could not be decoded"), "{}", error);
            }
        }
    }
}

#[rstest]
#[case(Format::Ndjson, "{\"id\":1,\"at\":{\"x\":[1]}}\n{\"id\":2,\"at\":{\"x\":[1,\"no\"]}}\nnonsense\n[1]\n{\"id\":5,\"at\":{\"x\":[2]}}\n", vec![2, 3, 4])]
#[case(Format::Json, "[{\"id\":1,\"at\":{\"x\":[1]}},{\"id\":2,\"at\":{\"x\":[1,\"no\"]}},{\"id\":3,},{\"id\":\"four\"},{\"id\":5,\"at\":{\"x\":[2]}}]", vec![2, 3, 4])]
fn bad_records_are_told_of_and_decoding_goes_on_behind_them(
    #[case] format: Format,
    #[case] text: &str,
    #[case] expected: Vec<u64>,
) {
    let schema = inferred(Format::Ndjson, b"{\"id\":1,\"at\":{\"x\":[1]}}").unwrap().schema;
    let mut sink = Lenient::default();
    decode(&options(format), source(text.as_bytes()), &schema, &DecodeLimits::default(), &mut sink).unwrap();
    let good: Vec<Vec<String>> = sink.batches.iter().flat_map(rows_of).collect();
    assert_eq!(good.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["1", "5"]);
    assert_eq!(sink.bad.iter().map(|row| row.number).collect::<Vec<_>>(), expected);
    for row in &sink.bad {
        let record = String::from_utf8(row.source.bytes.clone()).unwrap();
        assert!(text.contains(&record) && !record.is_empty(), "{record}");
    }
}

mod coercion;
mod ways;
