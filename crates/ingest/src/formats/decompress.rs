//! Decompression of streams, stopped as soon as a file turns out to be damaged or a bomb.
//!
//! Invariant: what is wrong with the bytes and what is wrong with reading them are never mixed up.

use std::{
    io::{self, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use sluice_domain::Compression;

use crate::{decode_error::DecodeError, limits::DecodeLimits};

/// How many decoded bytes are given out before the ratio counts: short texts of one letter are no bombs.
const RATIO_FREE_BYTES: u64 = 16 << 20;
/// The base-2 logarithm of the largest window that zstd may ask for: what its command line takes by default.
const ZSTD_WINDOW_LOG: u32 = 27;
/// How much memory the dictionary of xz may ask for: the strongest of its presets take 65 MiB.
const XZ_MEMORY_BYTES: u64 = 80 << 20;
const BUFFER_BYTES: usize = 64 << 10;

/// The decompressed bytes of `compressed`.
///
/// Its errors carry a [`DecodeError`]: the content is damaged or too large, or could not be read.
pub(crate) fn decompressed(
    compression: Compression,
    compressed: impl Read + Send + 'static,
    limits: &DecodeLimits,
) -> Box<dyn Read + Send> {
    let taken = Arc::new(AtomicU64::new(0));
    let source = BufReader::with_capacity(BUFFER_BYTES, Counted { inner: compressed, taken: Arc::clone(&taken) });
    let ratio = (compression != Compression::Identity).then_some(limits.ratio);
    let decoded: Box<dyn Read + Send> = match compression {
        Compression::Identity => Box::new(source),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Compression::Zstd => or_broken(zstd_decoder(source)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
        Compression::Xz => or_broken(xz_decoder(source)),
        Compression::Snappy => Box::new(snap::read::FrameDecoder::new(source)),
    };
    Box::new(Bounded { inner: decoded, compression, given: 0, taken, limit_bytes: limits.decoded_bytes, ratio })
}

pub(super) fn zstd_decoder<R: io::BufRead>(source: R) -> io::Result<zstd::stream::read::Decoder<'static, R>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

pub(super) fn xz_decoder<R: io::BufRead>(source: R) -> io::Result<liblzma::bufread::XzDecoder<R>> {
    let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_BYTES, liblzma::stream::CONCATENATED)?;
    Ok(liblzma::bufread::XzDecoder::new_stream(source, stream))
}

fn or_broken(decoder: io::Result<impl Read + Send + 'static>) -> Box<dyn Read + Send> {
    match decoder {
        Ok(decoder) => Box::new(decoder),
        Err(error) => Box::new(Broken(Some(error))),
    }
}

/// A decoder that could not be made.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        let error = self.0.take().unwrap_or_else(|| io::ErrorKind::Other.into());
        Err(DecodeError::Read(error).into())
    }
}

/// Counts what is read, and marks failures to read as such.
struct Counted<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(count) => {
                self.taken.fetch_add(count as u64, Ordering::Relaxed);
                Ok(count)
            }
            // Readers retry an interrupted read by themselves, if its kind still says so.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(DecodeError::from(error).into()),
        }
    }
}

/// Gives out decoded bytes up to the limits.
struct Bounded {
    inner: Box<dyn Read + Send>,
    compression: Compression,
    given: u64,
    taken: Arc<AtomicU64>,
    limit_bytes: u64,
    ratio: Option<u64>,
}

impl Bounded {
    /// How many bytes may be given out, from what was read so far.
    fn allowance(&self) -> u64 {
        let by_ratio = self
            .ratio
            .map_or(u64::MAX, |ratio| self.taken.load(Ordering::Relaxed).saturating_mul(ratio).max(RATIO_FREE_BYTES));
        by_ratio.min(self.limit_bytes)
    }
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(count) => {
                self.given += count as u64;
                let limit_bytes = self.allowance();
                if self.given > limit_bytes {
                    return Err(DecodeError::TooLarge { limit_bytes }.into());
                }
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            // A failure to read arrives with its own mark; what is left is the decoder's complaint.
            Err(error) => Err(match error.downcast::<DecodeError>() {
                Ok(found) => found,
                Err(damage) => {
                    DecodeError::BrokenCompression { compression: self.compression, reason: damage.to_string() }
                }
            }
            .into()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
