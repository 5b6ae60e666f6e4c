//! Days and instants: texts that are some, not later than now, not too long ago.

use arrow::{
    array::{Array as _, ArrayRef, RecordBatch},
    buffer::BooleanBuffer,
};
use chrono::{
    DateTime,
    format::{Item, Parsed, StrftimeItems},
};
use serde_json::json;
use sluice_domain::parse_moment;

use super::{Kind, Reach, column_test::ColumnTest};
use crate::{
    arguments::{ArgumentError, Arguments},
    budget::Budget,
    cells::moments,
    expectation::{Binder, Finding, Monitor, Ready, Totals},
};

/// Spellings of days and instants that are read beside ISO 8601, the day before the month only where a word tells.
const SPELLINGS: &[&str] = &[
    "%Y/%m/%d",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%Y%m%d",
    "%d %B %Y",
    "%d %b %Y",
    "%B %d, %Y",
    "%b %d, %Y",
    "%d-%b-%Y",
    "%Y/%m/%d %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%Y%m%dT%H%M%S",
    "%a, %d %b %Y %H:%M:%S",
    "%H:%M:%S",
    "%H:%M",
];

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "expect_column_values_to_be_dateutil_parseable",
        reach: Reach::Row,
        parameters: &["column", "mostly"],
        parse: |arguments| texts(arguments, "Values that are no date in", |text| !is_date(text)),
    },
    Kind {
        name: "expect_column_values_to_match_strftime_format",
        reach: Reach::Row,
        parameters: &["column", "strftime_format", "mostly"],
        parse: strftime,
    },
    Kind {
        name: "expect_column_values_to_not_be_in_the_future",
        reach: Reach::Row,
        parameters: &["column", "tolerance", "mostly"],
        parse: not_in_future,
    },
    Kind {
        name: "expect_column_values_to_be_recent",
        reach: Reach::Row,
        parameters: &["column", "max_delay", "mostly"],
        parse: recent,
    },
    Kind {
        name: "expect_column_max_to_be_recent",
        reach: Reach::Whole,
        parameters: &["column", "max_delay"],
        parse: newest,
    },
];

fn texts(
    arguments: &Arguments<'_>,
    told: &'static str,
    breaks: impl Fn(&str) -> bool + Clone + Send + 'static,
) -> Result<Binder, ArgumentError> {
    let (column, mostly) = (arguments.text("column")?, arguments.mostly()?);
    Ok(Box::new(move |setting| {
        ColumnTest::of_texts(setting, (&column, format!("{told} {column}")), mostly, breaks.clone())
    }))
}

fn is_date(text: &str) -> bool {
    let text = text.trim();
    parse_moment(text).is_some()
        || DateTime::parse_from_rfc2822(text).is_ok()
        || SPELLINGS.iter().any(|spelling| fits(text, StrftimeItems::new(spelling)))
}

/// Whether a text has this format, and the day in it is one of the calendar.
fn fits<'f>(text: &str, items: impl Iterator<Item = Item<'f>>) -> bool {
    let mut parsed = Parsed::new();
    let is_read = chrono::format::parse(&mut parsed, text, items).is_ok();
    let has_day = parsed.year().is_some() && parsed.month().is_some() && parsed.day().is_some();
    is_read && (!has_day || parsed.to_naive_date().is_ok())
}

fn strftime(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let format = arguments.text("strftime_format")?;
    let items: Vec<Item<'static>> = StrftimeItems::new(&format).map(Item::to_owned).collect();
    if items.contains(&Item::Error) {
        return Err(ArgumentError::new("strftime_format", "it is no format of dates"));
    }
    texts(arguments, "Values of another format in", move |text| !fits(text, items.iter().cloned()))
}

fn not_in_future(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let tolerance = arguments.duration_micros("tolerance")?.unwrap_or(0);
    of_moments(arguments, "Future dates in", move |moment, now| moment > now.saturating_add(tolerance))
}

fn recent(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let delay = max_delay(arguments)?;
    of_moments(arguments, "Values that came too late in", move |moment, now| now.saturating_sub(moment) > delay)
}

fn max_delay(arguments: &Arguments<'_>) -> Result<i64, ArgumentError> {
    arguments.duration_micros("max_delay")?.ok_or_else(|| ArgumentError::new("max_delay", "it is missing"))
}

fn of_moments(
    arguments: &Arguments<'_>,
    told: &'static str,
    breaks: impl Fn(i64, i64) -> bool + Clone + Send + 'static,
) -> Result<Binder, ArgumentError> {
    let (column, mostly) = (arguments.text("column")?, arguments.mostly()?);
    Ok(Box::new(move |setting| {
        let (at, now, breaks) = (setting.column(&column)?, setting.now_micros, breaks.clone());
        check_type(setting.data_type(at), &column)?;
        let test = ColumnTest::new(at, format!("{told} {column}"), move |values: &ArrayRef| {
            let moments = moments(values)?;
            // A text that is no moment came at no time that would be right.
            Ok(BooleanBuffer::collect_bool(moments.len(), |row| {
                moments[row].map_or_else(|| values.is_valid(row), |moment| breaks(moment, now))
            }))
        });
        Ok(Ready::rows(test, mostly))
    }))
}

fn check_type(data_type: &arrow::datatypes::DataType, column: &str) -> Result<(), String> {
    let empty = arrow::array::new_empty_array(data_type);
    moments(&empty).map(drop).map_err(|reason| format!("{column}: {reason}"))
}

fn newest(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let (column, delay) = (arguments.text("column")?, max_delay(arguments)?);
    Ok(Box::new(move |setting| {
        let at = setting.column(&column)?;
        check_type(setting.data_type(at), &column)?;
        let (column, now) = (column.clone(), setting.now_micros);
        Ok(Ready::whole(Newest { at, column, now, delay, newest: None }))
    }))
}

/// How long ago the newest moment of a column was.
struct Newest {
    at: usize,
    column: String,
    now: i64,
    delay: i64,
    newest: Option<i64>,
}

impl Monitor for Newest {
    fn observe(&mut self, rows: &RecordBatch, _budget: &mut Budget) -> Result<(), String> {
        let moments = moments(rows.column(self.at))?;
        self.newest = self.newest.into_iter().chain(moments.into_iter().flatten()).max();
        Ok(())
    }

    fn finish(self: Box<Self>, _totals: Totals) -> Result<Finding, String> {
        let fresh = self.newest.is_some_and(|newest| self.now.saturating_sub(newest) <= self.delay);
        let shown = self.newest.and_then(DateTime::from_timestamp_micros).map(|newest| newest.to_rfc3339());
        Ok(Finding::of_value(fresh, json!(shown), format!("The newest value of {} is too old", self.column)))
    }
}
