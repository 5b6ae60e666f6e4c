//! A sound file, and what becomes of it on the way.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

/// How many rows a sound file has.
pub(crate) const SOUND_ROWS: u64 = 5000;

/// A file without fault, in two row groups, with columns of several kinds.
pub(crate) fn sound() -> Vec<u8> {
    let rows = SOUND_ROWS as i64;
    let tags = (0..rows).map(|at| (at % 7 != 0).then_some(["red", "green", "blue"][at as usize % 3]));
    let lists = (0..rows).map(|at| (at % 5 != 0).then(|| (0..at % 4).map(|item| Some(item as i32))));
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..rows))),
        ("value", Arc::new(Float64Array::from_iter_values((0..rows).map(|at| at as f64 / 3.0)))),
        ("text", Arc::new(StringArray::from_iter_values((0..rows).map(|at| format!("row number {at}"))))),
        ("tag", Arc::new(tags.collect::<DictionaryArray<Int32Type>>())),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(3000))
        .set_data_page_row_count_limit(500)
        .set_write_batch_size(500);
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// The file cut off after each of so many parts of it.
pub(crate) fn cut(bytes: &[u8], points: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..points).map(move |at| bytes[..bytes.len() * at / points].to_vec())
}

/// The file with one bit changed, so many times: half of them within its pages, half within its footer.
pub(crate) fn flipped(bytes: &[u8], flips: usize) -> impl Iterator<Item = Vec<u8>> {
    let length = u32::from_le_bytes(*bytes[..bytes.len() - 4].last_chunk().unwrap()) as usize;
    let footer = bytes.len() - 8 - length;
    (0..flips).map(move |flip| {
        let mut bytes = bytes.to_vec();
        // Primes spread the places over the file without chance.
        let at = if flip % 2 == 0 { flip * 7919 % footer } else { footer + flip * 104_729 % (bytes.len() - footer) };
        bytes[at] ^= 1 << (flip * 31 / 7 % 8);
        bytes
    })
}
