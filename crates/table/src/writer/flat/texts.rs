//! Texts as a file has them: each behind its length, in a dictionary too.

use std::borrow::Cow;

use arrow::array::{ArrayRef, AsArray as _, StringArray};
use parquet::{
    data_type::ByteArray,
    errors::ParquetError,
    file::statistics::{Statistics, ValueStatistics},
};

use super::{dictionary::Places, values::Values};

/// How many bytes tell the length of a text.
const LENGTH_BYTES: usize = size_of::<u32>();

#[derive(Default)]
pub(super) struct Texts {
    places: Places,
    /// The dictionary as the file has it.
    dictionary: Vec<u8>,
    /// Where each of its texts ends.
    ends: Vec<u32>,
    bounds: Option<(String, String)>,
}

impl Texts {
    fn see(&mut self, text: &str) {
        match &mut self.bounds {
            Some((least, _)) if text < least.as_str() => text.clone_into(least),
            Some((_, greatest)) if text > greatest.as_str() => text.clone_into(greatest),
            Some(_) => {}
            none => *none = Some((text.to_owned(), text.to_owned())),
        }
    }
}

/// The text at a place of the dictionary, behind its length.
fn at<'d>(dictionary: &'d [u8], ends: &[u32], place: usize) -> &'d [u8] {
    let start = place.checked_sub(1).map_or(0, |before| ends[before]);
    &dictionary[start as usize..ends[place] as usize]
}

fn put_text(text: &str, to: &mut Vec<u8>) {
    to.extend_from_slice(&(text.len() as u32).to_le_bytes());
    to.extend_from_slice(text.as_bytes());
}

impl Values for Texts {
    type Array = StringArray;

    fn array(column: &ArrayRef) -> Result<StringArray, ParquetError> {
        Ok(column.as_string::<i32>().clone())
    }

    fn rows_of_bytes(array: &StringArray, from: usize, bytes: usize) -> usize {
        let ends = &array.value_offsets()[from..];
        let end = i64::from(ends[0]) + bytes as i64;
        (ends.partition_point(|own| i64::from(*own) <= end) - 1).max(1)
    }

    fn place(&mut self, array: &StringArray, row: usize) -> u32 {
        let text = array.value(row);
        let (dictionary, ends) = (&self.dictionary, &self.ends);
        let place = self.places.of(text.as_bytes(), |place| &at(dictionary, ends, place)[LENGTH_BYTES..]);
        if place as usize == self.ends.len() {
            put_text(text, &mut self.dictionary);
            self.ends.push(self.dictionary.len() as u32);
            self.see(text);
        }
        place
    }

    fn put(&mut self, array: &StringArray, row: usize, to: &mut Vec<u8>) {
        let text = array.value(row);
        self.see(text);
        put_text(text, to);
    }

    fn put_place(&self, place: u32, to: &mut Vec<u8>) {
        to.extend_from_slice(at(&self.dictionary, &self.ends, place as usize));
    }

    fn distinct(&self) -> u32 {
        self.ends.len() as u32
    }

    fn end_dictionary(&mut self) {
        self.places = Places::default();
    }

    fn drop_dictionary(&mut self) {
        self.end_dictionary();
        (self.dictionary, self.ends) = (Vec::new(), Vec::new());
    }

    fn into_dictionary(self) -> Vec<u8> {
        self.dictionary
    }

    fn dictionary_bytes(&self) -> usize {
        self.dictionary.len()
    }

    fn memory_bytes(&self) -> usize {
        self.places.memory_bytes() + self.dictionary.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    fn statistics(&self, nulls: u64, longest: usize) -> Statistics {
        let (least, greatest) =
            self.bounds.as_ref().map(|(least, greatest)| (cut(least, longest), cut_up(greatest, longest))).unzip();
        let is_exact = |cut: &Option<Cow<'_, str>>| matches!(cut, Some(Cow::Borrowed(_)));
        let (min_is_exact, max_is_exact) = (is_exact(&least), is_exact(&greatest));
        let bytes = |text: Cow<'_, str>| ByteArray::from(text.into_owned().into_bytes());
        let told = ValueStatistics::new(least.map(bytes), greatest.map(bytes), None, Some(nulls), false);
        Statistics::ByteArray(told.with_min_is_exact(min_is_exact).with_max_is_exact(max_is_exact))
    }
}

/// A text of so many bytes at the most that is not after this one; borrowed where it is this one.
fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    match text.len() <= longest {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text[..text.floor_char_boundary(longest)].to_owned()),
    }
}

/// A text of about so many bytes at the most that is not before this one; borrowed where it is this one.
fn cut_up(text: &str, longest: usize) -> Cow<'_, str> {
    if text.len() <= longest {
        return Cow::Borrowed(text);
    }
    let mut kept = text[..text.floor_char_boundary(longest)].to_owned();
    while let Some(last) = kept.pop() {
        // The characters between the two halves of the plane are no characters.
        let next = char::from_u32(last as u32 + 1).or((last < '\u{e000}').then_some('\u{e000}'));
        if let Some(next) = next {
            kept.push(next);
            return Cow::Owned(kept);
        }
    }
    Cow::Borrowed(text)
}
