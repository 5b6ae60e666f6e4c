//! The rows of lineage, as they are stored.

use std::str::FromStr;

use sluice_domain::lineage::{ColumnNode, ColumnStep, Dataset, Flow, FlowColumn, FlowId, FlowRun, Influence};
use sqlx::FromRow;

use crate::{
    CatalogError, LineageEvent,
    columns::{read, read_json, read_number},
};

#[derive(FromRow)]
pub(crate) struct FlowRow {
    id: String,
    source: String,
    target: String,
    transformation: String,
    run_id: String,
    origin: String,
    source_version: Option<i64>,
    target_version: Option<i64>,
    metadata: String,
    principal: String,
    occurred_at: String,
    progress: Option<String>,
    started_at: Option<String>,
    updated_at: Option<String>,
}

pub(crate) fn read_dataset(key: &str) -> Result<Dataset, CatalogError> {
    Dataset::from_key(key).map_err(|error| CatalogError::corrupt("dataset", error))
}

pub(crate) fn read_node(key: &str) -> Result<ColumnNode, CatalogError> {
    ColumnNode::from_key(key).map_err(|error| CatalogError::corrupt("column", error))
}

fn read_influence(text: &str) -> Result<Influence, CatalogError> {
    Influence::from_str(text).map_err(|error| CatalogError::corrupt("influence", error))
}

fn read_version(version: Option<i64>) -> Result<Option<u64>, CatalogError> {
    version.map(|version| read_number("flow's version", version)).transpose()
}

impl TryFrom<FlowRow> for Flow {
    type Error = CatalogError;
    fn try_from(row: FlowRow) -> Result<Self, CatalogError> {
        let run = match (row.progress, row.started_at, row.updated_at) {
            (Some(progress), Some(started_at), Some(updated_at)) => Some(FlowRun {
                id: read("flow's run", &row.run_id)?,
                progress: read("run's progress", &progress)?,
                started_at: read("run's start", &started_at)?,
                updated_at: read("run's last event", &updated_at)?,
            }),
            _ => None,
        };
        Ok(Self {
            id: FlowId(read("flow's id", &row.id)?),
            source: read_dataset(&row.source)?,
            target: read_dataset(&row.target)?,
            transformation: row.transformation,
            origin: read("flow's origin", &row.origin)?,
            run,
            source_version: read_version(row.source_version)?,
            target_version: read_version(row.target_version)?,
            metadata: read_json("flow's metadata", &row.metadata)?,
            principal: row.principal,
            occurred_at: read("flow's time", &row.occurred_at)?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct StepRow {
    source: String,
    target: String,
    influence: String,
}

impl TryFrom<StepRow> for ColumnStep {
    type Error = CatalogError;
    fn try_from(row: StepRow) -> Result<Self, CatalogError> {
        let (source, target) = (read_node(&row.source)?, read_node(&row.target)?);
        Ok(Self { source, target, influence: read_influence(&row.influence)? })
    }
}

#[derive(FromRow)]
pub(crate) struct FlowColumnRow {
    flow_id: String,
    source: String,
    target: String,
    influence: String,
}

impl TryFrom<FlowColumnRow> for (FlowId, FlowColumn) {
    type Error = CatalogError;
    fn try_from(row: FlowColumnRow) -> Result<Self, CatalogError> {
        let (source, target) = (read_node(&row.source)?, read_node(&row.target)?);
        let column = FlowColumn { source, target, influence: read_influence(&row.influence)? };
        Ok((FlowId(read("column's flow", &row.flow_id)?), column))
    }
}

#[derive(FromRow)]
pub(crate) struct LineageEventRow {
    pub(crate) id: String,
    pub(crate) event_time: String,
    body: String,
    principal: String,
    received_at: String,
}

impl TryFrom<LineageEventRow> for LineageEvent {
    type Error = CatalogError;
    fn try_from(row: LineageEventRow) -> Result<Self, CatalogError> {
        let received_at = read("event's arrival", &row.received_at)?;
        Ok(Self { id: row.id, body: row.body, principal: row.principal, received_at })
    }
}

#[derive(FromRow)]
pub(crate) struct RunRow {
    pub(crate) progress: String,
    pub(crate) progress_at: String,
    pub(crate) started_at: String,
    pub(crate) updated_at: String,
}

#[derive(FromRow)]
pub(crate) struct RunDatasetRow {
    pub(crate) role: String,
    pub(crate) dataset: String,
    pub(crate) version: Option<i64>,
    pub(crate) facts: String,
    pub(crate) told_at: String,
}
