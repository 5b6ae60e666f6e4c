//! Text in any charset as UTF-8, in a stream.
//!
//! Invariant: a byte sequence that stands for no character is refused with its place, and never replaced.

use std::io::{self, Cursor, Read};

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use sluice_domain::{Charset, Format};

use crate::decode_error::DecodeError;

const BUFFER_BYTES: usize = 32 << 10;
/// The most bytes of UTF-8 that one byte of another charset becomes.
const MAX_GROWTH: usize = 3;
const UTF_8_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];
const UTF_16LE_MARK: &[u8] = &[0xFF, 0xFE];
const UTF_16BE_MARK: &[u8] = &[0xFE, 0xFF];

/// The same text as UTF-8, without a byte order mark; what is UTF-8 already goes through unchecked.
pub(super) fn transcoded(
    mut source: Box<dyn Read + Send>,
    charset: Option<Charset>,
    format: Format,
) -> Result<Box<dyn Read + Send>, DecodeError> {
    let mut start = Vec::new();
    source.by_ref().take(UTF_8_MARK.len() as u64).read_to_end(&mut start)?;
    let (encoding, mark) = encoding_of(charset, &start);
    let source = Box::new(Cursor::new(start.split_off(mark)).chain(source));
    if encoding == UTF_8 {
        return Ok(source);
    }
    Ok(Box::new(Transcoder {
        source,
        name: charset.map_or("utf-16", Charset::as_str),
        format,
        decoder: encoding.new_decoder_without_bom_handling(),
        input: vec![0; BUFFER_BYTES],
        pending: 0..0,
        output: vec![0; BUFFER_BYTES * MAX_GROWTH],
        ready: 0..0,
        taken_bytes: mark as u64,
        line: 1,
        is_over: false,
    }))
}

/// The encoding of a text that begins so, and how long its byte order mark is.
fn encoding_of(charset: Option<Charset>, start: &[u8]) -> (&'static Encoding, usize) {
    let marked = |mark: &[u8]| if start.starts_with(mark) { mark.len() } else { 0 };
    match charset {
        None | Some(Charset::Utf16) if marked(UTF_16LE_MARK) > 0 => (UTF_16LE, UTF_16LE_MARK.len()),
        None | Some(Charset::Utf16) if marked(UTF_16BE_MARK) > 0 => (UTF_16BE, UTF_16BE_MARK.len()),
        None | Some(Charset::Utf8) => (UTF_8, marked(UTF_8_MARK)),
        Some(Charset::Utf16 | Charset::Utf16Le) => (UTF_16LE, marked(UTF_16LE_MARK)),
        Some(Charset::Utf16Be) => (UTF_16BE, marked(UTF_16BE_MARK)),
        Some(Charset::Windows1252) => (WINDOWS_1252, 0),
    }
}

/// Reads text of one charset and gives it out in UTF-8.
struct Transcoder {
    source: Box<dyn Read + Send>,
    name: &'static str,
    format: Format,
    decoder: encoding_rs::Decoder,
    input: Vec<u8>,
    /// What of the input is not decoded yet.
    pending: std::ops::Range<usize>,
    output: Vec<u8>,
    /// What of the output is not given out yet.
    ready: std::ops::Range<usize>,
    /// How many bytes were decoded.
    taken_bytes: u64,
    /// The line that the decoded text ends in.
    line: u64,
    is_over: bool,
}

impl Transcoder {
    /// Decode more text, if there is any.
    fn fill(&mut self) -> io::Result<()> {
        if self.pending.is_empty() && !self.is_over {
            let count = self.source.read(&mut self.input)?;
            (self.pending, self.is_over) = (0..count, count == 0);
        }
        let input = self.input.get(self.pending.clone()).unwrap_or_default();
        let (result, read, written) =
            self.decoder.decode_to_utf8_without_replacement(input, &mut self.output, self.is_over);
        self.pending.start += read;
        self.taken_bytes += read as u64;
        self.ready = 0..written;
        let text = self.output.get(..written).unwrap_or_default();
        self.line += text.iter().filter(|&&byte| byte == b'\n').count() as u64;
        match result {
            DecoderResult::Malformed(length, after) => Err(self.malformed(u64::from(length) + u64::from(after)).into()),
            _ => Ok(()),
        }
    }

    /// The error for a sequence that began so many bytes ago.
    fn malformed(&self, bytes_ago: u64) -> DecodeError {
        let byte = self.taken_bytes.saturating_sub(bytes_ago) + 1;
        let reason = format!("the bytes from byte {byte} of the file on are no character in {}", self.name);
        DecodeError::Malformed { format: self.format, line: Some(self.line), column: None, reason }
    }
}

impl Read for Transcoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && !(self.is_over && self.pending.is_empty()) {
            self.fill()?;
        }
        let ready = self.output.get(self.ready.clone()).unwrap_or_default();
        let length = ready.len().min(buffer.len());
        buffer[..length].copy_from_slice(&ready[..length]);
        self.ready.start += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Gives out one byte at a time.
    struct Slow(Cursor<Vec<u8>>);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(1);
            self.0.read(&mut buffer[..length])
        }
    }

    fn read(charset: Option<Charset>, bytes: &[u8]) -> Result<String, DecodeError> {
        let texts = [
            transcoded(Box::new(Cursor::new(bytes.to_vec())), charset, Format::Csv),
            transcoded(Box::new(Slow(Cursor::new(bytes.to_vec()))), charset, Format::Csv),
        ];
        let [whole, slow] = texts.map(|text| {
            let mut read = String::new();
            text?.read_to_string(&mut read)?;
            Ok::<_, DecodeError>(read)
        });
        assert_eq!(whole.as_ref().map_err(ToString::to_string), slow.as_ref().map_err(ToString::to_string));
        whole
    }

    fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[rstest]
    #[case(None, "é€😀\n".as_bytes().to_vec())]
    #[case(None, ["\u{feff}".as_bytes(), "é€😀\n".as_bytes()].concat())]
    #[case(Some(Charset::Utf8), ["\u{feff}".as_bytes(), "é€😀\n".as_bytes()].concat())]
    #[case(None, utf_16("\u{feff}é€😀\n", u16::to_le_bytes))]
    #[case(None, utf_16("\u{feff}é€😀\n", u16::to_be_bytes))]
    #[case(Some(Charset::Utf16), utf_16("\u{feff}é€😀\n", u16::to_be_bytes))]
    #[case(Some(Charset::Utf16), utf_16("é€😀\n", u16::to_le_bytes))]
    #[case(Some(Charset::Utf16Le), utf_16("é€😀\n", u16::to_le_bytes))]
    #[case(Some(Charset::Utf16Be), utf_16("é€😀\n", u16::to_be_bytes))]
    #[case(Some(Charset::Utf16Be), utf_16("\u{feff}é€😀\n", u16::to_be_bytes))]
    fn a_text_is_the_same_in_every_charset(#[case] charset: Option<Charset>, #[case] bytes: Vec<u8>) {
        assert_eq!(read(charset, &bytes).unwrap(), "é€😀\n");
    }

    #[test]
    fn latin_1_is_read_as_windows_does() {
        assert_eq!(read(Some(Charset::Windows1252), b"M\xFCller \x80").unwrap(), "Müller €");
    }

    #[test]
    fn long_texts_go_through_in_pieces() {
        let text = "a€".repeat(100_000);
        assert_eq!(read(Some(Charset::Utf16Le), &utf_16(&text, u16::to_le_bytes)).unwrap(), text);
    }

    #[rstest]
    #[case(&[b'a', 0, b'\n', 0, 0, 0xD8, b'b', 0], 5)]
    #[case(&[b'a', 0, b'\n', 0, 0, 0xDC], 5)]
    #[case(&[b'a', 0, b'\n', 0, b'b'], 5)]
    fn what_is_no_character_is_refused_with_its_place(#[case] bytes: &[u8], #[case] byte: u64) {
        let error = read(Some(Charset::Utf16Le), bytes).unwrap_err().to_string();
        assert!(error.contains("line 2: ") && error.contains(&format!("from byte {byte} of")), "{error}");
    }
}
