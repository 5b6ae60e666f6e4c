//! Lineage on the wire.

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sluice_domain::lineage::{Dataset, DatasetError, Flow, FlowColumn, FlowFacts};
use utoipa::ToSchema;

use crate::{lineage::Declaration, problem::Problem};

/// A dataset: a table as `namespace.table`, an asset by any other name, or both names as OpenLineage has them.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum DatasetBody {
    /// A table of the lake, or an asset.
    Text(String),
    /// Any dataset.
    Named(NamedBody),
}

/// A dataset by both its names.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedBody {
    /// Where the name is looked up; `sluice` for tables of the lake.
    #[schema(max_length = 256)]
    namespace: String,
    /// The name.
    #[schema(max_length = 768)]
    name: String,
}

impl DatasetBody {
    fn dataset(&self, field: &str) -> Result<Dataset, Problem> {
        let dataset = match self {
            Self::Text(text) => text.parse(),
            Self::Named(named) => Dataset::new(&named.namespace, &named.name),
        };
        dataset.map_err(|error: DatasetError| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-lineage-edge", format!("{field}: {error}"))
        })
    }
}

/// An edge that is declared: with its `source`, or with the `sql` that makes the target's data.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EdgeBody {
    /// Where the data comes from.
    source: Option<DatasetBody>,
    /// Where it goes.
    target: DatasetBody,
    /// What moves it.
    #[schema(min_length = 1, max_length = 256, example = "data_cleaning_pipeline")]
    transformation: String,
    /// Whatever else is known of it, 64 KiB at the most. `schema_version`, `pipeline_id`, `source_system` (in
    /// `technical` or beside it), `data_owner`, `sensitivity`, `purpose` (`business`), `processing_time`,
    /// `quality_score` and `record_count` (`operational`) are shown as such.
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    /// The statement that reads the sources: they and the lineage of the columns are told from its plan.
    sql: Option<String>,
    /// The version of the source that was read.
    source_version: Option<u64>,
    /// The version of the target that was made.
    target_version: Option<u64>,
}

impl EdgeBody {
    /// What it says.
    pub(crate) fn declaration(self) -> Result<Declaration, Problem> {
        Ok(Declaration {
            source: self.source.map(|source| source.dataset("source")).transpose()?,
            target: self.target.dataset("target")?,
            transformation: self.transformation,
            metadata: self.metadata,
            sql: self.sql,
            source_version: self.source_version,
            target_version: self.target_version,
        })
    }
}

/// An OpenLineage RunEvent, JobEvent or DatasetEvent.
#[derive(ToSchema)]
#[schema(value_type = Object)]
#[expect(dead_code, reason = "the document describes the event; its text is kept as it came")]
pub(crate) struct OpenLineageBody(Map<String, Value>);

/// A dataset.
#[derive(Serialize, ToSchema)]
pub(crate) struct DatasetView {
    /// Where its name is looked up; `sluice` for tables of the lake.
    namespace: String,
    /// Its name.
    name: String,
}

impl From<&Dataset> for DatasetView {
    fn from(dataset: &Dataset) -> Self {
        Self { namespace: dataset.namespace().to_owned(), name: dataset.name().to_owned() }
    }
}

/// A run of a job elsewhere.
#[derive(Serialize, ToSchema)]
pub(crate) struct FlowRunView {
    /// Its id.
    run_id: String,
    /// What was told of it last.
    #[schema(example = "COMPLETE")]
    state: &'static str,
    /// The first instant that is known of it.
    started_at: DateTime<Utc>,
    /// The last one.
    updated_at: DateTime<Utc>,
}

/// How a column of the target depends on one of the source.
#[derive(Serialize, ToSchema)]
pub(crate) struct FlowColumnView {
    /// The column of the source.
    source: Option<String>,
    /// The column of the target; absent where the target as a whole depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// `DIRECT` where values come from values, otherwise `INDIRECT`.
    kind: &'static str,
    /// How, in OpenLineage's words.
    #[schema(example = "IDENTITY")]
    subtype: &'static str,
}

impl From<&FlowColumn> for FlowColumnView {
    fn from(column: &FlowColumn) -> Self {
        Self {
            source: column.source.column.clone(),
            target: column.target.column.clone(),
            kind: column.influence.kind(),
            subtype: column.influence.as_str(),
        }
    }
}

/// Technical facts.
#[derive(Serialize, ToSchema)]
pub(crate) struct TechnicalFacts {
    /// The version of the target's schema.
    schema_version: Option<Value>,
    /// The pipeline that moved the data.
    pipeline_id: Option<Value>,
    /// The system that it comes from.
    source_system: Option<Value>,
}

/// Business facts.
#[derive(Serialize, ToSchema)]
pub(crate) struct BusinessFacts {
    /// Who owns the target.
    data_owner: Option<Value>,
    /// How sensitive it is.
    sensitivity: Option<Value>,
    /// What it is for.
    purpose: Option<Value>,
}

/// Operational facts.
#[derive(Serialize, ToSchema)]
pub(crate) struct OperationalFacts {
    /// How long it took, in milliseconds.
    processing_time: Option<Value>,
    /// The share of good rows, in percent.
    quality_score: Option<Value>,
    /// How many rows were moved.
    record_count: Option<Value>,
}

/// A flow of data.
#[derive(Serialize, ToSchema)]
pub(crate) struct FlowView {
    /// Its id.
    id: String,
    /// Where the data comes from.
    source: DatasetView,
    /// Where it goes.
    target: DatasetView,
    /// What moves it.
    transformation: String,
    /// Who tells of it: `upload` (the ledger), `manual`, `openlineage` or `sql`.
    origin: &'static str,
    /// The run that moved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<FlowRunView>,
    /// The version of the source that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_version: Option<u64>,
    /// The version of the target that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_version: Option<u64>,
    /// Technical facts, as far as they are known.
    technical: TechnicalFacts,
    /// Business facts, as far as they are known.
    business: BusinessFacts,
    /// Operational facts, as far as they are known.
    operational: OperationalFacts,
    /// What was told with it.
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    /// Who told.
    principal: String,
    /// When it happened.
    timestamp: DateTime<Utc>,
    /// How its columns depend on one another, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<FlowColumnView>>,
}

impl FlowView {
    /// A flow with what is known of it.
    pub(crate) fn new(flow: Flow, facts: FlowFacts) -> Self {
        let run = flow.run.map(|run| FlowRunView {
            run_id: run.id.to_string(),
            state: run.progress.as_str(),
            started_at: run.started_at,
            updated_at: run.updated_at,
        });
        let FlowFacts { schema_version, pipeline_id, source_system, .. } = facts;
        let FlowFacts { data_owner, sensitivity, purpose, .. } = facts;
        let FlowFacts { processing_time, quality_score, record_count, .. } = facts;
        Self {
            id: flow.id.to_string(),
            source: (&flow.source).into(),
            target: (&flow.target).into(),
            transformation: flow.transformation,
            origin: flow.origin.as_str(),
            run,
            source_version: flow.source_version,
            target_version: flow.target_version,
            technical: TechnicalFacts { schema_version, pipeline_id, source_system },
            business: BusinessFacts { data_owner, sensitivity, purpose },
            operational: OperationalFacts { processing_time, quality_score, record_count },
            metadata: flow.metadata,
            principal: flow.principal,
            timestamp: flow.occurred_at,
            columns: None,
        }
    }

    /// A flow with nothing but what was told of it.
    pub(crate) fn told(flow: Flow) -> Self {
        let facts = FlowFacts::of(&flow.metadata);
        Self::new(flow, facts)
    }

    /// With what is known of its columns.
    pub(crate) fn with_columns(mut self, columns: Option<&Vec<FlowColumn>>) -> Self {
        self.columns = Some(columns.into_iter().flatten().map(Into::into).collect());
        self
    }
}

/// A page of flows.
#[derive(Serialize, ToSchema)]
pub(crate) struct FlowPage {
    /// The flows: those from the asset, then those into it.
    pub(crate) items: Vec<FlowView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// What was declared.
#[derive(Serialize, ToSchema)]
pub(crate) struct EdgesView {
    /// The flows as they are now: one, or one for each table that the statement reads.
    pub(crate) items: Vec<FlowView>,
}
