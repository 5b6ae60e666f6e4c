//! Features of days and moments that the engine's `date_part` and `to_char` do not tell.
//!
//! A moment with a time zone is looked at in it.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, Int32Array},
    compute::{DatePart, date_part},
    datatypes::Int32Type,
};
use datafusion::{common::exec_err, error::Result};

const SATURDAY: i32 = 5;
/// The hours that begin within office hours.
const BUSINESS_HOURS: std::ops::RangeInclusive<i32> = 9..=17;

/// Whether it is a Saturday or a Sunday.
pub(super) fn is_weekend(values: &[ArrayRef]) -> Result<ArrayRef> {
    let days = part(values, DatePart::DayOfWeekMonday0)?;
    Ok(told(days.iter().map(|day| day.map(|day| day >= SATURDAY))))
}

/// Whether it begins between 9 and 17 o'clock, both included.
pub(super) fn is_business_hour(values: &[ArrayRef]) -> Result<ArrayRef> {
    let hours = part(values, DatePart::Hour)?;
    Ok(told(hours.iter().map(|hour| hour.map(|hour| BUSINESS_HOURS.contains(&hour)))))
}

/// Whether it is the last day of its month.
pub(super) fn is_month_end(values: &[ArrayRef]) -> Result<ArrayRef> {
    let (years, months, days) =
        (part(values, DatePart::Year)?, part(values, DatePart::Month)?, part(values, DatePart::Day)?);
    let dates = years.iter().zip(&months).zip(&days);
    Ok(told(dates.map(|((year, month), day)| Some(day? == last_day(year?, month?)))))
}

fn part(values: &[ArrayRef], part: DatePart) -> Result<Int32Array> {
    let Some(moments) = values.first() else { return exec_err!("a date is missing") };
    Ok(date_part(moments, part)?.as_primitive::<Int32Type>().clone())
}

fn told(rows: impl Iterator<Item = Option<bool>>) -> ArrayRef {
    Arc::new(rows.collect::<BooleanArray>())
}

fn last_day(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    #[rstest]
    #[case(2024, 2, 29)]
    #[case(2023, 2, 28)]
    #[case(1900, 2, 28)]
    #[case(2000, 2, 29)]
    #[case(2024, 11, 30)]
    #[case(2024, 12, 31)]
    fn months_end_as_the_calendar_says(#[case] year: i32, #[case] month: i32, #[case] day: i32) {
        assert_eq!(super::last_day(year, month), day);
    }
}
