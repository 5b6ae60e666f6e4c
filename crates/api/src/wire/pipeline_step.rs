//! Steps of pipelines on the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_domain::{
    CastColumns, Deduplicate, MaskColumns, PipelineStep, Pivot, SessionWindow, StepKind, Transform, TumblingWindow,
    Unpivot,
};
use utoipa::ToSchema;

use super::pipeline::bad;
use crate::problem::Problem;

/// One step of several: one of `sql`, of `expressions` over the step before, and of the other fields, each of which says
/// what becomes of the rows of the step before, or of the one input. Those name columns as they are written.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepBody {
    /// The name by which later steps read it. Default: `step_1`, `step_2` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z][a-z0-9_]{0,62}$")]
    pub(super) name: Option<String>,
    /// One `SELECT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sql: Option<String>,
    /// Expressions, applied as one `SELECT`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) expressions: Vec<String>,
    /// The condition for a row to be looked at, with `expressions`, or for it to stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) filter: Option<String>,
    /// Of rows with the same `keys` (default: all columns) the `first` (default) or the `last` stays, by `order_by`; or,
    /// with `keep` as `none`, only rows that have none like them. A NULL in `order_by` is neither first nor last where
    /// there is another value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"keys": ["id"], "keep": "last", "order_by": ["updated_at"]}))]
    deduplicate: Option<Deduplicate>,
    /// Columns get other types. `on_error`: the run fails (`fail`, the default), NULL takes the place of the value
    /// (`null`), or the row is left out (`drop_row`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"columns": {"amount": "decimal(18,2)"}, "on_error": "null"}))]
    cast: Option<CastColumns>,
    /// A text, a number or a boolean in the place of NULL, by column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"region": "unknown", "amount": 0}))]
    fill_null: Option<BTreeMap<String, Value>>,
    /// Columns get other names, from the old one to the new one; they come last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!({"cust_id": "customer_id"}))]
    rename: Option<BTreeMap<String, String>>,
    /// All columns but these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 200)]
    drop: Option<Vec<String>>,
    /// These columns, in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 200)]
    select: Option<Vec<String>>,
    /// Columns become rows, one for each of them and each row: its name in `name_column`, its value, NULL or not, in
    /// `value_column`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>,
        example = json!({"columns": ["jan", "feb"], "name_column": "month", "value_column": "amount"}))]
    unpivot: Option<Unpivot>,
    /// The given values of `column` become columns, for each `index` one row: the `sum`, `avg`, `min`, `max` or `count`
    /// of `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"index": ["region"], "column": "month",
        "values": ["jan", "feb"], "value": "amount", "aggregate": "sum"}))]
    pivot: Option<Pivot>,
    /// Values are masked, by column: `email`, `phone`, `credit_card`, `ssn`, or `hash` with a `salt` and, where not all 64
    /// digits are wanted, a `length`. Who may read the pipeline or its lineage sees the salt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"columns": {"email": "email", "phone": "phone"}}))]
    mask: Option<MaskColumns>,
    /// The column `as` (default: `window_start`) tells the beginning of the stretch of `every_seconds` that `time` is in,
    /// counted from 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"time": "at", "every_seconds": 3600, "as": "hour"}))]
    tumbling_window: Option<TumblingWindow>,
    /// The column `as` (default: `session`) numbers the sessions of each of the `keys` from 1: a pause of more than
    /// `gap_seconds` begins another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"time": "at", "gap_seconds": 1800, "keys": ["user_id"]}))]
    session_window: Option<SessionWindow>,
}

impl StepBody {
    /// A step of SQL without a name.
    pub(super) fn short(sql: Option<String>, expressions: Vec<String>, filter: Option<String>) -> Self {
        Self { sql, expressions, filter, ..Self::default() }
    }

    pub(super) fn step(self) -> Result<PipelineStep, Problem> {
        let transforms = [
            self.deduplicate.map(Transform::Deduplicate),
            self.cast.map(Transform::Cast),
            self.fill_null.map(Transform::FillNull),
            self.rename.map(Transform::Rename),
            self.drop.map(Transform::Drop),
            self.select.map(Transform::Select),
            self.unpivot.map(Transform::Unpivot),
            self.pivot.map(Transform::Pivot),
            self.mask.map(Transform::Mask),
            self.tumbling_window.map(Transform::TumblingWindow),
            self.session_window.map(Transform::SessionWindow),
        ];
        let mut transforms = transforms.into_iter().flatten();
        let kind = match (self.sql, self.expressions, self.filter, transforms.next(), transforms.next()) {
            (Some(sql), expressions, None, None, None) if expressions.is_empty() => StepKind::Sql(sql),
            (None, select, filter, None, None) if !select.is_empty() => StepKind::Expressions { select, filter },
            (None, none, Some(filter), None, None) if none.is_empty() => StepKind::Transform(Transform::Filter(filter)),
            (None, none, None, Some(transform), None) if none.is_empty() => StepKind::Transform(transform),
            _ => {
                return Err(bad(
                    "steps: a step is one of sql, expressions with or without filter, and one other field",
                ));
            }
        };
        Ok(PipelineStep { name: self.name, kind })
    }

    pub(super) fn of(step: PipelineStep) -> Self {
        let body = Self { name: step.name, ..Self::default() };
        match step.kind {
            StepKind::Sql(sql) => Self { sql: Some(sql), ..body },
            StepKind::Expressions { select, filter } => Self { expressions: select, filter, ..body },
            StepKind::Transform(transform) => match transform {
                Transform::Deduplicate(deduplicate) => Self { deduplicate: Some(deduplicate), ..body },
                Transform::Cast(cast) => Self { cast: Some(cast), ..body },
                Transform::FillNull(values) => Self { fill_null: Some(values), ..body },
                Transform::Rename(names) => Self { rename: Some(names), ..body },
                Transform::Drop(columns) => Self { drop: Some(columns), ..body },
                Transform::Select(columns) => Self { select: Some(columns), ..body },
                Transform::Filter(filter) => Self { filter: Some(filter), ..body },
                Transform::Unpivot(unpivot) => Self { unpivot: Some(unpivot), ..body },
                Transform::Pivot(pivot) => Self { pivot: Some(pivot), ..body },
                Transform::Mask(mask) => Self { mask: Some(mask), ..body },
                Transform::TumblingWindow(window) => Self { tumbling_window: Some(window), ..body },
                Transform::SessionWindow(window) => Self { session_window: Some(window), ..body },
            },
        }
    }
}
