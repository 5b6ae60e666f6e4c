//! The dialect of delimited text, as its beginning tells it.
//!
//! A dialect is believed where it splits every record of the beginning into the same number of fields, two or more.
//! The usual quote is tried before the other one; commas go before all other delimiters, and of those the one that
//! gives the most fields is taken. There is no header if every field of the first record is a number or a moment.
//!
//! Invariant: the same beginning has the same dialect, and one that commas split evenly is split by commas.
//! Invariant: what the sender said is not touched.

use csv::{ByteRecord, ReaderBuilder};
use sluice_domain::CsvOptions;

use super::decimal;
use crate::kinds::Kind;

/// How much of a file tells its dialect.
pub(crate) const SAMPLE_BYTES: usize = 64 << 10;

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
const QUOTES: [Option<u8>; 2] = [Some(b'"'), Some(b'\'')];

/// The options with what the sample tells in the places that the sender left open. `is_whole` says that nothing follows
/// the sample, so that its last record is a whole one.
pub(crate) fn resolved(options: &CsvOptions, sample: &[u8], is_whole: bool) -> CsvOptions {
    let mut found = options.clone();
    (found.delimiter, found.quote) = separators(options, sample, is_whole);
    if options.open.header {
        let records = records(sample, (found.delimiter, found.quote), is_whole);
        found.header = !records.first().is_some_and(|first| is_data(options, first));
    }
    found
}

/// The delimiter and the quote.
fn separators(options: &CsvOptions, sample: &[u8], is_whole: bool) -> (u8, Option<u8>) {
    let delimiters: &[u8] = if options.open.delimiter { &DELIMITERS } else { &[options.delimiter] };
    let quotes: &[Option<u8>] = if options.open.quote { &QUOTES } else { &[options.quote] };
    for &quote in quotes {
        let mut best = None;
        for &delimiter in delimiters.iter().filter(|delimiter| Some(**delimiter) != quote) {
            let fields = even_fields(&records(sample, (delimiter, quote), is_whole)).unwrap_or(1);
            if fields > 1 && delimiter == b',' {
                return (delimiter, quote);
            }
            if fields > best.map_or(1, |(most, _)| most) {
                best = Some((fields, delimiter));
            }
        }
        if let Some((_, delimiter)) = best {
            return (delimiter, quote);
        }
    }
    (options.delimiter, options.quote)
}

/// How many fields every record has, if all have as many.
fn even_fields(records: &[ByteRecord]) -> Option<usize> {
    let first = records.first()?.len();
    records.iter().all(|record| record.len() == first).then_some(first)
}

/// The whole records of a sample.
fn records(sample: &[u8], (delimiter, quote): (u8, Option<u8>), is_whole: bool) -> Vec<ByteRecord> {
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(delimiter);
    match quote {
        Some(quote) => builder.quote(quote),
        None => builder.quoting(false),
    };
    let mut records: Vec<ByteRecord> = builder.from_reader(sample).into_byte_records().map_while(Result::ok).collect();
    if !is_whole {
        records.pop();
    }
    records
}

/// Whether a record cannot be the names of columns.
fn is_data(options: &CsvOptions, record: &ByteRecord) -> bool {
    !record.is_empty()
        && record.iter().all(|field| std::str::from_utf8(field).is_ok_and(|text| is_value(options, text)))
}

fn is_value(options: &CsvOptions, text: &str) -> bool {
    let starts_so =
        text.trim_start_matches(' ').starts_with(|first: char| first.is_ascii_digit() || "-.".contains(first));
    let kind = if options.decimal_comma { Kind::of_text(&decimal::with_point(text)) } else { Kind::of_text(text) };
    starts_so && !matches!(kind, Kind::Text | Kind::Null | Kind::Boolean)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use sluice_domain::OpenDialect;

    use super::*;

    const OPEN: OpenDialect = OpenDialect { delimiter: true, quote: true, header: true };

    fn sniffed(text: &str, is_whole: bool) -> (char, Option<char>, bool) {
        let options = CsvOptions { open: OPEN, ..CsvOptions::default() };
        let found = resolved(&options, text.as_bytes(), is_whole);
        (char::from(found.delimiter), found.quote.map(char::from), found.header)
    }

    #[rstest]
    #[case("a,b\n1,2\n", (',', Some('"'), true))]
    #[case("a;b\n1,5;2\n", (';', Some('"'), true))]
    #[case("a\tb\tc\n1\t2\t3\n", ('\t', Some('"'), true))]
    #[case("a|b\n1|2\n", ('|', Some('"'), true))]
    #[case("a|b;c|d\n1|2;3|4\n", ('|', Some('"'), true))]
    #[case("a;b,c\n1;2,3\n", (',', Some('"'), true))]
    #[case("a,b;c\n1,2\n3\n", (',', Some('"'), true))]
    #[case("note\none; two\nthree\n", (',', Some('"'), true))]
    #[case("note\n\"one; two\"\n\"three; four\"\n", (',', Some('"'), true))]
    #[case("'a, b';c\n'd';e\n", (';', Some('"'), true))]
    #[case("'a;b';'c'\n'd';'e;f;g'\n", (';', Some('\''), true))]
    #[case("1,2\n3,4\n", (',', Some('"'), false))]
    #[case("1;2024-01-31;-.5\n", (';', Some('"'), false))]
    #[case("country,2020,2021\nDE,1,2\n", (',', Some('"'), true))]
    #[case("1,,2\n3,4,5\n", (',', Some('"'), true))]
    #[case("", (',', Some('"'), true))]
    fn a_dialect_is_what_splits_every_record_evenly(#[case] text: &str, #[case] expected: (char, Option<char>, bool)) {
        assert_eq!(sniffed(text, true), expected);
    }

    #[test]
    fn the_record_that_is_cut_off_does_not_count() {
        assert_eq!(sniffed("a;b\n1;2\n3", false).0, ';');
        assert_eq!(sniffed("a;b\n1;2\n3", true).0, ',');
    }

    #[test]
    fn what_the_sender_said_stays() {
        let said = CsvOptions { delimiter: b'|', quote: None, header: true, ..CsvOptions::default() };
        assert_eq!(resolved(&said, b"1;2\n3;4\n", true), said);
        let open = OpenDialect { header: true, ..OpenDialect::default() };
        let found = resolved(&CsvOptions { open, ..said.clone() }, b"1|2\n", true);
        assert_eq!(found, CsvOptions { header: false, open, ..said });
    }

    proptest! {
        #[test]
        fn what_commas_split_evenly_is_split_by_commas(
            rows in prop::collection::vec(("[a-z;|\t ]{1,6}", "[a-z;|\t' ]{0,6}"), 1..20),
        ) {
            let text: String = rows.iter().map(|(a, b)| format!("{a},{b}\n")).collect();
            prop_assert_eq!(sniffed(&text, true), (',', Some('"'), true));
        }

        #[test]
        fn any_bytes_have_a_dialect(bytes in prop::collection::vec(any::<u8>(), 0..300), is_whole: bool) {
            let options = CsvOptions { open: OPEN, ..CsvOptions::default() };
            let found = resolved(&options, &bytes, is_whole);
            prop_assert_eq!(&found, &resolved(&options, &bytes, is_whole));
            prop_assert!(Some(found.delimiter) != found.quote);
        }
    }
}
