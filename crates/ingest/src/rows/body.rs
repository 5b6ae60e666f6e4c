//! The body of a request: what it is, and its records as lines.
//!
//! Invariant: a line holds the record's own text; only line ends between its tokens became spaces.

use bytes::{BufMut as _, Bytes, BytesMut};
use jiter::Jiter;
use sluice_domain::{BadRowLimits, Format, ReadOptions};

use super::error::RowsError;
use crate::DecodeError;

const BYTE_ORDER_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

/// The media types that a body can have, and what they say it is; none where its first byte tells.
const MEDIA_TYPES: &[(&str, Option<Format>)] = &[
    ("application/json", Some(Format::Json)),
    ("application/x-ndjson", Some(Format::Ndjson)),
    ("application/ndjson", Some(Format::Ndjson)),
    ("application/jsonl", Some(Format::Ndjson)),
    ("application/x-jsonlines", Some(Format::Ndjson)),
    ("application/vnd.apache.arrow.stream", Some(Format::Arrow)),
    ("application/vnd.apache.arrow.file", Some(Format::Arrow)),
    ("application/octet-stream", None),
    ("text/plain", None),
    // What curl says where it is told nothing.
    ("application/x-www-form-urlencoded", None),
];

/// What the body is, by its media type or else by its first byte.
pub(super) fn format_of(media_type: Option<&str>, body: &[u8]) -> Result<Format, RowsError> {
    let Some(media_type) = media_type else { return Ok(sniffed(body)) };
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match MEDIA_TYPES.iter().find(|(name, _)| *name == essence) {
        Some((_, format)) => Ok(format.unwrap_or_else(|| sniffed(body))),
        None => Err(RowsError::Unsupported { media_type: media_type.chars().take(64).collect() }),
    }
}

/// An array, or one value alone however many lines it has, is JSON; anything else is one object a line.
fn sniffed(body: &[u8]) -> Format {
    let body = without_mark(body);
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let mut jiter = Jiter::new(body);
    let mut alone = || jiter.next_skip().is_ok() && jiter.finish().is_ok();
    if first == Some(&b'[') || alone() { Format::Json } else { Format::Ndjson }
}

/// None of the rows of a request that goes with others may be bad.
pub(super) const NO_BAD_ROWS: BadRowLimits = BadRowLimits { max_rows: Some(0), max_fraction: None };

/// How the records of requests are read.
pub(super) fn options(format: Format, bad_rows: BadRowLimits) -> ReadOptions {
    ReadOptions { bad_rows, ..ReadOptions::of(format) }
}

/// The records of a body, one a line; of binary formats the body as it is.
pub(super) fn lines(format: Format, body: &Bytes) -> Result<Bytes, DecodeError> {
    if format == Format::Arrow {
        return Ok(body.clone());
    }
    let text = body.slice_ref(without_mark(body));
    if format == Format::Json {
        return elements(&text).map_err(|error| DecodeError::malformed(format, error.to_string()));
    }
    if text.ends_with(b"\n") {
        return Ok(text);
    }
    let mut lines = BytesMut::with_capacity(text.len() + 1);
    lines.put_slice(&text);
    lines.put_u8(b'\n');
    Ok(lines.freeze())
}

/// The elements of an array, or the one object that the text is.
fn elements(text: &[u8]) -> Result<Bytes, jiter::JiterError> {
    let mut lines = BytesMut::with_capacity(text.len() + 1);
    let mut jiter = Jiter::new(text);
    if jiter.peek()? != jiter::Peek::Array {
        put_line(&mut lines, text);
        return Ok(lines.freeze());
    }
    let mut next = jiter.known_array()?;
    while let Some(peek) = next {
        let start = jiter.current_index();
        jiter.known_skip(peek)?;
        put_line(&mut lines, jiter.slice_to_current(start));
        next = jiter.array_step()?;
    }
    Ok(lines.freeze())
}

/// Within a string a line end is always escaped, so each one that is there stands between tokens.
fn put_line(lines: &mut BytesMut, record: &[u8]) {
    lines.extend(record.trim_ascii().iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    lines.put_u8(b'\n');
}

fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(None, "[{}]", Format::Json)]
    #[case(None, "\u{feff} \n[{}]", Format::Json)]
    #[case(None, "{\"a\":\n1}", Format::Json)]
    #[case(None, "{\"a\":1}\n{\"a\":2}", Format::Ndjson)]
    #[case(Some("text/plain"), "{\"a\":1}\n{", Format::Ndjson)]
    #[case(Some("Application/JSON; charset=utf-8"), "{}\n{}", Format::Json)]
    #[case(Some("application/x-ndjson"), "[]", Format::Ndjson)]
    fn a_body_is_what_it_says_or_looks_like(
        #[case] media_type: Option<&str>,
        #[case] body: &str,
        #[case] format: Format,
    ) {
        assert_eq!(format_of(media_type, body.as_bytes()).unwrap(), format);
    }

    #[test]
    fn a_body_of_another_kind_is_refused() {
        assert!(matches!(format_of(Some("text/csv"), b"a\n1"), Err(RowsError::Unsupported { .. })));
    }

    #[rstest]
    #[case(Format::Ndjson, "\u{feff}{\"a\":1}\n{\"a\":2}", "{\"a\":1}\n{\"a\":2}\n")]
    #[case(Format::Json, "[ {\"a\":\r\n1} ,\n{\"b\":\"x\\n\"}\n]", "{\"a\":  1}\n{\"b\":\"x\\n\"}\n")]
    #[case(Format::Json, " {\"a\":\n[1,\n2]} \n", "{\"a\": [1, 2]}\n")]
    #[case(Format::Json, "[]", "")]
    fn records_become_lines(#[case] format: Format, #[case] body: &'static str, #[case] expected: &str) {
        assert_eq!(lines(format, &Bytes::from_static(body.as_bytes())).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn any_array_of_objects_keeps_its_values(values in prop::collection::vec(".{0,20}", 0..8)) {
            let records: Vec<_> = values.iter().map(|value| serde_json::json!({ "v": value })).collect();
            let body = Bytes::from(serde_json::to_vec_pretty(&records).unwrap());
            let lines = lines(Format::Json, &body).unwrap();
            let read: Vec<serde_json::Value> =
                lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect();
            prop_assert_eq!(read, records);
        }

        #[test]
        fn any_bytes_are_sniffed_without_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = format_of(None, &body);
            let _ = lines(Format::Json, &Bytes::from(body));
        }
    }
}
