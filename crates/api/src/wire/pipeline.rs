//! Pipelines on the wire.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_domain::{
    CronSchedule, Interval, OnRewrite, Pipeline, PipelineDefinition, PipelineHistory, PipelineMode, PipelineSchedule,
    RunWish, StepKind, TableRef,
};
use utoipa::ToSchema;

use super::{StepBody, pipeline_gate::GateView};
use crate::problem::Problem;

/// What a pipeline is: a target, and one of `sql`, `expressions` and `steps`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PipelineBody {
    /// The tables that it reads, `namespace.table`. Without them, those that its statement names; expressions are over
    /// one.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 100, example = json!(["raw.orders"]))]
    inputs: Vec<TableRef>,
    /// One `SELECT`, whose rows are those of the target. `$interval_start` and `$interval_end` are the ends of the time
    /// that a run is for.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 65536, example = "SELECT id, amount FROM raw.orders WHERE amount > 0")]
    sql: Option<String>,
    /// Expressions over the one input, applied as one `SELECT`.
    #[serde(default)]
    #[schema(max_items = 1000)]
    expressions: Vec<String>,
    /// The condition for a row of the input to be looked at, with `expressions`.
    #[serde(default)]
    filter: Option<String>,
    /// Several steps, each of which may read the inputs and the steps before it; the rows of the last are those of the
    /// target.
    #[serde(default)]
    #[schema(max_items = 20)]
    steps: Vec<StepBody>,
    /// The table that it fills, `namespace.table`. Without it there, the first run makes it in the curated zone.
    #[schema(value_type = String, example = "curated.orders")]
    target: TableRef,
    /// What becomes of the rows that are there: `overwrite` (rows and columns of the result take their place),
    /// `overwrite_partitions` (rows of the result take the place of all in the partitions that they are in), `append`, or
    /// `merge` (rows with the same keys take the new values). Default: `overwrite`.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(overwrite|overwrite_partitions|append|merge)$")]
    mode: Option<PipelineMode>,
    /// The inputs of which a run reads only the rows that came since the last one, with the modes `append` and `merge`;
    /// the first run reads all. The statement must be right over new rows alone: what sums up, sorts out or compares
    /// rows of such an input is refused. Without it, each run reads all of every input.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 100, example = json!(["raw.orders"]))]
    incremental: Vec<TableRef>,
    /// What a run does where rows of such an input were changed or deleted that earlier runs read, or where its log does
    /// not tell what is new: `fail` with the code `needs-full-refresh`, or a `full_refresh` by itself. Default: `fail`.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(fail|full_refresh)$")]
    on_rewrite: Option<OnRewrite>,
    /// The columns by which rows are the same, for a merge.
    #[serde(default)]
    #[schema(max_items = 32)]
    keys: Vec<String>,
    /// The type of slowly changing dimension that a merge makes: 1 (rows take the new values) or 2 (a row that differs is
    /// closed, and the new one is added: the target has `valid_from`, `valid_to` and `is_current` beside the columns of
    /// the result). Default: 1.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 2)]
    scd: Option<u8>,
    /// `close`: with `scd` 2, rows are closed whose keys the result does not have. Absent: they stay current.
    #[serde(default)]
    #[schema(pattern = "^close$")]
    deletes: Option<String>,
    /// The columns to partition a new target by.
    #[serde(default)]
    #[schema(max_items = 32)]
    partition_by: Vec<String>,
    /// What its rows must be like before they are published; absent: nothing.
    #[serde(default)]
    gate: Option<GateView>,
    /// Who owns it, and a target that it makes.
    #[serde(default)]
    #[schema(max_length = 255)]
    owner: Option<String>,
    /// What it is for; the description of a target that it makes, too.
    #[serde(default)]
    #[schema(max_length = 4096)]
    description: Option<String>,
    /// When it runs by itself; absent: only when it is asked to.
    #[serde(default)]
    schedule: Option<ScheduleView>,
    /// How long a run may take, all its tries together. Default: 3600.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 86400)]
    timeout_seconds: Option<u32>,
    /// How often a run is tried again after a fault that may pass. Default: 3.
    #[serde(default)]
    #[schema(maximum = 10)]
    retries: Option<u32>,
    /// How long it waits before the second try, in seconds; twice as long before each further one. Default: 10.
    #[serde(default)]
    #[schema(maximum = 3600)]
    retry_seconds: Option<u32>,
    /// Whether it may run. Default: true.
    #[serde(default)]
    enabled: Option<bool>,
}

/// When a pipeline runs by itself: one of `every_seconds`, `on_new_data` and `cron`.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleView {
    /// So many seconds after the start of its last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    every_seconds: Option<u32>,
    /// Whether it runs when an input has a version that its last run did not see.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    on_new_data: bool,
    /// At these times: minute, hour, day of the month, month and day of the week, as cron has them. Times that pass while
    /// no server runs come to one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255, example = "0 6 * * *")]
    cron: Option<String>,
    /// The time zone whose clock `cron` goes by, as the IANA database names it. Default: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255, example = "Europe/Zurich")]
    time_zone: Option<String>,
}

impl ScheduleView {
    fn schedule(self) -> Result<PipelineSchedule, Problem> {
        Ok(match (self.every_seconds, self.on_new_data, self.cron, self.time_zone) {
            (Some(seconds), false, None, None) => PipelineSchedule::EverySeconds(seconds),
            (None, true, None, None) => PipelineSchedule::OnNewData,
            (None, false, Some(pattern), zone) => {
                let time_zone = zone.unwrap_or_else(|| "UTC".to_owned());
                PipelineSchedule::Cron(CronSchedule { pattern, time_zone })
            }
            _ => {
                return Err(bad(
                    "schedule: it has one of every_seconds, on_new_data, and cron with perhaps a time_zone",
                ));
            }
        })
    }

    fn of(schedule: PipelineSchedule) -> Self {
        let none = Self { every_seconds: None, on_new_data: false, cron: None, time_zone: None };
        match schedule {
            PipelineSchedule::EverySeconds(seconds) => Self { every_seconds: Some(seconds), ..none },
            PipelineSchedule::OnNewData => Self { on_new_data: true, ..none },
            PipelineSchedule::Cron(cron) => Self { cron: Some(cron.pattern), time_zone: Some(cron.time_zone), ..none },
        }
    }
}

pub(super) fn bad(detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-pipeline", detail)
}

impl PipelineBody {
    /// What it says.
    pub(crate) fn definition(self) -> Result<PipelineDefinition, Problem> {
        let is_short = self.sql.is_some() || !self.expressions.is_empty() || self.filter.is_some();
        let steps = match (is_short, self.steps.is_empty()) {
            (true, true) => {
                vec![StepBody::short(self.sql, self.expressions, self.filter)]
            }
            (false, false) => self.steps,
            _ => return Err(bad("sql: a pipeline has one of sql, expressions and steps")),
        };
        let schedule = self.schedule.map(ScheduleView::schedule).transpose()?;
        let mode = self.mode.unwrap_or(PipelineMode::Overwrite);
        let history = history(mode, self.scd, self.deletes.as_deref())?;
        let usual = PipelineDefinition::of(StepKind::Sql(String::new()), self.target, mode);
        Ok(PipelineDefinition {
            inputs: self.inputs,
            steps: steps.into_iter().map(StepBody::step).collect::<Result<_, _>>()?,
            incremental: self.incremental,
            on_rewrite: self.on_rewrite.unwrap_or(usual.on_rewrite),
            keys: self.keys,
            history,
            gate: self.gate.map(GateView::gate).transpose()?,
            partition_by: self.partition_by,
            owner: self.owner,
            description: self.description,
            schedule,
            timeout_seconds: self.timeout_seconds.unwrap_or(usual.timeout_seconds),
            retries: self.retries.unwrap_or(usual.retries),
            retry_seconds: self.retry_seconds.unwrap_or(usual.retry_seconds),
            enabled: self.enabled.unwrap_or(usual.enabled),
            ..usual
        })
    }
}

/// What a merge of this type keeps.
fn history(mode: PipelineMode, scd: Option<u8>, deletes: Option<&str>) -> Result<Option<PipelineHistory>, Problem> {
    match (scd, deletes) {
        (Some(_), _) if mode != PipelineMode::Merge => Err(bad("scd: only a merge has it")),
        (None | Some(1), None) => Ok(None),
        (Some(2), None) => Ok(Some(PipelineHistory { close_missing: false })),
        (Some(2), Some("close")) => Ok(Some(PipelineHistory { close_missing: true })),
        (Some(2), Some(_)) => Err(bad("deletes: it is `close`, or absent")),
        (None | Some(1), Some(_)) => Err(bad("deletes: only a merge with scd 2 closes rows")),
        (Some(_), _) => Err(bad("scd: it is 1 or 2")),
    }
}

/// A pipeline.
#[derive(Serialize, ToSchema)]
pub(crate) struct PipelineView {
    /// The name.
    name: String,
    /// The tables that it reads.
    inputs: Vec<String>,
    /// The one statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<String>,
    /// The expressions over the one input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    expressions: Vec<String>,
    /// The condition of the expressions.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    /// The steps, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<StepBody>,
    /// The table that it fills.
    target: String,
    /// `overwrite`, `overwrite_partitions`, `append` or `merge`.
    #[schema(example = "overwrite")]
    mode: &'static str,
    /// The inputs of which a run reads only the rows that came since the last one.
    incremental: Vec<String>,
    /// What a run does where it cannot be told which rows those are: `fail` or `full_refresh`.
    #[schema(example = "fail")]
    on_rewrite: &'static str,
    /// The columns by which rows are the same.
    keys: Vec<String>,
    /// The type of slowly changing dimension that a merge makes, 1 or 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    scd: Option<u8>,
    /// `close` where rows are closed whose keys the result does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    deletes: Option<&'static str>,
    /// The columns to partition a new target by.
    partition_by: Vec<String>,
    /// What its rows must be like before they are published.
    #[serde(skip_serializing_if = "Option::is_none")]
    gate: Option<GateView>,
    /// Who owns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// When it runs by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<ScheduleView>,
    /// How long a run may take.
    timeout_seconds: u32,
    /// How often a run is tried again.
    retries: u32,
    /// How long it waits before the second try, in seconds.
    retry_seconds: u32,
    /// Whether it may run.
    enabled: bool,
    /// Who defined it last.
    principal: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was defined last.
    updated_at: DateTime<Utc>,
    /// When it runs by itself the next time, where it goes by the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_run_at: Option<DateTime<Utc>>,
    /// The versions of its inputs that there were when its last run began.
    seen_versions: BTreeMap<String, u64>,
}

impl From<Pipeline> for PipelineView {
    fn from(pipeline: Pipeline) -> Self {
        let definition = pipeline.definition;
        let is_short = definition.is_short();
        let mut steps: Vec<StepBody> = definition.steps.into_iter().map(StepBody::of).collect();
        let short = if is_short { steps.pop() } else { None };
        let (sql, expressions, filter) =
            short.map_or_else(Default::default, |step| (step.sql, step.expressions, step.filter));
        Self {
            name: pipeline.name.into(),
            inputs: definition.inputs.iter().map(TableRef::to_string).collect(),
            sql,
            expressions,
            filter,
            steps,
            target: definition.target.to_string(),
            mode: definition.mode.as_str(),
            scd: (definition.mode == PipelineMode::Merge).then(|| if definition.history.is_some() { 2 } else { 1 }),
            deletes: definition.history.filter(|history| history.close_missing).map(|_| "close"),
            incremental: definition.incremental.iter().map(TableRef::to_string).collect(),
            on_rewrite: definition.on_rewrite.as_str(),
            keys: definition.keys,
            partition_by: definition.partition_by,
            gate: definition.gate.map(GateView::from),
            owner: definition.owner,
            description: definition.description,
            schedule: definition.schedule.map(ScheduleView::of),
            timeout_seconds: definition.timeout_seconds,
            retries: definition.retries,
            retry_seconds: definition.retry_seconds,
            enabled: definition.enabled,
            principal: pipeline.principal,
            created_at: pipeline.created_at,
            updated_at: pipeline.updated_at,
            next_run_at: pipeline.next_run_at,
            seen_versions: pipeline.seen.into_iter().map(|(table, version)| (table.to_string(), version)).collect(),
        }
    }
}

/// What is asked of a run.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunBody {
    /// To read all of every input, and to put the rows in the place of all that the target has, whatever the mode.
    /// Default: false.
    #[serde(default)]
    full_refresh: bool,
    /// What `$interval_start` is in the statement, with `interval_end`. Default: the end of the last run's interval, of
    /// those that went through and were not told theirs; for the first one, the first moment of 1970.
    #[serde(default)]
    interval_start: Option<DateTime<Utc>>,
    /// What `$interval_end` is in the statement. Default: the start of the run.
    #[serde(default)]
    interval_end: Option<DateTime<Utc>>,
}

impl RunBody {
    /// What it says.
    pub(crate) fn wish(self) -> Result<RunWish, Problem> {
        let interval = match (self.interval_start, self.interval_end) {
            (None, None) => None,
            (Some(start), Some(end)) => Some(Interval::new(start, end)?),
            _ => return Err(bad("interval: it has both interval_start and interval_end")),
        };
        Ok(RunWish { full_refresh: self.full_refresh, interval, backfill: None })
    }
}

/// A page of pipelines.
#[derive(Serialize, ToSchema)]
pub(crate) struct PipelinePage {
    /// The pipelines, by name.
    pub(crate) items: Vec<PipelineView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}
