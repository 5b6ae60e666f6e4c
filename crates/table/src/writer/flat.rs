//! Columns of numbers, days, moments and texts, which are most of all columns: encoded here, because the library's
//! encoder takes several times as long for their dictionaries. All others are encoded by the library.
//!
//! A page is written with places in the column's dictionary until that is too large; a column whose first page shows
//! that it has hardly a value twice has none.
//!
//! Source: the Parquet format, data pages of version 1, encodings `PLAIN`, `RLE` and `RLE_DICTIONARY`.
//!
//! Invariant: the same batches make the same bytes; how a hash table lies in memory shows nowhere.

use arrow::{
    array::{Array as _, ArrayRef, NullBufferBuilder},
    datatypes::{DataType, Field, TimeUnit},
};
use parquet::{
    basic::Encoding,
    errors::ParquetError,
    file::properties::WriterProperties,
    schema::types::{ColumnDescPtr, ColumnPath},
};

mod dictionary;
mod hybrid;
mod pages;
mod texts;
mod values;

pub(super) use pages::FlatChunk;
use pages::Pages;
use texts::Texts;
use values::{Numbers, Values};

/// How many rows a page has at the most.
const PAGE_ROWS: usize = 20_000;
/// How large the values of a page become before it ends, in bytes.
const PAGE_BYTES: usize = 1 << 20;
/// How large a dictionary becomes before pages do without, in bytes.
const DICTIONARY_BYTES: usize = 1 << 20;
/// Of so many values of a first page, one must be there already for a dictionary to be worth its place.
const VALUES_PER_REPEATED: usize = 16;
/// What a page is begun with, so that a column of few rows takes little memory.
const FEW_ROWS: usize = 1024;

/// A column of a row group that is encoded here.
pub(super) trait FlatColumn: Send {
    fn write(&mut self, column: &ArrayRef) -> Result<(), ParquetError>;

    /// How large it would be in the file if it ended here.
    fn estimated_bytes(&self) -> usize;

    fn memory_bytes(&self) -> usize;

    fn close(self: Box<Self>) -> Result<FlatChunk, ParquetError>;
}

/// Makes the encoder of a column in a row group.
pub(super) type Maker = fn(ColumnDescPtr, &WriterProperties) -> Box<dyn FlatColumn>;

/// What makes the encoders of a field; none where it is the library's to encode.
pub(super) fn maker(field: &Field, properties: &WriterProperties) -> Option<Maker> {
    if properties.bloom_filter_properties(&ColumnPath::from(field.name().as_str())).is_some() {
        return None;
    }
    match field.data_type() {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Date32 => Some(make::<Numbers<i32>>),
        DataType::Int64 | DataType::Timestamp(TimeUnit::Microsecond, _) => Some(make::<Numbers<i64>>),
        DataType::Float32 => Some(make::<Numbers<f32>>),
        DataType::Float64 => Some(make::<Numbers<f64>>),
        DataType::Utf8 => Some(make::<Texts>),
        _ => None,
    }
}

fn make<V: Values>(column: ColumnDescPtr, properties: &WriterProperties) -> Box<dyn FlatColumn> {
    Box::new(Column::<V>::new(column, properties))
}

struct Column<V> {
    column: ColumnDescPtr,
    longest_bound: usize,
    values: V,
    pages: Pages,
    null_count: u64,
    /// Whether the page under construction has places in the dictionary.
    has_places: bool,
    /// Its rows, those without a value included.
    rows: usize,
    nulls: NullBufferBuilder,
    places: Vec<u32>,
    plain: Vec<u8>,
}

impl<V: Values> Column<V> {
    fn new(column: ColumnDescPtr, properties: &WriterProperties) -> Self {
        Self {
            longest_bound: properties.statistics_truncate_length().unwrap_or(usize::MAX),
            values: V::default(),
            pages: Pages::new(properties.compression(column.path())),
            null_count: 0,
            has_places: properties.dictionary_enabled(column.path()),
            column,
            rows: 0,
            nulls: NullBufferBuilder::new(FEW_ROWS),
            places: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// Add so many rows to the page under construction.
    fn add(&mut self, array: &V::Array, start: usize, count: usize) {
        self.rows += count;
        let nulls = array.nulls().map(|nulls| nulls.slice(start, count)).filter(|nulls| nulls.null_count() > 0);
        match nulls {
            None => {
                self.nulls.append_n_non_nulls(count);
                self.add_values(array, start..start + count);
            }
            Some(nulls) => {
                self.nulls.append_buffer(&nulls);
                self.add_values(array, nulls.valid_indices().map(|row| start + row));
            }
        }
    }

    fn add_values(&mut self, array: &V::Array, rows: impl Iterator<Item = usize>) {
        if self.has_places {
            self.places.extend(rows.map(|row| self.values.place(array, row)));
        } else {
            rows.for_each(|row| self.values.put(array, row, &mut self.plain));
        }
    }

    fn end_page(&mut self) -> Result<(), ParquetError> {
        if self.pages.is_empty() && self.has_places && !self.repeats() {
            self.places.drain(..).for_each(|place| self.values.put_place(place, &mut self.plain));
            self.values.drop_dictionary();
            self.has_places = false;
        }
        let mut body = Vec::with_capacity(self.plain.len() + self.places.len() * 3 + self.rows / 8 + 64);
        self.put_levels(&mut body)?;
        let mut encoding = Encoding::PLAIN;
        if self.places.is_empty() {
            body.append(&mut self.plain);
        } else {
            encoding = Encoding::RLE_DICTIONARY;
            let width = hybrid::bit_width(self.values.distinct() - 1);
            body.push(width);
            hybrid::put_numbers(&self.places, width, &mut body);
            self.places.clear();
        }
        self.pages.add(&body, encoding, std::mem::take(&mut self.rows))
    }

    /// Whether enough of the first page's values were there before.
    fn repeats(&self) -> bool {
        let repeated = self.places.len() - self.values.distinct() as usize;
        repeated * VALUES_PER_REPEATED >= self.places.len()
    }

    /// Which rows of the page have a value, where the column may be without.
    fn put_levels(&mut self, body: &mut Vec<u8>) -> Result<(), ParquetError> {
        let nulls = self.nulls.finish();
        let null_count = nulls.as_ref().map_or(0, |nulls| nulls.null_count());
        self.null_count += null_count as u64;
        if self.column.max_def_level() == 0 {
            let is_whole = null_count == 0;
            return is_whole.then_some(()).ok_or_else(|| ParquetError::General("a value is missing".to_owned()));
        }
        body.extend_from_slice(&[0; size_of::<u32>()]);
        let start = body.len();
        match nulls {
            Some(nulls) if null_count < self.rows => hybrid::put_bits(nulls.inner(), body),
            Some(_) => hybrid::put_run(0, self.rows, 1, body),
            None => hybrid::put_run(1, self.rows, 1, body),
        }
        let bytes = (body.len() - start) as u32;
        body[start - size_of::<u32>()..start].copy_from_slice(&bytes.to_le_bytes());
        Ok(())
    }
}

impl<V: Values> FlatColumn for Column<V> {
    fn write(&mut self, column: &ArrayRef) -> Result<(), ParquetError> {
        let array = V::array(column)?;
        let mut start = 0;
        while start < array.len() {
            let room = PAGE_BYTES.saturating_sub(self.plain.len());
            let count = V::rows_of_bytes(&array, start, room).min(PAGE_ROWS - self.rows).min(array.len() - start);
            self.add(&array, start, count);
            start += count;
            let is_full = self.has_places && self.values.dictionary_bytes() >= DICTIONARY_BYTES;
            if self.rows == PAGE_ROWS || self.plain.len() >= PAGE_BYTES || is_full {
                self.end_page()?;
            }
            if is_full {
                self.values.end_dictionary();
                self.has_places = false;
            }
        }
        Ok(())
    }

    fn estimated_bytes(&self) -> usize {
        let place_bits = usize::from(hybrid::bit_width(self.values.distinct()));
        let page = self.plain.len() + self.places.len() * place_bits / 8;
        self.pages.bytes() + self.values.dictionary_bytes() + page
    }

    fn memory_bytes(&self) -> usize {
        let page = self.plain.capacity() + self.places.capacity() * size_of::<u32>() + self.nulls.allocated_size();
        self.pages.bytes() + self.values.memory_bytes() + page
    }

    fn close(mut self: Box<Self>) -> Result<FlatChunk, ParquetError> {
        if self.rows > 0 {
            self.end_page()?;
        }
        let statistics = self.values.statistics(self.null_count, self.longest_bound);
        let (count, values) = (self.values.distinct(), self.values);
        self.pages.close(self.column, statistics, || (values.into_dictionary(), count))
    }
}

#[cfg(test)]
mod tests;
