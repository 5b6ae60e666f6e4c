//! Files whose few bytes become many.

use super::*;

/// Columns of this many rows that are all the same long text, which the file holds once a column.
fn repeated(columns: usize, rows: usize, text: &str) -> (Vec<u8>, SchemaRef) {
    let fields: Vec<Field> = (0..columns).map(|at| Field::new(format!("c{at}"), DataType::Utf8, true)).collect();
    let schema: SchemaRef = Schema::new(fields).into();
    let properties = WriterProperties::builder()
        .set_dictionary_page_size_limit(4 * text.len())
        .set_statistics_enabled(EnabledStatistics::None)
        .set_compression(parquet::basic::Compression::ZSTD(ZstdLevel::default()));
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, Arc::clone(&schema), Some(properties.build())).unwrap();
    let chunk: ArrayRef = Arc::new(StringArray::from(vec![text; 100]));
    let chunk = RecordBatch::try_new(Arc::clone(&schema), vec![chunk; columns]).unwrap();
    (0..rows / 100).for_each(|_| writer.write(&chunk).unwrap());
    writer.close().unwrap();
    (bytes, schema)
}

#[test]
fn few_bytes_that_become_many_are_refused_before_they_do() {
    let text = "long ".repeat(1 << 14);
    let (bytes, schema) = repeated(4, 1000, &text);
    assert!(bytes.len() < 64 << 10, "{}", bytes.len());
    let little = DecodeLimits { decoded_bytes: 64 << 20, ..DecodeLimits::default() };
    let outcome = decode(&options(), source(&bytes), &schema, &little, &mut Strict(|_| panic!("nothing is handed on")));
    assert!(matches!(outcome, Err(DecodeError::TooLarge { limit_bytes: 67_108_864 })), "{outcome:?}");
    let mut rows = 0;
    let counted = decode(
        &options(),
        source(&bytes),
        &schema,
        &DecodeLimits::default(),
        &mut Strict(|batch: RecordBatch| {
            assert!(batch.get_array_memory_size() as u64 <= 2 * SLICE_BYTES, "{}", batch.get_array_memory_size());
            assert!(
                batch.columns().iter().all(|column| column.as_string::<i32>().iter().all(|cell| cell == Some(&text)))
            );
            rows += batch.num_rows();
            Ok(())
        }),
    );
    assert_eq!((counted.unwrap(), rows), (1000, 1000));
}

#[test]
fn a_row_longer_than_a_record_may_be_is_refused() {
    let texts = vec![Some("x".repeat(5000)); 8];
    let list = {
        let mut builder = ListBuilder::new(StringBuilder::new());
        builder.append_value([Some("x")]);
        builder.append_value(texts);
        builder.append_null();
        builder.finish()
    };
    let bytes = file_of(vec![("a", Arc::new(list))]);
    let schema = inferred(&bytes).unwrap().schema;
    let limits = DecodeLimits { record_bytes: 20_000, batch_rows: 1, ..DecodeLimits::default() };
    let mut rows = 0;
    let outcome = decode(
        &options(),
        source(&bytes),
        &schema,
        &limits,
        &mut Strict(|_| {
            rows += 1;
            Ok(())
        }),
    );
    assert!(outcome.unwrap_err().to_string().contains("row 2 has more than 20000 bytes"));
    assert_eq!(rows, 1);
}

#[test]
fn long_values_that_rows_share_are_read_wherever_they_are() {
    let long = ["é".repeat(200_000), "y".repeat(300_000), String::new()];
    let cell = |row: usize| (!row.is_multiple_of(5)).then(|| long[row % 3].as_str());
    let tags: DictionaryArray<Int32Type> = (0..200).map(cell).collect();
    let blobs = BinaryArray::from_iter((0..200).map(|row| cell(row).map(str::as_bytes)));
    let mut lists = ListBuilder::new(StringBuilder::new());
    (0..200).for_each(|row| {
        lists.append_option(cell(row).map(|text| [Some(text), None].into_iter().cycle().take(row % 4)))
    });
    let lists = lists.finish();
    let views = StringViewArray::from_iter((0..200).map(cell));
    let inner = Arc::new(Field::new("text", DataType::Utf8View, true));
    let bytes = file_of(vec![
        ("tag", Arc::new(tags)),
        ("blob", Arc::new(blobs.clone())),
        ("list", Arc::new(lists.clone())),
        ("place", Arc::new(StructArray::from(vec![(inner, Arc::new(views) as ArrayRef)]))),
    ]);
    let schema = inferred(&bytes).unwrap().schema;
    let (mut row, mut batches) = (0, 0);
    decode(
        &options(),
        source(&bytes),
        &schema,
        &DecodeLimits::default(),
        &mut Strict(|batch: RecordBatch| {
            assert!(batch.get_array_memory_size() as u64 <= 2 * SLICE_BYTES);
            let lists_found = batch.column(2).as_list::<i32>();
            let places = batch.column(3).as_struct().column(0).as_string::<i32>();
            for at in 0..batch.num_rows() {
                let tag = batch.column(0).as_string::<i32>();
                assert_eq!(tag.is_valid(at).then(|| tag.value(at)), cell(row));
                assert_eq!(places.is_valid(at).then(|| places.value(at)), cell(row));
                let blob = batch.column(1).as_binary::<i32>();
                assert_eq!(blob.is_valid(at).then(|| blob.value(at)), cell(row).map(str::as_bytes));
                assert_eq!(lists_found.is_valid(at), lists.is_valid(row));
                assert_eq!(lists_found.value(at).as_string::<i32>(), lists.value(row).as_string::<i32>());
                row += 1;
            }
            batches += 1;
            Ok(())
        }),
    )
    .unwrap();
    assert_eq!(row, 200);
    assert!(batches > 8, "{batches}");
}

#[test]
fn a_shared_value_is_not_counted_with_its_whole_page_in_every_batch() {
    let tags: DictionaryArray<Int32Type> = (0..50_000).map(|row| Some(["a", "b"][row % 2])).collect();
    let long: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..50_000).map(|row| format!("{row:030}"))));
    let bytes = file_of(vec![("tag", Arc::new(tags)), ("long", long)]);
    let schema = inferred(&bytes).unwrap().schema;
    let limits = DecodeLimits { decoded_bytes: 3 << 20, batch_rows: 100, ..DecodeLimits::default() };
    let outcome = decode(&options(), source(&bytes), &schema, &limits, &mut Strict(|_| Ok(())));
    assert_eq!(outcome.unwrap(), 50_000);
}

#[rstest]
#[case(1000, 10 << 30, 1 << 30)]
#[case(1000, 5000, 5000)]
#[case(10 << 20, 10 << 30, 2000 << 20)]
#[case(u64::MAX, 10 << 30, 10 << 30)]
fn a_file_may_become_so_much(#[case] size_bytes: u64, #[case] decoded_bytes: u64, #[case] allowed: u64) {
    let limits = DecodeLimits { decoded_bytes, ..DecodeLimits::default() };
    assert_eq!(super::super::columnar::allowance(size_bytes, &limits), allowed);
}
