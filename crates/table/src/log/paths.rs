//! Which paths a log may name: those of files below the table's folder.

use percent_encoding::percent_decode_str;

/// What is wrong with the path of a file action as it stands in the log; none if it stays below the table.
pub(super) fn fault(path: &str) -> Option<&'static str> {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    if has_scheme(path) {
        Some("has a scheme")
    } else if path.starts_with(['/', '\\']) {
        Some("is absolute")
    } else {
        fault_of_decoded(&decoded)
    }
}

/// The same of a path that was decoded once, as the log is meant to be read.
pub(super) fn fault_of_decoded(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        Some("is empty")
    } else if has_scheme(path) {
        Some("has a scheme")
    } else if path.starts_with(['/', '\\']) {
        Some("is absolute")
    } else if path.split(['/', '\\']).any(climbs) {
        Some("climbs out of the table")
    } else {
        None
    }
}

fn has_scheme(path: &str) -> bool {
    let Some((scheme, _)) = path.split_once(':') else { return false };
    let in_scheme = |character: char| character.is_ascii_alphanumeric() || "+.-".contains(character);
    scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.chars().all(in_scheme)
}

/// Whether a part of a path leads upwards, or ends the path early, for something that decodes it once more.
fn climbs(part: &str) -> bool {
    let mut text = part.to_owned();
    loop {
        let first = text.split(['/', '\\']).next().unwrap_or_default();
        if first == "." || first == ".." || text.contains('\0') {
            return true;
        }
        let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if decoded == text {
            return false;
        }
        text = decoded;
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("file:///etc/passwd")]
    #[case("s3://other/part.parquet")]
    #[case("file%3A///etc/passwd")]
    #[case("/abs/part.parquet")]
    #[case("%2Fabs/part.parquet")]
    #[case("../other/part.parquet")]
    #[case("a/../../other/part.parquet")]
    #[case("%2e%2e/other/part.parquet")]
    #[case("%252e%252e/other/part.parquet")]
    #[case("a\\..\\..\\part.parquet")]
    #[case("part%00.parquet")]
    #[case("")]
    fn a_path_that_leaves_the_table_is_refused(#[case] path: &str) {
        assert!(fault(path).is_some(), "{path}");
    }

    #[rstest]
    #[case("part-00000-1.zstd.parquet")]
    #[case("k=../part.parquet")]
    #[case("k=a%252F..%252Fb/part.parquet")]
    #[case("k=12:00/part.parquet")]
    #[case("k=%2550/part.parquet")]
    #[case("k=%F0%9F%98%88/part.parquet")]
    fn a_path_below_the_table_is_taken(#[case] path: &str) {
        assert_eq!(fault(path), None, "{path}");
    }
}
