use std::{fs::File, io::Write as _, sync::Arc};

use arrow::{
    array::{
        Array as _, ArrayRef, AsArray as _, BinaryArray, Date32Array, Decimal128Array, DictionaryArray,
        FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array, LargeStringArray, ListArray,
        ListBuilder, NullArray, RecordBatch, StringArray, StringBuilder, StringViewArray, StructArray,
        TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array,
    },
    datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, TimeUnit},
    util::display::array_value_to_string,
};
use parquet::{
    arrow::ArrowWriter,
    basic::ZstdLevel,
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};
use proptest::prelude::*;
use rstest::rstest;
use sluice_domain::{Format, ReadOptions};

mod expansion;

use super::{
    super::{Inferred, Source, decode, infer},
    columnar::slices::SLICE_BYTES,
};
use crate::{
    decode_error::DecodeError,
    limits::DecodeLimits,
    row_sink::{Good, Lenient, Strict},
};

fn options() -> ReadOptions {
    ReadOptions::of(Format::Parquet)
}

fn source(bytes: &[u8]) -> Source {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Source::Blob(file.try_into().unwrap())
}

fn inferred(bytes: &[u8]) -> Result<Inferred, DecodeError> {
    infer(&options(), source(bytes), &DecodeLimits::default())
}

fn decoded(bytes: &[u8], schema: &SchemaRef) -> Result<Vec<RecordBatch>, DecodeError> {
    let mut batches = Good::default();
    let limits = DecodeLimits { batch_rows: 2, ..DecodeLimits::default() };
    decode(&options(), source(bytes), schema, &limits, &mut batches)?;
    Ok(batches.0)
}

fn file_of(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn schema_of(name: &str, data_type: DataType) -> SchemaRef {
    Schema::new(vec![Field::new(name, data_type, true)]).into()
}

fn texts(batches: &[RecordBatch], column: usize) -> Vec<String> {
    let cell = |batch: &RecordBatch, row| match batch.column(column).is_null(row) {
        true => "∅".to_owned(),
        false => array_value_to_string(batch.column(column), row).unwrap(),
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| cell(batch, row))).collect()
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn local() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

#[test]
fn a_file_is_read_with_types_that_a_table_stores() {
    let tags = DictionaryArray::<Int32Type>::from_iter([Some("x"), None, Some("x")]);
    let nanos = TimestampNanosecondArray::from(vec![1_000, -1_000, 0]).with_timezone("+02:00");
    let pairs = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None]), None, None], 2);
    let place = StructArray::from(vec![(
        Arc::new(Field::new("big", DataType::UInt64, true)),
        Arc::new(UInt64Array::from(vec![u64::MAX, 0, 1])) as ArrayRef,
    )]);
    let bytes = file_of(vec![
        ("tag", Arc::new(tags)),
        ("at", Arc::new(nanos)),
        ("pair", Arc::new(pairs)),
        ("place", Arc::new(place)),
        ("none", Arc::new(NullArray::new(3))),
    ]);
    let found = inferred(&bytes).unwrap();
    assert_eq!(found.rows, 3);
    let batches = decoded(&bytes, &found.schema).unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [2, 1]);
    assert!(batches.iter().all(|batch| batch.schema() == found.schema));
    assert_eq!(found.schema.field(1).data_type(), &instant());
    assert_eq!(texts(&batches, 0), ["x", "∅", "x"]);
    assert_eq!(
        texts(&batches, 1),
        ["1970-01-01T00:00:00.000001Z", "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z"]
    );
    assert_eq!(texts(&batches, 2), ["[1, ]", "∅", "∅"]);
    assert_eq!(texts(&batches, 3), ["{big: 18446744073709551615}", "{big: 0}", "{big: 1}"]);
    assert_eq!(texts(&batches, 4), ["∅", "∅", "∅"]);
}

fn decimals(values: Vec<i128>, precision: u8, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap())
}

#[rstest]
#[case(Arc::new(Int64Array::from(vec![1, 127])), DataType::Int8, None)]
#[case(Arc::new(Int64Array::from(vec![1, 128])), DataType::Int8, Some("128"))]
#[case(Arc::new(Int8Array::from(vec![1, -1])), DataType::Int64, None)]
#[case(Arc::new(UInt64Array::from(vec![1, u64::MAX])), DataType::Int64, Some("18446744073709551615"))]
#[case(Arc::new(Int64Array::from(vec![1, (1 << 53) + 1])), DataType::Float64, Some("9007199254740993"))]
#[case(Arc::new(Int64Array::from(vec![1, 1 << 53])), DataType::Float64, None)]
#[case(Arc::new(Int32Array::from(vec![1, (1 << 24) + 1])), DataType::Float32, Some("16777217"))]
#[case(Arc::new(Int64Array::from(vec![1, 1000])), DataType::Decimal128(5, 2), Some("1000"))]
#[case(Arc::new(Float32Array::from(vec![0.5, 1.5])), DataType::Float64, None)]
#[case(Arc::new(LargeStringArray::from(vec!["a", "b"])), DataType::Utf8, None)]
#[case(Arc::new(TimestampNanosecondArray::from(vec![1000, 1001])), local(), Some("1970-01-01T00:00:00.000001001"))]
#[case(Arc::new(TimestampMillisecondArray::from(vec![1, i64::MAX])), local(), Some(""))]
#[case(Arc::new(Date32Array::from(vec![1, 2])), local(), None)]
#[case(Arc::new(Date32Array::from(vec![1, i32::MAX])), local(), Some(""))]
#[case(decimals(vec![100, 12_345], 5, 2), DataType::Decimal128(6, 3), None)]
#[case(decimals(vec![100, 12_345], 5, 2), DataType::Decimal128(5, 3), Some("123.45"))]
fn a_value_fits_its_column_or_is_named(#[case] values: ArrayRef, #[case] to: DataType, #[case] bad: Option<&str>) {
    match (decoded(&file_of(vec![("A", values)]), &schema_of("a", to)), bad) {
        (Ok(batches), None) => assert_eq!(batches[0].column(0).null_count(), 0),
        (Err(DecodeError::Mismatch { row, column, value, .. }), Some(bad)) => {
            assert_eq!((row, column.as_str()), (Some(2), "a"));
            assert!(value.contains(bad), "{value}");
        }
        (outcome, _) => panic!("{outcome:?}"),
    }
}

#[rstest]
#[case(Arc::new(Float64Array::from(vec![0.5])), DataType::Float32)]
#[case(Arc::new(Float64Array::from(vec![1.0])), DataType::Int64)]
#[case(Arc::new(StringArray::from(vec!["1"])), DataType::Int64)]
#[case(Arc::new(Int64Array::from(vec![1])), DataType::Utf8)]
#[case(Arc::new(TimestampMillisecondArray::from(vec![1])), instant())]
#[case(Arc::new(TimestampMillisecondArray::from(vec![1])), DataType::Date32)]
#[case(decimals(vec![100], 5, 2), DataType::Decimal128(5, 1))]
#[case(Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])])), DataType::Int32)]
fn a_type_of_another_meaning_is_refused(#[case] values: ArrayRef, #[case] to: DataType) {
    let error = decoded(&file_of(vec![("a", values)]), &schema_of("a", to)).unwrap_err();
    assert!(matches!(error, DecodeError::Mismatch { row: None, .. }), "{error:?}");
}

#[test]
fn columns_and_fields_go_where_their_name_says() {
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("X", DataType::Int32, true)),
        Arc::new(Int32Array::from(vec![1, 2, 3])) as ArrayRef,
    )]);
    let bytes = file_of(vec![("B", Arc::new(inner)), ("a", Arc::new(Int32Array::from(vec![7, 8, 9])))]);
    let fields = vec![Field::new("y", DataType::Utf8, true), Field::new("x", DataType::Int64, true)];
    let table = |fields: Vec<Field>| -> SchemaRef {
        let b = Field::new("b", DataType::Struct(fields.into()), true);
        Schema::new(vec![Field::new("a", DataType::Int64, true), b, Field::new("c", DataType::Utf8, true)]).into()
    };
    let batches = decoded(&bytes, &table(fields)).unwrap();
    assert_eq!(texts(&batches, 0), ["7", "8", "9"]);
    assert_eq!(texts(&batches, 1), ["{y: , x: 1}", "{y: , x: 2}", "{y: , x: 3}"]);
    assert_eq!(texts(&batches, 2), ["∅", "∅", "∅"]);
    let unknown = decoded(&bytes, &table(vec![Field::new("z", DataType::Utf8, true)]));
    assert!(matches!(unknown, Err(DecodeError::UnknownColumn { column, .. }) if column == "B.X" || column == "b.X"));
    let unknown = decoded(&bytes, &schema_of("a", DataType::Int64));
    assert!(matches!(unknown, Err(DecodeError::UnknownColumn { column, .. }) if column == "B"));
}

#[test]
fn a_missing_value_is_refused_where_one_must_be() {
    let schema: SchemaRef = Schema::new(vec![Field::new("a", DataType::Int64, false)]).into();
    let bytes = file_of(vec![("a", Arc::new(Int64Array::from(vec![Some(1), Some(2), None])))]);
    assert!(matches!(decoded(&bytes, &schema), Err(DecodeError::Mismatch { row: Some(3), .. })));
}

#[test]
fn what_no_table_stores_is_refused_naming_the_column() {
    let spans = arrow::array::DurationSecondArray::from(vec![1]);
    let error = inferred(&file_of(vec![("took", Arc::new(spans))])).unwrap_err();
    assert!(error.to_string().contains("column \"took\": a table cannot store values of type"), "{error}");
    let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let error = inferred(&file_of(vec![("a", Arc::clone(&one)), ("A", one)])).unwrap_err();
    assert!(error.to_string().contains("there are two columns of this name"), "{error}");
}

#[test]
fn a_file_that_is_none_or_cut_off_is_refused() {
    assert!(matches!(inferred(b""), Err(DecodeError::Empty)));
    let whole = file_of(vec![("a", Arc::new(Int64Array::from(vec![1, 2, 3])))]);
    for bytes in [b"PAR1".to_vec(), b"id,name\n1,x\n2,yyyyyyyyy\n".to_vec(), whole[..whole.len() - 3].to_vec()] {
        let error = inferred(&bytes).unwrap_err();
        assert!(matches!(error, DecodeError::Malformed { format: Format::Parquet, .. }), "{error:?}");
    }
    let mut huge = whole.clone();
    let end = huge.len() - 8;
    huge[end..end + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(inferred(&huge), Err(DecodeError::Malformed { .. })));
    assert!(matches!(
        infer(&options(), Source::Stream(Box::new(std::io::empty())), &DecodeLimits::default()),
        Err(DecodeError::Read(_))
    ));
}

#[test]
fn limits_hold() {
    let bytes =
        file_of((0..5).map(|_| "c").zip((0..5).map(|at| Arc::new(Int64Array::from(vec![at])) as ArrayRef)).collect());
    let few = DecodeLimits { columns: 4, ..DecodeLimits::default() };
    assert!(matches!(infer(&options(), source(&bytes), &few), Err(DecodeError::TooManyColumns { limit: 4 })));
    let short = DecodeLimits { parquet_footer_bytes: 100, ..DecodeLimits::default() };
    assert!(matches!(infer(&options(), source(&bytes), &short), Err(DecodeError::Malformed { .. })));
    let groups = DecodeLimits { parquet_row_groups: 0, ..DecodeLimits::default() };
    assert!(infer(&options(), source(&bytes), &groups).unwrap_err().to_string().contains("row groups"));
    let long = file_of(vec![("a", Arc::new(Int64Array::from_iter_values(0..10_000)))]);
    let little = DecodeLimits { decoded_bytes: 50_000, ..DecodeLimits::default() };
    let outcome = decode(&options(), source(&long), &schema_of("a", DataType::Int64), &little, &mut Strict(|_| Ok(())));
    assert!(matches!(outcome, Err(DecodeError::TooLarge { limit_bytes: 50_000 })));
}

/// A file of one column, written value by value as this message type says.
fn file_of_values<T: parquet::data_type::DataType>(message: &str, values: &[T::T]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(message).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn timestamps_of_spark_reach_the_year_9999() {
    let julian_day_1970 = 2_440_588_u32;
    let mut values = [parquet::data_type::Int96::new(), parquet::data_type::Int96::new()];
    values[0].set_data(1_000, 0, julian_day_1970);
    values[1].set_data(1_000, 0, julian_day_1970 + 2_932_896);
    let bytes = file_of_values::<parquet::data_type::Int96Type>("message m { required int96 at; }", &values);
    let schema = inferred(&bytes).unwrap().schema;
    assert_eq!(schema.field(0).data_type(), &local());
    let batches = decoded(&bytes, &schema).unwrap();
    assert_eq!(texts(&batches, 0), ["1970-01-01T00:00:00.000001", "9999-12-31T00:00:00.000001"]);
}

#[test]
fn text_that_is_none_is_refused_whatever_its_annotation() {
    let bytes = file_of_values::<parquet::data_type::ByteArrayType>(
        "message m { required binary a (JSON); }",
        &[vec![b'"', 0xff, b'"'].into()],
    );
    let schema = inferred(&bytes).unwrap().schema;
    assert!(matches!(decoded(&bytes, &schema), Err(DecodeError::Malformed { .. })));
}

fn nested(depth: usize) -> Vec<u8> {
    let mut deep: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    for _ in 0..depth {
        deep = Arc::new(StructArray::from(vec![(Arc::new(Field::new("x", deep.data_type().clone(), true)), deep)]));
    }
    file_of(vec![("a", deep)])
}

#[test]
fn nesting_is_read_up_to_what_a_table_can_have() {
    let bytes = nested(31);
    let found = inferred(&bytes).unwrap();
    assert_eq!(decoded(&bytes, &found.schema).unwrap()[0].num_rows(), 1);
    assert!(matches!(inferred(&nested(33)), Err(DecodeError::TooDeep { limit: 16, .. })));
}

#[test]
fn a_footer_that_would_overflow_the_stack_is_refused() {
    // A schema of groups within groups: name "x", one child each.
    let element = [0x48, 1, b'x', 0x15, 2, 0];
    let mut footer = vec![0x15, 2, 0x19, 0xfc];
    footer.extend([0xc0, 0x84, 0x3d]);
    footer.extend(element.repeat(1_000_000));
    footer.push(0);
    let length = (footer.len() as u32).to_le_bytes();
    let bytes = [b"PAR1", &footer[..], &length, b"PAR1"].concat();
    assert!(matches!(inferred(&bytes), Err(DecodeError::TooDeep { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_damaged_file_is_rows_or_an_error(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let tags = DictionaryArray::<Int32Type>::from_iter([Some("x"), None, Some("yy")]);
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
        let mut bytes = file_of(vec![("tag", Arc::new(tags)), ("list", Arc::new(lists))]);
        let at = at.index(bytes.len());
        if cut {
            bytes.drain(..at);
        } else {
            bytes[at] = byte;
        }
        if let Ok(found) = inferred(&bytes) {
            let _ = decoded(&bytes, &found.schema);
        }
    }

    #[test]
    fn any_footer_is_a_schema_or_an_error(footer in prop::collection::vec(any::<u8>(), 0..200)) {
        let length = (footer.len() as u32).to_le_bytes();
        let _ = inferred(&[b"PAR1", &footer[..], &length, b"PAR1"].concat());
    }
}

#[test]
fn rows_that_do_not_fit_are_told_of_and_the_others_taken() {
    let numbers: ArrayRef = Arc::new(StringArray::from(vec![Some("1"), Some("x"), None, Some("2024-01-01")]));
    let big: ArrayRef = Arc::new(Int64Array::from(vec![1, 1 << 60, 3, i64::MAX]));
    let bytes = file_of(vec![("text", numbers), ("big", big)]);
    let fields = vec![Field::new("text", DataType::Utf8, true), Field::new("big", DataType::Float64, true)];
    let mut sink = Lenient::default();
    let schema = Arc::new(Schema::new(fields));
    let rows = decode(&options(), source(&bytes), &schema, &DecodeLimits::default(), &mut sink).unwrap();
    assert_eq!((rows, sink.batches[0].num_rows()), (2, 2));
    let bad: Vec<_> = sink.bad.iter().map(|row| (row.number, String::from_utf8_lossy(&row.source.bytes))).collect();
    let second = r#"{"text":"x","big":1152921504606846976}"#;
    let fourth = r#"{"text":"2024-01-01","big":9223372036854775807}"#;
    assert_eq!(bad, [(2, second.into()), (4, fourth.into())]);
}
