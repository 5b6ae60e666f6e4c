//! Runs of pipelines: uploads, pulls of sources, pipelines of the lake, and what other programs report.
//!
//! Invariant: a run that has ended does not change.

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{ErrorKind, Failure, RunDetails, RunId, TableRef, word_set::words};

/// The longest name of a pipeline, in characters: a table's two names with their point.
const MAX_NAME_CHARS: usize = 257;
/// The longest error message of a run, in bytes.
pub const MAX_ERROR_BYTES: usize = 4096;
/// How far the clock of another program may be ahead.
const MAX_CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);
/// The longest run.
const MAX_RUN: TimeDelta = TimeDelta::days(366);
/// The most records of a run: what stays exact in every client's numbers.
const MAX_RECORDS: u64 = 1 << 53;
/// The quality score of a run that does not tell one.
const DEFAULT_QUALITY_SCORE: f64 = 100.0;

words!(
    /// How far a run has come.
    RunStatus, "status of a run", {
        /// It goes on.
        Running = "RUNNING",
        /// It went through, every record of it.
        Success = "SUCCESS",
        /// It did not go through.
        Failed = "FAILED",
        /// It went through, with something set aside.
        Warning = "WARNING",
        /// Somebody ended it.
        Cancelled = "CANCELLED",
    }
);

impl RunStatus {
    /// Whether it is over.
    pub fn has_ended(self) -> bool {
        self != Self::Running
    }
}

words!(
    /// Where a run comes from.
    RunKind, "kind of run", {
        /// An upload: its pipeline is named as its table.
        Upload = "upload",
        /// A run of a source: its pipeline is named as the source.
        Source = "source",
        /// A run of a pipeline of the lake.
        Pipeline = "pipeline",
        /// Another program's, as it was reported.
        External = "external",
    }
);

/// The name of a pipeline. Case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PipelineName(String);

impl PipelineName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PipelineName {
    type Err = RunError;
    fn from_str(text: &str) -> Result<Self, RunError> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if first && plain && text.len() <= MAX_NAME_CHARS {
            Ok(Self(text.to_owned()))
        } else {
            let name: String = text.chars().take(64).collect();
            Err(RunError::bad(
                "pipeline_name",
                format!(
                    "{name:?} is not 1 to {MAX_NAME_CHARS} letters, digits, underscores, hyphens or dots with a \
                     letter, digit or underscore first"
                ),
            ))
        }
    }
}

impl TryFrom<String> for PipelineName {
    type Error = RunError;
    fn try_from(text: String) -> Result<Self, RunError> {
        text.parse()
    }
}

impl From<PipelineName> for String {
    fn from(name: PipelineName) -> String {
        name.0
    }
}

impl fmt::Display for PipelineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A report that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// A field has a value that cannot be.
    #[error("{field}: {reason}")]
    Bad {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The run has ended, otherwise than the report says.
    #[error("the run has ended as {}, and does not change any more", status.as_str())]
    Ended {
        /// How it ended.
        status: RunStatus,
    },
}

impl RunError {
    fn bad(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Bad { field, reason: reason.into() }
    }
}

impl Failure for RunError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Bad { .. } => ErrorKind::Invalid,
            Self::Ended { .. } => ErrorKind::Conflict,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Bad { .. } => "bad-run",
            Self::Ended { .. } => "run-ended",
        }
    }
}

/// A run, whatever it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineRun {
    /// The id: time-ordered.
    pub id: RunId,
    /// Where it comes from.
    pub kind: RunKind,
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The table that it fills.
    pub table: Option<TableRef>,
    /// Who began it.
    pub principal: String,
    /// How far it has come.
    pub status: RunStatus,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; unknown of uploads that failed before releases that keep it.
    pub ended_at: Option<DateTime<Utc>>,
    /// How many records came in.
    pub records_processed: u64,
    /// How many of them were bad.
    pub records_failed: u64,
    /// How many of them came out.
    pub records_written: u64,
    /// The share of good records, or what was reported, from 0 to 100.
    pub quality_score: Option<f64>,
    /// How long it took.
    pub duration_seconds: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
    /// How often it was changed.
    pub revision: i64,
    /// What a run of a pipeline of the lake tells beside it.
    pub details: Option<Box<RunDetails>>,
}

/// A run as another program begins it.
#[derive(Debug, Clone)]
pub struct NewPipelineRun {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The table that it fills.
    pub table: Option<TableRef>,
    /// When it began; now where it is not said.
    pub started_at: Option<DateTime<Utc>>,
    /// What is known of it already.
    pub report: RunReport,
}

/// What another program reports of its run; what is absent stays as it was.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunReport {
    /// How far it has come.
    pub status: Option<RunStatus>,
    /// How many records came in.
    pub records_processed: Option<u64>,
    /// How many of them were bad.
    pub records_failed: Option<u64>,
    /// How many of them came out; those that were not bad where it is not said.
    pub records_written: Option<u64>,
    /// From 0 to 100.
    pub quality_score: Option<f64>,
    /// How long it took; from its start to its end where it is not said.
    pub duration_seconds: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
}

impl RunReport {
    fn check(&self) -> Result<(), RunError> {
        let counts = [
            ("records_processed", self.records_processed),
            ("records_failed", self.records_failed),
            ("records_written", self.records_written),
        ];
        if let Some((field, _)) = counts.iter().find(|(_, count)| count.is_some_and(|count| count > MAX_RECORDS)) {
            return Err(RunError::bad(field, format!("it is more than {MAX_RECORDS}")));
        }
        if self.quality_score.is_some_and(|score| !(0.0..=100.0).contains(&score)) {
            return Err(RunError::bad("quality_score", "it is not between 0 and 100"));
        }
        let longest = MAX_RUN.num_seconds() as f64;
        if self.duration_seconds.is_some_and(|seconds| !(0.0..=longest).contains(&seconds)) {
            return Err(RunError::bad("duration_seconds", format!("it is not between 0 and {longest}")));
        }
        if self.error.as_ref().is_some_and(|error| error.len() > MAX_ERROR_BYTES) {
            return Err(RunError::bad("error", format!("it is longer than {MAX_ERROR_BYTES} bytes")));
        }
        Ok(())
    }
}

impl NewPipelineRun {
    /// The run that begins at this moment, or began before it.
    ///
    /// # Errors
    /// [`RunError::Bad`], naming the field.
    pub fn begin(self, id: RunId, principal: &str, now: DateTime<Utc>) -> Result<PipelineRun, RunError> {
        let started_at = self.started_at.unwrap_or(now);
        if started_at > now + MAX_CLOCK_SKEW || started_at < now - MAX_RUN {
            return Err(RunError::bad("started_at", "it lies in the future, or more than a year ago"));
        }
        let run = PipelineRun {
            id,
            kind: RunKind::External,
            pipeline: self.pipeline,
            table: self.table,
            principal: principal.to_owned(),
            status: RunStatus::Running,
            started_at,
            ended_at: None,
            records_processed: 0,
            records_failed: 0,
            records_written: 0,
            quality_score: Some(DEFAULT_QUALITY_SCORE),
            duration_seconds: None,
            error: None,
            revision: 0,
            details: None,
        };
        run.report(&self.report, now)
    }
}

impl PipelineRun {
    /// The run after this report. The same end reported again is the same run.
    ///
    /// # Errors
    /// [`RunError::Bad`], naming the field; [`RunError::Ended`] where it ended otherwise.
    pub fn report(&self, report: &RunReport, now: DateTime<Utc>) -> Result<Self, RunError> {
        report.check()?;
        let mut next = self.clone();
        next.status = report.status.unwrap_or(self.status);
        next.records_processed = report.records_processed.unwrap_or(self.records_processed);
        next.records_failed = report.records_failed.unwrap_or(self.records_failed);
        if next.records_failed > next.records_processed {
            return Err(RunError::bad("records_failed", "it is more than records_processed"));
        }
        let is_counted = report.records_processed.is_some() || report.records_failed.is_some();
        let good = next.records_processed - next.records_failed;
        next.records_written = report.records_written.unwrap_or(if is_counted { good } else { self.records_written });
        next.quality_score = report.quality_score.or(self.quality_score);
        next.duration_seconds = report.duration_seconds.or(self.duration_seconds);
        next.error = report.error.clone().or_else(|| self.error.clone());
        if self.status.has_ended() {
            return if next == *self { Ok(next) } else { Err(RunError::Ended { status: self.status }) };
        }
        if next.status.has_ended() {
            let seconds = (now - next.started_at).num_milliseconds().max(0) as f64 / 1000.0;
            next.duration_seconds.get_or_insert(seconds);
            next.ended_at = Some(now);
        }
        Ok(next)
    }

    /// A name for people, with the moment of its start.
    pub fn label(&self) -> String {
        format!("{}_{}", self.pipeline, self.started_at.format("%Y%m%d_%H%M%S_%6f"))
    }

    /// How many of a hundred records were good; none without records.
    pub fn success_rate(&self) -> Option<f64> {
        share(self.records_processed.saturating_sub(self.records_failed), self.records_processed)
    }

    /// How many of a hundred records were bad; 0 without records.
    pub fn error_rate(&self) -> f64 {
        share(self.records_failed, self.records_processed).unwrap_or_default()
    }

    /// How many of a hundred records did not come out; 0 without records.
    pub fn data_loss(&self) -> f64 {
        share(self.records_processed.saturating_sub(self.records_written), self.records_processed).unwrap_or_default()
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

#[cfg(test)]
#[path = "pipeline_run_tests.rs"]
mod tests;
