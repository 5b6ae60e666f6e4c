//! The footer of a Parquet file, measured before it is believed.
//!
//! Parsers of footers recurse over the schema and build much from few bytes. This walk over the same Thrift
//! structure only counts: it allocates nothing that grows with what the file claims.

use sluice_domain::Format;

use super::super::blob::Blob;
use crate::{
    decode_error::DecodeError,
    limits::{COLUMN_DEPTH, DecodeLimits},
};

const MAGIC: &[u8; 4] = b"PAR1";
const ENCRYPTED_MAGIC: &[u8; 4] = b"PARE";
/// The footer's length and the magic bytes after it.
const TAIL_BYTES: u64 = 8;
/// Column chunks of all row groups; writers need more bytes than the footer may have for as many.
const MAX_CHUNKS: usize = 1 << 18;
/// Structures within one another that are no schema.
const MAX_NESTING: usize = 32;
/// A list takes two levels of a schema, its items and their values.
const LEVELS_A_LIST: usize = 2;

/// The bytes of the footer.
pub(super) fn read(file: &Blob, limits: &DecodeLimits) -> Result<Vec<u8>, DecodeError> {
    let size_bytes = file.size_bytes();
    if size_bytes == 0 {
        return Err(DecodeError::Empty);
    }
    if size_bytes < MAGIC.len() as u64 + TAIL_BYTES {
        return Err(bad("the file is too short"));
    }
    let tail = file.range(size_bytes - TAIL_BYTES, TAIL_BYTES as usize)?;
    let (length, magic) = tail.split_first_chunk().ok_or_else(damaged)?;
    if magic == ENCRYPTED_MAGIC {
        return Err(bad("the file is encrypted"));
    }
    let length = u32::from_le_bytes(*length);
    if magic != MAGIC || u64::from(length) > size_bytes - TAIL_BYTES - MAGIC.len() as u64 {
        return Err(bad("the file does not end with a footer; was it cut off?"));
    }
    if u64::from(length) > limits.parquet_footer_bytes {
        return Err(bad(&format!("the footer has more than {} bytes", limits.parquet_footer_bytes)));
    }
    Ok(file.range(size_bytes - TAIL_BYTES - u64::from(length), length as usize)?)
}

/// Check that what the footer tells of is within the limits.
pub(super) fn check(footer: &[u8], limits: &DecodeLimits) -> Result<(), DecodeError> {
    let mut chunks = 0;
    Walk { rest: footer }.fields(&mut |walk, id, kind| match (id, kind) {
        (FILE_SCHEMA, LIST) => walk.schema(limits),
        (FILE_ROW_GROUPS, LIST) => walk.row_groups(limits, &mut chunks),
        (FILE_SCHEMA | FILE_ROW_GROUPS, _) => Err(damaged()),
        _ => walk.skip(kind, MAX_NESTING),
    })
}

// Fields of the structures that are looked into, and the kinds of Thrift's compact protocol.
const FILE_SCHEMA: i64 = 2;
const FILE_ROW_GROUPS: i64 = 4;
const ELEMENT_CHILDREN: i64 = 5;
const GROUP_CHUNKS: i64 = 1;
const I32: u8 = 5;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// A place in the footer.
struct Walk<'f> {
    rest: &'f [u8],
}

type Visit<'v, 'f> = dyn FnMut(&mut Walk<'f>, i64, u8) -> Result<(), DecodeError> + 'v;

impl<'f> Walk<'f> {
    fn schema(&mut self, limits: &DecodeLimits) -> Result<(), DecodeError> {
        let count = self.list_of_structs()?;
        let depth = limits.depth.min(COLUMN_DEPTH);
        let mut leaves = 0;
        // How many elements are still to come on each level of the tree.
        let mut open: Vec<i64> = Vec::new();
        for _ in 0..count {
            let mut children = 0;
            self.fields(&mut |walk, id, kind| match (id, kind) {
                (ELEMENT_CHILDREN, I32) => {
                    children = walk.signed()?;
                    Ok(())
                }
                _ => walk.skip(kind, MAX_NESTING),
            })?;
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            // Readers take memory for as many children as are told of.
            if usize::try_from(children).is_ok_and(|children| children > count) {
                return Err(damaged());
            }
            if children > 0 {
                open.push(children);
            } else {
                leaves += 1;
            }
            if leaves > limits.columns {
                return Err(DecodeError::TooManyColumns { limit: limits.columns });
            }
            if open.len() > 1 + LEVELS_A_LIST * depth {
                return Err(DecodeError::TooDeep { limit: depth, line: None });
            }
            while open.last().is_some_and(|left| *left <= 0) {
                open.pop();
            }
        }
        Ok(())
    }

    fn row_groups(&mut self, limits: &DecodeLimits, chunks: &mut usize) -> Result<(), DecodeError> {
        let count = self.list_of_structs()?;
        if count > limits.parquet_row_groups {
            return Err(bad(&format!("the file has more than {} row groups", limits.parquet_row_groups)));
        }
        for _ in 0..count {
            self.fields(&mut |walk, id, kind| {
                if (id, kind) != (GROUP_CHUNKS, LIST) {
                    return walk.skip(kind, MAX_NESTING);
                }
                let length = walk.list_of_structs()?;
                *chunks += length;
                if *chunks > MAX_CHUNKS {
                    return Err(bad("the footer tells of too many column chunks"));
                }
                (0..length).try_for_each(|_| walk.skip(STRUCT, MAX_NESTING))
            })?;
        }
        Ok(())
    }

    /// Visit the fields of a structure; each visit takes the field's value.
    fn fields(&mut self, visit: &mut Visit<'_, 'f>) -> Result<(), DecodeError> {
        let mut id = 0_i64;
        loop {
            let header = self.byte()?;
            if header == 0 {
                return Ok(());
            }
            id = match header >> 4 {
                0 => self.signed()?,
                step => id.saturating_add(i64::from(step)),
            };
            visit(self, id, header & 0x0f)?;
        }
    }

    fn list_of_structs(&mut self) -> Result<usize, DecodeError> {
        match self.list()? {
            (0, _) => Ok(0),
            (count, STRUCT) => Ok(count),
            _ => Err(damaged()),
        }
    }

    /// How many items a list has, at least a byte each, and their kind.
    fn list(&mut self) -> Result<(usize, u8), DecodeError> {
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => self.length()?,
            count => usize::from(count),
        };
        if count > self.rest.len() { Err(damaged()) } else { Ok((count, header & 0x0f)) }
    }

    fn skip(&mut self, kind: u8, nesting_left: usize) -> Result<(), DecodeError> {
        let nesting_left = nesting_left.checked_sub(1).ok_or_else(damaged)?;
        match kind {
            1 | 2 => Ok(()),
            3 => self.take(1),
            4..=6 => self.varint().map(drop),
            7 => self.take(8),
            8 => {
                let length = self.length()?;
                self.take(length)
            }
            LIST | 10 => {
                let (count, kind) = self.list()?;
                (0..count).try_for_each(|_| if kind <= 2 { self.take(1) } else { self.skip(kind, nesting_left) })
            }
            STRUCT => self.fields(&mut |walk, _, kind| walk.skip(kind, nesting_left)),
            // Maps and later kinds are in no footer.
            _ => Err(damaged()),
        }
    }

    fn take(&mut self, count: usize) -> Result<(), DecodeError> {
        self.rest = self.rest.get(count..).ok_or_else(damaged)?;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or_else(damaged)?;
        self.rest = rest;
        Ok(*first)
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged())
    }

    fn signed(&mut self) -> Result<i64, DecodeError> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn length(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(self.varint()?).map_err(|_| damaged())
    }
}

fn damaged() -> DecodeError {
    bad("the footer is damaged")
}

fn bad(reason: &str) -> DecodeError {
    DecodeError::malformed(Format::Parquet, reason)
}
