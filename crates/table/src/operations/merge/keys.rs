//! Keys as bytes: equal keys are equal bytes, and what comes later in order is greater.

use std::hash::{BuildHasher as _, RandomState};

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{DataType, Schema},
    row::{RowConverter, Rows, SortField},
};

use super::spill::{Spill, torn};
use crate::{Refusal, TableError};

/// How many buckets keys are dealt into: each is looked at by itself, and must fit into memory.
const BUCKETS: usize = 1024;
/// How many bytes of a bucket wait in memory.
const PIECE_BYTES: usize = 16 << 10;
const NUMBER_BYTES: usize = 8;
const FILE_BYTES: usize = 4;
const HEAD_BYTES: usize = NUMBER_BYTES + FILE_BYTES + 1 + FILE_BYTES;

/// Makes bytes of some columns.
#[derive(Debug)]
pub(super) struct Encoder {
    columns: Vec<String>,
    converter: RowConverter,
}

impl Encoder {
    pub(super) fn new(schema: &Schema, columns: &[String]) -> Result<Self, TableError> {
        let fields = columns.iter().map(|column| Ok(SortField::new(type_of(schema, column)?.clone())));
        let fields = fields.collect::<Result<Vec<_>, TableError>>()?;
        Ok(Self { columns: columns.to_vec(), converter: RowConverter::new(fields)? })
    }

    /// The columns of a batch that are encoded.
    pub(super) fn columns_of(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, TableError> {
        let column = |name: &String| Ok(batch.column(batch.schema_ref().index_of(name)?).clone());
        self.columns.iter().map(column).collect()
    }

    /// The bytes of each row.
    pub(super) fn encode(&self, batch: &RecordBatch) -> Result<Rows, TableError> {
        self.encode_columns(&self.columns_of(batch)?)
    }

    pub(super) fn encode_columns(&self, columns: &[ArrayRef]) -> Result<Rows, TableError> {
        Ok(self.converter.convert_columns(columns)?)
    }

    /// The values of rows that were encoded.
    pub(super) fn decode(&self, rows: &[Vec<u8>]) -> Result<Vec<ArrayRef>, TableError> {
        let parser = self.converter.parser();
        Ok(self.converter.convert_rows(rows.iter().map(|row| parser.parse(row)))?)
    }
}

fn type_of<'s>(schema: &'s Schema, column: &str) -> Result<&'s DataType, TableError> {
    let data_type = schema.field_with_name(column).map_err(|_| Refusal::unknown(column))?.data_type();
    if RowConverter::supports_fields(&[SortField::new(data_type.clone())]) {
        return Ok(data_type);
    }
    Err(Refusal::BadKey { column: column.to_owned(), reason: "values of its type cannot be compared" }.into())
}

/// A row of the source or of the table, as far as it matters to whom it matches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'b> {
    pub(super) key: &'b [u8],
    /// How new it is; empty where rows have no order.
    pub(super) order: &'b [u8],
    /// Its number in the source or in its file.
    pub(super) number: u64,
    /// The file of the table that it is in.
    pub(super) file: u32,
    /// Whether it says that its match is to be deleted.
    pub(super) deletes: bool,
}

impl<'b> Record<'b> {
    fn parse(bytes: &'b [u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (file, rest) = rest.split_first_chunk()?;
        let (deletes, rest) = rest.split_first()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (key, order) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let (number, file) = (u64::from_le_bytes(*number), u32::from_le_bytes(*file));
        Some(Self { key, order, number, file, deletes: *deletes != 0 })
    }
}

/// Records dealt into buckets by their keys.
#[derive(Debug)]
pub(super) struct KeySpill {
    records: Spill,
    hash: RandomState,
}

impl KeySpill {
    /// No records; rows of the same key that go to several of these go to the same bucket with the same hash.
    pub(super) fn new(scratch_dir: &std::path::Path, hash: RandomState) -> Self {
        Self { records: Spill::new(BUCKETS, PIECE_BYTES, scratch_dir), hash }
    }

    /// The hash that deals, which nobody can foresee.
    pub(super) fn hash(&self) -> &RandomState {
        &self.hash
    }

    pub(super) fn push(&mut self, record: &Record<'_>) -> Result<(), TableError> {
        let bucket = self.hash.hash_one(record.key) as usize % self.records.bucket_count();
        let mut head = [0; HEAD_BYTES];
        head[..NUMBER_BYTES].copy_from_slice(&record.number.to_le_bytes());
        head[NUMBER_BYTES..NUMBER_BYTES + FILE_BYTES].copy_from_slice(&record.file.to_le_bytes());
        head[NUMBER_BYTES + FILE_BYTES] = record.deletes.into();
        let length = u32::try_from(record.key.len()).map_err(TableError::encode)?;
        head[HEAD_BYTES - FILE_BYTES..].copy_from_slice(&length.to_le_bytes());
        self.records.push(bucket, &[&head, record.key, record.order])
    }

    pub(super) fn buckets(&self) -> std::ops::Range<usize> {
        0..self.records.bucket_count()
    }

    pub(super) fn read(
        &self,
        bucket: usize,
        mut show: impl FnMut(Record<'_>) -> Result<(), TableError>,
    ) -> Result<(), TableError> {
        self.records.read(bucket, |bytes| show(Record::parse(bytes).ok_or_else(torn)?))
    }
}
