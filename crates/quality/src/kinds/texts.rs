//! Single texts: patterns, lengths, contents.

use regex::Regex;
use serde::de::IgnoredAny;
use sluice_domain::RowCheck;

use super::{Kind, Reach, bounds::Bounds, column_test::ColumnTest};
use crate::{
    arguments::{ArgumentError, Arguments},
    expectation::Binder,
};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "expect_column_values_to_match_regex",
        reach: Reach::Row,
        parameters: &["column", "regex", "mostly"],
        parse: |arguments| {
            tested(arguments, "Values that do not match in", {
                let pattern = arguments.pattern("regex")?;
                move |text| !pattern.is_match(text)
            })
        },
    },
    Kind {
        name: "expect_column_values_to_not_match_regex",
        reach: Reach::Row,
        parameters: &["column", "regex", "mostly"],
        parse: |arguments| {
            tested(arguments, "Values that match in", {
                let pattern = arguments.pattern("regex")?;
                move |text| pattern.is_match(text)
            })
        },
    },
    Kind {
        name: "expect_column_values_to_match_regex_list",
        reach: Reach::Row,
        parameters: &["column", "regex_list", "match_on", "mostly"],
        parse: match_list,
    },
    Kind {
        name: "expect_column_values_to_not_match_regex_list",
        reach: Reach::Row,
        parameters: &["column", "regex_list", "mostly"],
        parse: |arguments| {
            tested(arguments, "Values that match in", {
                let patterns = arguments.patterns("regex_list")?;
                move |text| patterns.iter().any(|pattern| pattern.is_match(text))
            })
        },
    },
    Kind {
        name: "expect_column_values_to_match_like_pattern",
        reach: Reach::Row,
        parameters: &["column", "like_pattern", "mostly"],
        parse: |arguments| {
            tested(arguments, "Values that do not match in", {
                let pattern = like(&arguments.text("like_pattern")?)?;
                move |text| !pattern.is_match(text)
            })
        },
    },
    Kind {
        name: "expect_column_values_to_not_match_like_pattern",
        reach: Reach::Row,
        parameters: &["column", "like_pattern", "mostly"],
        parse: |arguments| {
            tested(arguments, "Values that match in", {
                let pattern = like(&arguments.text("like_pattern")?)?;
                move |text| pattern.is_match(text)
            })
        },
    },
    Kind {
        name: "expect_column_values_to_contain",
        reach: Reach::Row,
        parameters: &["column", "substring", "mostly"],
        parse: |arguments| {
            tested(arguments, "Values without the text in", {
                let wanted = arguments.text("substring")?;
                move |text| !text.contains(&wanted)
            })
        },
    },
    Kind {
        name: "expect_column_value_lengths_to_be_between",
        reach: Reach::Row,
        parameters: &["column", "min_value", "max_value", "strict_min", "strict_max", "mostly"],
        parse: |arguments| lengths(arguments, Bounds::read(arguments)?),
    },
    Kind {
        name: "expect_column_value_lengths_to_equal",
        reach: Reach::Row,
        parameters: &["column", "value", "mostly"],
        parse: |arguments| lengths(arguments, Bounds::exactly(arguments.required_whole("value")? as f64)),
    },
    Kind {
        name: "expect_column_values_to_be_json_parseable",
        reach: Reach::Row,
        parameters: &["column", "mostly"],
        parse: |arguments| {
            tested(arguments, "Values that are no JSON in", |text| serde_json::from_str::<IgnoredAny>(text).is_err())
        },
    },
];

/// A test of the texts of a column.
fn tested(
    arguments: &Arguments<'_>,
    told: &'static str,
    breaks: impl Fn(&str) -> bool + Clone + Send + 'static,
) -> Result<Binder, ArgumentError> {
    let (column, mostly) = (arguments.text("column")?, arguments.mostly()?);
    Ok(Box::new(move |setting| {
        ColumnTest::of_texts(setting, (&column, format!("{told} {column}")), mostly, breaks.clone())
    }))
}

fn match_list(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let patterns = arguments.patterns("regex_list")?;
    let all = match arguments.optional_text("match_on")?.as_deref() {
        None | Some("any") => false,
        Some("all") => true,
        Some(_) => return Err(ArgumentError::new("match_on", "it is neither \"any\" nor \"all\"")),
    };
    let breaks = move |text: &str| {
        let matched = |pattern: &Regex| pattern.is_match(text);
        if all { !patterns.iter().all(matched) } else { !patterns.iter().any(matched) }
    };
    tested(arguments, "Values that do not match in", breaks)
}

/// A pattern of SQL as a regular expression: `%` is any text, `_` any character.
fn like(pattern: &str) -> Result<Regex, ArgumentError> {
    let part = |character: char| match character {
        '%' => "(?s:.*)".to_owned(),
        '_' => "(?s:.)".to_owned(),
        other => regex::escape(other.encode_utf8(&mut [0; 4])),
    };
    let pattern: String = pattern.chars().map(part).collect();
    RowCheck::compile(&format!("^{pattern}$")).map_err(|reason| ArgumentError::new("like_pattern", reason))
}

fn lengths(arguments: &Arguments<'_>, bounds: Bounds) -> Result<Binder, ArgumentError> {
    tested(arguments, "Values of another length in", move |text| !bounds.hold(text.chars().count() as f64))
}
