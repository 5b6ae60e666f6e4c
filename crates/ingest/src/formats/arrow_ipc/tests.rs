use std::{fs::File, io::Write as _, sync::Arc};

use arrow::{
    array::{
        Array as _, ArrayRef, Decimal256Array, DictionaryArray, DurationSecondArray, FixedSizeListArray, Int32Array,
        Int64Array, LargeListArray, LargeStringArray, ListBuilder, ListViewArray, MapBuilder, RecordBatch, StringArray,
        StringBuilder, StringViewArray, Time64MicrosecondArray, TimestampNanosecondArray, UInt8Array, UnionArray,
    },
    buffer::{OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, Field, Int8Type, Int32Type, Schema, TimeUnit, UnionFields, i256},
    ipc::{
        CompressionType,
        writer::{FileWriter, IpcWriteOptions, StreamWriter},
    },
    util::display::array_value_to_string,
};
use rstest::rstest;
use sluice_domain::{Format, ReadOptions};

use super::super::{Inferred, Source, decode, infer};
use super::*;
use crate::limits::DecodeLimits;

fn source(bytes: &[u8]) -> Source {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Source::Blob(file.try_into().unwrap())
}

fn options() -> ReadOptions {
    ReadOptions::of(Format::Arrow)
}

fn inferred(bytes: &[u8]) -> Result<Inferred, DecodeError> {
    infer(&options(), source(bytes), &DecodeLimits::default())
}

fn decoded(bytes: &[u8], schema: &SchemaRef, limits: &DecodeLimits) -> Result<Vec<RecordBatch>, DecodeError> {
    let mut batches = crate::row_sink::Good::default();
    let rows = decode(&options(), source(bytes), schema, limits, &mut batches)?;
    assert_eq!(rows, batches.0.iter().map(|batch| batch.num_rows() as u64).sum::<u64>());
    Ok(batches.0)
}

/// The type of the only column, and its values as text.
fn both_passes(bytes: &[u8]) -> Result<(DataType, Vec<Option<String>>), DecodeError> {
    let Inferred { schema, .. } = inferred(bytes)?;
    let limits = DecodeLimits { batch_rows: 2, ..DecodeLimits::default() };
    let batches = decoded(bytes, &schema, &limits)?;
    let text = |batch: &RecordBatch, row| {
        let column = batch.column(0);
        column.is_valid(row).then(|| array_value_to_string(column, row).unwrap())
    };
    let values = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| text(batch, row))).collect();
    Ok((schema.field(0).data_type().clone(), values))
}

fn batch_of(column: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap()
}

fn stream_of(batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<u8> {
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

fn file_of(batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<u8> {
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

fn numbers() -> ArrayRef {
    Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]))
}

#[rstest]
fn every_way_of_writing_gives_the_same_rows(
    #[values(stream_of, file_of)] write: fn(&[RecordBatch], IpcWriteOptions) -> Vec<u8>,
    #[values(None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD))] compression: Option<CompressionType>,
) {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let bytes = write(&[batch_of(numbers()), batch_of(numbers())], options);
    assert_eq!(inferred(&bytes).unwrap().rows, 6);
    let (data_type, values) = both_passes(&bytes).unwrap();
    let expected = [Some("1"), None, Some("3"), Some("1"), None, Some("3")].map(|value| value.map(str::to_owned));
    assert_eq!((data_type, values), (DataType::Int64, expected.to_vec()));
}

fn dictionary() -> ArrayRef {
    let keys = arrow::array::Int8Array::from(vec![Some(1), None, Some(0)]);
    Arc::new(DictionaryArray::<Int8Type>::new(keys, Arc::new(StringArray::from(vec!["a", "b"]))))
}

fn fixed_list() -> ArrayRef {
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    Arc::new(FixedSizeListArray::new(item, 2, Arc::new(Int32Array::from(vec![1, 2, 3, 4])), None))
}

fn large_list() -> ArrayRef {
    Arc::new(LargeListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]))
}

fn list_view() -> ArrayRef {
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let (offsets, sizes) = (ScalarBuffer::from(vec![1, 0]), ScalarBuffer::from(vec![1, 2]));
    Arc::new(ListViewArray::new(item, offsets, sizes, Arc::new(Int32Array::from(vec![5, 6])), None))
}

fn texts() -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    builder.append_value([Some("x"), None]);
    Arc::new(builder.finish())
}

#[rstest]
#[case(dictionary(), DataType::Utf8, &["b", "-", "a"])]
#[case(Arc::new(StringViewArray::from(vec![Some("a text that is not short"), None])), DataType::Utf8,
       &["a text that is not short", "-"])]
#[case(Arc::new(LargeStringArray::from(vec!["a"])), DataType::Utf8, &["a"])]
#[case(Arc::new(UInt8Array::from(vec![255])), DataType::Int16, &["255"])]
#[case(Arc::new(Time64MicrosecondArray::from(vec![3_600_000_001])), DataType::Utf8, &["01:00:00.000001"])]
#[case(Arc::new(Decimal256Array::from(vec![i256::from_i128(-12_345)]).with_precision_and_scale(38, 2).unwrap()),
       DataType::Decimal128(38, 2), &["-123.45"])]
#[case(Arc::new(TimestampNanosecondArray::from(vec![1_000])), DataType::Timestamp(TimeUnit::Microsecond, None),
       &["1970-01-01T00:00:00.000001"])]
#[case(fixed_list(), list_of(DataType::Int32), &["[1, 2]", "[3, 4]"])]
#[case(large_list(), list_of(DataType::Int32), &["[1, ]", "-"])]
#[case(list_view(), list_of(DataType::Int32), &["[6]", "[5, 6]"])]
#[case(texts(), list_of(DataType::Utf8), &["[x, ]"])]
#[case(map(), map_of(DataType::Utf8), &["{k: v}"])]
fn a_type_is_stored_where_a_table_can(#[case] column: ArrayRef, #[case] stored: DataType, #[case] values: &[&str]) {
    let expected: Vec<_> = values.iter().map(|value| (*value != "-").then(|| (*value).to_owned())).collect();
    for write in [stream_of, file_of] {
        let bytes = write(&[batch_of(Arc::clone(&column))], IpcWriteOptions::default());
        assert_eq!(both_passes(&bytes).unwrap(), (stored.clone(), expected.clone()));
    }
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", item, true)))
}

fn map_of(value: DataType) -> DataType {
    let fields = vec![Field::new("key", DataType::Utf8, false), Field::new("value", value, true)];
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(fields.into()), false)), false)
}

fn map() -> ArrayRef {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    builder.keys().append_value("k");
    builder.values().append_value("v");
    builder.append(true).unwrap();
    Arc::new(builder.finish())
}

fn union() -> ArrayRef {
    let fields = UnionFields::try_new([0], [Field::new("a", DataType::Int32, true)]).unwrap();
    let values: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![1]))];
    Arc::new(UnionArray::try_new(fields, ScalarBuffer::from(vec![0_i8]), None, values).unwrap())
}

#[rstest]
#[case(union())]
#[case(Arc::new(DurationSecondArray::from(vec![1])))]
#[case(Arc::new(Decimal256Array::from(vec![i256::ONE]).with_precision_and_scale(76, 0).unwrap()))]
fn a_type_that_no_table_has_is_refused_with_its_column(#[case] column: ArrayRef) {
    let bytes = stream_of(&[batch_of(column)], IpcWriteOptions::default());
    let error = inferred(&bytes).unwrap_err().to_string();
    assert!(error.contains("column \"c\": a table cannot store values of type"), "{error}");
}

#[test]
fn nanoseconds_that_would_be_cut_off_are_refused_with_their_row() {
    let stamps = TimestampNanosecondArray::from(vec![1_000, 1_001]);
    let error = both_passes(&stream_of(&[batch_of(Arc::new(stamps))], IpcWriteOptions::default())).unwrap_err();
    assert!(matches!(error, DecodeError::Mismatch { row: Some(2), .. }), "{error:?}");
}

#[test]
fn a_value_that_many_keys_stand_for_counts_for_each() {
    let long = "x".repeat(1 << 20);
    let keys = Int32Array::from(vec![0; 4096]);
    let column = DictionaryArray::<Int32Type>::new(keys, Arc::new(StringArray::from(vec![long.as_str()])));
    let bytes = stream_of(&[batch_of(Arc::new(column))], IpcWriteOptions::default());
    let schema = inferred(&bytes).unwrap().schema;
    let error = decoded(&bytes, &schema, &DecodeLimits { decoded_bytes: 1 << 28, ..DecodeLimits::default() });
    assert!(matches!(error.unwrap_err(), DecodeError::TooLarge { .. }));
}

#[rstest]
#[case(b"FEA1and more", "version 1 of Feather")]
#[case(b"ARROW1", "cut off")]
#[case(b"ARROW1\0\0\xFF\xFF\xFF\x7FARROW1", "cut off")]
#[case(b"id,name\n1,Anna\n", "more than 16777216 bytes")]
#[case(b"", "does not begin with a schema")]
#[case(b"\xFF\xFF\xFF\xFF\x10\0\0\0", "in the midst of a message")]
fn what_is_no_arrow_is_refused(#[case] bytes: &[u8], #[case] reason: &str) {
    let error = inferred(bytes).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn too_many_columns_are_refused() {
    let fields: Vec<Field> = (0..2001).map(|at| Field::new(format!("c{at}"), DataType::Int8, true)).collect();
    let batch = RecordBatch::new_empty(Arc::new(Schema::new(fields)));
    let error = inferred(&stream_of(&[batch], IpcWriteOptions::default())).unwrap_err();
    assert!(matches!(error, DecodeError::TooManyColumns { limit: 2000 }), "{error:?}");
}

#[test]
fn a_batch_that_promises_too_much_is_refused_before_it_is_read() {
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    let zeros: ArrayRef = Arc::new(Int64Array::from(vec![0; (192 << 20) / 8]));
    let bytes = stream_of(&[batch_of(zeros)], options);
    assert!(bytes.len() < 1 << 20);
    let schema = inferred(&bytes).unwrap().schema;
    let error = decoded(&bytes, &schema, &DecodeLimits::default()).unwrap_err().to_string();
    assert!(error.contains("write it in batches of fewer rows"), "{error}");
}

#[rstest]
fn every_cut_and_every_flipped_bit_is_refused_or_gives_rows(
    #[values(stream_of, file_of)] write: fn(&[RecordBatch], IpcWriteOptions) -> Vec<u8>,
) {
    let bytes = write(&[batch_of(dictionary()), batch_of(dictionary())], IpcWriteOptions::default());
    let schema = inferred(&bytes).unwrap().schema;
    for cut in 0..bytes.len() {
        if let Ok(batches) = decoded(&bytes[..cut], &schema, &DecodeLimits::default()) {
            let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
            // A stream may end without saying so; a file may not.
            assert!(bytes[0] == 0xFF && rows.is_multiple_of(3), "{cut}: {rows}");
        }
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(batches) = decoded(&flipped, &schema, &DecodeLimits::default()) {
            batches.iter().for_each(|batch| assert_eq!(batch.schema(), schema));
        }
    }
}

#[test]
fn a_dictionary_that_is_replaced_or_grows_is_followed() {
    let column = |values: Vec<&str>, keys: Vec<i32>| -> ArrayRef {
        Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(keys), Arc::new(StringArray::from(values))))
    };
    let batches = [batch_of(column(vec!["a"], vec![0])), batch_of(column(vec!["x", "y"], vec![1, 0]))];
    let (_, values) = both_passes(&stream_of(&batches, IpcWriteOptions::default())).unwrap();
    assert_eq!(values, ["a", "y", "x"].map(|value| Some(value.to_owned())));
    let grown = [batch_of(column(vec!["a"], vec![0])), batch_of(column(vec!["a", "b"], vec![1, 0]))];
    let delta = IpcWriteOptions::default().with_dictionary_handling(arrow::ipc::writer::DictionaryHandling::Delta);
    for write in [stream_of, file_of] {
        let (_, values) = both_passes(&write(&grown, delta.clone())).unwrap();
        assert_eq!(values, ["a", "b", "a"].map(|value| Some(value.to_owned())));
    }
}

#[test]
fn lists_of_sliced_batches_keep_their_items() {
    let offsets = OffsetBuffer::from_lengths([1, 2, 1]);
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let list = arrow::array::ListArray::new(item, offsets, Arc::new(Int32Array::from(vec![1, 2, 3, 4])), None);
    let (_, values) = both_passes(&file_of(&[batch_of(Arc::new(list))], IpcWriteOptions::default())).unwrap();
    assert_eq!(values, ["[1]", "[2, 3]", "[4]"].map(|value| Some(value.to_owned())));
}
