//! Commits and checkpoints as lines, one at a time.
//!
//! Invariant: a commit or checkpoint that is cut short, or empty, is an error.

use arrow::{
    array::RecordBatchReader as _,
    datatypes::{DataType, Schema},
};
use bytes::Bytes;
use parquet::{
    arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    schema::types::SchemaDescriptor,
};

use crate::maintenance::actions::Line;

/// How many rows of a checkpoint are decoded at once.
const BATCH_ROWS: usize = 1024;
/// What a checkpoint tells twice, in types that the lines of commits do not have.
const PARSED: [&str; 2] = ["stats_parsed", "partitionValues_parsed"];

/// What every checkpoint has a column for, by the action and what tells that it has the action at all.
const REQUIRED: [(&str, &[&str]); 9] = [
    ("add.", &["path", "size", "modificationTime", "dataChange"]),
    ("add.deletionVector.", &["storageType", "pathOrInlineDv", "sizeInBytes", "cardinality"]),
    ("remove.", &["path", "dataChange"]),
    ("remove.deletionVector.", &["storageType", "pathOrInlineDv", "sizeInBytes", "cardinality"]),
    ("metaData.", &["id", "schemaString", "format.provider"]),
    ("protocol.", &["minReaderVersion", "minWriterVersion"]),
    ("txn.", &["appId", "version"]),
    ("sidecar.", &["path", "sizeInBytes", "modificationTime"]),
    ("domainMetadata.", &["domain", "configuration", "removed"]),
];
/// What no checkpoint is without.
const ALWAYS: [&str; 3] = ["add.", "metaData.", "protocol."];

/// Give each line of a commit to `take`.
pub(super) fn lines_of_commit(bytes: &[u8], take: impl FnMut(Line) -> Result<(), String>) -> Result<(), String> {
    match each_line(bytes, take)? {
        0 => Err("it is empty".into()),
        _ => Ok(()),
    }
}

/// Give each row of a checkpoint to `take`.
pub(super) fn lines_of_checkpoint(
    bytes: Bytes,
    mut take: impl FnMut(Line) -> Result<(), String>,
) -> Result<(), String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    let schema = builder.parquet_schema();
    has_columns(schema)?;
    let kept = (0..schema.num_columns()).filter(|leaf| {
        let path = schema.column(*leaf).path().clone();
        !path.parts().iter().take(2).any(|part| PARSED.contains(&part.as_str()))
    });
    let mask = ProjectionMask::leaves(schema, kept);
    let batches = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
    let batches = batches.map_err(|error| error.to_string())?;
    has_types(&batches.schema())?;
    for batch in batches {
        let batch = batch.map_err(|error| error.to_string())?;
        let mut text = Vec::new();
        // Without nulls a partition whose value is missing would have no value at all.
        let builder = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
        let mut writer = builder.build::<_, arrow::json::writer::LineDelimited>(&mut text);
        writer.write(&batch).and_then(|()| writer.finish()).map_err(|error| error.to_string())?;
        drop(writer);
        each_line(&text, &mut take)?;
    }
    Ok(())
}

/// A column whose name is damaged would read as one without values, where readers may insist on it.
fn has_columns(schema: &SchemaDescriptor) -> Result<(), String> {
    let columns: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
    for (action, names) in REQUIRED {
        let has_action = columns.iter().any(|column| column.starts_with(action));
        let wanted =
            names.iter().map(|name| format!("{action}{name}")).filter(|_| has_action || ALWAYS.contains(&action));
        if let Some(missing) = wanted.into_iter().find(|wanted| !columns.contains(wanted)) {
            return Err(format!("it has no column {missing}"));
        }
    }
    Ok(())
}

/// The same for a type: bytes that were texts, or times that were numbers.
fn has_types(schema: &Schema) -> Result<(), String> {
    let plain = [DataType::Utf8, DataType::Boolean, DataType::Int32, DataType::Int64];
    let fields = schema.flattened_fields();
    match fields.iter().find(|field| !field.data_type().is_nested() && !plain.contains(field.data_type())) {
        Some(field) => Err(format!("its column {} has the type {}", field.name(), field.data_type())),
        None => Ok(()),
    }
}

fn each_line(text: &[u8], mut take: impl FnMut(Line) -> Result<(), String>) -> Result<u64, String> {
    let mut lines = 0;
    for line in serde_json::Deserializer::from_slice(text).into_iter::<Line>() {
        take(line.map_err(|error| error.to_string())?)?;
        lines += 1;
    }
    Ok(lines)
}
