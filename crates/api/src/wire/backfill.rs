//! Backfills on the wire.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_domain::{Backfill, BackfillRange, Interval, PipelineSettingsError};
use utoipa::ToSchema;

/// A range of time, for whose parts a pipeline is to run one after the other.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackfillBody {
    /// The first moment of the first part.
    #[schema(example = "2026-01-01T00:00:00Z")]
    from: DateTime<Utc>,
    /// The first moment behind the last part.
    #[schema(example = "2026-02-01T00:00:00Z")]
    to: DateTime<Utc>,
    /// How long each part is; the last one may be shorter. Default: 86400, a day. There are 10000 parts at the most.
    #[serde(default = "day")]
    #[schema(minimum = 1, default = 86400)]
    step_seconds: u32,
}

fn day() -> u32 {
    86_400
}

impl BackfillBody {
    /// What it says.
    pub(crate) fn range(self) -> Result<BackfillRange, PipelineSettingsError> {
        BackfillRange::new(Interval::new(self.from, self.to)?, self.step_seconds)
    }
}

/// A backfill of a pipeline.
#[derive(Serialize, ToSchema)]
pub(crate) struct BackfillView {
    /// The id.
    backfill_id: String,
    /// The pipeline.
    pipeline_name: String,
    /// The first moment of the first part.
    from: DateTime<Utc>,
    /// The first moment behind the last part.
    to: DateTime<Utc>,
    /// How long each part is; the last one may be shorter.
    step_seconds: u32,
    /// `RUNNING`, `SUCCESS`, `FAILED` (the run for a part failed; those behind it were not begun) or `CANCELLED`.
    #[schema(example = "RUNNING")]
    status: &'static str,
    /// How many parts there are.
    intervals: i64,
    /// For how many of them the pipeline has run.
    intervals_done: i64,
    /// Where the first part begins that has not gone through; absent behind the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<DateTime<Utc>>,
    /// Who asked for it.
    principal: String,
    /// When it was asked for.
    created_at: DateTime<Utc>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<DateTime<Utc>>,
}

impl From<Backfill> for BackfillView {
    fn from(backfill: Backfill) -> Self {
        let range = backfill.range;
        Self {
            backfill_id: backfill.id.to_string(),
            from: range.whole.start,
            to: range.whole.end,
            step_seconds: range.step_seconds,
            status: backfill.status.as_str(),
            intervals: range.count(),
            intervals_done: range.parts_before(backfill.next),
            next: range.part_at(backfill.next).map(|part| part.start),
            pipeline_name: backfill.name.into(),
            principal: backfill.principal,
            created_at: backfill.created_at,
            ended_at: backfill.ended_at,
        }
    }
}
