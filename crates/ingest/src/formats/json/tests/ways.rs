//! Records one by one, blocks on all cores, one pass: every way to read lines comes to the same.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;
use sluice_domain::{Format, ReadOptions};

use super::{
    super::{
        super::{OnePass, Reading, decode, decode_guessing, infer, table_columns},
        Counts, Plan, Records, Seen, decode_records,
    },
    options, rows_of, source,
};
use crate::{decode_error::DecodeError, limits::DecodeLimits, row_sink::Lenient};

/// The good rows and the bad ones as text.
type Rows = (Vec<Vec<String>>, Vec<String>);

fn rows(sink: &Lenient) -> Rows {
    (sink.batches.iter().flat_map(rows_of).collect(), sink.bad_rows())
}

fn told<T>(result: Result<T, DecodeError>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// What lines are said to hold where they are read one by one, and the first that is wrong.
fn inferred_by_records(options: &ReadOptions, bytes: &[u8]) -> Result<(SchemaRef, u64, Option<String>), DecodeError> {
    let reading = Reading { options, limits: &DecodeLimits::default() };
    let mut seen = Seen::nothing(&reading);
    seen.observe(&reading, Records::open(&reading, source(bytes).into_reader())?)?;
    let fields = seen.shapes.into_fields();
    if fields.is_empty() {
        return Err(seen.first_bad.unwrap_or(DecodeError::Empty));
    }
    Ok((Schema::new(fields).into(), seen.rows, seen.first_bad.map(|error| error.to_string())))
}

fn inferred_by_blocks(options: &ReadOptions, bytes: &[u8]) -> Result<(SchemaRef, u64, Option<String>), DecodeError> {
    let found = infer(options, source(bytes), &DecodeLimits::default())?;
    Ok((found.schema, found.rows, found.first_bad.map(|error| error.to_string())))
}

/// The rows of lines for a table where they are read one by one.
fn read_by_records(options: &ReadOptions, bytes: &[u8], schema: &SchemaRef) -> Result<Rows, DecodeError> {
    let reading = Reading { options, limits: &DecodeLimits::default() };
    let records = Records::open(&reading, source(bytes).into_reader())?;
    let mut sink = Lenient::default();
    let counts = decode_records(&Plan::new(&reading, schema, None), records, Counts::default(), &mut sink)?.unwrap();
    assert_eq!(counts.records - counts.rows, sink.bad.len() as u64);
    Ok(rows(&sink))
}

fn read_by_blocks(options: &ReadOptions, bytes: &[u8], schema: &SchemaRef) -> Result<Rows, DecodeError> {
    let mut sink = Lenient::default();
    let count = decode(options, source(bytes), schema, &DecodeLimits::default(), &mut sink)?;
    let found = rows(&sink);
    assert_eq!(found.0.len() as u64, count);
    Ok(found)
}

/// Whether one pass is enough; whatever it comes to, and what blocks in two passes do, is what records come to.
fn assert_all_ways_are_the_same(options: &ReadOptions, bytes: &[u8]) -> bool {
    let found = told(inferred_by_records(options, bytes));
    assert_eq!(told(inferred_by_blocks(options, bytes)), found);
    let mut sink = Lenient::default();
    let once = told(decode_guessing(options, source(bytes), &DecodeLimits::default(), &mut sink));
    let Ok((found, ..)) = found else { return false };
    let schema = table_columns(found.fields());
    let expected = told(read_by_records(options, bytes, &schema));
    assert_eq!(told(read_by_blocks(options, bytes, &schema)), expected);
    match (once, sink.batches.first()) {
        (Ok(OnePass::Unfit), _) | (Ok(OnePass::Read), None) => return false,
        (Ok(OnePass::Read), Some(first)) => assert_eq!((first.schema(), Ok(rows(&sink))), (schema, expected)),
        (Err(error), _) => assert_eq!(Err(error), expected),
    }
    true
}

/// Records of one kind of values, written in one way; now and then another value, or another way.
fn any_lines() -> impl Strategy<Value = String> {
    let usual = prop::sample::select(vec![
        "-?[1-9][0-9]{0,5}",
        "[1-9]\\.[0-9]{1,3}",
        "[1-9][0-9]{18,24}",
        "\"2024-0[1-9]-1[0-9]\"",
        "true|false",
        "\"[a-z é]{0,20}\"",
        "\"[1-9]\"|\"true\"",
        "null",
        "\\[1,2\\]|\\[\\]",
    ]);
    let odd = "1\\.0|9007199254740993|\" 2024-01-01\"|\"x\\\\n\"|null|\\{\"x\":1\\}|7|\"7\"|\"n/a\"|01|\u{1}";
    let record = move |usual: &'static str| {
        let value = prop_oneof![60 => usual, 1 => odd];
        (value, "[a-z]{0,9}", prop_oneof![40 => Just(0), 1 => 1..6]).prop_map(|(a, b, way)| match way {
            0 => format!("{{\"a\": {a}, \"b\": \"{b}\"}}\n"),
            1 => format!("{{\"b\": \"{b}\", \"a\": {a}}}\n"),
            2 => format!("  {{\"a\":{a},\"B\":\"{b}\"}} \r\n\n"),
            3 => format!("{{\"a\": {a}}}\n"),
            4 => format!("{{\"a\": {a}, \"c\": 1}}\n"),
            _ => format!("{{\"a\": {a}, \"a\": 1}}\n"),
        })
    };
    usual.prop_flat_map(move |usual| prop::collection::vec(record(usual), 1..150).prop_map(|lines| lines.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn blocks_come_to_what_records_come_to(
        text in any_lines(),
        coerce in any::<bool>(),
        wanted in prop::sample::select(vec![
            DataType::Int64, DataType::Float64, DataType::Date32, DataType::Boolean, DataType::Utf8,
        ]),
    ) {
        let mut options = options(Format::Ndjson);
        options.json.coerce = coerce;
        assert_all_ways_are_the_same(&options, text.as_bytes());
        let fields = vec![Field::new("b", DataType::Utf8, true), Field::new("a", wanted, true)];
        let schema = Schema::new(fields).into();
        let expected = told(read_by_records(&options, text.as_bytes(), &schema));
        assert_eq!(told(read_by_blocks(&options, text.as_bytes(), &schema)), expected);
    }
}

#[test]
fn lines_of_many_blocks_are_read_in_one_pass_with_their_bad_ones() {
    let options = options(Format::Ndjson);
    let row = |at: usize| {
        format!("{{\"id\":{at}, \"x\":{}.5,\"ok\":true,\"t\":\"a text of {at}\",\"d\":\"2024-01-01\"}}\n", at % 9)
    };
    let text: String = (0..5000).map(row).collect();
    assert!(assert_all_ways_are_the_same(&options, text.as_bytes()));
    assert!(!assert_all_ways_are_the_same(&options, format!("{text}{{\"new\":1}}").as_bytes()));
    let broken = format!("{text}\n{{\"id\":}}\n{text}");
    assert!(assert_all_ways_are_the_same(&options, broken.as_bytes()));
    let schema = infer(&options, source(text.as_bytes()), &DecodeLimits::default()).unwrap().schema;
    let (good, bad) = read_by_blocks(&options, broken.as_bytes(), &schema).unwrap();
    assert_eq!((good.len(), bad.len()), (10_000, 1));
    assert!(bad[0].starts_with("5001 SourceRecord { line: Some(5002)"), "{}", bad[0]);
}
