//! Commits and checkpoints as lines, one at a time.
//!
//! Invariant: a commit or checkpoint that is cut short, or empty, is an error.

use bytes::Bytes;
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use crate::maintenance::actions::Line;

/// How many rows of a checkpoint are decoded at once.
const BATCH_ROWS: usize = 1024;
/// What a checkpoint tells twice, in types that the lines of commits do not have.
const PARSED: [&str; 2] = ["stats_parsed", "partitionValues_parsed"];

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
    let kept = (0..schema.num_columns()).filter(|leaf| {
        let path = schema.column(*leaf).path().clone();
        !path.parts().iter().take(2).any(|part| PARSED.contains(&part.as_str()))
    });
    let mask = ProjectionMask::leaves(schema, kept);
    let batches = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
    for batch in batches.map_err(|error| error.to_string())? {
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

fn each_line(text: &[u8], mut take: impl FnMut(Line) -> Result<(), String>) -> Result<u64, String> {
    let mut lines = 0;
    for line in serde_json::Deserializer::from_slice(text).into_iter::<Line>() {
        take(line.map_err(|error| error.to_string())?)?;
        lines += 1;
    }
    Ok(lines)
}
