use std::io::Cursor;

use arrow::{
    array::{Array as _, RecordBatch},
    datatypes::{DataType, Field, TimeUnit},
    util::display::array_value_to_string,
};
use rstest::rstest;
use sluice_domain::{Compression, ReadOptions};

use super::super::{Inferred, Source, decode, decompress::tests::compress, infer};
use super::*;

fn options() -> ReadOptions {
    ReadOptions::of(Format::Avro)
}

fn source(bytes: &[u8]) -> Source {
    Source::Stream(Box::new(Cursor::new(bytes.to_vec())))
}

fn inferred(bytes: &[u8]) -> Result<Inferred, DecodeError> {
    infer(&options(), source(bytes), &DecodeLimits::default())
}

fn decoded(bytes: &[u8], schema: &SchemaRef) -> Result<Vec<RecordBatch>, DecodeError> {
    let mut batches = crate::row_sink::Good::default();
    let limits = DecodeLimits { batch_rows: 2, ..DecodeLimits::default() };
    let rows = decode(&options(), source(bytes), schema, &limits, &mut batches)?;
    assert_eq!(rows, batches.0.iter().map(|batch| batch.num_rows() as u64).sum::<u64>());
    Ok(batches.0)
}

/// The types of the columns, and every row's values as text.
fn both_passes(bytes: &[u8]) -> Result<(Vec<DataType>, Vec<Vec<String>>), DecodeError> {
    let Inferred { schema, .. } = inferred(bytes)?;
    let batches = decoded(bytes, &schema)?;
    let text = |batch: &RecordBatch, row: usize| {
        let value = |column: &arrow::array::ArrayRef| match column.is_valid(row) {
            true => array_value_to_string(column, row).unwrap(),
            false => "-".to_owned(),
        };
        batch.columns().iter().map(value).collect()
    };
    let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| text(batch, row))).collect();
    Ok((schema.fields().iter().map(|field| field.data_type().clone()).collect(), rows))
}

/// A number as Avro writes it, for those below 64.
fn small(value: i8) -> Vec<u8> {
    vec![((value << 1) ^ (value >> 7)).cast_unsigned()]
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let mut bits = (bytes.len() as u64) << 1;
    let mut sized = Vec::new();
    while bits > 0x7F {
        sized.push((bits & 0x7F) as u8 | 0x80);
        bits >>= 7;
    }
    sized.push(bits as u8);
    sized.extend(bytes);
    sized
}

const SYNC: [u8; 16] = *b"0123456789abcdef";

fn header(schema: &str, codec: Option<&str>) -> Vec<u8> {
    let mut bytes = b"Obj\x01".to_vec();
    bytes.extend(small(if codec.is_some() { 2 } else { 1 }));
    bytes.extend(sized(b"avro.schema"));
    bytes.extend(sized(schema.as_bytes()));
    if let Some(codec) = codec {
        bytes.extend(sized(b"avro.codec"));
        bytes.extend(sized(codec.as_bytes()));
    }
    bytes.extend(small(0));
    bytes.extend(SYNC);
    bytes
}

fn block(rows: i8, bytes: &[u8]) -> Vec<u8> {
    [small(rows), sized(bytes), SYNC.to_vec()].concat()
}

fn record(fields: &str) -> String {
    format!(r#"{{"type": "record", "name": "r", "fields": [{fields}]}}"#)
}

fn one_field(schema: &str) -> String {
    record(&format!(r#"{{"name": "c", "type": {schema}}}"#))
}

fn people() -> String {
    record(r#"{"name": "id", "type": "long"}, {"name": "name", "type": ["null", "string"]}"#)
}

/// Three rows of [`people`].
fn three_rows() -> Vec<u8> {
    let rows = [
        [small(1), small(1), sized(b"Anna")].concat(),
        [small(2), small(0)].concat(),
        [small(-3), small(1), sized("Zoë".as_bytes())].concat(),
    ];
    rows.concat()
}

fn encoded(codec: &str, bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    match codec {
        "deflate" => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "snappy" => {
            let mut checksum = flate2::Crc::new();
            checksum.update(bytes);
            let mut block = snap::raw::Encoder::new().compress_vec(bytes).unwrap();
            block.extend(checksum.sum().to_be_bytes());
            block
        }
        "zstandard" => compress(Compression::Zstd, bytes),
        "bzip2" => compress(Compression::Bzip2, bytes),
        "xz" => compress(Compression::Xz, bytes),
        _ => bytes.to_vec(),
    }
}

#[rstest]
fn every_codec_gives_the_same_rows(#[values("null", "deflate", "snappy", "zstandard", "bzip2", "xz")] codec: &str) {
    let block = block(3, &encoded(codec, &three_rows()));
    let bytes = [header(&people(), Some(codec)), block.clone(), block].concat();
    assert_eq!(inferred(&bytes).unwrap().rows, 6);
    let (types, rows) = both_passes(&bytes).unwrap();
    assert_eq!(types, [DataType::Int64, DataType::Utf8]);
    let three = [["1", "Anna"], ["2", "-"], ["-3", "Zoë"]];
    assert_eq!(rows, [three, three].concat());
}

#[rstest]
#[case(r#"{"type": "int", "logicalType": "date"}"#, &small(1), DataType::Date32, "1970-01-02")]
#[case(r#"{"type": "long", "logicalType": "timestamp-millis"}"#, &small(1),
       DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), "1970-01-01T00:00:00.001Z")]
#[case(r#"{"type": "long", "logicalType": "local-timestamp-micros"}"#, &small(1),
       DataType::Timestamp(TimeUnit::Microsecond, None), "1970-01-01T00:00:00.000001")]
#[case(r#"{"type": "int", "logicalType": "time-millis"}"#, &small(1), DataType::Utf8, "00:00:00.001")]
#[case(r#"{"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}"#, &sized(&[0x04, 0xD2]),
       DataType::Decimal128(4, 2), "12.34")]
#[case(r#"{"type": "fixed", "name": "f", "size": 2}"#, b"\x01\x02", DataType::Binary, "0102")]
#[case(r#"{"type": "enum", "name": "e", "symbols": ["A", "B"]}"#, &small(1), DataType::Utf8, "B")]
#[case(r#"{"type": "string", "logicalType": "uuid"}"#, &sized(b"2f3ad0c4-5a0e-4a52-9c61-0d3f1d6f1a11"),
       DataType::Utf8, "2f3ad0c4-5a0e-4a52-9c61-0d3f1d6f1a11")]
#[case(r#"{"type": "array", "items": "int"}"#, &[small(2), small(5), small(6), small(0)].concat(),
       DataType::List(std::sync::Arc::new(Field::new("element", DataType::Int32, true))), "[5, 6]")]
#[case(r#"{"type": "record", "name": "s", "fields": [{"name": "a", "type": "boolean"}]}"#, b"\x01",
       DataType::Struct(vec![Field::new("a", DataType::Boolean, true)].into()), "{a: true}")]
#[case(r#"{"type": "map", "values": "int"}"#, &[small(1), sized(b"k"), small(5), small(0)].concat(), map_of(),
       "{k: 5}")]
#[case(r#"["null", "double"]"#, &[small(1), 1.5_f64.to_le_bytes().to_vec()].concat(), DataType::Float64, "1.5")]
fn a_type_is_stored_where_a_table_can(
    #[case] schema: &str,
    #[case] value: &[u8],
    #[case] stored: DataType,
    #[case] text: &str,
) {
    let bytes = [header(&one_field(schema), None), block(1, value)].concat();
    assert_eq!(both_passes(&bytes).unwrap(), (vec![stored], vec![vec![text.to_owned()]]));
}

fn map_of() -> DataType {
    let fields = vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int32, true)];
    DataType::Map(std::sync::Arc::new(Field::new("key_value", DataType::Struct(fields.into()), false)), false)
}

#[rstest]
#[case(one_field(r#"["null", "int", "string"]"#))]
#[case(one_field(r#"{"type": "fixed", "name": "d", "size": 12, "logicalType": "duration"}"#))]
fn a_type_that_no_table_has_is_refused_with_its_column(#[case] schema: String) {
    let error = inferred(&header(&schema, None)).unwrap_err().to_string();
    assert!(error.contains("column \"c\": a table cannot store values of type"), "{error}");
}

#[rstest]
#[case(record(r#"{"name": "next", "type": ["null", "r"]}"#))]
#[case(one_field(r#""nothing""#))]
#[case("\"int\"".to_owned())]
#[case("{".to_owned())]
#[case(record(""))]
#[case(record(r#"{"name": "a", "type": "int"}, {"name": "A", "type": "int"}"#))]
fn a_schema_that_is_no_tables_is_refused(#[case] schema: String) {
    let error = inferred(&header(&schema, None)).unwrap_err();
    assert!(matches!(error, DecodeError::Malformed { .. } | DecodeError::Empty), "{error:?}");
}

#[test]
fn types_are_found_by_their_names() {
    let place = r#"{"type": "record", "name": "place", "namespace": "a.b", "fields": [
        {"name": "side", "type": {"type": "enum", "name": "side", "symbols": ["L", "R"]}},
        {"name": "other", "type": "side"}]}"#;
    let schema = record(&format!(r#"{{"name": "from", "type": {place}}}, {{"name": "to", "type": "a.b.place"}}"#));
    let bytes = [header(&schema, None), block(1, &[0, 2, 2, 0])].concat();
    let (_, rows) = both_passes(&bytes).unwrap();
    assert_eq!(rows, [["{side: L, other: R}", "{side: R, other: L}"]]);
}

#[test]
fn items_without_bytes_have_an_end() {
    let schema = one_field(r#"{"type": "array", "items": "null"}"#);
    let endless = [vec![0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], small(0)].concat();
    let bytes = [header(&schema, None), block(1, &endless)].concat();
    let schema = Arc::new(arrow::datatypes::Schema::new(vec![Field::new("c", DataType::Utf8, true)]));
    let error = decoded(&bytes, &schema).unwrap_err().to_string();
    assert!(error.contains("too many values"), "{error}");
}

#[test]
fn a_file_without_rows_has_its_columns() {
    let found = inferred(&header(&people(), None)).unwrap();
    assert_eq!((found.rows, found.schema.fields().len()), (0, 2));
}

#[rstest]
#[case(block(3, &three_rows())[..20].to_vec(), "cut off")]
#[case([small(3), sized(&three_rows()), vec![0; 16]].concat(), "marker of the file")]
#[case(block(4, &three_rows()), "a row reaches beyond its block")]
#[case(block(2, &three_rows()), "more bytes than its rows take")]
#[case(block(-1, &three_rows()), "less than nothing")]
#[case([small(3), vec![0xFE; 10]].concat(), "too many bytes")]
#[case([small(3), vec![0xFE, 0xFF, 0xFF, 0xFF, 0x0F]].concat(), "more than 67108864 bytes")]
fn a_broken_block_is_refused(#[case] block: Vec<u8>, #[case] reason: &str) {
    let bytes = [header(&people(), None), block].concat();
    let error = both_passes(&bytes).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn rows_without_bytes_are_not_lost_without_a_word() {
    let bytes = [header(&one_field("\"null\""), None), block(5, b"")].concat();
    let error = both_passes(&bytes).unwrap_err().to_string();
    assert!(error.contains("tell of 5 rows, and there are 0"), "{error}");
}

#[rstest]
fn a_block_that_is_a_bomb_is_refused(#[values("deflate", "zstandard", "snappy")] codec: &str) {
    let bomb = encoded(codec, &vec![0; container::BLOCK_BYTES + 1]);
    let bytes = [header(&people(), Some(codec)), [small(1), sized(&bomb), SYNC.to_vec()].concat()].concat();
    let schema = inferred(&bytes).unwrap().schema;
    let error = decoded(&bytes, &schema).unwrap_err().to_string();
    assert!(error.contains("write it in shorter blocks"), "{error}");
}

#[test]
fn an_unknown_codec_is_named() {
    let error = inferred(&header(&people(), Some("lzo"))).unwrap_err().to_string();
    assert!(error.contains("\"lzo\""), "{error}");
}

#[rstest]
fn every_cut_and_every_flipped_bit_is_refused_or_gives_rows(#[values("null", "deflate")] codec: &str) {
    let bytes = [header(&people(), Some(codec)), block(3, &encoded(codec, &three_rows()))].concat();
    let schema = inferred(&bytes).unwrap().schema;
    let header_bytes = header(&people(), Some(codec)).len();
    for cut in 0..bytes.len() {
        let rows = decoded(&bytes[..cut], &schema).map(|batches| batches.len());
        assert!(
            rows.is_err() || (cut == header_bytes && rows.as_ref().is_ok_and(|rows| *rows == 0)),
            "{cut}: {rows:?}"
        );
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(batches) = decoded(&flipped, &schema) {
            batches.iter().for_each(|batch| assert_eq!(batch.schema(), schema));
        }
    }
}
