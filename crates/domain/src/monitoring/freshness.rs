//! How fresh a table is, against how often it is expected to change.

use chrono::{DateTime, Utc};

use crate::{TableEntry, word_set::words};

/// How much later than expected still counts as fresh, as a multiple of what is expected.
const FRESH_UNTIL: f64 = 1.5;
/// How much later than expected is merely stale.
const STALE_UNTIL: f64 = 3.0;
const SECONDS_PER_MINUTE: f64 = 60.0;

words!(
    /// How fresh a table is.
    FreshnessStatus, "status of freshness", {
        /// Nothing is expected of it, or it was not looked at since something is.
        Unknown = "UNKNOWN",
        /// It changed as expected, or half as late again.
        Fresh = "FRESH",
        /// It is late.
        Stale = "STALE",
        /// It is later than three times what is expected.
        VeryStale = "VERY_STALE",
        /// Something is expected of it, and nothing ever came.
        NoData = "NO_DATA",
    }
);

/// A table, what is expected of it, and when it last took an upload.
#[derive(Debug, Clone)]
pub struct TableFreshness {
    /// The table.
    pub table: TableEntry,
    /// After how many seconds it is expected to change again.
    pub expected_every_seconds: Option<u64>,
    /// Since when that is expected.
    pub expected_since: Option<DateTime<Utc>>,
    /// When its newest upload was committed.
    pub last_update: Option<DateTime<Utc>>,
}

/// A judgement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Freshness {
    /// The status.
    pub status: FreshnessStatus,
    /// How long ago the last update was; none without one.
    pub staleness_minutes: Option<f64>,
}

/// Judge a table at this moment.
pub fn judge_freshness(
    expected_every_seconds: Option<u64>,
    last_update: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Freshness {
    // A clock that runs ahead of ours made nothing stale.
    let staleness = last_update.map(|last| (now - last).num_milliseconds().max(0) as f64 / 1000.0);
    let status = match (expected_every_seconds, staleness) {
        (None, _) => FreshnessStatus::Unknown,
        (Some(_), None) => FreshnessStatus::NoData,
        (Some(expected), Some(seconds)) => match seconds / expected as f64 {
            late if late <= FRESH_UNTIL => FreshnessStatus::Fresh,
            late if late <= STALE_UNTIL => FreshnessStatus::Stale,
            _ => FreshnessStatus::VeryStale,
        },
    };
    Freshness { status, staleness_minutes: staleness.map(|seconds| seconds / SECONDS_PER_MINUTE) }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::sales_api(60, Some(30), FreshnessStatus::Fresh)]
    #[case::user_events(5, Some(10), FreshnessStatus::Stale)]
    #[case::user_events_later(5, Some(16), FreshnessStatus::VeryStale)]
    #[case::never(5, None, FreshnessStatus::NoData)]
    #[case::at_the_edge_of_fresh(60, Some(90), FreshnessStatus::Fresh)]
    #[case::past_the_edge_of_fresh(60, Some(91), FreshnessStatus::Stale)]
    #[case::at_the_edge_of_stale(60, Some(180), FreshnessStatus::Stale)]
    #[case::past_the_edge_of_stale(60, Some(181), FreshnessStatus::VeryStale)]
    #[case::from_a_clock_ahead(60, Some(-5), FreshnessStatus::Fresh)]
    fn staleness_is_judged_by_what_is_expected(
        #[case] expected_minutes: u64,
        #[case] age_minutes: Option<i64>,
        #[case] status: FreshnessStatus,
    ) {
        let now: DateTime<Utc> = "2026-01-31T12:00:00Z".parse().unwrap();
        let last = age_minutes.map(|minutes| now - TimeDelta::minutes(minutes));
        let judged = judge_freshness(Some(expected_minutes * 60), last, now);
        let staleness_minutes = age_minutes.map(|minutes| minutes.max(0) as f64);
        assert_eq!(judged, Freshness { status, staleness_minutes });
    }

    #[test]
    fn a_table_of_which_nothing_is_expected_is_unknown_whatever_its_age() {
        let now = Utc::now();
        let judged = judge_freshness(None, Some(now - TimeDelta::days(400)), now);
        assert_eq!((judged.status, judged.staleness_minutes), (FreshnessStatus::Unknown, Some(576_000.0)));
    }
}
