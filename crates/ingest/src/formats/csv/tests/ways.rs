//! Records one by one, blocks on all cores, one pass: every way to read a file comes to the same.

use std::io::Cursor;

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, SchemaRef},
};
use proptest::prelude::*;
use sluice_domain::CsvOptions;

use super::{
    super::{
        super::{Inferred, OnePass, Reading, decode_guessing, without_byte_order_mark},
        Records, Seen, decode_records, plan,
    },
    decoded, inferred, options, rows_of, schema_of, source,
};
use crate::{decode_error::DecodeError, limits::DecodeLimits};

/// A schema, and the rows as text.
type Read = (SchemaRef, Vec<Vec<String>>);

/// What a file comes to where its records are read one by one.
fn by_records(csv: &CsvOptions, bytes: &[u8]) -> Result<Read, DecodeError> {
    let (options, limits) = (options(csv.clone()), DecodeLimits::default());
    let open = || Records::begin(csv, without_byte_order_mark(Box::new(Cursor::new(bytes.to_vec())))?, &limits);
    let records = open()?;
    let mut seen = Seen::nothing(records.names());
    seen.observe(csv, records)?;
    let Inferred { schema, .. } = seen.inferred();
    let mut rows = Vec::new();
    let records = open()?;
    let reading = Reading { options: &options, limits: &limits };
    let plan = plan(&reading, records.names(), &schema, Vec::new())?;
    decode_records(&plan, records, 0, &mut |batch: RecordBatch| {
        rows.extend(rows_of(&batch));
        Ok(())
    })?;
    Ok((schema, rows))
}

/// The same where it is read by blocks, in two passes.
fn by_blocks(csv: &CsvOptions, bytes: &[u8]) -> Result<Read, DecodeError> {
    let found = inferred(csv, bytes)?;
    let rows: Vec<_> = decoded(csv, bytes, &found.schema)?.iter().flat_map(rows_of).collect();
    assert_eq!(rows.len() as u64, found.rows);
    Ok((found.schema, rows))
}

/// The same in one pass; none where its beginning did not tell the types.
fn by_one_pass(csv: &CsvOptions, bytes: &[u8]) -> Result<Option<Read>, DecodeError> {
    let mut rows = Vec::new();
    let read = decode_guessing(&options(csv.clone()), source(bytes), &DecodeLimits::default(), &mut |batch| {
        rows.extend(rows_of(&batch));
        Ok(())
    })?;
    Ok(match read {
        OnePass::Read(found) => {
            assert_eq!(rows.len() as u64, found.rows);
            Some((found.schema, rows))
        }
        OnePass::Unfit => None,
    })
}

fn assert_all_ways_are_the_same(csv: &CsvOptions, bytes: &[u8]) -> bool {
    let expected = by_records(csv, bytes).map_err(|error| error.to_string());
    assert_eq!(by_blocks(csv, bytes).map_err(|error| error.to_string()), expected);
    match by_one_pass(csv, bytes).map_err(|error| error.to_string()).transpose() {
        Some(found) => assert_eq!(found, expected),
        None => return false,
    }
    true
}

/// Rows of one kind each column, now and then something else.
fn any_rows(usual: &'static str, odd: &'static str) -> impl Strategy<Value = String> {
    let field = |usual: &'static str| prop_oneof![30 => usual, 1 => odd];
    prop::collection::vec((field(usual), field("[a-z ]{0,9}")), 1..200)
        .prop_map(|rows| rows.iter().map(|(a, b)| format!("{a},{b}\n")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn blocks_come_to_what_records_come_to(
        rows in prop_oneof![
            any_rows("-?[0-9]{1,5}", "-?[0-9]{1,20}|[0-9]{1,4}\\.[0-9]{0,3}|x|"),
            any_rows("[0-9]{1,4}\\.[0-9]{1,3}", "[0-9]{1,17}|1e5|NaN| 7 |"),
            any_rows("[0-9]{19,24}", "[0-9]{1,5}|1\\.0|"),
            any_rows("2024-0[1-9]-1[0-9]", "2024-02-30|2024-01-01T10:00| 2024-01-01|2024-01-01T10:00Z|"),
            any_rows("true|false", "TRUE|1|"),
            any_rows("|", "[0-9]|x"),
            any_rows("\"[a-z,\n]{0,9}\"|[a-z]{1,9}", "\"a\"\"b\"|\"a\"b|a\"b|\r|\"|1,2|\u{e9}"),
        ],
        null_values in prop::sample::select(vec![vec![], vec!["7".to_owned(), "x".to_owned()]]),
        empty_as_null in any::<bool>(),
    ) {
        let csv = CsvOptions { null_values, empty_as_null, ..CsvOptions::default() };
        assert_all_ways_are_the_same(&csv, format!("a,b\n{rows}").as_bytes());
    }

    #[test]
    fn blocks_of_any_bytes_come_to_what_records_come_to(
        bytes in prop::collection::vec(prop_oneof![
            1 => any::<u8>(), 30 => prop::sample::select(b"\",\n\r 1a-".to_vec()), 10 => Just(b'\n'),
        ], 0..1500),
        quote in prop::sample::select(vec![None, Some(b'"'), Some(b'a')]),
        header in any::<bool>(),
    ) {
        let csv = CsvOptions { quote, header, ..CsvOptions::default() };
        assert_all_ways_are_the_same(&csv, &bytes);
        assert_all_ways_are_the_same(&csv, &[b"a,b\n", bytes.as_slice()].concat());
    }
}

#[test]
fn a_file_of_many_blocks_is_read_in_one_pass() {
    let row = |at: usize| format!("{at},{}.5,2024-01-{:02},\"text {at},\n\"\"x\"\"\",true\r\n", at % 100, at % 28 + 1);
    let text = format!("a,b,c,d,e\r\n{}", (0..5000).map(row).collect::<String>());
    assert!(assert_all_ways_are_the_same(&CsvOptions::default(), text.as_bytes()));
    let late = format!("{text}x,1,2024-01-01,,\n");
    assert!(!assert_all_ways_are_the_same(&CsvOptions::default(), late.as_bytes()));
}

#[test]
fn an_error_in_a_late_block_names_its_place() {
    let schema = schema_of("a", DataType::Int64);
    let text = format!("a\n{}x\n", "1\n\n\"2\"\n".repeat(1000));
    match decoded(&CsvOptions::default(), text.as_bytes(), &schema).unwrap_err() {
        DecodeError::Mismatch { row, line, .. } => assert_eq!((row, line), (Some(2001), Some(3002))),
        other => panic!("{other:?}"),
    }
}
