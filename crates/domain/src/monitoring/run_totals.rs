//! What runs come to together.

use super::{PipelineName, PipelineRun, RunStatus};
use crate::TableRef;

/// The sum of some figures, and how many they are.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    /// The sum.
    pub sum: f64,
    /// How many.
    pub count: u64,
}

impl Tally {
    /// One more figure.
    pub fn add(&mut self, figure: f64) {
        self.merge(Self { sum: figure, count: 1 });
    }

    /// More figures.
    pub fn merge(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }

    /// Their mean; none of none.
    pub fn mean(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// What runs that ended come to together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RunTotals {
    /// How many they are.
    pub runs: u64,
    /// How many went through, every record of them.
    pub succeeded: u64,
    /// How many did not go through.
    pub failed: u64,
    /// How long they took, in seconds, where that is known.
    pub seconds: Tally,
    /// How many records they had.
    pub records: Tally,
    /// Their quality scores, from 0 to 100, where they have one.
    pub quality: Tally,
}

impl RunTotals {
    /// Of these runs; those that go on are left out.
    pub fn of<'a>(runs: impl IntoIterator<Item = &'a PipelineRun>) -> Self {
        let mut totals = Self::default();
        for run in runs.into_iter().filter(|run| run.status.has_ended()) {
            totals.runs += 1;
            totals.succeeded += u64::from(run.status == RunStatus::Success);
            totals.failed += u64::from(run.status == RunStatus::Failed);
            run.duration_seconds.into_iter().for_each(|seconds| totals.seconds.add(seconds));
            totals.records.add(run.records_processed as f64);
            run.quality_score.into_iter().for_each(|score| totals.quality.add(score));
        }
        totals
    }

    /// With other runs.
    pub fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.seconds.merge(other.seconds);
        self.records.merge(other.records);
        self.quality.merge(other.quality);
    }

    /// How many of a hundred went through; none without runs.
    pub fn success_rate(&self) -> Option<f64> {
        (self.runs > 0).then(|| self.succeeded as f64 * 100.0 / self.runs as f64)
    }
}

/// What the runs of a pipeline that fill one table, or none, come to together.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineTotals {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The table.
    pub table: Option<TableRef>,
    /// What they come to.
    pub totals: RunTotals,
}
