//! Spans of time that runs are for, and the ones that a range falls into.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{PipelineId, PipelineSettingsError};
use crate::{PipelineName, RunStatus};

/// The most intervals of a backfill.
const MAX_INTERVALS: i64 = 10_000;

/// The name of the parameter that is the beginning of a run's interval.
pub const INTERVAL_START: &str = "interval_start";
/// The name of the parameter that is the end of a run's interval.
pub const INTERVAL_END: &str = "interval_end";

/// The time that a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// Its first moment, to the microsecond.
    pub start: DateTime<Utc>,
    /// The first moment behind it.
    pub end: DateTime<Utc>,
}

impl Interval {
    /// The time between two moments.
    ///
    /// # Errors
    /// [`PipelineSettingsError`] where it has none.
    pub fn new(start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Self, PipelineSettingsError> {
        let (start, end) = (start.trunc_subsecs(6), end.trunc_subsecs(6));
        if start < end {
            return Ok(Self { start, end });
        }
        Err(PipelineSettingsError::new("interval", format!("it begins at {start}, which is not before its end, {end}")))
    }

    /// All time up to a moment.
    pub fn until(end: DateTime<Utc>) -> Self {
        Self { start: DateTime::UNIX_EPOCH, end: end.trunc_subsecs(6) }
    }
}

/// A range of time, for whose parts a pipeline runs one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillRange {
    /// The whole.
    pub whole: Interval,
    /// How long each part is; the last one may be shorter.
    pub step_seconds: u32,
}

impl BackfillRange {
    /// A range in parts.
    ///
    /// # Errors
    /// [`PipelineSettingsError`] where it has no length, or too many parts.
    pub fn new(whole: Interval, step_seconds: u32) -> Result<Self, PipelineSettingsError> {
        if step_seconds == 0 {
            return Err(PipelineSettingsError::new("step_seconds", "it is not at least 1"));
        }
        let range = Self { whole, step_seconds };
        match range.count() {
            count if count > MAX_INTERVALS => {
                let reason = format!("the range has {count} intervals, more than {MAX_INTERVALS}");
                Err(PipelineSettingsError::new("step_seconds", reason))
            }
            _ => Ok(range),
        }
    }

    /// How many parts it has.
    pub fn count(&self) -> i64 {
        self.parts_before(self.whole.end)
    }

    /// How many parts begin before a moment of it.
    pub fn parts_before(&self, moment: DateTime<Utc>) -> i64 {
        let (step, gone) = (i64::from(self.step_seconds) * 1_000_000, moment - self.whole.start);
        gone.num_microseconds().unwrap_or(i64::MAX - step).saturating_add(step - 1) / step
    }

    /// The part that begins at a moment; none behind the last one.
    pub fn part_at(&self, start: DateTime<Utc>) -> Option<Interval> {
        if start >= self.whole.end {
            return None;
        }
        let end = start.checked_add_signed(TimeDelta::seconds(self.step_seconds.into())).unwrap_or(self.whole.end);
        Some(Interval { start, end: end.min(self.whole.end) })
    }
}

/// The id of a backfill.
pub type BackfillId = Uuid;

/// Runs of a pipeline for the parts of a range, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backfill {
    /// The id.
    pub id: BackfillId,
    /// Whose runs they are.
    pub pipeline: PipelineId,
    /// The pipeline's name when it was asked for.
    pub name: PipelineName,
    /// The range.
    pub range: BackfillRange,
    /// Where the first part begins that has not gone through.
    pub next: DateTime<Utc>,
    /// Who asked for it.
    pub principal: String,
    /// How far it has come.
    pub status: RunStatus,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Backfill {
    /// The part whose run is the next one.
    pub fn next_part(&self) -> Option<Interval> {
        self.range.part_at(self.next).filter(|_| self.status == RunStatus::Running)
    }

    /// The backfill after the run for a part has ended so.
    #[must_use]
    pub fn after(self, part: Interval, ended: RunStatus, now: DateTime<Utc>) -> Self {
        if self.status != RunStatus::Running || part.start != self.next {
            return self;
        }
        match ended {
            RunStatus::Success | RunStatus::Warning if part.end < self.range.whole.end => {
                Self { next: part.end, ..self }
            }
            RunStatus::Success | RunStatus::Warning => {
                Self { next: part.end, status: RunStatus::Success, ended_at: Some(now), ..self }
            }
            status => Self { status, ended_at: Some(now), ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn range(end: i64, step_seconds: u32) -> BackfillRange {
        BackfillRange::new(Interval::new(at(0), at(end)).unwrap(), step_seconds).unwrap()
    }

    fn backfill(range: BackfillRange) -> Backfill {
        Backfill {
            id: Uuid::nil(),
            pipeline: PipelineId(Uuid::nil()),
            name: "p".parse().unwrap(),
            next: range.whole.start,
            range,
            principal: "ann".into(),
            status: RunStatus::Running,
            created_at: at(0),
            ended_at: None,
        }
    }

    #[rstest]
    #[case(10, 5, &[(0, 5), (5, 10)])]
    #[case(11, 5, &[(0, 5), (5, 10), (10, 11)])]
    #[case(3, 86_400, &[(0, 3)])]
    fn a_range_is_gone_through_part_by_part(#[case] end: i64, #[case] step: u32, #[case] parts: &[(i64, i64)]) {
        let mut left = backfill(range(end, step));
        assert_eq!(left.range.count(), parts.len() as i64);
        for (done, (start, end)) in parts.iter().enumerate() {
            assert_eq!(left.range.parts_before(left.next), done as i64);
            let part = left.next_part().unwrap();
            assert_eq!((part.start, part.end), (at(*start), at(*end)));
            left = left.after(part, RunStatus::Success, at(99));
        }
        assert_eq!((left.next_part(), left.status, left.ended_at), (None, RunStatus::Success, Some(at(99))));
    }

    #[test]
    fn a_part_that_fails_ends_it_and_one_of_before_moves_nothing() {
        let first = backfill(range(10, 5));
        let part = first.next_part().unwrap();
        let failed = first.clone().after(part, RunStatus::Failed, at(9));
        assert_eq!((failed.status, failed.next, failed.next_part()), (RunStatus::Failed, at(0), None));
        assert_eq!(failed.clone().after(part, RunStatus::Success, at(9)), failed);
        let second = first.after(part, RunStatus::Warning, at(9));
        assert_eq!(second.clone().after(part, RunStatus::Success, at(9)), second);
        assert_eq!(second.next, at(5));
    }

    #[test]
    fn what_has_no_length_or_too_many_parts_is_refused() {
        assert_eq!(Interval::new(at(1), at(1)).unwrap_err().field, "interval");
        let whole = Interval::new(at(0), at(10_001)).unwrap();
        assert_eq!(BackfillRange::new(whole, 1).unwrap_err().field, "step_seconds");
        assert_eq!(BackfillRange::new(whole, 0).unwrap_err().field, "step_seconds");
        assert_eq!(BackfillRange::new(whole, 2).unwrap().count(), 5001);
        let ages = Interval::new(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC).unwrap();
        assert!(BackfillRange::new(ages, 1).is_err());
    }
}
