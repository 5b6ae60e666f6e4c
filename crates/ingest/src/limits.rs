//! How much a file may make the decoders do.

use serde::{Deserialize, Serialize};

/// Lists and structs within one another that a column may have: whatever writes or describes a table recurses over
/// them. JSON that is nested deeper, up to [`DecodeLimits::depth`], is kept as text.
pub(crate) const COLUMN_DEPTH: usize = 16;

/// The bounds of decoding one file, whatever its format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecodeLimits {
    /// Bytes after decompression; for Parquet, bytes of the values in memory.
    pub decoded_bytes: u64,
    /// How many bytes one compressed byte may become, once the first 16 MiB are decoded; in Parquet, the first GiB.
    pub ratio: u64,
    /// Columns of a file, fields within objects counted too.
    pub columns: usize,
    /// Arrays and objects within one another, the record itself counted.
    pub depth: usize,
    /// Bytes of one record.
    pub record_bytes: usize,
    /// Rows of one batch; wide rows and long texts end a batch earlier.
    pub batch_rows: usize,
    /// Bytes of a Parquet footer.
    pub parquet_footer_bytes: u64,
    /// Row groups of a Parquet file.
    pub parquet_row_groups: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            decoded_bytes: 10 << 30,
            ratio: 200,
            columns: 2000,
            depth: 64,
            record_bytes: 16 << 20,
            batch_rows: 8192,
            parquet_footer_bytes: 16 << 20,
            parquet_row_groups: 32_768,
        }
    }
}
