//! Pipelines: what makes a curated table out of others, and the runs that do it.
//!
//! Invariant: what an older version stored can be read, and means what it meant then.
//! Invariant: everything here is a pure function of what was said.

mod definition;
mod gate;
mod graph;
mod interval;
mod run;
mod schedule;
mod statement;
mod transform;

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{PipelineName, TableId, TableRef};

pub use definition::{
    OnRewrite, PipelineDefinition, PipelineHistory, PipelineMode, PipelineSchedule, PipelineSettingsError,
    PipelineStep, StepKind,
};
pub use gate::{GateAction, PipelineGate, RunQuality};
pub use graph::{PipelineLink, find_cycle};
pub use interval::{Backfill, BackfillId, BackfillRange, INTERVAL_END, INTERVAL_START, Interval};
pub use run::{CuratedFigures, CuratedOutcome, CuratedRun, PipelineCause, PreparedRun, RunDetails, RunWish};
pub use schedule::CronSchedule;
pub use statement::{CompiledStatement, StatementPlace};
pub use transform::{
    CastColumns, CastErrors, Deduplicate, Keep, MaskColumns, MaskKind, Pivot, PivotAggregate, SessionWindow, Transform,
    TumblingWindow, Unpivot,
};

/// The id of a pipeline: another one after the pipeline was deleted and made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PipelineId(pub Uuid);

impl PipelineId {
    /// The name under which the log of the target counts the runs.
    pub fn app_id(self) -> String {
        format!("sluice-pipeline:{self}")
    }

    /// The name under which the log of the target tells up to which version an input was read.
    pub fn input_app_id(self, input: TableId) -> String {
        format!("sluice-pipeline:{self}:{input}")
    }
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A pipeline as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// The id.
    pub id: PipelineId,
    /// The name.
    pub name: PipelineName,
    /// What it is.
    pub definition: PipelineDefinition,
    /// Who defined it last: its runs by schedule are theirs.
    pub principal: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was defined last.
    pub updated_at: DateTime<Utc>,
    /// When it runs by itself the next time, where it goes by the clock.
    pub next_run_at: Option<DateTime<Utc>>,
    /// The versions of its inputs that there were when its last run began.
    pub seen: BTreeMap<TableRef, u64>,
}

#[cfg(test)]
mod tests;
