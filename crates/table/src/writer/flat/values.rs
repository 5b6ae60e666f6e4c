//! The values of a column, by what they are in a file: numbers of four or eight bytes, or texts.

use std::{convert::identity, hash::Hash, ops::Neg, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray as _, PrimitiveArray},
    compute::cast,
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Float32Type, Float64Type, Int32Type, Int64Type,
        TimestampMicrosecondType,
    },
};
use parquet::{
    errors::ParquetError,
    file::statistics::{Statistics, ValueStatistics},
};

use super::dictionary::{NearPlaces, Places};

/// What a column knows of its values: the distinct ones, as long as it keeps a dictionary, and the least and greatest.
pub(super) trait Values: Default + Send + 'static {
    type Array: Array + 'static;

    /// A batch's column in the type that the file has.
    fn array(column: &ArrayRef) -> Result<Self::Array, ParquetError>;

    /// How many rows from this one on have so many bytes, and one at least.
    fn rows_of_bytes(array: &Self::Array, from: usize, bytes: usize) -> usize;

    /// The place in the dictionary of the value in this row.
    fn place(&mut self, array: &Self::Array, row: usize) -> u32;

    /// Write the value in this row without a dictionary.
    fn put(&mut self, array: &Self::Array, row: usize, to: &mut Vec<u8>);

    /// Write the value at this place of the dictionary.
    fn put_place(&self, place: u32, to: &mut Vec<u8>);

    /// How many values the dictionary has.
    fn distinct(&self) -> u32;

    /// No value is looked for in the dictionary from now on.
    fn end_dictionary(&mut self);

    /// The dictionary is not needed: no page has places in it.
    fn drop_dictionary(&mut self);

    /// The dictionary as the file has it.
    fn into_dictionary(self) -> Vec<u8>;

    /// How large the dictionary is in a file, in bytes.
    fn dictionary_bytes(&self) -> usize;

    fn memory_bytes(&self) -> usize;

    /// The least and greatest value, as far as the file tells them.
    fn statistics(&self, nulls: u64, longest: usize) -> Statistics;
}

/// A number as the file has it.
pub(super) trait Number: Copy + PartialOrd + Send + Sync + 'static {
    type Type: ArrowPrimitiveType<Native = Self>;
    /// What two of them must share to be the same: all of their bits.
    type Bits: Copy + Hash + Eq;

    fn bits(self) -> Self::Bits;
    /// The same number, of a type whose numbers are all whole.
    fn whole(self) -> Option<i64>;
    fn put(self, to: &mut Vec<u8>);
    /// The bounds as the file tells them.
    fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics;
}

pub(super) struct Numbers<T> {
    near: NearPlaces,
    places: Places,
    values: Vec<T>,
    bounds: Option<(T, T)>,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self { near: NearPlaces::default(), places: Places::default(), values: Vec::new(), bounds: None }
    }
}

impl<T: Number> Numbers<T> {
    fn see(&mut self, value: T) {
        match &mut self.bounds {
            Some((least, greatest)) => {
                if value < *least {
                    *least = value;
                }
                if value > *greatest {
                    *greatest = value;
                }
            }
            // What is not even equal to itself is no number, and bounds nothing.
            none => *none = value.partial_cmp(&value).map(|_| (value, value)),
        }
    }
}

impl<T: Number> Values for Numbers<T> {
    type Array = PrimitiveArray<T::Type>;

    fn array(column: &ArrayRef) -> Result<Self::Array, ParquetError> {
        let same = match column.data_type() {
            DataType::Date32 => &(Arc::new(column.as_primitive::<Date32Type>().reinterpret_cast::<Int32Type>()) as _),
            DataType::Timestamp(..) => {
                &(Arc::new(column.as_primitive::<TimestampMicrosecondType>().reinterpret_cast::<Int64Type>()) as _)
            }
            DataType::Int8 | DataType::Int16 => &cast(column, &DataType::Int32)?,
            _ => column,
        };
        Ok(same.as_primitive::<T::Type>().clone())
    }

    fn rows_of_bytes(_: &Self::Array, _: usize, bytes: usize) -> usize {
        (bytes / size_of::<T>()).max(1)
    }

    fn place(&mut self, array: &Self::Array, row: usize) -> u32 {
        let value = array.value(row);
        if let Some(place) = value.whole().and_then(|whole| self.near.get(whole)) {
            return place;
        }
        let place = self.places.of(value.bits(), |place| self.values[place].bits());
        if place as usize == self.values.len() {
            self.values.push(value);
            self.see(value);
        }
        if let Some(whole) = value.whole() {
            self.near.keep(whole, place, self.values.len());
        }
        place
    }

    fn put(&mut self, array: &Self::Array, row: usize, to: &mut Vec<u8>) {
        let value = array.value(row);
        self.see(value);
        value.put(to);
    }

    fn put_place(&self, place: u32, to: &mut Vec<u8>) {
        self.values[place as usize].put(to);
    }

    fn distinct(&self) -> u32 {
        self.values.len() as u32
    }

    fn end_dictionary(&mut self) {
        self.near = NearPlaces::default();
        self.places = Places::default();
    }

    fn drop_dictionary(&mut self) {
        self.end_dictionary();
        self.values = Vec::new();
    }

    fn into_dictionary(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.dictionary_bytes());
        self.values.iter().for_each(|value| value.put(&mut bytes));
        bytes
    }

    fn dictionary_bytes(&self) -> usize {
        self.values.len() * size_of::<T>()
    }

    fn memory_bytes(&self) -> usize {
        self.near.memory_bytes() + self.places.memory_bytes() + self.values.capacity() * size_of::<T>()
    }

    fn statistics(&self, nulls: u64, _: usize) -> Statistics {
        T::statistics(self.bounds, nulls)
    }
}

macro_rules! number {
    ($type:ty, $arrow:ty, $bits:ty, $kind:path, $to_bits:path, $to_whole:path, $told:path) => {
        impl Number for $type {
            type Type = $arrow;
            type Bits = $bits;

            fn bits(self) -> $bits {
                $to_bits(self)
            }

            fn whole(self) -> Option<i64> {
                $to_whole(self)
            }

            fn put(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }

            fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics {
                let (least, greatest) = bounds.map($told).unzip();
                let told = ValueStatistics::new(least, greatest, None, Some(nulls), false);
                $kind(told.with_backwards_compatible_min_max(true))
            }
        }
    };
}

number!(i32, Int32Type, i32, Statistics::Int32, identity, whole, identity);
number!(i64, Int64Type, i64, Statistics::Int64, identity, whole, identity);
number!(f32, Float32Type, u32, Statistics::Float, f32::to_bits, not_whole, signed_zeros);
number!(f64, Float64Type, u64, Statistics::Double, f64::to_bits, not_whole, signed_zeros);

fn whole(value: impl Into<i64>) -> Option<i64> {
    Some(value.into())
}

fn not_whole<T>(_: T) -> Option<i64> {
    None
}

/// A zero that bounds is the negative one below and the positive one above: they are equal, and either may be there.
fn signed_zeros<T: Copy + Default + PartialEq + Neg<Output = T>>((least, greatest): (T, T)) -> (T, T) {
    let zero = T::default();
    (if least == zero { -zero } else { least }, if greatest == zero { zero } else { greatest })
}
