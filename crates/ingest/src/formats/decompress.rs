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
        Compression::Zstd => match zstd_decoder(source) {
            Ok(decoder) => Box::new(decoder),
            Err(error) => Box::new(Broken(Some(error))),
        },
    };
    Box::new(Bounded { inner: decoded, compression, given: 0, taken, limit_bytes: limits.decoded_bytes, ratio })
}

fn zstd_decoder(source: impl io::BufRead + Send + 'static) -> io::Result<impl Read + Send> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
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
mod tests {
    use std::io::{Cursor, Write as _};

    use rstest::rstest;

    use super::*;

    fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        match compression {
            Compression::Identity => bytes.to_vec(),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }

    fn read_back(compression: Compression, bytes: Vec<u8>, limits: &DecodeLimits) -> Result<Vec<u8>, DecodeError> {
        let mut decoded = Vec::new();
        decompressed(compression, Cursor::new(bytes), limits).read_to_end(&mut decoded)?;
        Ok(decoded)
    }

    #[rstest]
    fn several_parts_are_read_one_after_another(
        #[values(Compression::Identity, Compression::Gzip, Compression::Zstd)] compression: Compression,
    ) {
        let bytes = [compress(compression, b"first,"), compress(compression, b"second")].concat();
        assert_eq!(read_back(compression, bytes, &DecodeLimits::default()).unwrap(), b"first,second");
    }

    #[rstest]
    fn cut_or_garbled_content_is_damaged(
        #[values(Compression::Gzip, Compression::Zstd)] compression: Compression,
        #[values(1, 5, 9)] cut: usize,
    ) {
        let whole = compress(compression, &b"some text that is long enough ".repeat(20));
        let garbled = [&whole[..], b"garbage"].concat();
        for bytes in [whole[..whole.len() - cut].to_vec(), garbled, b"not compressed at all".to_vec()] {
            let error = read_back(compression, bytes, &DecodeLimits::default()).unwrap_err();
            assert!(matches!(error, DecodeError::BrokenCompression { .. }), "{error:?}");
        }
    }

    #[rstest]
    fn a_bomb_is_stopped_by_its_ratio(#[values(Compression::Gzip, Compression::Zstd)] compression: Compression) {
        let bomb = compress(compression, &vec![b'a'; 40 << 20]);
        let error = read_back(compression, bomb.clone(), &DecodeLimits::default()).unwrap_err();
        assert!(matches!(error, DecodeError::TooLarge { .. }), "{error:?}");
        let generous = DecodeLimits { ratio: 1 << 20, ..DecodeLimits::default() };
        assert_eq!(read_back(compression, bomb, &generous).unwrap().len(), 40 << 20);
    }

    #[rstest]
    fn no_more_than_the_limit_is_decoded(
        #[values(Compression::Identity, Compression::Gzip, Compression::Zstd)] compression: Compression,
    ) {
        let limits = DecodeLimits { decoded_bytes: 1000, ..DecodeLimits::default() };
        assert_eq!(read_back(compression, compress(compression, &[b'x'; 1000]), &limits).unwrap().len(), 1000);
        let error = read_back(compression, compress(compression, &[b'x'; 1001]), &limits).unwrap_err();
        assert!(matches!(error, DecodeError::TooLarge { limit_bytes: 1000 }), "{error:?}");
    }

    #[rstest]
    fn a_failure_to_read_is_not_a_fault_of_the_content(
        #[values(Compression::Identity, Compression::Gzip, Compression::Zstd)] compression: Compression,
    ) {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
        let mut decoded = Vec::new();
        let failure = decompressed(compression, Failing, &DecodeLimits::default()).read_to_end(&mut decoded);
        assert!(matches!(DecodeError::from(failure.unwrap_err()), DecodeError::Read(_)));
    }
}
