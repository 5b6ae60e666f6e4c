use std::io::Cursor;

use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// Gives out a few bytes at a time.
struct Slow(Cursor<Vec<u8>>);

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(3);
        self.0.read(&mut buffer[..length])
    }
}

fn rows(path: &str, document: &str) -> Result<String, DecodeError> {
    let path: RecordPath = path.parse().unwrap();
    let mut text = String::new();
    rows_at(&path, Box::new(Slow(Cursor::new(document.into()))))?.read_to_string(&mut text)?;
    Ok(text)
}

#[rstest]
#[case(
    "/data/items",
    r#"{"meta": {"data": [1, "]}"]}, "data": {"n": 1.5e3, "items": [{"a": "]"}], "x": null}, "y": []}"#,
    r#"[{"a": "]"}]"#
)]
#[case("data.items", "{\"data\":\n{\"items\":\n\n[{\"a\":1},\n{\"a\":2}]}}\n", "\n\n\n[{\"a\":1},\n{\"a\":2}]")]
#[case("/1/rows", r#"[{"rows": 0}, {"rows": [ ]}, "rows"]"#, "[ ]")]
#[case("/a~1b", r#"{"\u0061/b": {"c": 1}}"#, r#"{"c": 1}"#)]
#[case("/x", r#"{"a": "\\", "b": "\"x", "x": []}"#, "[]")]
fn the_rows_are_what_lies_at_the_path(#[case] path: &str, #[case] document: &str, #[case] expected: &str) {
    assert_eq!(rows(path, document).unwrap(), expected);
}

#[rstest]
#[case("/data", "[]", "\"data\" is not there")]
#[case("/data", "{}", "\"data\" is not there")]
#[case("/data", "{\"a\": [1, 2],\n\"b\": \"data\"}", "line 2: the record path leads nowhere")]
#[case("/data/items", "{\"data\": 1}", "\"items\" is not there")]
#[case("/2", "[[], []]", "\"2\" is not there")]
#[case("/data", "{\"data\": 5}", "there is no array of rows")]
#[case("/data", "{\"data\": [],\n \"data\": []}", "line 2: the key \"data\" is there twice")]
#[case("/a/b", "{\"a\": {\"b\": []}, \"a\": 1}", "the key \"a\" is there twice")]
#[case("/data", "{\"data\": []", "ends too early")]
#[case("/data", "{\"data\": []} {", "more follows")]
#[case("/data", "{\"data\": [] \"x\": 1}", "there must be a comma")]
#[case("/data", "{\"x\": , \"data\": []}", "there must be a value")]
#[case("/data", "{x: 1, \"data\": []}", "there must be a key in quotes")]
#[case("/data", "{\"x\" 1, \"data\": []}", "there must be a colon")]
fn a_document_without_rows_there_is_refused(#[case] path: &str, #[case] document: &str, #[case] reason: &str) {
    let error = rows(path, document).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn every_cut_is_refused_or_seen_by_whoever_reads_the_rows() {
    let document = r#"{"meta": {"n": "a\"b"}, "data": {"items": [{"a": [1]}, {"a": "x"}]}, "rest": [true, {}]}"#;
    let whole = rows("/data/items", document).unwrap();
    for cut in 0..document.len() {
        if let Ok(part) = rows("/data/items", &document[..cut]) {
            assert!(part.len() < whole.len() && whole.starts_with(&part), "{cut}: {part}");
        }
    }
}

proptest! {
    #[test]
    fn any_document_has_an_end(document in r#"[\[\]{}:,"a\\ 1\n]{0,60}"#) {
        let _ = rows("/a", &document);
        let _ = rows("/0/a", &document);
    }
}
