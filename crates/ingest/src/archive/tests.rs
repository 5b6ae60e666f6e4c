use std::io::Write as _;

use arrow::{array::RecordBatch, util::display::array_value_to_string};
use proptest::prelude::*;
use rawzip::{ZipArchiveWriter, path::EntryPath};
use rstest::rstest;
use sluice_domain::Compression;

use super::*;
use crate::{IngestSettings, Isolation};

fn wall() -> Wall {
    Wall::open(&IngestSettings { isolation: Isolation::None, ..IngestSettings::default() }).unwrap()
}

fn unread(bytes: &[u8], options: &ReadOptions) -> Unread {
    Unread::new(Box::new(io::Cursor::new(bytes.to_vec())), options)
}

fn options() -> ReadOptions {
    let mut options = ReadOptions::of(Format::Zip);
    options.csv.open = sluice_domain::OpenDialect { delimiter: true, quote: true, header: true };
    options
}

fn zip(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipArchiveWriter::new(Vec::new());
    for (name, bytes) in members {
        if name.ends_with('/') {
            archive.new_dir(name).create().unwrap();
            continue;
        }
        let path = EntryPath::verbatim(name.as_bytes());
        let (mut entry, config) = archive.new_file(path).compression_method(method).start().unwrap();
        let descriptor = if method == CompressionMethod::DEFLATE {
            let encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::default());
            let mut writer = config.wrap(encoder);
            writer.write_all(bytes).unwrap();
            let (encoder, descriptor) = writer.finish().unwrap();
            encoder.finish().unwrap();
            descriptor
        } else {
            let mut writer = config.wrap(&mut entry);
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap().1
        };
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap()
}

fn deflated(members: &[(&str, &[u8])]) -> Vec<u8> {
    zip(members, CompressionMethod::DEFLATE)
}

/// The names of the columns, and every row's values as text.
fn both_passes(bytes: &[u8], options: &ReadOptions) -> Result<(Vec<String>, Vec<String>), DecodeError> {
    let (wall, scratch) = (wall(), tempfile::tempdir().unwrap());
    let found = infer(&wall, options, unread(bytes, options), scratch.path())?;
    let mut batches = crate::row_sink::Good::default();
    let place = (scratch.path(), &found.schema);
    let rows = decode(&wall, options, unread(bytes, options), place, &mut batches)?;
    assert_eq!((rows, rows), (found.rows, batches.0.iter().map(|batch| batch.num_rows() as u64).sum()));
    let text = |batch: &RecordBatch, row| {
        let values: Vec<_> = batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap()).collect();
        values.join("|")
    };
    let rows = batches.0.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| text(batch, row))).collect();
    Ok((found.schema.fields().iter().map(|field| field.name().clone()).collect(), rows))
}

fn refusal(bytes: &[u8]) -> String {
    both_passes(bytes, &options()).unwrap_err().to_string()
}

#[rstest]
fn members_of_all_formats_go_into_one_table_in_order(
    #[values(CompressionMethod::STORE, CompressionMethod::DEFLATE)] method: CompressionMethod,
) {
    let gzipped = crate::formats::compressed_for_tests(Compression::Gzip, b"id\n5\n");
    let bytes = zip(
        &[
            ("__MACOSX/._a.csv", b"\0\0"),
            ("data/", b""),
            ("data/a.csv", b"id;name\n1;Anna\n"),
            ("data/.DS_Store", b"\0"),
            ("b.ndjson", b"{\"id\": 2.5}\n"),
            ("c.tsv", b"id\tname\n3\tBen\n"),
            ("d.json", b"[{\"name\": \"Eve\", \"age\": 4}]"),
            ("e.csv.gz", &gzipped),
        ],
        method,
    );
    let (names, rows) = both_passes(&bytes, &options()).unwrap();
    assert_eq!(names, ["id", "name", "age"]);
    assert_eq!(rows, ["1.0|Anna|", "2.5||", "3.0|Ben|", "|Eve|4", "5.0||"]);
}

#[test]
fn the_format_that_was_said_is_that_of_every_member() {
    let bytes = deflated(&[("a", b"{\"x\": 1}"), ("b.txt", b"{\"x\": 2}\n")]);
    assert!(refusal(&bytes).contains("\"a\" in the archive: this is not good zip: its name does not tell its format"));
    let options = ReadOptions { member_format: Some(Format::Ndjson), ..options() };
    assert_eq!(both_passes(&bytes, &options).unwrap().1, ["1", "2"]);
}

#[rstest]
#[case("../a.csv", "its name leads out of the archive")]
#[case("/a.csv", "its name leads out of the archive")]
#[case("a/../../b.csv", "its name leads out of the archive")]
#[case("C:\\a.csv", "its name leads out of the archive")]
#[case("inner.zip", "an archive within an archive")]
#[case("a.xyz", "its name does not tell its format")]
fn a_member_that_is_not_read_is_named(#[case] name: &str, #[case] reason: &str) {
    let text = refusal(&deflated(&[("good.csv", b"a\n1\n"), (name, b"a\n1\n")]));
    assert!(text.starts_with(&format!("{name:?} in the archive: ")) && text.contains(reason), "{text}");
}

#[test]
fn a_fault_within_a_member_is_told_with_its_place() {
    let text = refusal(&deflated(&[("a.csv", b"a,b\n1,2\n"), ("b.csv", b"a,b\n1,2\n3\n")]));
    assert!(text.starts_with("\"b.csv\" in the archive: this is not good csv: line 3: "), "{text}");
}

#[test]
fn members_of_one_name_too_many_of_them_and_none_at_all_are_refused() {
    let twice = deflated(&[("a.csv", b"a\n1\n"), ("a.csv", b"a\n2\n")]);
    assert!(refusal(&twice).contains("two members of this name"));
    let names: Vec<String> = (0..=MAX_MEMBERS).map(|at| format!("{at}.csv")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"a\n1\n"[..])).collect();
    assert!(refusal(&zip(&members, CompressionMethod::STORE)).contains("more than 1000 members"));
    assert!(matches!(both_passes(&deflated(&[("folder/", b"")]), &options()), Err(DecodeError::Empty)));
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    let bomb = deflated(&[("small.csv", b"a\n1\n"), ("bomb.csv", &vec![b'a'; 40 << 20])]);
    let error = both_passes(&bomb, &options()).unwrap_err();
    assert!(error.to_string().starts_with("\"bomb.csv\""), "{error}");
    assert_eq!(sluice_domain::Failure::kind(&error), sluice_domain::ErrorKind::TooLarge);
}

#[test]
fn a_member_that_is_longer_than_it_says_is_refused() {
    let text = b"a\n1\n22\n333\n";
    let mut bytes = zip(&[("a.csv", text)], CompressionMethod::STORE);
    let directory = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    // The length of the decoded bytes.
    bytes[directory + 24] -= 1;
    assert!(refusal(&bytes).starts_with("\"a.csv\" in the archive: "));
}

#[test]
fn an_encrypted_member_is_refused() {
    let mut bytes = deflated(&[("a.csv", b"a\n1\n")]);
    let directory = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    bytes[directory + 8] |= 1;
    assert!(refusal(&bytes).contains("\"a.csv\" in the archive: this is not good zip: it is encrypted"));
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused_or_gives_the_same_rows() {
    let whole = deflated(&[("a.csv", b"a,b\n1,2\n"), ("b.csv", b"a,b\n3,4\n")]);
    let expected = both_passes(&whole, &options()).unwrap();
    for cut in 0..whole.len() {
        assert!(both_passes(&whole[..cut], &options()).is_err(), "{cut}");
    }
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok((names, rows)) = both_passes(&flipped, &options()) {
            // A name in the directory that is another one now may be that of another format.
            assert!(names != expected.0 || rows == expected.1 || rows.len() < 2, "{bit}: {names:?} {rows:?}");
        }
    }
}

#[test]
fn a_failure_to_read_is_no_fault_of_a_member() {
    let error = DecodeError::Read(io::ErrorKind::TimedOut.into()).in_member("a.csv");
    assert!(matches!(error, DecodeError::Read(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = both_passes(&bytes, &options());
        let _ = both_passes(&[b"PK\x03\x04".as_slice(), &bytes, b"PK\x05\x06", &[0; 18]].concat(), &options());
    }

    #[test]
    fn a_name_that_leads_out_is_seen(before in "[a-z/]{0,6}", after in "[a-z/]{0,6}") {
        let name = format!("{before}/../{after}");
        prop_assert!(leads_out(&name));
    }
}
