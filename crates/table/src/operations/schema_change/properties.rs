//! Which properties of a table can be set, and to what.

use crate::Refusal;

/// How long a property's name may be, in bytes.
const MAX_KEY_BYTES: usize = 255;
/// How long its value may be, in bytes.
const MAX_VALUE_BYTES: usize = 4096;

/// Check that a property can be set to a value, or dropped where none is given.
///
/// Names that begin with `delta.` are the protocol's: those that ask for features of writers which are not here are
/// refused.
pub(super) fn check_property(key: &str, value: Option<&str>) -> Result<(), Refusal> {
    let refused = |reason| Err(Refusal::BadProperty { key: key.to_owned(), reason });
    if key.is_empty() || key.len() > MAX_KEY_BYTES || value.is_some_and(|value| value.len() > MAX_VALUE_BYTES) {
        return refused("a name has 1 to 255 bytes and a value no more than 4096");
    }
    if key.starts_with("sluice.") {
        return refused("names that begin with `sluice.` are set when a table is made");
    }
    if !key.starts_with("delta.") {
        return Ok(());
    }
    let valid = |check: fn(&str) -> bool| value.is_none_or(check);
    match key {
        "delta.appendOnly" if !valid(|value| ["true", "false"].contains(&value)) => refused("it is true or false"),
        "delta.checkpointInterval" | "delta.targetFileSize" if !valid(is_positive) => refused("it is a number above 0"),
        "delta.logRetentionDuration" | "delta.deletedFileRetentionDuration" if !valid(is_interval) => {
            refused("it is an interval such as `interval 30 days`")
        }
        "delta.appendOnly"
        | "delta.checkpointInterval"
        | "delta.targetFileSize"
        | "delta.dataSkippingStatsColumns"
        | "delta.logRetentionDuration"
        | "delta.deletedFileRetentionDuration" => Ok(()),
        _ => refused("tables here do not have it"),
    }
}

fn is_positive(text: &str) -> bool {
    text.parse::<u32>().is_ok_and(|number| number > 0)
}

fn is_interval(text: &str) -> bool {
    let words: Vec<&str> = text.split(' ').collect();
    let [interval, count, unit] = words.as_slice() else { return false };
    let units = ["hour", "hours", "day", "days", "week", "weeks"];
    *interval == "interval" && is_positive(count) && units.contains(unit)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("owner", Some("data team"), true)]
    #[case("delta.appendOnly", Some("true"), true)]
    #[case("delta.appendOnly", Some("yes"), false)]
    #[case("delta.appendOnly", None, true)]
    #[case("delta.checkpointInterval", Some("0"), false)]
    #[case("delta.logRetentionDuration", Some("interval 30 days"), true)]
    #[case("delta.logRetentionDuration", Some("30 days"), false)]
    #[case("delta.enableDeletionVectors", Some("true"), false)]
    #[case("delta.columnMapping.mode", Some("name"), false)]
    #[case("delta.dataSkippingStatsColumns", Some("a,b"), true)]
    #[case("sluice.sortBy", Some("[]"), false)]
    #[case("", Some("x"), false)]
    fn a_property_that_is_not_written_here_is_refused(
        #[case] key: &str,
        #[case] value: Option<&str>,
        #[case] taken: bool,
    ) {
        assert_eq!(check_property(key, value).is_ok(), taken);
    }
}
