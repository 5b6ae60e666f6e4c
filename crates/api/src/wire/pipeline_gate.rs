//! Gates of pipelines on the wire, and what they found out.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use sluice_domain::{Criticality, Fraction, GateAction, PipelineGate, RunId, RunQuality, Threshold};
use utoipa::ToSchema;

use crate::problem::Problem;

/// What the rows of a run must be like: the suite of the target is asked of them on their way, before anybody reads them.
/// Where neither the gate nor the suite has a threshold, every rule must be kept.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GateView {
    /// What becomes of a run whose rows are not: `block` (it fails, and the target stays as it was) or `warn` (it goes
    /// through as `WARNING`).
    #[schema(value_type = String, pattern = "^(block|warn)$")]
    on_failure: GateAction,
    /// How much depends on the target: `medium` wants 90, `high` 95 and `critical` 99 of 100 rows valid. Default: that of
    /// a target with the tag `critical` is critical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^(medium|high|critical)$")]
    criticality: Option<Criticality>,
    /// The same in a number: a share up to 1, above it of 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100)]
    min_score: Option<f64>,
    /// How many of 100 rows of the inputs the result may lack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100)]
    max_data_loss_percent: Option<f64>,
}

impl GateView {
    /// What it says.
    pub(super) fn gate(self) -> Result<PipelineGate, Problem> {
        let bad = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-pipeline", detail);
        let min_score = self.min_score.map(Threshold::try_from).transpose();
        let part = |percent: f64| {
            let no_part = || bad(format!("gate.max_data_loss_percent: {percent} is not between 0 and 100"));
            Fraction::new(percent / 100.0).ok_or_else(no_part)
        };
        Ok(PipelineGate {
            on_failure: self.on_failure,
            criticality: self.criticality,
            min_score: min_score.map_err(|reason| bad(format!("gate.min_score: {reason}")))?,
            max_data_loss: self.max_data_loss_percent.map(part).transpose()?,
        })
    }
}

impl From<PipelineGate> for GateView {
    fn from(gate: PipelineGate) -> Self {
        Self {
            on_failure: gate.on_failure,
            criticality: gate.criticality,
            min_score: gate.min_score.map(Threshold::as_said),
            max_data_loss_percent: gate.max_data_loss.map(Fraction::percent),
        }
    }
}

/// What a gate found out about the rows of a run.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunQualityView {
    /// Whether it has nothing against them.
    passed: bool,
    /// Valid rows of 100; absent where no rule was asked, or there were no rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 98.9)]
    score: Option<f64>,
    /// How many rows there were.
    rows_total: u64,
    /// How many of them broke no rule about single rows.
    rows_valid: u64,
    /// How many rules were asked.
    rules: u64,
    /// How many of them were kept.
    rules_kept: u64,
    /// What it has against them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    complaints: Vec<String>,
    /// The result among those of the target, where rules were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_id: Option<String>,
}

impl RunQualityView {
    pub(super) fn of(run: RunId, quality: &RunQuality) -> Self {
        Self {
            passed: quality.passed(),
            score: quality.rows.percent(),
            rows_total: quality.rows.total,
            rows_valid: quality.rows.valid,
            rules: quality.rules,
            rules_kept: quality.kept,
            complaints: quality.complaints.clone(),
            result_id: (quality.rules > 0).then(|| run.to_string()),
        }
    }
}
