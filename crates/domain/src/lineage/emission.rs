//! Flows as OpenLineage events, one for each run, job and target.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Dataset, Flow, FlowColumn, FlowId};

/// Who emits.
const PRODUCER: &str = concat!("urn:sluice:", env!("CARGO_PKG_VERSION"));
/// The release of the specification that events follow.
const EVENT_SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const COLUMNS_SCHEMA: &str =
    "https://openlineage.io/spec/facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet";
const VERSION_SCHEMA: &str =
    "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet";
const RUN_FACET_SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet";
/// Where the names of jobs are looked up.
const JOBS: &str = "sluice";

/// The events that tell of these flows and of the columns that are known of them.
pub fn openlineage_events(flows: &[Flow], columns: &BTreeMap<FlowId, Vec<FlowColumn>>) -> Vec<Value> {
    let mut groups: BTreeMap<(Uuid, &str, &Dataset), Vec<&Flow>> = BTreeMap::new();
    for flow in flows {
        let run = flow.run.as_ref().map_or(flow.id.0, |run| run.id);
        groups.entry((run, &flow.transformation, &flow.target)).or_default().push(flow);
    }
    groups.into_iter().map(|((run, job, target), flows)| event(run, job, target, &flows, columns)).collect()
}

fn event(
    run: Uuid,
    job: &str,
    target: &Dataset,
    flows: &[&Flow],
    columns: &BTreeMap<FlowId, Vec<FlowColumn>>,
) -> Value {
    let newest = flows.iter().map(|flow| flow.occurred_at).max().unwrap_or_default();
    let progress = flows.iter().find_map(|flow| flow.run.as_ref()).map_or("COMPLETE", |run| run.progress.as_str());
    let inputs: Vec<Value> = flows.iter().map(|flow| dataset(&flow.source, flow.source_version)).collect();
    let mut output = dataset(target, flows.iter().find_map(|flow| flow.target_version));
    let columns: Vec<&FlowColumn> = flows.iter().filter_map(|flow| columns.get(&flow.id)).flatten().collect();
    if !columns.is_empty() {
        output["facets"]["columnLineage"] = column_facet(&columns);
    }
    json!({
        "eventType": progress,
        "eventTime": newest.to_rfc3339_opts(SecondsFormat::Micros, true),
        "run": {"runId": run, "facets": {"sluice_flow": flow_facet(flows)}},
        "job": {"namespace": job_namespace(flows), "name": job, "facets": {}},
        "inputs": inputs,
        "outputs": [output],
        "producer": PRODUCER,
        "schemaURL": EVENT_SCHEMA,
    })
}

/// The namespace that the job was reported in, ours where it was not.
fn job_namespace<'a>(flows: &[&'a Flow]) -> &'a str {
    let reported = flows.iter().find_map(|flow| flow.metadata.get("job")?.get("namespace")?.as_str());
    reported.unwrap_or(JOBS)
}

fn dataset(dataset: &Dataset, version: Option<u64>) -> Value {
    let mut facets = Map::new();
    if let Some(version) = version {
        let version =
            json!({"datasetVersion": version.to_string(), "_producer": PRODUCER, "_schemaURL": VERSION_SCHEMA});
        facets.insert("version".into(), version);
    }
    json!({"namespace": dataset.namespace(), "name": dataset.name(), "facets": facets})
}

/// What is known beside what OpenLineage has names for.
fn flow_facet(flows: &[&Flow]) -> Value {
    let flows = flows.iter().map(|flow| {
        json!({"source": {"namespace": flow.source.namespace(), "name": flow.source.name()},
            "origin": flow.origin.as_str(), "principal": flow.principal, "metadata": flow.metadata})
    });
    json!({"flows": flows.collect::<Vec<_>>(), "_producer": PRODUCER, "_schemaURL": RUN_FACET_SCHEMA})
}

fn column_facet(columns: &[&FlowColumn]) -> Value {
    let mut fields: Map<String, Value> = Map::new();
    let mut whole = Vec::new();
    for column in columns {
        match &column.target.column {
            None => whole.push(input_field(column)),
            Some(name) => {
                let field = fields.entry(name.clone()).or_insert_with(|| json!({"inputFields": []}));
                if let Some(inputs) = field["inputFields"].as_array_mut() {
                    inputs.push(input_field(column));
                }
            }
        }
    }
    json!({"fields": fields, "dataset": whole, "_producer": PRODUCER, "_schemaURL": COLUMNS_SCHEMA})
}

fn input_field(column: &FlowColumn) -> Value {
    let (source, influence) = (&column.source, column.influence);
    json!({
        "namespace": source.dataset.namespace(),
        "name": source.dataset.name(),
        "field": source.column.as_deref().unwrap_or_default(),
        "transformations": [{"type": influence.kind(), "subtype": influence.as_str(), "description": "", "masking": false}],
    })
}

#[cfg(test)]
mod tests {
    use super::{super::notation::tests::flow, *};
    use crate::lineage::{ColumnNode, FlowOrigin, Influence, read_event};

    #[test]
    fn what_is_emitted_is_read_back_as_the_same_flows() {
        let mut one = flow("nyc.flights", "nyc.delays", "curate");
        one.source_version = Some(3);
        one.target_version = Some(4);
        one.origin = FlowOrigin::Sql;
        let mut other = flow("nyc.airports", "nyc.delays", "curate");
        other.id = one.id;
        let edge = |column: &str, target: Option<&str>, influence| FlowColumn {
            source: ColumnNode::new(one.source.clone(), column).unwrap(),
            target: ColumnNode { dataset: one.target.clone(), column: target.map(Into::into) },
            influence,
        };
        let columns = vec![edge("delay", Some("total"), Influence::Aggregation), edge("day", None, Influence::Filter)];
        let events = openlineage_events(&[one.clone(), other.clone()], &[(one.id, columns)].into());
        assert_eq!(events.len(), 1, "{events:?}");
        let report = read_event(&events[0]).unwrap();
        assert_eq!(report.inputs.iter().map(|input| &input.dataset).collect::<Vec<_>>(), [&one.source, &other.source]);
        assert_eq!((report.inputs[0].version, report.outputs[0].version), (Some(3), Some(4)));
        assert_eq!(report.outputs[0].dataset, one.target);
        let read: Vec<_> = report.outputs[0].columns.iter().map(|c| (c.target.as_deref(), c.influence)).collect();
        assert!(read.contains(&(Some("total"), Influence::Aggregation)), "{read:?}");
        assert!(read.iter().any(|(_, influence)| *influence == Influence::Filter), "{read:?}");
        assert_eq!(report.job.unwrap().name, "curate");
        assert_eq!(report.event_time, one.occurred_at);
    }
}
