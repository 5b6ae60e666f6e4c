//! Where decoders put what they find: rows that are good, and those that are not, in the order of the file.

use arrow::{array::RecordBatch, json::LineDelimitedWriter};
use serde::{Deserialize, Serialize};

use crate::DecodeError;

/// A record that does not become a row, behind which decoding can go on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BadRow {
    /// Which record of the file it is, counted from 1, good ones too.
    pub(crate) number: u64,
    /// Where it is, and how it was written.
    pub(crate) source: SourceRecord,
    /// What is wrong with it.
    pub(crate) error: DecodeError,
}

/// A record as it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct SourceRecord {
    /// The line that it begins in, in text formats.
    pub(crate) line: Option<u64>,
    /// Where it begins in the decompressed content, in bytes, in text formats.
    pub(crate) byte_offset: Option<u64>,
    /// Whether it is delimited text, and not a JSON object.
    pub(crate) is_delimited: bool,
    /// Its bytes; in binary formats, its values as a JSON object.
    #[serde(skip)]
    pub(crate) bytes: Vec<u8>,
}

impl SourceRecord {
    /// The values of a row, as a JSON object: formats that are not text have no other form to show.
    pub(crate) fn of_values(batch: &RecordBatch, row: usize) -> Self {
        let mut writer = LineDelimitedWriter::new(Vec::new());
        let written = writer.write(&batch.slice(row, 1)).and_then(|()| writer.finish());
        let mut bytes = written.map(|()| writer.into_inner()).unwrap_or_default();
        bytes.truncate(bytes.trim_ascii_end().len());
        Self { bytes, ..Self::default() }
    }
}

/// Takes what a decoder finds.
pub(crate) trait RowSink {
    /// Take rows of the wanted schema.
    fn rows(&mut self, batch: RecordBatch) -> Result<(), DecodeError>;

    /// Take a record that is no row. Gives its error back where it spoils the whole file.
    fn bad_row(&mut self, row: BadRow) -> Result<(), DecodeError>;
}

/// A sink that keeps everything.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Lenient {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) bad: Vec<BadRow>,
}

#[cfg(test)]
impl Lenient {
    /// The bad rows as text: number, place, bytes, and what is wrong.
    pub(crate) fn bad_rows(&self) -> Vec<String> {
        let text = |row: &BadRow| format!("{} {:?} {}", row.number, row.source, row.error);
        self.bad.iter().map(text).collect()
    }
}

#[cfg(test)]
impl RowSink for Lenient {
    fn rows(&mut self, batch: RecordBatch) -> Result<(), DecodeError> {
        self.batches.push(batch);
        Ok(())
    }

    fn bad_row(&mut self, row: BadRow) -> Result<(), DecodeError> {
        self.bad.push(row);
        Ok(())
    }
}

/// A sink that keeps good rows, and takes no bad ones.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Good(pub(crate) Vec<RecordBatch>);

#[cfg(test)]
impl RowSink for Good {
    fn rows(&mut self, batch: RecordBatch) -> Result<(), DecodeError> {
        self.0.push(batch);
        Ok(())
    }

    fn bad_row(&mut self, row: BadRow) -> Result<(), DecodeError> {
        Err(row.error)
    }
}

/// A sink that takes good rows alone.
#[cfg(test)]
pub(crate) struct Strict<F>(pub(crate) F);

#[cfg(test)]
impl<F: FnMut(RecordBatch) -> Result<(), DecodeError>> RowSink for Strict<F> {
    fn rows(&mut self, batch: RecordBatch) -> Result<(), DecodeError> {
        (self.0)(batch)
    }

    fn bad_row(&mut self, row: BadRow) -> Result<(), DecodeError> {
        Err(row.error)
    }
}
