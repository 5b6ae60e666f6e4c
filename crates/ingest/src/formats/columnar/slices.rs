//! Batches in pieces of a bounded size, each value counted with its whole length in every row that has it.

use arrow::{
    array::{Array, AsArray as _, GenericByteArray, GenericListViewArray, OffsetSizeTrait, RecordBatch},
    datatypes::{ArrowNativeType as _, ByteArrayType, ByteViewType, DataType},
};

/// How long the values of one piece are, unless it is a single row.
pub(in crate::formats) const SLICE_BYTES: u64 = 8 << 20;
/// The low half of a view's first word is the length of its value.
const LENGTH_MASK: u128 = u32::MAX as u128;

/// Rows of a batch, in order, that together are short enough to be copied.
pub(super) struct Slices<'b> {
    batch: &'b RecordBatch,
    /// Ranges of rows still to come, as first and count, the next one last.
    left: Vec<(usize, usize)>,
}

/// A piece of a batch, and how long its values are.
pub(super) struct Slice {
    pub(super) rows: RecordBatch,
    pub(super) size_bytes: u64,
}

pub(super) fn slices(batch: &RecordBatch) -> Slices<'_> {
    Slices { batch, left: vec![(0, batch.num_rows())] }
}

impl Iterator for Slices<'_> {
    type Item = Slice;

    fn next(&mut self) -> Option<Slice> {
        loop {
            let (first, count) = self.left.pop()?;
            let size_bytes = batch_bytes(self.batch, first, count);
            if size_bytes <= SLICE_BYTES || count == 1 {
                return Some(Slice { rows: self.batch.slice(first, count), size_bytes });
            }
            let half = count / 2;
            self.left.push((first + half, count - half));
            self.left.push((first, half));
        }
    }
}

/// How many bytes these rows take where every one of them has its values to itself.
pub(super) fn batch_bytes(batch: &RecordBatch, first: usize, count: usize) -> u64 {
    // Values without bytes count too: in the types of a table they take some.
    let columns = batch.columns().iter().map(|column| array_bytes(column, first, count).max(count as u64));
    columns.fold(0, u64::saturating_add)
}

fn array_bytes(array: &dyn Array, first: usize, count: usize) -> u64 {
    use DataType as T;
    let places = count as u64;
    match array.data_type() {
        T::Null => 0,
        T::Boolean => places.div_ceil(8),
        T::Utf8 => texts_bytes(array.as_string::<i32>(), first, count),
        T::LargeUtf8 => texts_bytes(array.as_string::<i64>(), first, count),
        T::Binary => texts_bytes(array.as_binary::<i32>(), first, count),
        T::LargeBinary => texts_bytes(array.as_binary::<i64>(), first, count),
        T::Utf8View => views_bytes(array.as_string_view(), first, count),
        T::BinaryView => views_bytes(array.as_binary_view(), first, count),
        T::FixedSizeBinary(width) => places.saturating_mul(u64::from(width.unsigned_abs())),
        T::List(_) => list_bytes::<i32>(array, first, count),
        T::LargeList(_) => list_bytes::<i64>(array, first, count),
        T::ListView(_) => list_view_bytes(array.as_list_view::<i32>(), first, count),
        T::Map(_, _) => {
            let map = array.as_map();
            let (start, end) = (map.offsets()[first] as usize, map.offsets()[first + count] as usize);
            let parts = [map.keys(), map.values()].map(|values| array_bytes(values, start, end - start));
            parts.into_iter().fold((count * size_of::<i32>()) as u64, u64::saturating_add)
        }
        T::Dictionary(_, _) => dictionary_bytes(array, first, count),
        T::FixedSizeList(_, size) => {
            let size = size.unsigned_abs() as usize;
            array_bytes(array.as_fixed_size_list().values(), first * size, count * size)
        }
        T::Struct(_) => {
            let columns = array.as_struct().columns().iter();
            columns.map(|column| array_bytes(column, first, count)).fold(places.div_ceil(8), u64::saturating_add)
        }
        other => match other.primitive_width() {
            Some(width) => places.saturating_mul(width as u64),
            None => array.get_array_memory_size() as u64,
        },
    }
}

fn texts_bytes<T: ByteArrayType>(array: &GenericByteArray<T>, first: usize, count: usize) -> u64 {
    let offsets = array.value_offsets();
    let length = offsets[first + count].as_usize() - offsets[first].as_usize();
    (length as u64).saturating_add((count * size_of::<T::Offset>()) as u64)
}

/// A value counts in every row that has it: in the types of a table, it is there in every one.
fn dictionary_bytes(array: &dyn Array, first: usize, count: usize) -> u64 {
    let rows = array.slice(first, count);
    let (dictionary, nulls) = (rows.as_any_dictionary(), rows.nulls());
    if dictionary.values().is_empty() {
        return count as u64;
    }
    let values = dictionary.values();
    let keys = dictionary.normalized_keys();
    let is_valid = |(row, _): &(usize, usize)| nulls.is_none_or(|nulls| nulls.is_valid(*row));
    let lengths = keys.into_iter().enumerate().filter(is_valid).map(|(_, key)| array_bytes(values, key, 1));
    lengths.fold(count as u64, u64::saturating_add)
}

/// Several rows may look at the same items.
fn list_view_bytes<O: OffsetSizeTrait>(array: &GenericListViewArray<O>, first: usize, count: usize) -> u64 {
    let items =
        |row: usize| array_bytes(array.values(), array.value_offset(row).as_usize(), array.value_size(row).as_usize());
    (first..first + count).map(items).fold((count * size_of::<O>()) as u64, u64::saturating_add)
}

fn views_bytes<T: ByteViewType>(array: &arrow::array::GenericByteViewArray<T>, first: usize, count: usize) -> u64 {
    let lengths = array.views()[first..first + count].iter().map(|view| (view & LENGTH_MASK) as u64);
    lengths.fold((count * size_of::<i32>()) as u64, u64::saturating_add)
}

fn list_bytes<O: OffsetSizeTrait>(array: &dyn Array, first: usize, count: usize) -> u64 {
    let list = array.as_list::<O>();
    let (start, end) = (list.value_offsets()[first].as_usize(), list.value_offsets()[first + count].as_usize());
    array_bytes(list.values(), start, end - start).saturating_add((count * size_of::<O>()) as u64)
}
