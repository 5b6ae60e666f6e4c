//! The same rows as a file of each format, compressed and wrapped in each way.

use std::{
    io::{Cursor, Write as _},
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    ipc::writer::StreamWriter,
    json::ReaderBuilder,
};
use arrow_avro::writer::AvroWriter;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sluice_domain::Format;

/// How many rows the sample has.
pub const SAMPLE_ROWS: u64 = 60;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// With gzip.
    Gzip,
    /// With Zstandard.
    Zstd,
    /// With bzip2.
    Bzip2,
    /// With xz.
    Xz,
    /// In Snappy's framing format.
    Snappy,
}

impl Encoding {
    /// Every way.
    pub const ALL: [Self; 6] = [Self::Identity, Self::Gzip, Self::Zstd, Self::Bzip2, Self::Xz, Self::Snappy];

    /// The header and the ending of a file's name.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Identity => ("identity", ""),
            Self::Gzip => ("gzip", ".gz"),
            Self::Zstd => ("zstd", ".zst"),
            Self::Bzip2 => ("bzip2", ".bz2"),
            Self::Xz => ("xz", ".xz"),
            Self::Snappy => ("snappy", ".sz"),
        }
    }

    /// The bytes compressed so.
    pub fn encode(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Identity => bytes.to_vec(),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).expect("memory takes everything");
                encoder.finish().expect("memory takes everything")
            }
            Self::Zstd => zstd::encode_all(bytes, 1).expect("memory takes everything"),
            Self::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                encoder.write_all(bytes).expect("memory takes everything");
                encoder.finish().expect("memory takes everything")
            }
            Self::Xz => liblzma::encode_all(bytes, 0).expect("memory takes everything"),
            Self::Snappy => {
                let mut encoder = snap::write::FrameEncoder::new(Vec::new());
                encoder.write_all(bytes).expect("memory takes everything");
                encoder.into_inner().expect("memory takes everything")
            }
        }
    }
}

/// The rows: whole numbers beyond the precision of floats, missing values, moments, and text that needs quoting.
pub fn sample_rows() -> Vec<Value> {
    let names = ["plain", "a \"b\", c", "two\nlines", "Zürich", "日本語"];
    let row = |id: u64| {
        json!({
            "id": id,
            "big": 9_007_199_254_740_993_u64 + id,
            "price": (!id.is_multiple_of(7)).then_some(id as f64 + 0.25),
            "open": id.is_multiple_of(2),
            "day": format!("2024-02-{:02}", 1 + id % 29),
            "seen": format!("2024-01-31T12:30:{:02}.123456Z", id % 60),
            "name": names[id as usize % names.len()],
        })
    };
    (0..SAMPLE_ROWS).map(row).collect()
}

/// The rows as a file.
pub fn sample_file(format: Format) -> Vec<u8> {
    let rows = sample_rows();
    let objects: Vec<String> = rows.iter().map(object_of).collect();
    match format {
        Format::Csv => csv_of(&rows).into_bytes(),
        Format::Ndjson => (objects.join("\n") + "\n").into_bytes(),
        Format::Json => format!("[{}]", objects.join(",\n")).into_bytes(),
        Format::Parquet | Format::Arrow | Format::Avro => binary_file(format, &batches(objects.join("\n").as_bytes())),
        Format::Zip => zip_file("rows.csv", csv_of(&rows).as_bytes()),
    }
}

fn schema() -> SchemaRef {
    let moment = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("big", DataType::Int64, true),
        Field::new("price", DataType::Float64, true),
        Field::new("open", DataType::Boolean, true),
        Field::new("day", DataType::Date32, true),
        Field::new("seen", moment, true),
        Field::new("name", DataType::Utf8, true),
    ]))
}

/// A row as an object with its fields in the order of the schema.
fn object_of(row: &Value) -> String {
    let schema = schema();
    let fields = schema.fields().iter().map(|field| format!("\"{0}\":{1}", field.name(), row[field.name().as_str()]));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

fn csv_of(rows: &[Value]) -> String {
    let schema = schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => format!("\"{}\"", text.replace('"', "\"\"")),
        other => other.to_string(),
    };
    let line = |row: &Value| names.iter().map(|name| cell(&row[*name])).collect::<Vec<_>>().join(",");
    let lines = rows.iter().map(line);
    [names.join(",")].into_iter().chain(lines).map(|line| line + "\n").collect()
}

fn batches(lines: &[u8]) -> Vec<RecordBatch> {
    let reader = ReaderBuilder::new(schema()).build(Cursor::new(lines)).expect("the rows have this schema");
    reader.map(|batch| batch.expect("the rows have this schema")).collect()
}

/// A file of a format that holds batches of one schema, of which there is one at least.
pub fn binary_file(format: Format, batches: &[RecordBatch]) -> Vec<u8> {
    match format {
        Format::Arrow => arrow_of(batches),
        Format::Avro => avro_of(batches),
        _ => parquet_of(batches),
    }
}

fn parquet_of(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), None).expect("Parquet holds this schema");
    batches.iter().for_each(|batch| writer.write(batch).expect("memory takes everything"));
    writer.into_inner().expect("memory takes everything")
}

fn arrow_of(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).expect("Arrow holds this schema");
    batches.iter().for_each(|batch| writer.write(batch).expect("memory takes everything"));
    writer.into_inner().expect("memory takes everything")
}

fn avro_of(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = AvroWriter::new(Vec::new(), batches[0].schema().as_ref().clone()).expect("Avro holds this schema");
    batches.iter().for_each(|batch| writer.write(batch).expect("memory takes everything"));
    writer.finish().expect("memory takes everything");
    writer.into_inner()
}

/// An archive with one member.
pub fn zip_file(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    let (mut entry, config) = archive.new_file(name).start().expect("memory takes everything");
    let mut writer = config.wrap(&mut entry);
    writer.write_all(bytes).expect("memory takes everything");
    let (_, descriptor) = writer.finish().expect("memory takes everything");
    entry.finish(descriptor).expect("memory takes everything");
    archive.finish().expect("memory takes everything")
}

/// A form with the file in it: its media type and its bytes.
pub fn form_of(file_name: &str, bytes: &[u8]) -> (&'static str, Vec<u8>) {
    const BOUNDARY: &str = "the-boundary-of-the-form";
    let head =
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\r\n");
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    ("multipart/form-data; boundary=the-boundary-of-the-form", [head.as_bytes(), bytes, tail.as_bytes()].concat())
}

/// The SHA-256 of these bytes, in hexadecimal.
pub fn sha256_of(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
