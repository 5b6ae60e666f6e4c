//! Pipelines on the wire.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_domain::{Pipeline, PipelineDefinition, PipelineMode, PipelineSchedule, StepKind, TableRef};
use utoipa::ToSchema;

use super::StepBody;
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
    /// One `SELECT`, whose rows are those of the target.
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
    /// What becomes of the rows that are there: `overwrite` (rows and columns of the result take their place), `append`,
    /// or `merge` (rows with the same keys take the new values). Default: `overwrite`.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(overwrite|append|merge)$")]
    mode: Option<PipelineMode>,
    /// The columns by which rows are the same, for a merge.
    #[serde(default)]
    #[schema(max_items = 32)]
    keys: Vec<String>,
    /// The columns to partition a new target by.
    #[serde(default)]
    #[schema(max_items = 32)]
    partition_by: Vec<String>,
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

/// When a pipeline runs by itself: one of the two.
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
        let schedule = match self.schedule {
            None => None,
            Some(ScheduleView { every_seconds: Some(seconds), on_new_data: false }) => {
                Some(PipelineSchedule::EverySeconds(seconds))
            }
            Some(ScheduleView { every_seconds: None, on_new_data: true }) => Some(PipelineSchedule::OnNewData),
            Some(_) => return Err(bad("schedule: it has one of every_seconds and on_new_data")),
        };
        let mode = self.mode.unwrap_or(PipelineMode::Overwrite);
        let usual = PipelineDefinition::of(StepKind::Sql(String::new()), self.target, mode);
        Ok(PipelineDefinition {
            inputs: self.inputs,
            steps: steps.into_iter().map(StepBody::step).collect::<Result<_, _>>()?,
            keys: self.keys,
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
    /// `overwrite`, `append` or `merge`.
    #[schema(example = "overwrite")]
    mode: &'static str,
    /// The columns by which rows are the same.
    keys: Vec<String>,
    /// The columns to partition a new target by.
    partition_by: Vec<String>,
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
        let schedule = definition.schedule.map(|schedule| match schedule {
            PipelineSchedule::EverySeconds(seconds) => {
                ScheduleView { every_seconds: Some(seconds), on_new_data: false }
            }
            PipelineSchedule::OnNewData => ScheduleView { every_seconds: None, on_new_data: true },
        });
        Self {
            name: pipeline.name.into(),
            inputs: definition.inputs.iter().map(TableRef::to_string).collect(),
            sql,
            expressions,
            filter,
            steps,
            target: definition.target.to_string(),
            mode: definition.mode.as_str(),
            keys: definition.keys,
            partition_by: definition.partition_by,
            owner: definition.owner,
            description: definition.description,
            schedule,
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

/// A page of pipelines.
#[derive(Serialize, ToSchema)]
pub(crate) struct PipelinePage {
    /// The pipelines, by name.
    pub(crate) items: Vec<PipelineView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}
