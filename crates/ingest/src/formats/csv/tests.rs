use std::io::Cursor;

use arrow::{
    array::{Array as _, AsArray as _, RecordBatch},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit},
    util::display::array_value_to_string,
};
use proptest::prelude::*;
use rstest::rstest;
use sluice_domain::{CsvOptions, Format, ReadOptions};

use super::super::{Inferred, Source, decode, infer};
use crate::{
    decode_error::DecodeError,
    limits::DecodeLimits,
    row_sink::{Good, Lenient, Strict},
};

mod ways;

fn options(csv: CsvOptions) -> ReadOptions {
    ReadOptions { csv, ..ReadOptions::of(Format::Csv) }
}

fn source(bytes: &[u8]) -> Source {
    Source::Stream(Box::new(Cursor::new(bytes.to_vec())))
}

fn inferred(csv: &CsvOptions, bytes: &[u8]) -> Result<Inferred, DecodeError> {
    infer(&options(csv.clone()), source(bytes), &DecodeLimits::default())?.strictly()
}

fn decoded(csv: &CsvOptions, bytes: &[u8], schema: &SchemaRef) -> Result<Vec<RecordBatch>, DecodeError> {
    let mut batches = Good::default();
    let limits = DecodeLimits { batch_rows: 3, ..DecodeLimits::default() };
    let rows = decode(&options(csv.clone()), source(bytes), schema, &limits, &mut batches)?;
    assert_eq!(rows, batches.0.iter().map(|batch| batch.num_rows() as u64).sum::<u64>());
    Ok(batches.0)
}

/// Both passes; the rows as text, `∅` where a value is missing.
fn both_passes(csv: &CsvOptions, bytes: &[u8]) -> Result<(Vec<String>, Vec<Vec<String>>), DecodeError> {
    let found = inferred(csv, bytes)?;
    let schema = found.table_columns();
    let batches = decoded(csv, bytes, &schema)?;
    let columns = schema.fields().iter().map(|field| format!("{}:{}", field.name(), field.data_type()));
    let rows: Vec<Vec<String>> = batches.iter().flat_map(rows_of).collect();
    assert_eq!(rows.len() as u64, found.rows);
    Ok((columns.collect(), rows))
}

fn rows_of(batch: &RecordBatch) -> Vec<Vec<String>> {
    let cell = |column: usize, row| match batch.column(column).is_null(row) {
        true => "∅".to_owned(),
        false => array_value_to_string(batch.column(column), row).unwrap(),
    };
    (0..batch.num_rows()).map(|row| (0..batch.num_columns()).map(|column| cell(column, row)).collect()).collect()
}

fn schema_of(name: &str, data_type: DataType) -> SchemaRef {
    Schema::new(vec![Field::new(name, data_type, true)]).into()
}

#[test]
fn a_file_is_read_with_the_types_that_hold_all_of_it() {
    let text = "\u{feff}id,amount,day,at,ok,note\r\n\
                1,2.5,2024-01-31,2024-01-31T10:00:00Z,true,\"a, \"\"b\"\"\r\n\"\r\n\
                \r\n\
                -9223372036854775808,3,,2024-01-31T10:00:00.5+01:00,False, x \r\n";
    let (columns, rows) = both_passes(&CsvOptions::default(), text.as_bytes()).unwrap();
    let types = ["id:Int64", "amount:Float64", "day:Date32", "at:Timestamp(µs, \"UTC\")", "ok:Boolean", "note:Utf8"];
    assert_eq!(columns, types);
    assert_eq!(rows[0], ["1", "2.5", "2024-01-31", "2024-01-31T10:00:00Z", "true", "a, \"b\"\r\n"]);
    assert_eq!(rows[1], ["-9223372036854775808", "3.0", "∅", "2024-01-31T09:00:00.500Z", "false", " x "]);
}

#[rstest]
#[case("a\n1\n9007199254740993\n0.5\n", "Utf8", &["1", "9007199254740993", "0.5"])]
#[case("a\n1\n9223372036854775808\n", "Decimal128(38, 0)", &["1", "9223372036854775808"])]
#[case("a\n007\n1\n", "Utf8", &["007", "1"])]
#[case("a\n1\nx\n", "Utf8", &["1", "x"])]
#[case("a\n2024-01-01\n2024-01-01 10:00\n", "Timestamp(µs)", &["2024-01-01T00:00:00", "2024-01-01T10:00:00"])]
#[case("a\n\"\"\n\"\"\n", "Utf8", &["∅", "∅"])]
#[case("a\n 5 \n-0\n", "Int64", &["5", "0"])]
fn mixed_values_share_a_type_that_changes_none(#[case] text: &str, #[case] kind: &str, #[case] values: &[&str]) {
    let (columns, rows) = both_passes(&CsvOptions::default(), text.as_bytes()).unwrap();
    assert_eq!(columns, [format!("a:{kind}")]);
    assert_eq!(rows.concat(), values);
}

#[rstest]
#[case("a,a,A,,a_1\n1,2,3,4,5\n", true, &["a", "a_1", "A_2", "column_4", "a_1_1"])]
#[case("1,2,3\n", false, &["column_1", "column_2", "column_3"])]
fn columns_have_a_name_each(#[case] text: &str, #[case] header: bool, #[case] names: &[&str]) {
    let found = inferred(&CsvOptions { header, ..CsvOptions::default() }, text.as_bytes()).unwrap();
    assert_eq!(found.schema.fields().iter().map(|field| field.name()).collect::<Vec<_>>(), names);
    assert_eq!(found.rows, 1);
}

#[rstest]
#[case(b"a,b\n1,2\n1,2,3\n", "line 3: the record has 3 fields, the first one has 2")]
#[case(b"a,b\r\n1,2\r\n1\r\n", "line 3: the record has 1 fields")]
#[case(b"a,b\n1,\xff\n", "line 2, column \"b\": the text is not UTF-8")]
#[case(b"a,b\n1,\xc3\n\xa9,2\n", "line 2, column \"b\": the text is not UTF-8")]
#[case(b"a,b\n\xc3,\xa9\n", "line 2, column \"a\": the text is not UTF-8")]
#[case(b"a,b\n1,2\n3,\"4\n5,6\n", "line 3: the record begins here, and a quote in it is never closed")]
#[case(b"a,b\n1,2\n3,\"4\n\n", "line 3: the record begins here, and a quote in it is never closed")]
#[case(b"a,b\n1,2\n3,\"4\"\"", "line 3: the record begins here, and a quote in it is never closed")]
#[case(b"a,\"b", "line 1: the record begins here, and a quote in it is never closed")]
#[case(b"a,\"b\nc\"\n", "line 1, column \"column_2\": column name")]
#[case(b"a,\xff\n", "line 1, column \"column_2\": the name is not UTF-8")]
fn a_broken_file_is_refused_naming_the_place(#[case] bytes: &[u8], #[case] place: &str) {
    let error = inferred(&CsvOptions::default(), bytes).unwrap_err();
    assert!(matches!(error, DecodeError::Malformed { .. }), "{error:?}");
    assert!(error.to_string().contains(place), "{error}");
}

#[rstest]
#[case(b"")]
#[case(b"\xef\xbb\xbf")]
#[case(b"\n\r\n\n")]
fn a_file_without_a_header_is_empty(#[case] bytes: &[u8]) {
    assert!(matches!(inferred(&CsvOptions::default(), bytes), Err(DecodeError::Empty)));
    let decoded = decoded(&CsvOptions::default(), bytes, &schema_of("a", DataType::Utf8));
    assert!(matches!(decoded, Err(DecodeError::Empty)));
}

#[test]
fn a_header_alone_is_no_rows() {
    let found = inferred(&CsvOptions::default(), b"a,b").unwrap();
    assert_eq!((found.rows, found.schema.fields().len()), (0, 2));
    assert!(decoded(&CsvOptions::default(), b"a,b", &found.schema).unwrap().is_empty());
}

#[test]
fn a_closed_quote_at_the_very_end_is_fine() {
    for text in ["a\n\"x\"", "a\n\"x\n\"", "a\n\"x\n\"\n", "a\n\"x\"\r\n", "a\nx\n\n\n"] {
        assert_eq!(both_passes(&CsvOptions::default(), text.as_bytes()).unwrap().1.len(), 1, "{text:?}");
    }
}

#[test]
fn other_delimiters_quotes_and_nulls_are_honoured() {
    let csv = CsvOptions {
        delimiter: b'\t',
        quote: None,
        null_values: vec!["NA".into()],
        empty_as_null: false,
        ..CsvOptions::default()
    };
    let (columns, rows) = both_passes(&csv, b"n\ts\nNA\t\"a\n7\t\n").unwrap();
    assert_eq!(columns, ["n:Int64", "s:Utf8"]);
    assert_eq!(rows, [["∅", "\"a"], ["7", ""]]);
}

#[rstest]
#[case(DataType::Int8, "128", false)]
#[case(DataType::Int8, "-128", true)]
#[case(DataType::Int64, "5.0", false)]
#[case(DataType::Int64, "+5", false)]
#[case(DataType::Int64, "05", false)]
#[case(DataType::Float64, "9007199254740992", true)]
#[case(DataType::Float64, "9007199254740993", false)]
#[case(DataType::Float64, "1e999", false)]
#[case(DataType::Float32, "16777217", false)]
#[case(DataType::Float32, "1e300", false)]
#[case(DataType::Float32, "0.1", true)]
#[case(DataType::Decimal128(5, 2), "123.45", true)]
#[case(DataType::Decimal128(5, 2), "123.456", false)]
#[case(DataType::Boolean, "TRUE", true)]
#[case(DataType::Boolean, "1", false)]
#[case(DataType::Date32, "2024-02-30", false)]
#[case(DataType::Date32, "2024-02-29T00:00", false)]
#[case(DataType::Timestamp(TimeUnit::Microsecond, None), "2024-02-29", true)]
#[case(DataType::Timestamp(TimeUnit::Microsecond, None), "2024-02-29T00:00Z", false)]
#[case(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), "2024-02-29T00:00Z", true)]
#[case(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), "2024-02-29T00:00", false)]
#[case(DataType::Utf8, " anything ", true)]
#[case(DataType::Binary, "x", false)]
fn a_value_fits_its_column_or_is_named(#[case] data_type: DataType, #[case] value: &str, #[case] fits: bool) {
    let schema = schema_of("a", data_type.clone());
    let file = format!("A\n\n{value}\n");
    match decoded(&CsvOptions::default(), file.as_bytes(), &schema) {
        Ok(batches) => {
            assert!(fits, "{value} was taken as {data_type}");
            assert_eq!(batches[0].column(0).null_count(), 0);
        }
        Err(DecodeError::Mismatch { row, line, column, value: named, .. }) => {
            assert!(!fits, "{value} was refused as {data_type}");
            assert_eq!((row, line, column.as_str(), named.as_str()), (Some(1), Some(3), "a", value));
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn columns_go_where_their_name_says() {
    let fields = ["a", "b", "c"].map(|name| Field::new(name, DataType::Int64, name != "c"));
    let schema: SchemaRef = Schema::new(fields.to_vec()).into();
    let batches = decoded(&CsvOptions::default(), b"C,a\n1,2\n3,4\n5,6\n7,8\n", &schema).unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(batches[0].column(2).as_primitive::<Int64Type>().values(), &[1, 3, 5]);
    assert_eq!(batches[0].column(1).null_count(), 3);
    let unknown = decoded(&CsvOptions::default(), b"c,d\n1,2\n", &schema);
    assert!(matches!(unknown, Err(DecodeError::UnknownColumn { column, line: Some(1) }) if column == "d"));
    let missing = decoded(&CsvOptions::default(), b"a\n1\n", &schema);
    assert!(matches!(missing, Err(DecodeError::Mismatch { row: Some(1), line: Some(2), .. })));
}

#[test]
fn limits_hold() {
    let wide = format!("{}a\n", "a,".repeat(2000));
    assert!(matches!(inferred(&CsvOptions::default(), wide.as_bytes()), Err(DecodeError::TooManyColumns { .. })));
    let limits = DecodeLimits { record_bytes: 100_000, ..DecodeLimits::default() };
    for (length, fits) in [(99_990, true), (100_010, false), (1_000_000, false)] {
        let long = format!("a\n1\n\"{}", "x\n".repeat(length / 2));
        let found = infer(&options(CsvOptions::default()), source(format!("{long}\"\n").as_bytes()), &limits);
        match found {
            Ok(_) => assert!(fits),
            Err(error) => {
                assert!(!fits, "{error}");
                assert!(error.to_string().contains("line 3: the record has more than 100000 bytes"), "{error}");
            }
        }
    }
}

#[test]
fn a_sink_that_is_closed_stops_the_decoding() {
    let schema = schema_of("a", DataType::Int64);
    let outcome = decode(
        &options(CsvOptions::default()),
        source(b"a\n1\n"),
        &schema,
        &DecodeLimits::default(),
        &mut Strict(|_| Err(DecodeError::Stopped)),
    );
    assert!(matches!(outcome, Err(DecodeError::Stopped)));
}

#[test]
fn a_panic_is_an_error() {
    let schema = schema_of("a", DataType::Int64);
    let outcome = decode(
        &options(CsvOptions::default()),
        source(b"a\n1\n"),
        &schema,
        &DecodeLimits::default(),
        &mut Strict(|_| panic!("a decoder's panic")),
    );
    assert!(outcome.unwrap_err().to_string().contains("the file could not be decoded"));
}

proptest! {
    #[test]
    fn any_texts_read_back_as_they_were_written(
        rows in prop::collection::vec(prop::array::uniform2("x[a-z0-9 ,\"\n\r\tü]{0,12}"), 1..20),
    ) {
        let mut writer = csv::Writer::from_writer(b"a,b\n".to_vec());
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        let (_, read) = both_passes(&CsvOptions::default(), &writer.into_inner().unwrap()).unwrap();
        prop_assert_eq!(read, rows.into_iter().map(Vec::from).collect::<Vec<_>>());
    }

    #[test]
    fn any_whole_numbers_read_back_as_they_were_written(numbers in prop::collection::vec(any::<i64>(), 1..20)) {
        let text: String = numbers.iter().map(|number| format!("{number}\n")).collect();
        let (_, read) = both_passes(&CsvOptions::default(), format!("a\n{text}").as_bytes()).unwrap();
        prop_assert_eq!(read.concat(), numbers.iter().map(i64::to_string).collect::<Vec<_>>());
    }

    #[test]
    fn what_the_first_pass_accepts_the_second_pass_reads(
        fields in prop::collection::vec(
            "(-?[0-9]{1,20}(\\.[0-9]{0,3})?(e[0-9]{1,3})?|true|NaN|inf|2024-0[1-3]-[0-3][0-9]([T ]1[0-9]:00(Z|\\+01)?)?| ?[a-z0-9.+:-]{0,6} ?)",
            1..12,
        ),
    ) {
        let file = format!("a,b\n{}", fields.iter().map(|field| format!("{field},x\n")).collect::<String>());
        let (_, rows) = both_passes(&CsvOptions::default(), file.as_bytes()).unwrap();
        prop_assert_eq!(rows.len(), fields.len());
    }

    #[test]
    fn any_bytes_are_rows_or_an_error(bytes in prop::collection::vec(prop_oneof![
        any::<u8>(), prop::sample::select(b"\",\n\r 1a-".to_vec()),
    ], 0..80)) {
        if let Err(error) = both_passes(&CsvOptions::default(), &bytes) {
            prop_assert!(!error.to_string().contains("could not be decoded"), "{}", error);
        }
    }
}

#[test]
fn a_record_of_delimiters_is_refused_before_it_is_remembered() {
    let refused = |bytes: Vec<u8>| {
        let error = inferred(&CsvOptions::default(), &bytes).unwrap_err();
        assert!(error.to_string().contains("more than 2097152 delimiters"), "{error}");
    };
    refused(vec![b','; 4 << 20]);
    refused([&b"a,b\n1,\""[..], &vec![b','; 4 << 20], b"\"\n"].concat());
    let many = [&b"a,b\n1,\""[..], &b"12345678,".repeat(100_000), b"\"\n"].concat();
    assert_eq!(inferred(&CsvOptions::default(), &many).unwrap().rows, 1);
}

#[test]
fn bad_records_are_told_of_and_decoding_goes_on_behind_them() {
    let bytes = b"id,name\n1,a\nx,b\n3\n4,\xff\n5,\"two\nlines\"\nsix,\"e\nf\"\n7,g\n";
    let schema = inferred(&CsvOptions::default(), b"id,name\n1,a\n").unwrap().schema;
    let mut sink = Lenient::default();
    let limits = DecodeLimits { batch_rows: 3, ..DecodeLimits::default() };
    let rows = decode(&options(CsvOptions::default()), source(bytes), &schema, &limits, &mut sink).unwrap();
    let good: Vec<Vec<String>> = sink.batches.iter().flat_map(rows_of).collect();
    assert_eq!(
        (rows, good),
        (3, vec![vec!["1".into(), "a".into()], vec!["5".into(), "two\nlines".into()], vec!["7".into(), "g".into()]])
    );
    let bad: Vec<_> = sink.bad.iter().map(|row| (row.number, row.source.line, &row.source.bytes[..])).collect();
    let expected: [(u64, Option<u64>, &[u8]); 4] =
        [(2, Some(3), b"x,b"), (3, Some(4), b"3"), (4, Some(5), b"4,\xff"), (6, Some(8), b"six,\"e\nf\"")];
    assert_eq!(bad, expected);
    let starts: Vec<_> = sink.bad.iter().map(|row| row.source.byte_offset.unwrap() as usize).collect();
    for (start, row) in starts.into_iter().zip(&sink.bad) {
        assert!(bytes[start..].starts_with(&row.source.bytes), "{row:?}");
    }
}
