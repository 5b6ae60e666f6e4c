//! Records one by one, blocks on all cores, one pass: every way to read a file comes to the same.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;
use sluice_domain::CsvOptions;

use super::{
    super::{
        super::{OnePass, Reading, decode, decode_guessing, infer, table_columns},
        Counts, Records, Seen, decode_records, plan,
    },
    options, rows_of, schema_of, source,
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

/// What a file is said to hold where its records are read one by one, and the first that is wrong.
fn inferred_by_records(csv: &CsvOptions, bytes: &[u8]) -> Result<(SchemaRef, u64, Option<String>), DecodeError> {
    let records = Records::open(csv, source(bytes).into_reader(), &DecodeLimits::default())?;
    let mut seen = Seen::nothing(records.names());
    seen.observe(csv, records)?;
    let found = seen.inferred();
    Ok((found.schema, found.rows, found.first_bad.map(|error| error.to_string())))
}

fn inferred_by_blocks(csv: &CsvOptions, bytes: &[u8]) -> Result<(SchemaRef, u64, Option<String>), DecodeError> {
    let found = infer(&options(csv.clone()), source(bytes), &DecodeLimits::default())?;
    Ok((found.schema, found.rows, found.first_bad.map(|error| error.to_string())))
}

/// The rows of a file for a table where its records are read one by one.
fn read_by_records(csv: &CsvOptions, bytes: &[u8], schema: &SchemaRef) -> Result<Rows, DecodeError> {
    let (options, limits) = (options(csv.clone()), DecodeLimits::default());
    let reading = Reading { options: &options, limits: &limits };
    let records = Records::open(csv, source(bytes).into_reader(), &limits)?;
    let plan = plan(&reading, records.names(), schema, Vec::new())?;
    let mut sink = Lenient::default();
    let counts = decode_records(&plan, records, Counts::default(), &mut sink)?.unwrap();
    assert_eq!(counts.records - counts.rows, sink.bad.len() as u64);
    Ok(rows(&sink))
}

fn read_by_blocks(csv: &CsvOptions, bytes: &[u8], schema: &SchemaRef) -> Result<Rows, DecodeError> {
    let mut sink = Lenient::default();
    let count = decode(&options(csv.clone()), source(bytes), schema, &DecodeLimits::default(), &mut sink)?;
    let found = rows(&sink);
    assert_eq!(found.0.len() as u64, count);
    Ok(found)
}

/// The schema and the rows in one pass; none where its beginning did not tell the types, or there are no good rows.
fn read_once(csv: &CsvOptions, bytes: &[u8]) -> Result<Option<(SchemaRef, Rows)>, DecodeError> {
    let mut sink = Lenient::default();
    let read = decode_guessing(&options(csv.clone()), source(bytes), &DecodeLimits::default(), &mut sink)?;
    Ok(match (read, sink.batches.first()) {
        (OnePass::Read, Some(first)) => Some((first.schema(), rows(&sink))),
        _ => None,
    })
}

/// Whether one pass is enough.
fn assert_all_ways_are_the_same(csv: &CsvOptions, bytes: &[u8]) -> bool {
    let found = told(inferred_by_records(csv, bytes));
    assert_eq!(told(inferred_by_blocks(csv, bytes)), found);
    let once = told(read_once(csv, bytes));
    let Ok((found, ..)) = found else {
        assert!(!matches!(once, Ok(Some(_))), "read although {found:?}");
        return false;
    };
    let schema = table_columns(found.fields());
    assert_reads_are_the_same(csv, bytes, &schema);
    let Some(once) = once.transpose() else { return false };
    assert_eq!(once, told(read_by_records(csv, bytes, &schema)).map(|rows| (schema, rows)));
    true
}

fn assert_reads_are_the_same(csv: &CsvOptions, bytes: &[u8], schema: &SchemaRef) {
    assert_eq!(told(read_by_blocks(csv, bytes, schema)), told(read_by_records(csv, bytes, schema)));
}

/// Rows of one kind each column, now and then something else, or another number of fields.
fn any_rows(usual: &'static str, odd: &'static str) -> impl Strategy<Value = String> {
    let field = |usual: &'static str| prop_oneof![30 => usual, 1 => odd];
    let end =
        prop_oneof![40 => Just("\n"), 4 => Just("\r\n"), 2 => Just("\n\n\r\n"), 1 => Just(",x\n"), 1 => Just("\r")];
    prop::collection::vec((field(usual), field("[a-z ]{0,9}"), end), 1..200)
        .prop_map(|rows| rows.iter().map(|(a, b, end)| format!("{a},{b}{end}")).collect())
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
        decimal_comma in prop::sample::select(vec![false, false, false, true]),
        wanted in prop::sample::select(vec![DataType::Int64, DataType::Date32, DataType::Boolean, DataType::Utf8]),
        starts_marked in any::<bool>(),
    ) {
        let csv = CsvOptions { null_values, empty_as_null, decimal_comma, ..CsvOptions::default() };
        let mark = if starts_marked { "\u{feff}" } else { "" };
        let text = format!("{mark}a,b\r\n{rows}");
        assert_all_ways_are_the_same(&csv, text.as_bytes());
        let fields = vec![Field::new("b", DataType::Utf8, true), Field::new("a", wanted, true)];
        assert_reads_are_the_same(&csv, text.as_bytes(), &Schema::new(fields).into());
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
fn a_file_of_many_blocks_is_read_in_one_pass_with_its_bad_rows() {
    let row = |at: usize| format!("{at},{}.5,2024-01-{:02},\"text {at},\n\"\"x\"\"\",true\r\n", at % 100, at % 28 + 1);
    let text = format!("a,b,c,d,e\r\n{}", (0..5000).map(row).collect::<String>());
    assert!(assert_all_ways_are_the_same(&CsvOptions::default(), text.as_bytes()));
    let bad = format!("{text}1,2\n{}", (0..5000).map(row).collect::<String>());
    assert!(assert_all_ways_are_the_same(&CsvOptions::default(), bad.as_bytes()));
    let late = format!("{text}x,1,2024-01-01,,\n");
    assert!(!assert_all_ways_are_the_same(&CsvOptions::default(), late.as_bytes()));
}

#[test]
fn a_bad_row_of_a_late_block_is_told_with_its_place_and_its_bytes() {
    let schema = schema_of("a", DataType::Int64);
    let text = format!("a\n{}\"x\"\r\n7\r\n", "1\n\n\"2\"\n".repeat(1000));
    let (good, bad) = read_by_blocks(&CsvOptions::default(), text.as_bytes(), &schema).unwrap();
    assert_eq!((good.len(), bad.len()), (2001, 1));
    let place =
        "2001 SourceRecord { line: Some(3002), byte_offset: Some(7002), is_delimited: true, bytes: [34, 120, 34] }";
    assert_eq!(bad[0], format!("{place} row 2001, line 3002, column \"a\": \"x\" does not fit into Int64"));
}

#[test]
fn a_quote_that_is_never_closed_spoils_the_file_whatever_the_number_of_fields() {
    let text = format!("a,b\n{}\"3\n4,5\n", "1,2\n".repeat(1000));
    let schema: SchemaRef =
        Schema::new(vec![Field::new("a", DataType::Utf8, true), Field::new("b", DataType::Utf8, true)]).into();
    let error = read_by_blocks(&CsvOptions::default(), text.as_bytes(), &schema).unwrap_err();
    assert!(
        error.to_string().contains("line 1002: the record begins here, and a quote in it is never closed"),
        "{error}"
    );
}
