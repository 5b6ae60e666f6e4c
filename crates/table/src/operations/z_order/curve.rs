//! The place of rows on a Z-shaped curve: the ranks of their values among a sample, bit by bit in turn.

use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::SchemaRef,
    row::{OwnedRow, RowConverter, SortField},
};
use futures::TryStreamExt as _;

use crate::{TableError, live::LiveFile, reader::FileReader};

/// The name of the column that holds the place on the curve.
pub(super) const CURVE_COLUMN: &str = "__sluice_curve";
/// How many bytes a place has.
pub(super) const CURVE_BYTES: i32 = 16;
/// How many rows a sample is kept below; beyond it every second one is let go.
const MAX_SAMPLE: usize = 8192;
/// How many bits a rank has.
const RANK_BITS: u32 = 13;

/// Ranks of the values of some columns.
pub(super) struct Curve {
    columns: Vec<Ranks>,
}

struct Ranks {
    column: usize,
    converter: RowConverter,
    /// Values of the sample in order.
    bounds: Vec<OwnedRow>,
}

impl Curve {
    /// Learn the ranks of these columns from the rows of some files.
    pub(super) async fn sample(columns: &[usize], files: &[LiveFile], reader: &FileReader) -> Result<Self, TableError> {
        let ranks = columns.iter().map(|column| Ranks::new(*column, &reader.schema));
        let mut curve = Self { columns: ranks.collect::<Result<_, _>>()? };
        // Every `stride`-th row is in the sample, whatever its place in a batch.
        let (mut stride, mut seen) = (1, 0);
        for file in files {
            let mut batches = reader.read_columns(file, Some(columns)).await?;
            while let Some(batch) = batches.try_next().await? {
                let picked: Vec<u32> =
                    (0..batch.num_rows()).filter(|row| (seen + row) % stride == 0).map(|row| row as u32).collect();
                seen += batch.num_rows();
                let sample = take_record_batch(&batch, &UInt32Array::from(picked))?;
                curve.columns.iter_mut().try_for_each(|ranks| ranks.learn(&sample))?;
                while curve.columns.iter().any(|ranks| ranks.bounds.len() > MAX_SAMPLE) {
                    curve.columns.iter_mut().for_each(Ranks::thin_out);
                    stride *= 2;
                }
            }
        }
        curve.columns.iter_mut().for_each(|ranks| ranks.bounds.sort_unstable());
        Ok(curve)
    }

    /// The place of each row.
    pub(super) fn places(&self, batch: &RecordBatch) -> Result<FixedSizeBinaryArray, TableError> {
        let ranks = self.columns.iter().map(|ranks| ranks.of(batch.column(ranks.column)));
        let ranks = ranks.collect::<Result<Vec<_>, _>>()?;
        let place = |row: usize| {
            let mut place = 0_u128;
            for bit in (0..RANK_BITS).rev() {
                for ranks in &ranks {
                    place = place << 1 | u128::from(ranks[row] >> bit & 1);
                }
            }
            place.to_be_bytes()
        };
        let places = (0..batch.num_rows()).map(|row| Some(place(row)));
        Ok(FixedSizeBinaryArray::try_from_sparse_iter_with_size(places, CURVE_BYTES)?)
    }
}

impl Ranks {
    fn new(column: usize, schema: &SchemaRef) -> Result<Self, TableError> {
        let fields = vec![SortField::new(schema.field(column).data_type().clone())];
        Ok(Self { column, converter: RowConverter::new(fields)?, bounds: Vec::new() })
    }

    fn learn(&mut self, sample: &RecordBatch) -> Result<(), TableError> {
        let rows = self.converter.convert_columns(std::slice::from_ref(sample.column(self.column)))?;
        self.bounds.extend(rows.iter().map(|row| row.owned()));
        Ok(())
    }

    fn thin_out(&mut self) {
        let mut at = 0;
        self.bounds.retain(|_| {
            at += 1;
            at % 2 == 1
        });
    }

    /// The rank of each value, over the whole range of a rank.
    fn of(&self, values: &ArrayRef) -> Result<Vec<u64>, TableError> {
        let rows = self.converter.convert_columns(std::slice::from_ref(values))?;
        let count = self.bounds.len().max(1) as u64;
        let rank = |below: usize| ((below as u64) << RANK_BITS).div_euclid(count).min((1 << RANK_BITS) - 1);
        Ok(rows.iter().map(|row| rank(self.bounds.partition_point(|bound| bound.row() < row))).collect())
    }
}
