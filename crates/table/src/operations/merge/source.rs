//! The source of a merge: its rows in memory, found by their keys.

use std::collections::HashMap;

use arrow::{
    array::{Array as _, ArrayRef, RecordBatch, UInt32Array, new_null_array},
    compute::{concat, take},
    datatypes::{Schema, SchemaRef},
    row::{OwnedRow, RowConverter, SortField},
    util::display::{ArrayFormatter, FormatOptions},
};

use super::Merge;
use crate::{Refusal, TableError, reader::convert};

/// How many rows are inserted at a time.
const INSERT_ROWS: usize = 4096;

/// Rows and where to find them.
pub(super) struct Source {
    schema: SchemaRef,
    /// The source's values of each column of the table, none where it has no such column.
    columns: Vec<Option<ArrayRef>>,
    rows: usize,
    key_columns: Vec<usize>,
    converter: RowConverter,
    places: HashMap<OwnedRow, usize>,
    matched: Vec<bool>,
}

impl Source {
    /// Take up the source of a merge into a table with these columns.
    pub(super) fn new(merge: &Merge, schema: &SchemaRef, limit_bytes: usize) -> Result<Self, TableError> {
        let bytes: usize = merge.source.iter().map(RecordBatch::get_array_memory_size).sum();
        if bytes > limit_bytes {
            return Err(Refusal::SourceTooLarge { limit_bytes }.into());
        }
        let key_columns = key_columns(merge, schema)?;
        let columns = columns(&merge.source, schema)?;
        if let Some(missing) = key_columns.iter().find(|at| columns[**at].is_none()) {
            return Err(Refusal::unknown(schema.field(*missing).name()).into());
        }
        let fields = key_columns.iter().map(|at| SortField::new(schema.field(*at).data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        let rows = merge.source.iter().map(RecordBatch::num_rows).sum();
        let places = HashMap::new();
        let mut source =
            Self { schema: schema.clone(), columns, rows, key_columns, converter, places, matched: vec![false; rows] };
        source.place_keys()?;
        Ok(source)
    }

    fn place_keys(&mut self) -> Result<(), TableError> {
        let keys: Vec<ArrayRef> = self.key_columns.iter().filter_map(|at| self.columns[*at].clone()).collect();
        for (row, key) in self.keys(&keys)?.into_iter().enumerate() {
            let Some(key) = key else { continue };
            if self.places.insert(key, row).is_some() {
                return Err(Refusal::DuplicateKey { key: key_text(&keys, row)? }.into());
            }
        }
        Ok(())
    }

    /// The key of each row, none where a value is missing.
    fn keys(&self, columns: &[ArrayRef]) -> Result<Vec<Option<OwnedRow>>, TableError> {
        let rows = self.converter.convert_columns(columns)?;
        let is_whole = |row: usize| columns.iter().all(|column| column.is_valid(row));
        Ok(rows.iter().enumerate().map(|(at, row)| is_whole(at).then(|| row.owned())).collect())
    }

    /// The row of the source that matches each row of a batch of the table.
    pub(super) fn find(&self, batch: &RecordBatch) -> Result<Vec<Option<usize>>, TableError> {
        let columns: Vec<ArrayRef> = self.key_columns.iter().map(|at| batch.column(*at).clone()).collect();
        let keys = self.keys(&columns)?;
        Ok(keys.into_iter().map(|key| self.places.get(&key?).copied()).collect())
    }

    /// Remember rows that matched.
    pub(super) fn mark(&mut self, matches: &[Option<usize>]) {
        for row in matches.iter().flatten() {
            self.matched[*row] = true;
        }
    }

    /// The columns of the keys in the table.
    pub(super) fn key_columns(&self) -> &[usize] {
        &self.key_columns
    }

    /// The source's values of a column of the table.
    pub(super) fn column(&self, at: usize) -> Option<&ArrayRef> {
        self.columns[at].as_ref()
    }

    /// The rows that matched nothing, as rows of the table.
    pub(super) fn unmatched_rows(&self) -> impl Iterator<Item = Result<RecordBatch, TableError>> {
        let rows: Vec<u32> = (0..self.rows).filter(|row| !self.matched[*row]).map(|row| row as u32).collect();
        let chunks: Vec<UInt32Array> = rows.chunks(INSERT_ROWS).map(|rows| rows.to_vec().into()).collect();
        chunks.into_iter().map(|rows| self.rows_at(&rows))
    }

    fn rows_at(&self, rows: &UInt32Array) -> Result<RecordBatch, TableError> {
        let columns = self.columns.iter().zip(self.schema.fields()).map(|(column, field)| match column {
            Some(column) => take(column, rows, None),
            None => Ok(new_null_array(field.data_type(), rows.len())),
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let relaxed = self.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        Ok(RecordBatch::try_new(Schema::new(relaxed.collect::<Vec<_>>()).into(), columns)?)
    }
}

fn key_columns(merge: &Merge, schema: &SchemaRef) -> Result<Vec<usize>, TableError> {
    if merge.keys.is_empty() {
        return Err(Refusal::unknown("").into());
    }
    let columns = merge.keys.iter().map(|key| schema.index_of(key).map_err(|_| Refusal::unknown(key).into()));
    columns.collect()
}

/// The source's values of each column of the table, in the table's types.
fn columns(source: &[RecordBatch], schema: &SchemaRef) -> Result<Vec<Option<ArrayRef>>, TableError> {
    for batch in source {
        let own = batch.schema();
        if let Some(unknown) = own.fields().iter().find(|field| schema.index_of(field.name()).is_err()) {
            return Err(Refusal::unknown(unknown.name()).into());
        }
    }
    let columns = schema.fields().iter().map(|field| {
        let parts: Vec<ArrayRef> =
            source.iter().filter_map(|batch| batch.column_by_name(field.name())).cloned().collect();
        if parts.is_empty() {
            return Ok(None);
        }
        if parts.len() != source.len() {
            return Err(Refusal::unknown(field.name()).into());
        }
        let parts = parts.iter().map(|part| convert(part, field.data_type())).collect::<Result<Vec<_>, _>>()?;
        let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
        Ok(Some(concat(&parts)?))
    });
    columns.collect()
}

fn key_text(keys: &[ArrayRef], row: usize) -> Result<String, TableError> {
    let text =
        |column: &ArrayRef| Ok(ArrayFormatter::try_new(column, &FormatOptions::default())?.value(row).to_string());
    Ok(keys.iter().map(text).collect::<Result<Vec<_>, TableError>>()?.join(", "))
}
