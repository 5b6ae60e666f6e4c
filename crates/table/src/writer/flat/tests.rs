//! What is encoded here is read back by the library, and says of itself what the library would say.

use std::sync::Arc;

use arrow::{
    array::{
        Array as _, ArrayRef, Date32Array, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
        RecordBatch, StringArray, TimestampMicrosecondArray,
    },
    compute::concat_batches,
    datatypes::{Field, Schema, SchemaRef},
};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, Encoding, PageType, ZstdLevel},
    file::{metadata::ParquetMetaData, properties::WriterProperties},
};
use proptest::prelude::*;
use rstest::rstest;

use super::super::{encoder::Encoder, scratch::Scratch};
use super::{DICTIONARY_BYTES, PAGE_ROWS};

const LONGEST_BOUND: usize = 8;

fn properties(has_dictionary: bool) -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_dictionary_enabled(has_dictionary)
        .set_statistics_truncate_length(Some(LONGEST_BOUND))
        .build()
}

/// A file of these batches, as it is read back.
fn written(batches: &[RecordBatch], properties: WriterProperties) -> (RecordBatch, ParquetMetaData) {
    let mut encoder = Encoder::open(Scratch::open(&std::env::temp_dir()), batches[0].schema(), properties).unwrap();
    for batch in batches {
        encoder.write(batch).unwrap();
    }
    let (mut scratch, metadata) = encoder.finish().unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(scratch.all_bytes()).unwrap();
    let schema = SchemaRef::clone(reader.schema());
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    (concat_batches(&schema, &batches).unwrap(), metadata)
}

/// What the library says of a file with the same rows.
fn of_library(batches: &[RecordBatch], properties: WriterProperties) -> ParquetMetaData {
    let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties)).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn column(values: impl arrow::array::Array + 'static) -> RecordBatch {
    batch(vec![("c", Arc::new(values))])
}

/// The encodings of the data pages, one after the other.
fn encodings(metadata: &ParquetMetaData) -> Vec<Encoding> {
    let stats = metadata.row_group(0).column(0).page_encoding_stats().unwrap();
    stats.iter().filter(|page| page.page_type == PageType::DATA_PAGE).map(|page| page.encoding).collect()
}

/// Rows of all types that are encoded here, drawn from few values or from many.
fn rows() -> impl Strategy<Value = RecordBatch> {
    let number = prop_oneof![0_i64..5, any::<i64>()];
    let float = prop_oneof![Just(0.0), Just(-0.0), Just(f64::NAN), Just(1.5), any::<f64>()];
    let text = prop_oneof!["[ab]", "\\PC{0,12}"];
    let row = (prop::option::of(number), prop::option::of(float), prop::option::of(text));
    prop::collection::vec(row, 0..200).prop_map(|rows| {
        let numbers = || rows.iter().map(|row| row.0);
        batch(vec![
            ("tiny", Arc::new(numbers().map(|n| n.map(|n| n as i8)).collect::<Int8Array>())),
            ("small", Arc::new(numbers().map(|n| n.map(|n| n as i16)).collect::<Int16Array>())),
            ("int", Arc::new(numbers().map(|n| n.map(|n| n as i32)).collect::<Int32Array>())),
            ("long", Arc::new(numbers().collect::<Int64Array>())),
            ("day", Arc::new(numbers().map(|n| n.map(|n| n as i32)).collect::<Date32Array>())),
            ("moment", Arc::new(numbers().collect::<TimestampMicrosecondArray>().with_timezone("UTC"))),
            ("float", Arc::new(rows.iter().map(|row| row.1.map(|f| f as f32)).collect::<Float32Array>())),
            ("double", Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>())),
            ("text", Arc::new(rows.iter().map(|row| row.2.as_deref()).collect::<StringArray>())),
        ])
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(batches in prop::collection::vec(rows(), 1..4), has_dictionary: bool) {
        let (found, metadata) = written(&batches, properties(has_dictionary));
        let wanted = concat_batches(&found.schema(), &batches).unwrap();
        // As text, so that what is no number equals itself.
        prop_assert_eq!(format!("{found:?}"), format!("{wanted:?}"));
        let library = of_library(&batches, properties(has_dictionary));
        prop_assert_eq!(metadata.num_row_groups(), library.num_row_groups());
        for (own, theirs) in metadata.row_groups().iter().zip(library.row_groups()) {
            for (own, theirs) in own.columns().iter().zip(theirs.columns()) {
                prop_assert_eq!(own.statistics(), theirs.statistics());
            }
        }
    }
}

#[rstest]
#[case::few(3 * PAGE_ROWS, 100, &[Encoding::RLE_DICTIONARY])]
#[case::one(3 * PAGE_ROWS, 1, &[Encoding::RLE_DICTIONARY])]
#[case::all_different(3 * PAGE_ROWS, usize::MAX, &[Encoding::PLAIN])]
#[case::more_than_fit(30 * PAGE_ROWS, DICTIONARY_BYTES / 4, &[Encoding::RLE_DICTIONARY, Encoding::PLAIN])]
fn a_dictionary_is_kept_while_it_is_worth_it(
    #[case] rows: usize,
    #[case] distinct: usize,
    #[case] wanted: &[Encoding],
) {
    // Each value is there twice in a row.
    let value = |row: usize| (if distinct == usize::MAX { row } else { row / 2 % distinct }) as i64 * 7;
    let values = Int64Array::from_iter_values((0..rows).map(value));
    let batch = column(values);
    let (found, metadata) = written(std::slice::from_ref(&batch), properties(true));
    assert_eq!(found, batch);
    assert_eq!(encodings(&metadata), wanted);
}

#[rstest]
#[case::mixed((0..100_000).map(|row| (row % 7 > 2).then_some(row % 1000)).collect())]
#[case::runs((0..100_000).map(|row| (row % 30_000 < 5000).then_some(row / 10_000)).collect())]
#[case::none(vec![None; 50_000])]
#[case::late((0..100_000).map(|row| (row > 90_000).then_some(row)).collect())]
fn nulls_are_nulls(#[case] values: Vec<Option<i64>>) {
    let batch = column(Int64Array::from(values));
    // Batches that are slices have their nulls at any bit.
    let parts: Vec<_> = (0..batch.num_rows())
        .step_by(1003)
        .map(|start| batch.slice(start, 1003.min(batch.num_rows() - start)))
        .collect();
    for has_dictionary in [true, false] {
        let (found, metadata) = written(&parts, properties(has_dictionary));
        assert_eq!(found, batch);
        let nulls = metadata.row_group(0).column(0).statistics().unwrap().null_count_opt();
        assert_eq!(nulls, Some(batch.column(0).null_count() as u64));
    }
}

#[test]
fn pages_of_long_texts_end_in_time() {
    let long = "x".repeat(300_000);
    let texts: Vec<String> = (0..40).map(|row| format!("{row}{long}")).collect();
    let batch = column(StringArray::from(texts));
    for has_dictionary in [true, false] {
        let (found, metadata) = written(std::slice::from_ref(&batch), properties(has_dictionary));
        assert_eq!(found, batch);
        let pages = &metadata.offset_index().unwrap()[0][0].page_locations;
        assert!(pages.len() >= 10, "{} pages", pages.len());
        let rows: Vec<_> = pages.iter().map(|page| page.first_row_index).collect();
        assert!(rows.is_sorted() && rows[0] == 0);
    }
}

#[rstest]
#[case::ascii(&["aaaaaaaaaaa", "zzzzzzzzzzz"], "aaaaaaaa", "zzzzzzz{")]
#[case::next_is_wider(&["a", "zzzzzzz\u{7f}zz"], "a", "zzzzzzz\u{80}")]
#[case::last_character(&["a", "b\u{10ffff}\u{10ffff}"], "a", "c")]
#[case::no_character_is_after(&["\u{10ffff}\u{10ffff}\u{10ffff}"], "\u{10ffff}\u{10ffff}", "\u{10ffff}\u{10ffff}\u{10ffff}")]
fn bounds_of_long_texts_are_cut_outwards(#[case] texts: &[&str], #[case] least: &str, #[case] greatest: &str) {
    let (_, metadata) = written(&[column(StringArray::from(texts.to_vec()))], properties(true));
    let told = metadata.row_group(0).column(0).statistics().unwrap();
    assert_eq!(told.min_bytes_opt(), Some(least.as_bytes()));
    assert_eq!(told.max_bytes_opt(), Some(greatest.as_bytes()));
}

#[test]
fn a_value_that_must_be_there_is_missed() {
    let must = |nullable| Arc::new(Schema::new(vec![Field::new("c", arrow::datatypes::DataType::Int64, nullable)]));
    let whole = RecordBatch::try_new(must(false), vec![Arc::new(Int64Array::from(vec![1, 2]))]).unwrap();
    let (found, _) = written(std::slice::from_ref(&whole), properties(true));
    assert_eq!(found, whole);
}
