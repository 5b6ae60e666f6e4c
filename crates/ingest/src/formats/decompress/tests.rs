use std::io::{Cursor, Write as _};

use rstest::rstest;

use super::*;

/// These bytes, compressed as one part.
pub(crate) fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Identity => bytes.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        Compression::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Xz => xz(bytes, 1 << 20),
        Compression::Snappy => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(bytes).unwrap();
            encoder.into_inner().unwrap()
        }
    }
}

fn read_back(compression: Compression, bytes: Vec<u8>, limits: &DecodeLimits) -> Result<Vec<u8>, DecodeError> {
    let mut decoded = Vec::new();
    decompressed(compression, Cursor::new(bytes), limits).read_to_end(&mut decoded)?;
    Ok(decoded)
}

#[rstest]
fn several_parts_are_read_one_after_another(
    #[values(
        Compression::Identity,
        Compression::Gzip,
        Compression::Zstd,
        Compression::Bzip2,
        Compression::Xz,
        Compression::Snappy
    )]
    compression: Compression,
) {
    let bytes = [compress(compression, b"first,"), compress(compression, b"second")].concat();
    assert_eq!(read_back(compression, bytes, &DecodeLimits::default()).unwrap(), b"first,second");
}

#[rstest]
fn cut_or_garbled_content_is_damaged(
    #[values(Compression::Gzip, Compression::Zstd, Compression::Bzip2, Compression::Xz, Compression::Snappy)]
    compression: Compression,
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
fn a_bomb_is_stopped_by_its_ratio(
    #[values(Compression::Gzip, Compression::Zstd, Compression::Bzip2, Compression::Xz)] compression: Compression,
) {
    let bomb = compress(compression, &vec![b'a'; 40 << 20]);
    let error = read_back(compression, bomb.clone(), &DecodeLimits::default()).unwrap_err();
    assert!(matches!(error, DecodeError::TooLarge { .. }), "{error:?}");
    let generous = DecodeLimits { ratio: 1 << 20, ..DecodeLimits::default() };
    assert_eq!(read_back(compression, bomb, &generous).unwrap().len(), 40 << 20);
}

#[rstest]
fn no_more_than_the_limit_is_decoded(
    #[values(
        Compression::Identity,
        Compression::Gzip,
        Compression::Zstd,
        Compression::Bzip2,
        Compression::Xz,
        Compression::Snappy
    )]
    compression: Compression,
) {
    let limits = DecodeLimits { decoded_bytes: 1000, ..DecodeLimits::default() };
    assert_eq!(read_back(compression, compress(compression, &[b'x'; 1000]), &limits).unwrap().len(), 1000);
    let error = read_back(compression, compress(compression, &[b'x'; 1001]), &limits).unwrap_err();
    assert!(matches!(error, DecodeError::TooLarge { limit_bytes: 1000 }), "{error:?}");
}

#[rstest]
fn a_failure_to_read_is_not_a_fault_of_the_content(
    #[values(
        Compression::Identity,
        Compression::Gzip,
        Compression::Zstd,
        Compression::Bzip2,
        Compression::Xz,
        Compression::Snappy
    )]
    compression: Compression,
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

fn xz(bytes: &[u8], dictionary_bytes: u32) -> Vec<u8> {
    let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
    options.dict_size(dictionary_bytes);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream = liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc64).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[rstest]
#[case(64 << 20, true)]
#[case(128 << 20, false)]
fn a_dictionary_of_xz_that_takes_too_much_memory_is_refused(#[case] dictionary_bytes: u32, #[case] is_taken: bool) {
    let read = read_back(Compression::Xz, xz(b"a,b", dictionary_bytes), &DecodeLimits::default());
    match read {
        Ok(bytes) => assert!(is_taken && bytes == b"a,b"),
        Err(error) => assert!(!is_taken && error.to_string().contains("memory limit"), "{error}"),
    }
}

#[rstest]
fn every_cut_and_every_flipped_bit_is_damage_or_the_same_text(
    #[values(Compression::Gzip, Compression::Zstd, Compression::Bzip2, Compression::Xz, Compression::Snappy)]
    compression: Compression,
) {
    let text = b"id,name\n1,Anna\n2,Ben\n".repeat(4);
    let whole = compress(compression, &text);
    for cut in 0..whole.len() {
        match read_back(compression, whole[..cut].to_vec(), &DecodeLimits::default()) {
            Ok(read) => assert!(text.starts_with(&read) && (cut == 0 || cut == SNAPPY_HEADER_BYTES), "{cut}"),
            Err(error) => assert!(matches!(error, DecodeError::BrokenCompression { .. }), "{cut}: {error:?}"),
        }
    }
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Err(error) = read_back(compression, flipped, &DecodeLimits::default()) {
            let damaged = matches!(error, DecodeError::BrokenCompression { .. } | DecodeError::TooLarge { .. });
            assert!(damaged, "{bit}: {error:?}");
        }
    }
}

/// A snappy stream has no end mark: one that ends after its header, or between two chunks, is whole.
const SNAPPY_HEADER_BYTES: usize = 10;
