//! What a run tells of where the rows of its target come from.

use std::collections::BTreeSet;

use chrono::{SubsecRound as _, Utc};
use serde_json::{Map, Value, json};
use sluice_catalog::NewFlow;
use sluice_domain::{
    CuratedFigures, CuratedRun, ErrorKind, Failure as _,
    lineage::{ColumnNode, Dataset, FlowColumn, FlowOrigin, SqlInput, SqlLineage},
};

use crate::{Curate, CurateError, intervals::planned, rows::reader};

impl Curate {
    /// Declare the flow from each input of a run that is committed; doing it again changes nothing. A run that found
    /// nothing new has none.
    pub(crate) async fn declare_flows(&self, run: &CuratedRun, figures: &CuratedFigures) -> Result<(), CurateError> {
        if figures.version_out.is_none() {
            return Ok(());
        }
        let statement = run.definition.check()?;
        let told = match self.inner.lake.queries.lineage(&reader(run), planned(&run.definition, &statement)).await {
            Ok(told) => told,
            // Not every statement that can be run tells its columns, and an input may be another one by now.
            Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound) => SqlLineage::default(),
            Err(error) => return Err(error.into()),
        };
        let target = Dataset::of_table(&run.definition.target);
        let schema_version = self.schema_version(run).await?;
        let metadata = metadata(run, figures, &statement.sql, schema_version);
        let flows = figures.versions_in.iter().map(|(input, version)| NewFlow {
            source: Dataset::of_table(input),
            target: target.clone(),
            transformation: run.name.to_string(),
            origin: FlowOrigin::Sql,
            run: Some(run.id.0),
            source_version: Some(*version),
            target_version: figures.version_out,
            metadata: metadata.clone(),
            principal: run.principal.clone(),
            occurred_at: Utc::now().trunc_subsecs(6),
            columns: columns(&told, &Dataset::of_table(input), &target),
        });
        let flows: Vec<NewFlow> = flows.collect();
        if !flows.is_empty() {
            self.catalog().lineage().declare(&flows).await?;
        }
        Ok(())
    }

    async fn schema_version(&self, run: &CuratedRun) -> Result<Option<i64>, CurateError> {
        let entry = self.catalog().tables().find(&run.definition.target).await?;
        Ok(self.catalog().schemas().latest(entry.id).await?.map(|latest| latest.number))
    }
}

/// What is told of a flow beside its ends.
fn metadata(run: &CuratedRun, figures: &CuratedFigures, sql: &str, schema_version: Option<i64>) -> Map<String, Value> {
    let definition = &run.definition;
    let value = json!({
        "technical": {
            "schema_version": schema_version,
            "pipeline_id": run.name.as_str(),
            "source_system": "sluice",
        },
        "business": {"data_owner": definition.owner, "purpose": definition.description},
        "operational": {
            "processing_time": (Utc::now() - run.started_at).num_milliseconds().max(0),
            "record_count": figures.rows_out,
            "quality_score": figures.quality.as_ref().and_then(|quality| quality.rows.percent()),
        },
        "transformation": sql,
        "mode": definition.mode.as_str(),
        "run_id": run.id.to_string(),
    });
    match value {
        Value::Object(metadata) => metadata,
        _ => Map::new(),
    }
}

/// How the target's columns depend on those of one input.
pub(crate) fn columns(told: &SqlLineage, source: &Dataset, target: &Dataset) -> BTreeSet<FlowColumn> {
    let table = source.table();
    let of_source = |input: &&SqlInput| table.as_ref() == Some(&input.table);
    let step = |input: &SqlInput, target: ColumnNode| {
        let source = ColumnNode::new(source.clone(), &input.column).ok()?;
        Some(FlowColumn { source, target, influence: input.influence })
    };
    let mut columns = BTreeSet::new();
    for output in &told.outputs {
        let Ok(node) = ColumnNode::new(target.clone(), &output.name) else { continue };
        columns.extend(output.inputs.iter().filter(of_source).filter_map(|input| step(input, node.clone())));
    }
    let whole = ColumnNode::whole(target.clone());
    columns.extend(told.influences.iter().filter(of_source).filter_map(|input| step(input, whole.clone())));
    columns
}
