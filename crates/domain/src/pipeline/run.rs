//! One run of a pipeline.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{BackfillId, Interval, PipelineDefinition, PipelineId, RunQuality};
use crate::{PipelineName, RunId, RunStatus, StoredFailure, TableId, TableRef, word_set::words};

words!(
    /// Why a run of a pipeline began.
    PipelineCause, "cause of a run", {
        /// Somebody asked for it.
        Request = "request",
        /// Its time had come.
        Schedule = "schedule",
        /// An input has new rows.
        NewData = "new_data",
        /// It is for a part of a range that was asked for.
        Backfill = "backfill",
    }
);

/// What is asked of a run beyond what its pipeline says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunWish {
    /// To read all of every input, and to put the rows in the place of all that the target has.
    pub full_refresh: bool,
    /// The time that it is for. One that began has it: where none was asked for, from the end of that of the last run
    /// that went through, or of the first moment of Unix time, to its start.
    pub interval: Option<Interval>,
    /// The backfill that it is a part of.
    pub backfill: Option<BackfillId>,
}

/// What a run read and wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CuratedFigures {
    /// The rows of the inputs, at the versions that were read; of incremental ones, those that are new.
    pub rows_in: u64,
    /// The rows that took effect in the target.
    pub rows_out: u64,
    /// The bytes that were read.
    pub bytes_in: u64,
    /// The bytes of the files that were written.
    pub bytes_out: u64,
    /// The version of each input that was read.
    pub versions_in: BTreeMap<TableRef, u64>,
    /// Of the inputs of which new rows were read: the version after which they came.
    pub versions_since: BTreeMap<TableRef, u64>,
    /// Whether the rows took the place of all that the target had, though its mode is another one.
    pub full_refresh: bool,
    /// The version of the target that was made; none where nothing was new.
    pub version_out: Option<u64>,
    /// What the gate found out about the rows, if there is one.
    pub quality: Option<RunQuality>,
}

/// What a run is about to commit: kept before the commit, for whoever finds it in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedRun {
    /// The target.
    pub table: String,
    /// The files that its commit names.
    pub files: Vec<String>,
    /// What it will have read and written.
    pub figures: CuratedFigures,
}

impl PreparedRun {
    /// What is kept of a run into this table.
    pub fn new(table: TableId, files: Vec<String>, figures: CuratedFigures) -> Self {
        Self { table: table.to_string(), files, figures }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CuratedOutcome {
    /// As what.
    pub status: RunStatus,
    /// What it read and wrote.
    pub figures: CuratedFigures,
    /// Why it failed, or what went wrong beside it.
    pub failure: Option<StoredFailure>,
}

/// A run as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CuratedRun {
    /// The id: time-ordered.
    pub id: RunId,
    /// Whose run it is.
    pub pipeline: PipelineId,
    /// The pipeline's name when it began.
    pub name: PipelineName,
    /// What the pipeline was when it began.
    pub definition: PipelineDefinition,
    /// Who began it, or defined the pipeline.
    pub principal: String,
    /// Why it began.
    pub cause: PipelineCause,
    /// What was asked of it.
    pub wish: RunWish,
    /// Its place among the commits of the pipeline.
    pub sequence: i64,
    /// How far it has come.
    pub status: RunStatus,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// How often it was tried.
    pub attempts: u32,
    /// What it was about to commit.
    pub prepared: Option<PreparedRun>,
    /// What it read and wrote, once it has ended.
    pub figures: Option<CuratedFigures>,
    /// Why it failed, or what went wrong beside it.
    pub failure: Option<StoredFailure>,
    /// Whether somebody asked to end it.
    pub cancel_asked: bool,
}

/// What the run of a pipeline tells beyond what every run tells.
#[derive(Debug, Clone, PartialEq)]
pub struct RunDetails {
    /// Why it began.
    pub cause: PipelineCause,
    /// How often it was tried.
    pub attempts: u32,
    /// What it read and wrote; what is known by now of one that goes on.
    pub figures: CuratedFigures,
    /// The stable name of why it failed.
    pub error_code: Option<String>,
    /// The time that it is for.
    pub interval: Option<Interval>,
}
