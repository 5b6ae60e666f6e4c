//! How the blocks of a container are compressed.

use std::io::Read;

use super::container::{BLOCK_BYTES, malformed, too_long};
use crate::{
    decode_error::{DecodeError, shortened},
    formats::decompress,
};

/// How long the checksum after a snappy block is.
const CHECKSUM_BYTES: usize = 4;

/// A codec of Avro.
#[derive(Clone, Copy)]
pub(super) enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
    Bzip2,
    Xz,
}

impl Codec {
    /// The codec of this name; a file that names none has none.
    pub(super) fn of_name(name: Option<&[u8]>) -> Result<Self, DecodeError> {
        match name {
            None | Some(b"null") => Ok(Self::Null),
            Some(b"deflate") => Ok(Self::Deflate),
            Some(b"snappy") => Ok(Self::Snappy),
            Some(b"zstandard") => Ok(Self::Zstandard),
            Some(b"bzip2") => Ok(Self::Bzip2),
            Some(b"xz") => Ok(Self::Xz),
            Some(other) => {
                let name = shortened(&String::from_utf8_lossy(other));
                Err(malformed(&format!("the codec {name:?} is not one that is read")))
            }
        }
    }

    /// The bytes of a block.
    pub(super) fn decoded(self, block: Vec<u8>) -> Result<Vec<u8>, DecodeError> {
        let bytes = block.as_slice();
        match self {
            Self::Null => Ok(block),
            Self::Deflate => read(flate2::bufread::DeflateDecoder::new(bytes)),
            Self::Snappy => snappy(bytes),
            Self::Zstandard => read(decompress::zstd_decoder(bytes)?),
            Self::Bzip2 => read(bzip2::bufread::BzDecoder::new(bytes)),
            Self::Xz => read(decompress::xz_decoder(bytes)?),
        }
    }
}

fn read(decoder: impl Read) -> Result<Vec<u8>, DecodeError> {
    let mut decoded = Vec::new();
    let read = decoder.take(BLOCK_BYTES as u64 + 1).read_to_end(&mut decoded);
    read.map_err(|error| damaged(&error.to_string()))?;
    if decoded.len() > BLOCK_BYTES { Err(too_long()) } else { Ok(decoded) }
}

fn snappy(block: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let (block, checksum) = block.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(|| damaged("it is cut off"))?;
    let length = snap::raw::decompress_len(block).map_err(|error| damaged(&error.to_string()))?;
    if length > BLOCK_BYTES {
        return Err(too_long());
    }
    let decoded = snap::raw::Decoder::new().decompress_vec(block).map_err(|error| damaged(&error.to_string()))?;
    let mut found = flate2::Crc::new();
    found.update(&decoded);
    if found.sum() == u32::from_be_bytes(*checksum) { Ok(decoded) } else { Err(damaged("its checksum is another one")) }
}

fn damaged(reason: &str) -> DecodeError {
    malformed(&format!("a block cannot be decompressed: {reason}"))
}
