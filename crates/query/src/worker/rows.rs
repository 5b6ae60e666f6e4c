//! Rows as pieces of an Arrow stream, each of which fits a frame.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Schema},
    error::ArrowError,
    ipc::writer::StreamWriter,
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

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Int64Array, StringArray, StringViewArray},
        buffer::Buffer,
        ipc::reader::StreamDecoder,
    };

    use super::*;

    fn rows(column: impl Array + 'static) -> RecordBatch {
        RecordBatch::try_from_iter([("x", Arc::new(column) as ArrayRef)]).unwrap()
    }

    fn round_trip(rows: &RecordBatch) -> (usize, RecordBatch) {
        let mut writer = RowsWriter::new(&rows.schema()).unwrap();
        let mut decoder = StreamDecoder::new();
        assert!(decoder.decode(&mut Buffer::from_vec(writer.taken())).unwrap().is_none());
        assert_eq!(decoder.schema().unwrap(), rows.schema());
        let pieces = writer.encode(rows).unwrap();
        let decode = |piece: &Vec<u8>| decoder.decode(&mut Buffer::from_vec(piece.clone())).unwrap().unwrap();
        let decoded: Vec<RecordBatch> = pieces.iter().map(decode).collect();
        (pieces.len(), arrow::compute::concat_batches(&rows.schema(), &decoded).unwrap())
    }

    #[test]
    fn few_rows_are_one_piece() {
        let rows = rows(Int64Array::from_iter_values(0..2048));
        assert_eq!(round_trip(&rows), (1, rows));
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
