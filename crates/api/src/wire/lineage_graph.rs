//! Graphs of lineage, and events as they came, on the wire.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use sluice_catalog::LineageEvent;
use sluice_domain::lineage::{ColumnImpact, Dataset};
use utoipa::ToSchema;

use super::{DatasetView, FlowView};
use crate::{
    lineage::{Graph, ImpactGraph},
    problem::Problem,
};

/// A dataset of a graph.
#[derive(Serialize, ToSchema)]
pub(crate) struct NodeView {
    #[serde(flatten)]
    dataset: DatasetView,
    /// The table of the lake that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    /// How many steps upstream it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<u32>,
    /// How many steps downstream it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    downstream: Option<u32>,
}

/// A column that depends on another, or that another depends on.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImpactView {
    #[serde(flatten)]
    dataset: DatasetView,
    /// The column; absent where the dataset as a whole depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    /// `DIRECT` where values come from values all the way, otherwise `INDIRECT`.
    kind: &'static str,
    /// How many steps away it is.
    depth: u32,
}

impl From<&ColumnImpact> for ImpactView {
    fn from(impact: &ColumnImpact) -> Self {
        Self {
            dataset: (&impact.node.dataset).into(),
            column: impact.node.column.clone(),
            kind: if impact.is_direct { "DIRECT" } else { "INDIRECT" },
            depth: impact.depth,
        }
    }
}

/// What a column depends on, and what depends on it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ColumnImpactView {
    /// The column.
    column: String,
    /// What it depends on, nearest first.
    upstream: Vec<ImpactView>,
    /// What depends on it, nearest first.
    downstream: Vec<ImpactView>,
}

/// The lineage of a table: its graph, or what depends on one of its columns.
#[derive(Serialize, ToSchema)]
pub(crate) struct LineageView {
    /// The table, `namespace.table`.
    table: String,
    /// The version that it is told as of; absent where that is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// The datasets, the table itself included.
    nodes: Vec<NodeView>,
    /// The flows between them, uploads first, oldest first.
    flows: Vec<FlowView>,
    /// What depends on the column that was asked about; the graph is left out then.
    #[serde(skip_serializing_if = "Option::is_none")]
    impact: Option<ColumnImpactView>,
    /// Whether there is more than is shown: further uploads, or what lies beyond the bounds of a graph.
    truncated: bool,
}

impl LineageView {
    /// The graph around a table.
    pub(crate) fn of_graph(root: &Dataset, version: Option<u64>, graph: &Graph, flows: Vec<FlowView>) -> Self {
        let ends = graph.flows.iter().flat_map(|flow| [&flow.source, &flow.target]);
        let datasets: BTreeSet<&Dataset> = ends.chain([root]).collect();
        let node = |dataset: &Dataset| NodeView {
            dataset: dataset.into(),
            table: dataset.table().map(|table| table.to_string()),
            upstream: graph.upstream.get(dataset).copied(),
            downstream: graph.downstream.get(dataset).copied(),
        };
        let nodes = datasets.into_iter().map(node).collect();
        Self { table: root.to_string(), version, nodes, flows, impact: None, truncated: graph.is_cut_off }
    }

    /// What depends on a column of a table.
    pub(crate) fn of_column(root: &Dataset, version: Option<u64>, column: String, found: &ImpactGraph) -> Self {
        let views = |impacts: &[ColumnImpact]| impacts.iter().map(Into::into).collect();
        let (upstream, downstream) = (views(&found.upstream), views(&found.downstream));
        let impact = Some(ColumnImpactView { column, upstream, downstream });
        let (nodes, flows) = (Vec::new(), Vec::new());
        Self { table: root.to_string(), version, nodes, flows, impact, truncated: found.is_cut_off }
    }
}

/// An event as it came.
#[derive(Serialize, ToSchema)]
pub(crate) struct LineageEventView {
    /// The event.
    #[schema(value_type = Object)]
    event: Box<RawValue>,
    /// Who sent it.
    principal: String,
    /// When it came.
    received_at: DateTime<Utc>,
}

impl TryFrom<LineageEvent> for LineageEventView {
    type Error = Problem;
    fn try_from(event: LineageEvent) -> Result<Self, Problem> {
        let text = RawValue::from_string(event.body).map_err(|error| {
            tracing::error!(%error, "an event of lineage is not JSON any more");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the event could not be read")
        })?;
        Ok(Self { event: text, principal: event.principal, received_at: event.received_at })
    }
}

/// A page of events.
#[derive(Serialize, ToSchema)]
pub(crate) struct LineageEventPage {
    /// The events by their own time, oldest first.
    pub(crate) items: Vec<LineageEventView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}
