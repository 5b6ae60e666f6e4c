//! Rows as pieces of an Arrow stream, each of which fits a frame.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    buffer::Buffer,
    datatypes::{DataType, Schema, SchemaRef},
    error::ArrowError,
    ipc::{reader::StreamDecoder, writer::StreamWriter},
};
use datafusion::error::DataFusionError;

use super::frame::MAX_ROWS_BYTES;
use crate::{QueryError, redaction::Redaction};

/// Rows that seem larger than this are sent in several pieces, in bytes.
const PIECE_BYTES: usize = 4 << 20;

/// Writes one result.
pub(crate) struct RowsWriter {
    writer: StreamWriter<Vec<u8>>,
}

impl RowsWriter {
    /// A writer of rows with these columns.
    pub(crate) fn new(schema: &Schema) -> Result<Self, QueryError> {
        Ok(Self { writer: StreamWriter::try_new(Vec::new(), schema).map_err(unwritable)? })
    }

    /// What was written since this was asked last; at first the columns.
    pub(crate) fn taken(&mut self) -> Vec<u8> {
        std::mem::take(self.writer.get_mut())
    }

    /// The pieces of these rows.
    ///
    /// # Errors
    /// [`QueryError::MemoryExceeded`] for a row that fits no frame.
    pub(crate) fn encode(&mut self, rows: &RecordBatch) -> Result<Vec<Vec<u8>>, QueryError> {
        let mut pieces = Vec::new();
        for part in parts(rows.clone()) {
            let part = compacted(&part).map_err(unwritable)?;
            self.writer.write(&part).map_err(unwritable)?;
            let piece = self.taken();
            if piece.len() > MAX_ROWS_BYTES {
                return Err(QueryError::MemoryExceeded);
            }
            pieces.push(piece);
        }
        Ok(pieces)
    }
}

fn unwritable(error: ArrowError) -> QueryError {
    QueryError::running(DataFusionError::from(error), &Redaction::default())
}

/// The rows without the texts that they only hold on to: a view of one text may keep a whole file's.
fn compacted(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = rows.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()) as ArrayRef,
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => Arc::clone(column),
    });
    let columns = columns.collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(rows.schema(), columns, &options)
}

fn size_bytes(rows: &RecordBatch) -> usize {
    let size = |column: &ArrayRef| match column.data_type() {
        DataType::Utf8View => column.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => column.as_binary_view().total_buffer_bytes_used(),
        _ => column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()),
    };
    rows.columns().iter().map(size).sum()
}

/// The rows in halves, and those again, as long as that makes them smaller.
fn parts(rows: RecordBatch) -> Vec<RecordBatch> {
    let size = size_bytes(&rows);
    let (mut waiting, mut parts) = (vec![(rows, size)], Vec::new());
    while let Some((rows, size)) = waiting.pop() {
        let middle = rows.num_rows() / 2;
        if size <= PIECE_BYTES || middle == 0 {
            parts.push(rows);
            continue;
        }
        let halves = [rows.slice(0, middle), rows.slice(middle, rows.num_rows() - middle)];
        let [first, second] = halves.map(|half| (size_bytes(&half), half));
        if first.0.max(second.0) > size / 4 * 3 && first.0.min(second.0) > size / 4 {
            // Both halves hold on to the same: sending it twice helps nobody.
            parts.push(rows);
            continue;
        }
        waiting.extend([(second.1, second.0), (first.1, first.0)]);
    }
    parts
}

/// What every message of an Arrow stream begins with.
const MESSAGE_MARK: [u8; 4] = [0xff; 4];

/// Reads one result. Its values are checked, whatever has become of their writer.
#[derive(Debug, Default)]
pub(crate) struct RowsReader {
    decoder: StreamDecoder,
    /// Whether the mark of the next message was read before the message came.
    mark_is_read: bool,
}

impl RowsReader {
    /// The columns, once they have come.
    pub(crate) fn schema(&self) -> Option<SchemaRef> {
        self.decoder.schema()
    }

    /// The rows of a piece.
    pub(crate) fn read(&mut self, piece: Vec<u8>) -> Result<Vec<RecordBatch>, ArrowError> {
        if self.mark_is_read && !piece.starts_with(&MESSAGE_MARK) {
            return Err(ArrowError::IpcError("a piece of a stream begins within a message".into()));
        }
        let mut left = Buffer::from_vec(piece);
        left.advance(if self.mark_is_read { MESSAGE_MARK.len() } else { 0 });
        // A message without a body is only read when something follows it.
        let mut following = Buffer::from(MESSAGE_MARK);
        let mut batches = Vec::new();
        while !left.is_empty() {
            batches.extend(self.decoder.decode(&mut left)?);
        }
        while !following.is_empty() {
            batches.extend(self.decoder.decode(&mut following)?);
        }
        if self.schema().is_none() {
            return Err(ArrowError::IpcError("a stream does not begin with its columns".into()));
        }
        self.mark_is_read = true;
        Ok(batches)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, NullArray, StringArray, StringViewArray};

    use super::*;

    fn rows(column: impl Array + 'static) -> RecordBatch {
        RecordBatch::try_from_iter([("x", Arc::new(column) as ArrayRef)]).unwrap()
    }

    fn round_trip(rows: &RecordBatch) -> (usize, RecordBatch) {
        let mut writer = RowsWriter::new(&rows.schema()).unwrap();
        let mut reader = RowsReader::default();
        assert!(reader.read(writer.taken()).unwrap().is_empty());
        assert_eq!(reader.schema().unwrap(), rows.schema());
        let pieces = writer.encode(rows).unwrap();
        let decoded: Vec<_> = pieces.iter().flat_map(|piece| reader.read(piece.clone()).unwrap()).collect();
        (pieces.len(), arrow::compute::concat_batches(&rows.schema(), &decoded).unwrap())
    }

    #[test]
    fn few_rows_are_one_piece() {
        let rows = rows(Int64Array::from_iter_values(0..2048));
        assert_eq!(round_trip(&rows), (1, rows));
    }

    #[test]
    fn rows_without_any_bytes_arrive() {
        let rows = rows(NullArray::new(3));
        assert_eq!(round_trip(&rows), (1, rows));
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        assert!(RowsReader::default().read(vec![7; 100]).is_err());
        let mut reader = RowsReader::default();
        let mut writer = RowsWriter::new(&rows(NullArray::new(3)).schema()).unwrap();
        reader.read(writer.taken()).unwrap();
        assert!(reader.read(vec![7; 100]).is_err());
        assert!(reader.read(Vec::new()).is_err());
    }

    #[test]
    fn long_texts_are_several_pieces_in_their_order() {
        let texts = (0..40).map(|row| Some(row.to_string().repeat(500_000)));
        let rows = rows(texts.collect::<StringArray>());
        let (pieces, read) = round_trip(&rows);
        assert!(pieces > 4, "{pieces} pieces");
        assert_eq!(read, rows);
    }

    #[test]
    fn texts_that_are_only_held_on_to_are_not_sent() {
        let texts: StringViewArray = (0..2000).map(|row| Some(row.to_string().repeat(10_000))).collect();
        let rows = rows(texts).slice(7, 1);
        let mut writer = RowsWriter::new(&rows.schema()).unwrap();
        writer.taken();
        let pieces = writer.encode(&rows).unwrap();
        assert!(pieces.len() == 1 && pieces[0].len() < 20_000, "{}", pieces[0].len());
    }

    #[test]
    fn a_row_that_fits_no_frame_is_too_much() {
        let rows = rows(StringArray::from(vec!["x".repeat(MAX_ROWS_BYTES)]));
        let mut writer = RowsWriter::new(&rows.schema()).unwrap();
        assert!(matches!(writer.encode(&rows), Err(QueryError::MemoryExceeded)));
    }
}
