//! When a pipeline runs by the calendar.
//!
//! Invariant: the clock and its zone are told; nothing here asks for the time.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use serde::{Deserialize, Serialize};

use super::PipelineSettingsError;

/// The longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 255;

/// Times of the calendar, by a pattern of five fields (minute, hour, day of the month, month, day of the week) over the
/// clock of a time zone.
///
/// Where the clock goes forward, a time of the day that does not come about is the first moment behind the gap; where it
/// goes back, a time of the day counts once, when it comes first. A pattern with ranges or steps in its minutes or hours
/// goes by what the clock shows: it leaves out the hour that is missing, and has the one that comes twice, twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CronSchedule {
    /// The pattern.
    pub pattern: String,
    /// The name of the time zone in the IANA database.
    pub time_zone: String,
}

impl CronSchedule {
    /// Check that the pattern and the time zone are some, and that the time comes about.
    ///
    /// # Errors
    /// [`PipelineSettingsError`], naming `schedule.cron` or `schedule.time_zone`.
    pub fn check(&self) -> Result<(), PipelineSettingsError> {
        let cron = self.cron()?;
        let zone = self.zone()?;
        // Without years in it, a time that comes about at all comes about after any moment.
        let never = |_| PipelineSettingsError::new("schedule.cron", "no day of the calendar is such a day");
        cron.find_next_occurrence(&DateTime::UNIX_EPOCH.with_timezone(&zone), false).map(drop).map_err(never)
    }

    /// The first such time after a moment; none where [`CronSchedule::check`] would fail.
    pub fn next_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let zone = self.zone().ok()?;
        let next = self.cron().ok()?.find_next_occurrence(&moment.with_timezone(&zone), false).ok()?;
        Some(next.with_timezone(&Utc))
    }

    fn cron(&self) -> Result<Cron, PipelineSettingsError> {
        let bad = |reason: String| PipelineSettingsError::new("schedule.cron", reason);
        if self.pattern.len() > MAX_PATTERN_BYTES {
            return Err(bad(format!("it is longer than {MAX_PATTERN_BYTES} bytes")));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        parser.parse(&self.pattern).map_err(|error| bad(format!("it is no pattern of five fields: {error}")))
    }

    fn zone(&self) -> Result<Tz, PipelineSettingsError> {
        let unknown = |_| {
            let reason = "it is no time zone of the IANA database, such as Europe/Zurich";
            PipelineSettingsError::new("schedule.time_zone", reason)
        };
        Tz::from_str(&self.time_zone).map_err(unknown)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn schedule(pattern: &str, time_zone: &str) -> CronSchedule {
        CronSchedule { pattern: pattern.into(), time_zone: time_zone.into() }
    }

    fn moment(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[rstest]
    #[case::by_the_zone("0 6 * * *", "Europe/Zurich", "2026-01-10T04:59:59Z", "2026-01-10T05:00:00Z")]
    #[case::in_summer("0 6 * * *", "Europe/Zurich", "2026-07-10T03:00:00Z", "2026-07-10T04:00:00Z")]
    #[case::behind_itself("0 6 * * *", "UTC", "2026-01-10T06:00:00Z", "2026-01-11T06:00:00Z")]
    #[case::behind_a_part_of_a_second("0 6 * * *", "UTC", "2026-01-10T06:00:00.3Z", "2026-01-11T06:00:00Z")]
    #[case::gap_fixed("30 2 * * *", "Europe/Zurich", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z")]
    #[case::gap_and_on("30 2 * * *", "Europe/Zurich", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z")]
    #[case::gap_every_half_hour("*/30 * * * *", "Europe/Zurich", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z")]
    #[case::overlap_once("30 2 * * *", "Europe/Zurich", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z")]
    #[case::overlap_not_twice("30 2 * * *", "Europe/Zurich", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z")]
    #[case::overlap_every_half_hour("*/30 * * * *", "Europe/Zurich", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z")]
    #[case::leap_day("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z")]
    #[case::no_leap_day_in_2100("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z")]
    #[case::last_day("0 0 L * *", "UTC", "2026-02-01T00:00:00Z", "2026-02-28T00:00:00Z")]
    #[case::weekdays("0 9 * * MON-FRI", "America/New_York", "2026-11-20T15:00:00Z", "2026-11-23T14:00:00Z")]
    #[case::nickname("@daily", "Asia/Kolkata", "2026-11-22T00:00:00Z", "2026-11-22T18:30:00Z")]
    fn the_next_time_is_found(#[case] pattern: &str, #[case] zone: &str, #[case] after: &str, #[case] next: &str) {
        let schedule = schedule(pattern, zone);
        schedule.check().unwrap();
        assert_eq!(schedule.next_after(moment(after)), Some(moment(next)));
    }

    #[rstest]
    #[case::empty("", "UTC", "schedule.cron")]
    #[case::words("every day", "UTC", "schedule.cron")]
    #[case::hour_25("0 25 * * *", "UTC", "schedule.cron")]
    #[case::seconds("0 0 6 * * *", "UTC", "schedule.cron")]
    #[case::never("0 0 30 2 *", "UTC", "schedule.cron")]
    #[case::long(&"1,".repeat(200), "UTC", "schedule.cron")]
    #[case::zone("0 6 * * *", "Europe/Zürich", "schedule.time_zone")]
    #[case::no_zone("0 6 * * *", "", "schedule.time_zone")]
    fn what_is_no_time_is_refused_by_its_field(#[case] pattern: &str, #[case] zone: &str, #[case] field: &str) {
        let schedule = schedule(pattern, zone);
        assert_eq!(schedule.check().unwrap_err().field, field);
    }

    proptest! {
        #[test]
        fn the_next_time_is_later(seconds in 0_i64..4_000_000_000, at in 0_usize..4) {
            let (pattern, zone) = [("0 6 * * *", "Europe/Zurich"), ("*/7 * * * *", "Australia/Lord_Howe"),
                ("30 2 * * 0", "America/New_York"), ("15 0 1 */3 *", "Pacific/Apia")][at];
            let after = DateTime::from_timestamp(seconds, 0).unwrap();
            prop_assert!(schedule(pattern, zone).next_after(after).unwrap() > after);
        }
    }
}
