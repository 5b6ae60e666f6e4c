//! Records that are written like the one before: the same keys in the same order, with the same spaces between.
//!
//! Invariant: a value that is found here is one that the parser finds at the same place, and it needs no decoding;
//! whatever else a record holds makes it no match.

use wide::u8x16;

use crate::{columns::FieldIndex, kinds::Kind};

const LANES: usize = 16;
/// Longer numbers are left to the parser, which knows how long they may be.
const MAX_NUMBER_BYTES: usize = 40;
/// The last of the characters that JSON allows in no string.
const LAST_CONTROL: u8 = 0x1F;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Null,
    Boolean,
    Number,
    /// Without escapes.
    String,
}

/// A value, and where its text is; that of a string without its quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    start: u32,
    end: u32,
    pub(super) token: Token,
}

impl Span {
    /// The value's text in the block that it was found in.
    pub(super) fn text(self, block: &str) -> &str {
        block.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The kind of a value that is none of the null values.
    pub(super) fn kind(self, block: &str) -> Kind {
        match self.token {
            Token::Null => Kind::Null,
            Token::Boolean => Kind::Boolean,
            Token::Number => Kind::of_number(self.text(block)).unwrap_or(Kind::Text),
            Token::String => Kind::of_moment(self.text(block)),
        }
    }
}

/// How a record is written, but for its values.
pub(super) struct Template {
    /// What stands before each value.
    before: Vec<Box<[u8]>>,
    after: Box<[u8]>,
    /// Which column each value goes into.
    pub(super) columns: Vec<usize>,
}

impl Template {
    /// How this record is written; none where its values are not plain or its keys not those of columns.
    pub(super) fn of(record: &[u8], index: &FieldIndex) -> Option<Self> {
        let (mut before, mut columns) = (Vec::new(), Vec::new());
        let (mut start, mut at) = (0, spaces(record, 0));
        let mut opening = b'{';
        loop {
            at = spaces(record, expect(record, at, opening)?);
            let key = value(record, at).filter(|(span, _)| span.token == Token::String && record[at] == b'"')?;
            let name = std::str::from_utf8(record.get(key.0.start as usize..key.0.end as usize)?).ok()?;
            let column = index.find(name).filter(|column| !columns.contains(column))?;
            at = spaces(record, expect(record, spaces(record, key.1), b':')?);
            before.push(record.get(start..at)?.into());
            columns.push(column);
            (start, at) = value(record, at).map(|(_, end)| (end, spaces(record, end)))?;
            if record.get(at) == Some(&b'}') {
                break;
            }
            opening = b',';
        }
        let is_end = spaces(record, at + 1) == record.len();
        is_end.then(|| Self { before, after: record[start..].into(), columns })
    }

    /// Add the values of a record of a block to the others; false, and nothing added, where it is written otherwise.
    pub(super) fn read(&self, block: &[u8], (start, end): (usize, usize), spans: &mut Vec<Span>) -> bool {
        let count = spans.len();
        let is_read = self.read_values(&block[..end], start, spans) == Some(());
        if !is_read {
            spans.truncate(count);
        }
        is_read
    }

    fn read_values(&self, block: &[u8], start: usize, spans: &mut Vec<Span>) -> Option<()> {
        let mut at = start;
        for before in &self.before {
            if !block.get(at..)?.starts_with(before) {
                return None;
            }
            let (span, end) = value(block, at + before.len())?;
            spans.push(span);
            at = end;
        }
        (block.get(at..)? == &*self.after).then_some(())
    }
}

fn spaces(text: &[u8], at: usize) -> usize {
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    at + text.get(at..).unwrap_or_default().iter().take_while(blank).count()
}

fn expect(text: &[u8], at: usize, byte: u8) -> Option<usize> {
    (text.get(at) == Some(&byte)).then_some(at + 1)
}

/// The plain value that begins here, and where it ends.
fn value(text: &[u8], at: usize) -> Option<(Span, usize)> {
    let span = |start: usize, end: usize, token| Span { start: start as u32, end: end as u32, token };
    let word = |word: &[u8], token| {
        let end = at + word.len();
        (text.get(at..end)? == word).then(|| (span(at, end, token), end))
    };
    match text.get(at)? {
        b'"' => string_end(text, at + 1).map(|end| (span(at + 1, end, Token::String), end + 1)),
        b'-' | b'0'..=b'9' => number_end(text, at).map(|end| (span(at, end, Token::Number), end)),
        b'n' => word(b"null", Token::Null),
        b't' => word(b"true", Token::Boolean),
        b'f' => word(b"false", Token::Boolean),
        _ => None,
    }
}

/// Where the quote is that ends a string; none where an escape or a forbidden character comes first.
fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    let (quote, escape, control) = (u8x16::splat(b'"'), u8x16::splat(b'\\'), u8x16::splat(LAST_CONTROL));
    while let Some(lane) = text.get(at..)?.first_chunk::<LANES>() {
        let lane = u8x16::new(*lane);
        let stops = lane.simd_eq(quote) | lane.simd_eq(escape) | lane.min(control).simd_eq(lane);
        let found = stops.to_bitmask();
        if found != 0 {
            at += found.trailing_zeros() as usize;
            return (text[at] == b'"').then_some(at);
        }
        at += LANES;
    }
    let stops = |byte: &u8| matches!(byte, b'"' | b'\\' | ..=LAST_CONTROL);
    at += text[at..].iter().position(stops)?;
    (text[at] == b'"').then_some(at)
}

fn number_end(text: &[u8], start: usize) -> Option<usize> {
    let digits = |from: usize| {
        let count = text.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let whole = start + usize::from(text[start] == b'-');
    let mut end = digits(whole)?;
    if text[whole] == b'0' && end > whole + 1 {
        return None;
    }
    if text.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let is_signed = matches!(text.get(end + 1), Some(b'+' | b'-'));
        end = digits(end + 1 + usize::from(is_signed))?;
    }
    (end - start <= MAX_NUMBER_BYTES).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(record: &str, like: &str) -> Option<Vec<String>> {
        let index = FieldIndex::of(&["a".to_owned(), "b".to_owned()]);
        let template = Template::of(like.as_bytes(), &index)?;
        let mut spans = Vec::new();
        let is_read = template.read(record.as_bytes(), (0, record.len()), &mut spans);
        is_read.then(|| spans.iter().map(|span| format!("{:?} {}", span.token, span.text(record))).collect())
    }

    #[test]
    fn a_record_that_is_written_like_another_is_read() {
        let like = "{ \"b\" : null , \"a\":\"\"}\r";
        let read = texts("{ \"b\" : -1.5e+3 , \"a\":\"long enough for more than sixteen é\"}\r", like);
        assert_eq!(read.unwrap(), ["Number -1.5e+3", "String long enough for more than sixteen é"]);
        assert_eq!(texts("{\"a\":true}", "{\"a\":1}").unwrap(), ["Boolean true"]);
    }

    #[test]
    fn a_record_that_is_written_otherwise_or_not_well_is_no_match() {
        for record in [
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":-}",
            "{\"a\":1e}",
            "{\"a\":nul}",
            "{\"a\":[]}",
            "{\"a\":\"\\n\"}",
            "{\"a\":\"\u{1}\"}",
            "{\"a\":\"a string with a \u{1f} after sixteen bytes\"}",
            "{\"a\":\"never closed",
            "{\"a\": 1}",
            "{\"a\":1} ",
            "{\"b\":1}",
            "{\"a\":1,\"b\":2}",
            "{\"a\":",
        ] {
            assert_eq!(texts(record, "{\"a\":1}"), None, "{record}");
        }
        for like in ["{}", "{\"c\":1}", "{\"a\":1,\"A\":1}", "{\"a\":1}}", "{\"a\":{}}", "[1]", "{\"\\u0061\":1}"] {
            assert_eq!(texts(like, like), None, "{like}");
        }
    }
}
