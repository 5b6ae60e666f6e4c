use arrow::{
    array::{ArrayRef, AsArray as _, Int64Array, StringArray},
    datatypes::Int64Type,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest as _, Sha256};
use sluice_domain::TableLayout;

use super::*;

/// Rows of 21 data columns, half of them text, that go to these partitions one after the other. The last has few values.
fn batch(rows: std::ops::Range<i64>, partitions: i64) -> RecordBatch {
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone().map(|row| row % partitions)));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone()));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(rows.map(|row| format!("row {row} of the test"))));
    let mut columns = vec![("key".to_owned(), Arc::clone(&keys))];
    columns.extend((0..10).map(|at| (format!("n{at}"), Arc::clone(&numbers))));
    columns.extend((0..10).map(|at| (format!("t{at}"), Arc::clone(&texts))));
    columns.push(("few".to_owned(), keys));
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn writer(settings: WriterSettings, schema: &SchemaRef) -> TableWriter {
    TableWriter::open(settings, schema, &["key".into()], "test".into(), std::env::temp_dir()).unwrap()
}

/// Every row number that a file holds.
fn numbers(file: &mut StagedFile) -> Vec<i64> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.scratch.all_bytes()).unwrap().build().unwrap();
    let batches = reader.map(Result::unwrap);
    batches.flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn assert_all_there(staged: &mut StagedFiles, rows: i64) {
    let mut found: Vec<i64> = staged.files.iter_mut().flat_map(numbers).collect();
    found.sort_unstable();
    assert!(found.into_iter().eq(0..rows));
}

fn most_row_groups(staged: &StagedFiles) -> usize {
    staged.files.iter().map(|file| file.metadata.num_row_groups()).max().unwrap()
}

#[test]
fn many_partitions_in_no_order_make_few_row_groups_in_little_memory() {
    let schema = batch(0..1, 1).schema();
    let mut writer = writer(WriterSettings::default(), &schema);
    for at in (0..60_000).step_by(6000) {
        writer.write(&batch(at..at + 6000, 600)).unwrap();
    }
    let bound = WriterSettings::default().memory_bytes;
    assert!(writer.peak_bytes <= bound + (1 << 20), "{}", writer.peak_bytes);
    let mut staged = writer.finish().unwrap();
    assert_eq!(staged.files.len(), 600);
    assert!(most_row_groups(&staged) <= 4, "{}", most_row_groups(&staged));
    assert_all_there(&mut staged, 60_000);
}

#[test]
fn memory_is_bounded_after_every_part_of_a_batch() {
    let schema = batch(0..1, 1).schema();
    let settings = WriterSettings { memory_bytes: 2 << 20, ..WriterSettings::default() };
    let mut writer = writer(settings, &schema);
    for at in (0..40_000).step_by(8000) {
        writer.write(&batch(at..at + 8000, 40)).unwrap();
        let counted: usize = writer.open.values().map(OpenFile::memory_bytes).sum();
        assert_eq!(counted, writer.memory_bytes);
        assert!(counted <= 2 << 20, "{counted}");
    }
    assert!(writer.peak_bytes <= 4 << 20, "{}", writer.peak_bytes);
    let mut staged = writer.finish().unwrap();
    assert_eq!(staged.rows(), 40_000);
    assert_all_there(&mut staged, 40_000);
}

#[test]
fn files_beyond_what_memory_affords_have_no_dictionaries() {
    let schema = batch(0..1, 1).schema();
    let mut writer = writer(WriterSettings::default(), &schema);
    for at in (0..60_000).step_by(6000) {
        writer.write(&batch(at..at + 6000, 40)).unwrap();
    }
    let staged = writer.finish().unwrap();
    let has_dictionary = |file: &&StagedFile| file.metadata.row_group(0).column(20).dictionary_page_offset().is_some();
    let with = staged.files.iter().filter(has_dictionary).count();
    assert!((1..=20).contains(&with), "{with}");
    assert!(most_row_groups(&staged) <= 4, "{}", most_row_groups(&staged));
}

#[test]
fn a_full_file_is_closed_and_another_begun() {
    let schema = batch(0..1, 1).schema();
    let settings = WriterSettings { target_file_bytes: 200_000, ..WriterSettings::default() };
    let mut writer = writer(settings, &schema);
    for at in (0..20_000).step_by(2000) {
        writer.write(&batch(at..at + 2000, 2)).unwrap();
    }
    let mut staged = writer.finish().unwrap();
    let paths: std::collections::HashSet<_> = staged.files.iter().map(|file| &file.path).collect();
    assert!(staged.files.len() > 2 && paths.len() == staged.files.len(), "{paths:?}");
    assert_all_there(&mut staged, 20_000);
}

#[test]
fn wide_tables_have_fewer_partitions_at_a_time() {
    let key: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
    let fields = (0..30_000).map(|at| (format!("c{at}"), Arc::clone(&key)));
    let columns = [("key".to_owned(), Arc::clone(&key))].into_iter().chain(fields);
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let outcome = writer(WriterSettings::default(), &batch.schema()).write(&batch);
    assert!(matches!(outcome, Err(TableError::Refused(Refusal::TooManyPartitions { limit: 3 }))), "{outcome:?}");
}

/// Feed rows that come in no order to a writer that sorts, and give its files.
async fn fed(settings: WriterSettings, rows: i64) -> StagedFiles {
    let schema = batch(0..1, 1).schema();
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let feeding = writer(settings, &schema).feed(receiver);
    for at in (0..rows).step_by(1000) {
        // Backwards, and each number twice.
        let from = rows - 1000 - at;
        sender.send(batch(from / 2..from / 2 + 1000, 3)).await.unwrap();
    }
    drop(sender);
    feeding.await.unwrap().unwrap()
}

#[tokio::test]
async fn rows_are_sorted_in_little_memory_and_the_same_each_time() {
    let layout = TableLayout { sort_by: vec!["n3".into()], ..TableLayout::default() };
    let settings = WriterSettings { sort_memory_bytes: 8 << 20, ..WriterSettings::default() };
    let settings = settings.for_table(&layout);
    let mut staged = fed(settings.clone(), 60_000).await;
    assert_eq!((staged.files.len(), staged.rows()), (3, 60_000));
    for file in &mut staged.files {
        assert!(numbers(file).is_sorted());
        assert_eq!(file.metadata.row_group(0).sorting_columns().unwrap()[0].column_idx, 3);
    }
    let again = fed(settings, 60_000).await;
    let digests = |staged: StagedFiles| {
        staged.files.into_iter().map(|mut file| Sha256::digest(file.scratch.all_bytes())).collect::<Vec<_>>()
    };
    assert!(digests(staged) == digests(again));
}

#[test]
fn every_file_has_its_filters_however_many_are_open() {
    let layout = TableLayout { bloom_filter: vec!["t0".into()], ..TableLayout::default() };
    let schema = batch(0..1, 1).schema();
    let mut writer = writer(WriterSettings::default().for_table(&layout), &schema);
    for at in (0..60_000).step_by(6000) {
        writer.write(&batch(at..at + 6000, 40)).unwrap();
    }
    let mut staged = writer.finish().unwrap();
    for file in &staged.files {
        let columns = file.metadata.row_group(0).columns();
        let filtered: Vec<_> = (0..columns.len()).filter(|&at| columns[at].bloom_filter_length().is_some()).collect();
        assert_eq!(filtered, [10], "{}", file.path);
    }
    assert_all_there(&mut staged, 60_000);
}
