use std::{
    fs::File,
    io::{Cursor, Write as _},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray},
    compute::concat_batches,
    ipc::writer::{FileWriter, StreamWriter},
};
use rstest::rstest;
use sluice_domain::{Charset, Compression, CsvOptions, JsonOptions, OpenDialect};

use super::*;

/// Three rows, as every format writes them.
#[derive(Debug, Clone, Copy)]
enum Written {
    Csv,
    Tsv,
    JsonArray,
    JsonDocument,
    Ndjson,
    Parquet,
    ArrowStream,
    ArrowFile,
    Avro,
}

fn three_rows() -> RecordBatch {
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("name", Arc::new(StringArray::from(vec![Some("Anna, B."), None, Some("Zoë")]))),
        ("score", Arc::new(Float64Array::from(vec![Some(1.5), Some(-2.25), None]))),
        ("member", Arc::new(BooleanArray::from(vec![true, false, true]))),
        ("born", Arc::new(Date32Array::from(vec![0, 19_782, 1]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

const OBJECTS: [&str; 3] = [
    r#"{"id": 1, "name": "Anna, B.", "score": 1.5, "member": true, "born": "1970-01-01"}"#,
    r#"{"id": 2, "name": null, "score": -2.25, "member": false, "born": "2024-02-29"}"#,
    r#"{"id": 3, "name": "Zoë", "member": true, "born": "1970-01-02"}"#,
];

impl Written {
    fn format(self) -> Format {
        match self {
            Self::Csv | Self::Tsv => Format::Csv,
            Self::JsonArray | Self::JsonDocument => Format::Json,
            Self::Ndjson => Format::Ndjson,
            Self::Parquet => Format::Parquet,
            Self::ArrowStream | Self::ArrowFile => Format::Arrow,
            Self::Avro => Format::Avro,
        }
    }

    fn bytes(self) -> Vec<u8> {
        let rows = three_rows();
        let csv = "id,name,score,member,born\n1,\"Anna, B.\",1.5,true,1970-01-01\n2,,-2.25,false,2024-02-29\n\
                   3,Zoë,,true,1970-01-02\n";
        match self {
            Self::Csv => csv.into(),
            Self::Tsv => csv.replace(", B.", "; B.").replace(',', "\t").replace("; B.", ", B.").into(),
            Self::JsonArray => format!("[\n  {}\n]\n", OBJECTS.join(",\n  ")).into(),
            Self::JsonDocument => format!("{{\"n\": 3, \"data\": {{\"rows\": [{}]}}}}", OBJECTS.join(",")).into(),
            Self::Ndjson => OBJECTS.join("\n").into(),
            Self::Parquet => {
                let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
                writer.write(&rows).unwrap();
                writer.into_inner().unwrap()
            }
            Self::ArrowStream => {
                let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema()).unwrap();
                writer.write(&rows).unwrap();
                writer.finish().unwrap();
                writer.into_inner().unwrap()
            }
            Self::ArrowFile => {
                let mut writer = FileWriter::try_new(Vec::new(), &rows.schema()).unwrap();
                writer.write(&rows).unwrap();
                writer.finish().unwrap();
                writer.into_inner().unwrap()
            }
            Self::Avro => {
                let mut writer =
                    arrow_avro::writer::AvroWriter::new(Vec::new(), rows.schema().as_ref().clone()).unwrap();
                writer.write(&rows).unwrap();
                writer.finish().unwrap();
                writer.into_inner()
            }
        }
    }
}

fn open_options(format: Format, compression: Compression) -> ReadOptions {
    let open = OpenDialect { delimiter: true, quote: true, header: true };
    let csv = CsvOptions { open, ..CsvOptions::default() };
    ReadOptions { csv, compression, ..ReadOptions::of(format) }
}

fn source(options: &ReadOptions, bytes: &[u8]) -> Source {
    let content = decompressed(options.compression, Cursor::new(bytes.to_vec()), &DecodeLimits::default());
    if !is_read_from_its_end(options.format) {
        return Source::Stream(content);
    }
    let mut file: File = tempfile::tempfile().unwrap();
    std::io::copy(&mut { content }, &mut file).unwrap();
    file.flush().unwrap();
    Source::Blob(file.try_into().unwrap())
}

/// All rows of a file, as one batch.
fn read(options: &ReadOptions, bytes: &[u8]) -> Result<RecordBatch, DecodeError> {
    let head = decompressed(options.compression, Cursor::new(bytes.to_vec()), &DecodeLimits::default());
    let (options, limits) = (resolved(options, head)?, DecodeLimits::default());
    let schema = infer(&options, source(&options, bytes), &limits)?.table_columns();
    let mut batches = crate::row_sink::Good::default();
    decode(&options, source(&options, bytes), &schema, &limits, &mut batches)?;
    Ok(concat_batches(&schema, &batches.0).unwrap())
}

#[rstest]
fn the_same_rows_are_the_same_in_every_format_and_compression(
    #[values(
        Written::Csv,
        Written::Tsv,
        Written::JsonArray,
        Written::JsonDocument,
        Written::Ndjson,
        Written::Parquet,
        Written::ArrowStream,
        Written::ArrowFile,
        Written::Avro
    )]
    written: Written,
) {
    for compression in Compression::ALL {
        let mut options = open_options(written.format(), compression);
        if matches!(written, Written::JsonDocument) {
            options.json.record_path = Some("/data/rows".parse().unwrap());
        }
        let bytes = compressed_for_tests(compression, &written.bytes());
        assert_eq!(read(&options, &bytes).unwrap(), three_rows(), "{compression}");
    }
}

#[rstest]
#[case(Charset::Utf16Le, u16::to_le_bytes)]
#[case(Charset::Utf16Be, u16::to_be_bytes)]
fn text_is_the_same_in_every_charset(
    #[case] charset: Charset,
    #[case] to_bytes: fn(u16) -> [u8; 2],
    #[values(Written::Csv, Written::Tsv, Written::JsonArray, Written::Ndjson)] written: Written,
) {
    let text = String::from_utf8(written.bytes()).unwrap();
    let bytes: Vec<u8> = text.encode_utf16().flat_map(to_bytes).collect();
    let options = open_options(written.format(), Compression::Identity);
    let options = ReadOptions { charset: Some(charset), ..options };
    assert_eq!(read(&options, &bytes).unwrap(), three_rows());
}

#[test]
fn commas_before_fractions_are_read_as_such() {
    let mut options = open_options(Format::Csv, Compression::Identity);
    options.csv.decimal_comma = true;
    let rows = read(&options, b"price;total;note\n12,5;1.234,5;1,5\n-,5;2;x\n").unwrap();
    let price: &Float64Array = arrow::array::AsArray::as_primitive(rows.column(0));
    assert_eq!(price.values(), &[12.5, -0.5]);
    let texts = |column: usize| -> Vec<String> {
        let column: &StringArray = arrow::array::AsArray::as_string(rows.column(column));
        column.iter().map(|text| text.unwrap().to_owned()).collect()
    };
    // No thousands are guessed, and what is text stays as it was written.
    assert_eq!((texts(1), texts(2)), (vec!["1.234,5".into(), "2".into()], vec!["1,5".into(), "x".into()]));
}

fn flattening() -> ReadOptions {
    let json = JsonOptions { flatten: Some("_".into()), ..JsonOptions::default() };
    ReadOptions { json, ..ReadOptions::of(Format::Ndjson) }
}

#[test]
fn objects_become_columns_and_lists_stay_lists() {
    let text = b"{\"id\": 1, \"a\": {\"b\": {\"c\": 2}, \"d\": [{\"x\": 1}]}}\n{\"id\": 2, \"a\": null, \"e\": {}}\n";
    let rows = read(&flattening(), text).unwrap();
    let schema = rows.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["id", "a_b_c", "a_d"]);
    assert!(matches!(schema.field(2).data_type(), arrow::datatypes::DataType::List(_)));
    assert_eq!((rows.column(1).null_count(), rows.num_rows()), (1, 2));
}

#[rstest]
#[case("{\"a\": {\"b\": 1}, \"a_b\": 2}", "two values are called \"a_b\"")]
#[case("{\"a\": {\"b_c\": 1}, \"a_b\": {\"c\": 2}}", "two values are called \"a_b_c\"")]
fn names_that_clash_are_refused(#[case] text: &str, #[case] reason: &str) {
    let error = read(&flattening(), text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains(reason) && error.contains("line 1"), "{error}");
}

#[test]
fn a_long_way_down_makes_no_endless_name() {
    let key = "k".repeat(100);
    let text = format!("{{\"{key}\": {{\"{key}\": {{\"{key}\": 1}}}}}}");
    let error = read(&flattening(), text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("more than 255 bytes"), "{error}");
}

#[test]
fn a_dialect_is_found_behind_compression_and_charset() {
    let text = "größe;preis\n1;2\n".to_owned() + &"3;4\n".repeat(100_000);
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let options = ReadOptions { charset: Some(Charset::Utf16), ..open_options(Format::Csv, Compression::Bzip2) };
    let rows = read(&options, &compressed_for_tests(Compression::Bzip2, &bytes)).unwrap();
    assert_eq!((rows.num_columns(), rows.num_rows()), (2, 100_001));
}
