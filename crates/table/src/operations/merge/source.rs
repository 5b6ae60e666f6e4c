//! The source of a merge: its rows in a scratch file, in their order, and their keys in buckets beside it.
//!
//! Invariant: what is in memory of a source does not grow with its rows, beyond a filter of bounded size.
//! Invariant: a source can be merged as often as it takes; nothing of it is used up.

use std::{
    hash::RandomState,
    io::Cursor,
    path::{Path, PathBuf},
};

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array},
    buffer::BooleanBuffer,
    compute::{cast, filter_record_batch},
    datatypes::{DataType, Schema, SchemaRef},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use parquet::bloom_filter::Sbbf;

use super::{
    MergeRule,
    bounds::KeyBounds,
    keys::{Encoder, KeySpill, Record},
    spill::{Spill, torn},
};
use crate::{CommitFailure, Refusal, TableError, TableWriter};

/// How many bytes of rows wait in memory before they go to the scratch file.
const PIECE_BYTES: usize = 1 << 20;
/// How many bytes of the filter each row gets.
const FILTER_BYTES_PER_ROW: usize = 2;
/// How large the filter is at the most; beyond it more rows of the table are looked at in vain.
const MAX_FILTER_BYTES: usize = 32 << 20;
/// What a delete marker says of a row that deletes, in small letters.
const DELETES: [&str; 5] = ["true", "1", "1.0", "d", "delete"];

/// Takes the rows of a source.
pub struct SourceWriter {
    rule: MergeRule,
    columns: SchemaRef,
    stored: Vec<usize>,
    scratch_dir: PathBuf,
    keys: Encoder,
    order: Option<Encoder>,
    bounds: KeyBounds,
    rows: u64,
    staged: Spill,
    index: KeySpill,
}

/// Rows that are to be brought into a table by their keys.
#[derive(Debug)]
pub struct Source {
    pub(super) rule: MergeRule,
    /// Its columns, without a marker that is not stored.
    pub(super) schema: SchemaRef,
    pub(super) rows: u64,
    pub(super) keys: Encoder,
    pub(super) order: Option<Encoder>,
    pub(super) bounds: KeyBounds,
    pub(super) index: KeySpill,
    pub(super) scratch_dir: PathBuf,
    staged: Spill,
    filter: Sbbf,
}

impl SourceWriter {
    /// A source of batches of these columns. The table has them all, in these types, but for a marker that is not
    /// stored. Scratch files go into `scratch_dir`.
    ///
    /// # Errors
    /// [`Refusal::UnknownColumn`] or [`Refusal::BadKey`] for a column of the rule.
    pub fn open(rule: MergeRule, columns: &SchemaRef, scratch_dir: &Path) -> Result<Self, TableError> {
        if rule.keys.is_empty() {
            return Err(Refusal::BadKey { column: String::new(), reason: "a key has at least one column" }.into());
        }
        let marker = match &rule.delete_when {
            Some(marker) => {
                let at = columns.index_of(&marker.column).map_err(|_| Refusal::unknown(&marker.column))?;
                (!marker.stored).then_some(at)
            }
            None => None,
        };
        let order = rule.order_by.as_ref();
        Ok(Self {
            stored: (0..columns.fields().len()).filter(|at| Some(*at) != marker).collect(),
            keys: Encoder::new(columns, &rule.keys)?,
            order: order.map(|order| Encoder::new(columns, std::slice::from_ref(order))).transpose()?,
            bounds: KeyBounds::new(columns, &rule.keys)?,
            columns: columns.clone(),
            scratch_dir: scratch_dir.to_owned(),
            rows: 0,
            staged: Spill::new(1, PIECE_BYTES, scratch_dir),
            index: KeySpill::new(scratch_dir, RandomState::new()),
            rule,
        })
    }

    /// Add rows. Blocks: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`Refusal::MissingKey`], or a scratch file that cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let keys = self.keys.columns_of(batch)?;
        self.check_missing(&keys)?;
        self.bounds.add(&keys)?;
        let keys = self.keys.encode_columns(&keys)?;
        let orders = self.order.as_ref().map(|order| order.encode(batch)).transpose()?;
        let deletes = self.rule.delete_when.as_ref().map(|marker| deletes(batch, &marker.column)).transpose()?;
        for (row, key) in keys.iter().enumerate() {
            self.index.push(&Record {
                key: key.as_ref(),
                order: orders.as_ref().map_or(&[], |orders| orders.row(row).data()),
                number: self.rows + row as u64,
                file: 0,
                deletes: deletes.as_ref().is_some_and(|deletes| deletes.value(row)),
            })?;
        }
        self.rows += batch.num_rows() as u64;
        self.stage(&batch.project(&self.stored)?)
    }

    fn check_missing(&self, keys: &[ArrayRef]) -> Result<(), Refusal> {
        if self.rule.missing_is_value {
            return Ok(());
        }
        for (column, values) in self.rule.keys.iter().zip(keys) {
            if let Some(row) = (0..values.len()).find(|row| values.is_null(*row)) {
                return Err(Refusal::MissingKey { row: self.rows + row as u64 + 1, column: column.clone() });
            }
        }
        Ok(())
    }

    fn stage(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
        writer.write(batch)?;
        self.staged.push(0, &[&writer.into_inner()?])
    }

    /// The source, which can be merged now.
    ///
    /// # Errors
    /// A scratch file that cannot be read.
    pub fn finish(self) -> Result<Source, TableError> {
        let wanted = usize::try_from(self.rows).unwrap_or(usize::MAX).saturating_mul(FILTER_BYTES_PER_ROW);
        let mut filter = Sbbf::new_with_num_of_bytes(wanted.min(MAX_FILTER_BYTES));
        for bucket in self.index.buckets() {
            self.index.read(bucket, |record| {
                filter.insert(record.key);
                Ok(())
            })?;
        }
        Ok(Source {
            schema: self.columns.project(&self.stored)?.into(),
            rule: self.rule,
            rows: self.rows,
            keys: self.keys,
            order: self.order,
            bounds: self.bounds,
            index: self.index,
            scratch_dir: self.scratch_dir,
            staged: self.staged,
            filter,
        })
    }
}

impl Source {
    /// How many rows it has.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether a row of the source may have this key.
    pub(super) fn may_have(&self, key: &[u8]) -> bool {
        self.filter.check(key)
    }

    /// Whether a table with these columns has some that the source lacks.
    pub(super) fn is_partial(&self, table: &Schema) -> bool {
        table.fields().iter().any(|field| self.schema.index_of(field.name()).is_err())
    }

    /// Check that the table has the source's columns, in the types in which the source was written.
    pub(super) fn check_fits(&self, table: &Schema) -> Result<(), TableError> {
        let fits = |name: &str, data_type: &DataType| {
            table.field_with_name(name).is_ok_and(|field| field.data_type() == data_type)
        };
        match self.schema.fields().iter().find(|field| !fits(field.name(), field.data_type())) {
            Some(other) => {
                let reason = format!("the column {} is gone or of another type", other.name());
                Err(CommitFailure::SchemaChanged { reason }.into())
            }
            None => Ok(()),
        }
    }

    /// Show the rows that are chosen, in their order.
    pub(super) fn read(
        &self,
        chosen: &BooleanBuffer,
        mut show: impl FnMut(RecordBatch) -> Result<(), TableError>,
    ) -> Result<(), TableError> {
        let mut at = 0;
        self.staged.read(0, |bytes| {
            let batch = StreamReader::try_new(Cursor::new(bytes), None)?.next().ok_or_else(torn)??;
            let mask = BooleanArray::new(chosen.slice(at, batch.num_rows()), None);
            at += batch.num_rows();
            if mask.true_count() == 0 { Ok(()) } else { show(filter_record_batch(&batch, &mask)?) }
        })
    }

    /// Write the rows that are chosen as rows of a table with these columns.
    pub(super) fn write(
        &self,
        chosen: &BooleanBuffer,
        table: &SchemaRef,
        writer: &mut TableWriter,
    ) -> Result<(), TableError> {
        self.read(chosen, |batch| writer.write(&completed(&batch, table)?))
    }
}

/// The rows with all columns of the table; those that they lack are missing.
fn completed(batch: &RecordBatch, table: &SchemaRef) -> Result<RecordBatch, TableError> {
    let column = |field: &std::sync::Arc<arrow::datatypes::Field>| match batch.column_by_name(field.name()) {
        Some(column) => column.clone(),
        None => new_null_array(field.data_type(), batch.num_rows()),
    };
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(table.clone(), table.fields().iter().map(column).collect(), &options)?)
}

/// Which rows the marker says to delete.
fn deletes(batch: &RecordBatch, column: &str) -> Result<BooleanArray, TableError> {
    let marker = batch.column(batch.schema_ref().index_of(column)?);
    let texts = cast(marker, &DataType::Utf8).map_err(|_| Refusal::BadKey {
        column: column.to_owned(),
        reason: "values of its type do not say whether to delete",
    })?;
    let says = |text: Option<&str>| {
        Some(text.is_some_and(|text| DELETES.iter().any(|word| text.trim().eq_ignore_ascii_case(word))))
    };
    Ok(texts.as_string::<i32>().iter().map(says).collect())
}
