//! What a pipeline is, as somebody says it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{CompiledStatement, CronSchedule, PipelineGate, Transform};
use crate::{ErrorKind, Failure, TableRef, word_set::words};

/// The most inputs.
const MAX_INPUTS: usize = 100;
/// The most steps.
const MAX_STEPS: usize = 20;
/// The most expressions of a step.
const MAX_EXPRESSIONS: usize = 1000;
/// The longest statement that the steps come to, in bytes.
const MAX_STATEMENT_BYTES: usize = 65_536;
/// The most keys, and the most columns to partition by.
const MAX_COLUMNS: usize = 32;
/// The longest description, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 4096;
/// The longest name of an owner, of a step and of a column, in bytes.
const MAX_NAME_BYTES: usize = 255;
/// The longest time that a run may take: a day.
const MAX_TIMEOUT_SECONDS: u32 = 86_400;
/// The most tries after the first one.
const MAX_RETRIES: u32 = 10;
/// The longest wait before the second try.
const MAX_RETRY_SECONDS: u32 = 3600;

/// How long a run may take where nothing is said.
const TIMEOUT_SECONDS: u32 = 3600;
/// How often a run is tried again where nothing is said.
const RETRIES: u32 = 3;
/// How long it waits before the second try where nothing is said.
const RETRY_SECONDS: u32 = 10;

words!(
    /// What a run does with the rows that are in its target.
    PipelineMode, "mode of a pipeline", {
        /// The rows and columns of the statement take the place of all.
        Overwrite = "overwrite",
        /// The rows take the place of all in the partitions that they are in; other partitions stay as they are.
        OverwritePartitions = "overwrite_partitions",
        /// The rows are added.
        Append = "append",
        /// The rows replace those with the same keys, or are added.
        Merge = "merge",
    }
);

words!(
    /// What a run does where an incremental input lost or changed rows that earlier runs read.
    OnRewrite, "answer to a rewrite", {
        /// It fails.
        Fail = "fail",
        /// It reads all, and its rows take the place of those of the target.
        FullRefresh = "full_refresh",
    }
);

/// A pipeline that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct PipelineSettingsError {
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl PipelineSettingsError {
    /// What is wrong with a field.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

impl Failure for PipelineSettingsError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    fn code(&self) -> &'static str {
        "bad-pipeline"
    }
}

/// When a pipeline runs by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipelineSchedule {
    /// So many seconds after the start of its last run.
    EverySeconds(u32),
    /// When an input has a version that its last run did not see.
    OnNewData,
    /// At times of the calendar. Those that pass while no server runs come to one run.
    Cron(CronSchedule),
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// One `SELECT`. It may name the inputs, as `namespace.table`, and the steps before it.
    Sql(String),
    /// Expressions over the step before, or over the one input, applied as one `SELECT`.
    Expressions {
        /// The columns of the result.
        select: Vec<String>,
        /// The condition for a row to be in it.
        #[serde(default)]
        filter: Option<String>,
    },
    /// What is to become of the rows and columns of the step before, or of the one input.
    Transform(Transform),
}

/// One step: its result is what the next one reads, or the rows of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineStep {
    /// The name by which later steps read it.
    #[serde(default)]
    pub name: Option<String>,
    /// What it does.
    pub kind: StepKind,
}

/// What a merge keeps of rows that others take the place of: they stay, with the time in which they held (a slowly
/// changing dimension of type 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineHistory {
    /// Whether a row holds no longer whose key the result does not have.
    pub close_missing: bool,
}

/// What a pipeline is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineDefinition {
    /// The tables that it reads; none where the statement alone is to say so.
    pub inputs: Vec<TableRef>,
    /// The tables below the views among the inputs, as they were when it was saved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<TableRef>,
    /// How rows are made, one step after the other.
    pub steps: Vec<PipelineStep>,
    /// The table that it fills.
    pub target: TableRef,
    /// What becomes of the rows that are there.
    pub mode: PipelineMode,
    /// The inputs of which a run reads only the rows that came since the last one.
    #[serde(default)]
    pub incremental: Vec<TableRef>,
    /// What a run does where it cannot be told which rows those are.
    #[serde(default = "fail")]
    pub on_rewrite: OnRewrite,
    /// The columns by which rows are the same, for a merge.
    #[serde(default)]
    pub keys: Vec<String>,
    /// What a merge keeps of rows that others take the place of; none: nothing.
    #[serde(default)]
    pub history: Option<PipelineHistory>,
    /// The columns to partition a new target by.
    #[serde(default)]
    pub partition_by: Vec<String>,
    /// What its rows must be like before they are published.
    #[serde(default)]
    pub gate: Option<PipelineGate>,
    /// Who owns it.
    #[serde(default)]
    pub owner: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// When it runs by itself; none: only when it is asked to.
    #[serde(default)]
    pub schedule: Option<PipelineSchedule>,
    /// How long a run may take, all its tries together.
    pub timeout_seconds: u32,
    /// How often a run is tried again after a fault that may pass.
    pub retries: u32,
    /// How long it waits before the second try; twice as long before each further one.
    pub retry_seconds: u32,
    /// Whether it may run.
    pub enabled: bool,
}

/// What older definitions mean.
fn fail() -> OnRewrite {
    OnRewrite::Fail
}

impl PipelineDefinition {
    /// A pipeline of one step with the usual limits.
    pub fn of(step: StepKind, target: TableRef, mode: PipelineMode) -> Self {
        Self {
            inputs: Vec::new(),
            below: Vec::new(),
            steps: vec![PipelineStep { name: None, kind: step }],
            target,
            mode,
            incremental: Vec::new(),
            on_rewrite: OnRewrite::Fail,
            keys: Vec::new(),
            history: None,
            partition_by: Vec::new(),
            gate: None,
            owner: None,
            description: None,
            schedule: None,
            timeout_seconds: TIMEOUT_SECONDS,
            retries: RETRIES,
            retry_seconds: RETRY_SECONDS,
            enabled: true,
        }
    }

    /// Check what can be checked without the tables; gives the statement that the steps come to.
    ///
    /// # Errors
    /// [`PipelineSettingsError`], naming the field.
    pub fn check(&self) -> Result<CompiledStatement, PipelineSettingsError> {
        let bad = |field: &str, reason: String| Err(PipelineSettingsError::new(field, reason));
        if self.inputs.len() > MAX_INPUTS {
            return bad("inputs", format!("there are more than {MAX_INPUTS}"));
        }
        if self.inputs.contains(&self.target) {
            return bad("target", format!("{} is an input, too", self.target));
        }
        if self.target.table.is_quarantine() {
            return bad("target", format!("the name {} is kept for rows that were set aside", self.target));
        }
        self.check_incremental()?;
        self.check_limits()?;
        self.check_columns()?;
        self.check_steps()?;
        let statement = CompiledStatement::of(self)?;
        if statement.sql.len() > MAX_STATEMENT_BYTES {
            return bad("steps", format!("they come to a statement of more than {MAX_STATEMENT_BYTES} bytes"));
        }
        Ok(statement)
    }

    fn check_incremental(&self) -> Result<(), PipelineSettingsError> {
        let bad = |reason: String| Err(PipelineSettingsError::new("incremental", reason));
        if self.incremental.is_empty() {
            return match self.on_rewrite {
                OnRewrite::Fail => Ok(()),
                OnRewrite::FullRefresh => Err(PipelineSettingsError::new("on_rewrite", "no input is incremental")),
            };
        }
        if !matches!(self.mode, PipelineMode::Append | PipelineMode::Merge) {
            return bad(format!("the mode {} takes all rows: use append or merge", self.mode));
        }
        if self.history.as_ref().is_some_and(|history| history.close_missing) {
            return bad("new rows alone do not tell which keys are gone: leave out `deletes`".to_owned());
        }
        if self.incremental.len() > MAX_INPUTS {
            return bad(format!("there are more than {MAX_INPUTS}"));
        }
        let distinct: BTreeSet<&TableRef> = self.incremental.iter().collect();
        if distinct.len() < self.incremental.len() {
            return bad("an input is named twice".to_owned());
        }
        match distinct.into_iter().find(|input| !self.inputs.is_empty() && !self.inputs.contains(input)) {
            Some(stranger) => bad(format!("{stranger} is not among the inputs")),
            None => Ok(()),
        }
    }

    fn check_limits(&self) -> Result<(), PipelineSettingsError> {
        let numbers = [
            ("timeout_seconds", self.timeout_seconds, 1, MAX_TIMEOUT_SECONDS),
            ("retries", self.retries, 0, MAX_RETRIES),
            ("retry_seconds", self.retry_seconds, 0, MAX_RETRY_SECONDS),
        ];
        if let Some((field, _, least, most)) =
            numbers.iter().find(|(_, number, least, most)| !(least..=most).contains(&number))
        {
            return Err(PipelineSettingsError::new(*field, format!("it is not between {least} and {most}")));
        }
        match &self.schedule {
            Some(PipelineSchedule::EverySeconds(0)) => {
                return Err(PipelineSettingsError::new("schedule.every_seconds", "it is not at least 1"));
            }
            Some(PipelineSchedule::Cron(cron)) => cron.check()?,
            _ => {}
        }
        let texts = [
            ("owner", self.owner.as_ref(), MAX_NAME_BYTES),
            ("description", self.description.as_ref(), MAX_DESCRIPTION_BYTES),
        ];
        match texts.iter().find(|(_, text, most)| text.is_some_and(|text| text.len() > *most || text.contains('\0'))) {
            Some((field, _, most)) => {
                Err(PipelineSettingsError::new(*field, format!("it is longer than {most} bytes, or holds a NUL")))
            }
            None => Ok(()),
        }
    }

    fn check_columns(&self) -> Result<(), PipelineSettingsError> {
        for (field, columns) in [("keys", &self.keys), ("partition_by", &self.partition_by)] {
            let bad = |reason: String| Err(PipelineSettingsError::new(field, reason));
            if columns.len() > MAX_COLUMNS {
                return bad(format!("there are more than {MAX_COLUMNS}"));
            }
            let mut seen = BTreeSet::new();
            for column in columns {
                if column.is_empty() || column.len() > MAX_NAME_BYTES {
                    return bad(format!("a column has a name of 1 to {MAX_NAME_BYTES} bytes"));
                }
                if !seen.insert(column.to_lowercase()) {
                    return bad(format!("{column} is named twice"));
                }
            }
        }
        match (self.mode == PipelineMode::Merge, self.keys.is_empty()) {
            (true, true) => Err(PipelineSettingsError::new("keys", "a merge needs at least one")),
            (false, false) => Err(PipelineSettingsError::new("keys", "only a merge has keys")),
            (false, true) if self.history.is_some() => {
                Err(PipelineSettingsError::new("scd", "only a merge keeps what rows were before"))
            }
            _ => Ok(()),
        }
    }

    fn check_steps(&self) -> Result<(), PipelineSettingsError> {
        if self.steps.is_empty() || self.steps.len() > MAX_STEPS {
            return Err(PipelineSettingsError::new("steps", format!("there are 1 to {MAX_STEPS} steps")));
        }
        let mut names = BTreeSet::new();
        for (at, step) in self.steps.iter().enumerate() {
            let bad = |field: &str, reason: String| {
                Err(PipelineSettingsError::new(
                    if self.is_short() { field.into() } else { format!("steps[{at}].{field}") },
                    reason,
                ))
            };
            let name = step.name_at(at);
            if !is_plain_name(&name) {
                return bad(
                    "name",
                    "it is not a small letter and up to 62 small letters, digits or underscores".into(),
                );
            }
            if !names.insert(name.clone()) {
                return bad("name", format!("there is another step {name}"));
            }
            match &step.kind {
                StepKind::Sql(sql) if sql.trim().is_empty() => return bad("sql", "it is empty".into()),
                StepKind::Sql(_) => {}
                StepKind::Transform(transform) => {
                    if let Err((field, reason)) = transform.check() {
                        return bad(&field, reason);
                    }
                }
                StepKind::Expressions { select, .. } if select.is_empty() || select.len() > MAX_EXPRESSIONS => {
                    return bad("expressions", format!("there are 1 to {MAX_EXPRESSIONS}"));
                }
                StepKind::Expressions { select, filter } => {
                    if let Some(empty) = select.iter().position(|expression| expression.trim().is_empty()) {
                        return bad(&format!("expressions[{empty}]"), "it is empty".into());
                    }
                    if filter.as_ref().is_some_and(|filter| filter.trim().is_empty()) {
                        return bad("filter", "it is empty".into());
                    }
                }
            }
        }
        Ok(())
    }

    /// Every table whose rows it reads, and the views that it reads them through.
    pub fn sources(&self) -> Vec<TableRef> {
        self.inputs.iter().chain(&self.below).cloned().collect()
    }

    /// Whether it has one step of SQL without a name, whose fields stand for themselves.
    pub fn is_short(&self) -> bool {
        matches!(self.steps.as_slice(), [PipelineStep { name: None, kind }] if !matches!(kind, StepKind::Transform(_)))
    }
}

impl PipelineStep {
    /// The name by which later steps read the step at this place.
    pub fn name_at(&self, at: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("step_{}", at + 1))
    }
}

fn is_plain_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    plain && name.len() <= 63 && name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
}
