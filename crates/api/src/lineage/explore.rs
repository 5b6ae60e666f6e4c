//! Graphs around a dataset or a column, asked for level by level.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use sluice_catalog::{Catalog, CatalogError, FlowEnd, LineageView};
use sluice_domain::{
    Caller, PageRequest,
    lineage::{ColumnImpact, ColumnNode, ColumnStep, Dataset, Direction, Flow, FlowId, Walk, WalkLimits, impact},
};

use super::{sees, shown};
use crate::problem::Problem;

/// The most datasets of one graph, and columns of one impact.
pub(crate) const MAX_NODES: usize = 10_000;
/// The most flows of one graph, and steps of one impact.
pub(crate) const MAX_FLOWS: u32 = 10_000;

/// What a graph is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// Which ways to go.
    pub(crate) directions: Vec<Direction>,
    /// How many steps at the most.
    pub(crate) depth: u32,
    /// Only what happened before this instant.
    pub(crate) before: Option<DateTime<Utc>>,
}

impl Question {
    fn limits(&self) -> WalkLimits {
        WalkLimits { depth: self.depth, nodes: MAX_NODES }
    }

    fn view(&self, found: usize) -> LineageView {
        let left = MAX_FLOWS.saturating_sub(u32::try_from(found).unwrap_or(u32::MAX));
        // One more than there may be tells that there are more.
        LineageView { before: self.before, limit: left + 1 }
    }
}

/// What is around a dataset.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// The flows, in the order in which they were first told.
    pub(crate) flows: Vec<Flow>,
    /// How many steps upstream a dataset is.
    pub(crate) upstream: BTreeMap<Dataset, u32>,
    /// How many steps downstream a dataset is.
    pub(crate) downstream: BTreeMap<Dataset, u32>,
    /// Whether a bound cut something off.
    pub(crate) is_cut_off: bool,
}

/// What depends on a column, or what it depends on.
#[derive(Debug, Default)]
pub(crate) struct ImpactGraph {
    /// The columns upstream, nearest first.
    pub(crate) upstream: Vec<ColumnImpact>,
    /// The columns downstream, nearest first.
    pub(crate) downstream: Vec<ColumnImpact>,
    /// Whether a bound cut something off.
    pub(crate) is_cut_off: bool,
}

fn from_end(direction: Direction) -> FlowEnd {
    match direction {
        Direction::Upstream => FlowEnd::Target,
        Direction::Downstream => FlowEnd::Source,
    }
}

/// The flows around a dataset that the caller sees.
pub(crate) async fn explore(
    catalog: &Catalog,
    caller: &Caller,
    root: &Dataset,
    question: &Question,
) -> Result<Graph, CatalogError> {
    let mut graph = Graph::default();
    let mut flows: BTreeMap<FlowId, Flow> = BTreeMap::new();
    for direction in &question.directions {
        let mut walk = Walk::from(root.clone(), question.limits());
        while !walk.level().is_empty() && !graph.is_cut_off {
            let view = question.view(flows.len());
            let found = catalog.lineage().flows(walk.level(), from_end(*direction), view).await?;
            graph.is_cut_off = found.len() >= view.limit as usize;
            let found = shown(caller, found);
            walk.advance(found.iter().map(|flow| match direction {
                Direction::Upstream => flow.source.clone(),
                Direction::Downstream => flow.target.clone(),
            }));
            flows.extend(found.into_iter().map(|flow| (flow.id, flow)));
        }
        graph.is_cut_off |= walk.is_cut_off();
        match direction {
            Direction::Upstream => graph.upstream = walk.depths().clone(),
            Direction::Downstream => graph.downstream = walk.depths().clone(),
        }
    }
    graph.flows = flows.into_values().take(MAX_FLOWS as usize).collect();
    Ok(graph)
}

/// The columns around a column that the caller sees.
pub(crate) async fn column_impact(
    catalog: &Catalog,
    caller: &Caller,
    root: &ColumnNode,
    question: &Question,
) -> Result<ImpactGraph, CatalogError> {
    let mut graph = ImpactGraph::default();
    for direction in &question.directions {
        let mut walk = Walk::from(root.clone(), question.limits());
        let mut steps: BTreeSet<ColumnStep> = BTreeSet::new();
        while !walk.level().is_empty() && !graph.is_cut_off {
            let view = question.view(steps.len());
            let found = catalog.lineage().steps(walk.level(), from_end(*direction), view).await?;
            graph.is_cut_off = found.len() >= view.limit as usize;
            let found = found.into_iter().filter(|step| sees(caller, &step.source.dataset, &step.target.dataset));
            let found: Vec<ColumnStep> = found.collect();
            walk.advance(found.iter().map(|step| match direction {
                Direction::Upstream => step.source.clone(),
                Direction::Downstream => step.target.clone(),
            }));
            steps.extend(found);
        }
        graph.is_cut_off |= walk.is_cut_off();
        let steps: Vec<ColumnStep> = steps.into_iter().collect();
        let is_downstream = *direction == Direction::Downstream;
        let found = impact(root, walk.depths(), &steps, is_downstream);
        *(if is_downstream { &mut graph.downstream } else { &mut graph.upstream }) = found;
    }
    Ok(graph)
}

/// Every flow that the caller sees; a problem where they are too many for one document.
pub(crate) async fn everything(catalog: &Catalog, caller: &Caller) -> Result<Vec<Flow>, Problem> {
    let mut flows = Vec::new();
    let mut page = PageRequest { size: PageRequest::MAX_SIZE, token: None };
    loop {
        let found = catalog.lineage().list_flows(None, &page).await?;
        flows.extend(shown(caller, found.items));
        if flows.len() > MAX_FLOWS as usize {
            return Err(too_large());
        }
        match found.next {
            Some(token) => page.token = Some(token),
            None => return Ok(flows),
        }
    }
}

/// There is more than one document may hold.
pub(crate) fn too_large() -> Problem {
    let detail = format!("there are more than {MAX_FLOWS} flows: name an asset, and a depth around it");
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "graph-too-large", detail)
}
