//! Parquet's hybrid of runs and packed bits: what definition levels and places in a dictionary are written as.
//!
//! Source: the Parquet format's `Encodings.md`, "Run Length Encoding / Bit-Packing Hybrid".

use arrow::buffer::BooleanBuffer;
use bitpacking::{BitPacker as _, BitPacker1x};

/// How many numbers are packed at once. Whole groups of eight, as the format asks.
const BLOCK: usize = BitPacker1x::BLOCK_LEN;

/// How many bits each number up to this one takes; one at least, which every reader takes.
pub(super) fn bit_width(largest: u32) -> u8 {
    (u32::BITS - largest.leading_zeros()).max(1) as u8
}

/// Append numbers of so many bits: a block of equal ones begins a run, what is between runs is packed.
pub(super) fn put_numbers(numbers: &[u32], bit_width: u8, to: &mut Vec<u8>) {
    let (mut at, mut unwritten) = (0, 0);
    while at < numbers.len() {
        let rest = &numbers[at..];
        let block = &rest[..rest.len().min(BLOCK)];
        if block.iter().any(|number| *number != block[0]) {
            at += block.len();
            continue;
        }
        put_packed(&numbers[unwritten..at], bit_width, to);
        let run = rest.iter().take_while(|number| **number == block[0]).count();
        put_run(block[0], run, bit_width, to);
        at += run;
        unwritten = at;
    }
    put_packed(&numbers[unwritten..], bit_width, to);
}

/// Append numbers of one bit each.
pub(super) fn put_bits(bits: &BooleanBuffer, to: &mut Vec<u8>) {
    put_packed_header(bits.len(), to);
    to.extend_from_slice(bits.sliced().as_slice());
}

/// Append the same number so many times.
pub(super) fn put_run(number: u32, times: usize, bit_width: u8, to: &mut Vec<u8>) {
    put_varint((times as u64) << 1, to);
    to.extend_from_slice(&number.to_le_bytes()[..usize::from(bit_width.div_ceil(8))]);
}

fn put_packed(numbers: &[u32], bit_width: u8, to: &mut Vec<u8>) {
    if numbers.is_empty() {
        return;
    }
    put_packed_header(numbers.len(), to);
    let start = to.len();
    let bytes = numbers.len().div_ceil(8) * usize::from(bit_width);
    to.resize(start + numbers.len().div_ceil(BLOCK) * BLOCK / 8 * usize::from(bit_width), 0);
    let packer = BitPacker1x::new();
    let blocks = numbers.chunks(BLOCK).zip(to[start..].chunks_mut(BLOCK / 8 * usize::from(bit_width)));
    for (block, packed) in blocks {
        if block.len() == BLOCK {
            packer.compress(block, packed, bit_width);
        } else {
            let mut whole = [0; BLOCK];
            whole[..block.len()].copy_from_slice(block);
            packer.compress(&whole, packed, bit_width);
        }
    }
    to.truncate(start + bytes);
}

/// So many numbers in packed groups of eight, of which the last may be filled up.
fn put_packed_header(count: usize, to: &mut Vec<u8>) {
    put_varint((count.div_ceil(8) as u64) << 1 | 1, to);
}

fn put_varint(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}
