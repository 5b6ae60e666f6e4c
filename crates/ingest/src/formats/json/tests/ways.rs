//! Records one by one, blocks on all cores, one pass: every way to read lines comes to the same.

use std::io::Cursor;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use proptest::prelude::*;
use sluice_domain::Format;

use super::{
    super::{
        super::{OnePass, Reading, decode_guessing},
        Records, decode_records,
    },
    decoded, inferred, options, rows_of, source,
};
use crate::{decode_error::DecodeError, limits::DecodeLimits};

/// What lines come to where they are read one by one: the schema, and the rows as text.
fn by_records(bytes: &[u8]) -> Result<(SchemaRef, Vec<Vec<String>>), DecodeError> {
    let (options, limits) = (options(Format::Ndjson), DecodeLimits::default());
    let schema = inferred(Format::Ndjson, bytes)?.schema;
    let reading = Reading { options: &options, limits: &limits };
    let mut rows = Vec::new();
    let records = Records::open(&reading, Box::new(Cursor::new(bytes.to_vec())))?;
    decode_records(
        &reading,
        records,
        &schema,
        (0, &mut |batch: RecordBatch| {
            rows.extend(rows_of(&batch));
            Ok(())
        }),
    )?;
    Ok((schema, rows))
}

/// Whether one pass is enough; whatever it comes to, and what blocks in two passes do, is what records come to.
fn assert_all_ways_are_the_same(bytes: &[u8]) -> bool {
    let expected = by_records(bytes).map_err(|error| error.to_string());
    let blocks = inferred(Format::Ndjson, bytes).and_then(|found| {
        let rows = decoded(Format::Ndjson, bytes, &found.schema)?.iter().flat_map(rows_of).collect();
        Ok((found.schema, rows))
    });
    assert_eq!(blocks.map_err(|error| error.to_string()), expected);
    let mut rows = Vec::new();
    let read = decode_guessing(&options(Format::Ndjson), source(bytes), &DecodeLimits::default(), &mut |batch| {
        rows.extend(rows_of(&batch));
        Ok(())
    });
    match read {
        Ok(OnePass::Unfit) => return false,
        Ok(OnePass::Read(found)) => assert_eq!(Ok((found.schema, rows)), expected),
        Err(error) => assert_eq!(Err(error.to_string()), expected),
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
    fn blocks_come_to_what_records_come_to(text in any_lines()) {
        assert_all_ways_are_the_same(text.as_bytes());
    }
}

#[test]
fn lines_of_many_blocks_are_read_in_one_pass() {
    let row = |at: usize| {
        format!("{{\"id\":{at}, \"x\":{}.5,\"ok\":true,\"t\":\"a text of {at}\",\"d\":\"2024-01-01\"}}\n", at % 9)
    };
    let text: String = (0..5000).map(row).collect();
    assert!(assert_all_ways_are_the_same(text.as_bytes()));
    assert!(!assert_all_ways_are_the_same(format!("{text}{{\"new\":1}}").as_bytes()));
    let broken = format!("{text}\n{{\"id\":}}\n{text}");
    let error = decoded(Format::Ndjson, broken.as_bytes(), &inferred(Format::Ndjson, text.as_bytes()).unwrap().schema);
    assert!(error.unwrap_err().to_string().contains("line 5002: "));
}
