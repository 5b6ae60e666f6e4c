//! Text that has no end, or becomes more than it should.

use std::io::{Read as _, repeat};

/// A file that must be refused: its name, and what it is said to be.
pub(crate) struct Text {
    pub(crate) name: &'static str,
    pub(crate) format: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// So long that no record may be it.
const LONG: usize = 17 << 20;
/// So long, and compressed to so little, that no honest file is it.
const BOMB: u64 = 256 << 20;

fn zeros(length: u64) -> impl std::io::Read {
    repeat(b'0').take(length)
}

/// Every file that must be refused.
pub(crate) fn hostile_text() -> Vec<Text> {
    let text = |name, format, bytes| Text { name, format, bytes };
    let mut gzip = Vec::new();
    flate2::read::GzEncoder::new(zeros(BOMB), flate2::Compression::fast()).read_to_end(&mut gzip).unwrap();
    let zstd = zstd::encode_all(zeros(BOMB), 1).unwrap();
    let header = b"a,b\n".as_slice();
    vec![
        text("delimiters", "csv", vec![b','; LONG]),
        text("delimiters-in-a-row", "csv", [header, &vec![b','; LONG]].concat()),
        text("quote-without-end", "csv", [header, b"1,\"", &b"x\n".repeat(LONG / 2)].concat()),
        text("line-without-end", "csv", [header, &vec![b'x'; LONG]].concat()),
        text("object-without-end", "ndjson", [b"{\"a\":\"", &vec![b'x'; LONG][..]].concat()),
        text("arrays-in-arrays", "ndjson", [b"{\"a\":", &vec![b'['; 1 << 20][..]].concat()),
        text("array-without-end", "json", vec![b'['; LONG]),
        text(
            "many-keys",
            "ndjson",
            [&b"{"[..], (0..3000).map(|at| format!("\"k{at}\":1")).collect::<Vec<_>>().join(",").as_bytes(), b"}"]
                .concat(),
        ),
        text("gzip-bomb", "csv&file_name=x.csv.gz", gzip),
        text("zstd-bomb", "csv&file_name=x.csv.zst", zstd),
        text("zstd-that-is-none", "csv&file_name=x.csv.zst", vec![b'x'; 1000]),
    ]
}
