//! Flows of data that others tell of.

use std::collections::BTreeSet;

use chrono::Duration;
use rstest::rstest;
use serde_json::{Map, Value, json};
use sluice_catalog::{Catalog, Declared, EventOutcome, FlowEnd, LineageView, NewFlow, NewLineageEvent};
use sluice_domain::{
    PageRequest,
    lineage::{ColumnNode, Dataset, Flow, FlowColumn, FlowOrigin, Influence, RunProgress, read_event},
};
use uuid::Uuid;

use crate::samples::{Lake, instant, page};

const RUN: &str = "01941f29-7c00-7000-8000-000000000001";
const ALL: LineageView = LineageView { before: None, limit: 1_000 };

pub(crate) fn dataset(name: &str) -> Dataset {
    name.parse().unwrap()
}

pub(crate) fn new_flow(source: &str, target: &str, transformation: &str) -> NewFlow {
    NewFlow {
        source: dataset(source),
        target: dataset(target),
        transformation: transformation.into(),
        origin: FlowOrigin::Manual,
        run: None,
        source_version: None,
        target_version: None,
        metadata: Map::new(),
        principal: "ada".into(),
        occurred_at: instant("2026-02-03T04:05:06Z"),
        columns: BTreeSet::new(),
    }
}

pub(crate) fn column(flow: &NewFlow, source: &str, target: &str, influence: Influence) -> FlowColumn {
    FlowColumn {
        source: ColumnNode::new(flow.source.clone(), source).unwrap(),
        target: ColumnNode::new(flow.target.clone(), target).unwrap(),
        influence,
    }
}

pub(crate) async fn declare(catalog: &Catalog, flow: NewFlow) -> Declared {
    catalog.lineage().declare(&[flow]).await.unwrap()
}

fn ways(flows: &[Flow]) -> Vec<String> {
    flows.iter().map(|flow| format!("{} -> {} by {}", flow.source, flow.target, flow.transformation)).collect()
}

async fn listed(catalog: &Catalog, asset: Option<&str>) -> Vec<String> {
    let asset = asset.map(dataset);
    let page = catalog.lineage().list_flows(asset.as_ref(), &PageRequest::default()).await.unwrap();
    assert!(page.next.is_none());
    ways(&page.items)
}

#[tokio::test]
async fn the_flows_from_an_asset_come_before_those_into_it() {
    let lake = Lake::open().await;
    declare(&lake.catalog, new_flow("raw_orders_table", "cleaned_orders_table", "data_cleaning_pipeline")).await;
    declare(&lake.catalog, new_flow("cleaned_orders_table", "sales_analytics_table", "aggregation_pipeline")).await;
    declare(&lake.catalog, new_flow("elsewhere", "nowhere", "x")).await;
    let expected = [
        "cleaned_orders_table -> sales_analytics_table by aggregation_pipeline",
        "raw_orders_table -> cleaned_orders_table by data_cleaning_pipeline",
    ];
    assert_eq!(listed(&lake.catalog, Some("cleaned_orders_table")).await, expected);
    assert_eq!(listed(&lake.catalog, None).await.len(), 3);
    let lake = lake.reopen().await;
    let asset = dataset("cleaned_orders_table");
    let first = lake.catalog.lineage().list_flows(Some(&asset), &page(1, None)).await.unwrap();
    let rest = lake.catalog.lineage().list_flows(Some(&asset), &page(1, first.next)).await.unwrap();
    assert_eq!([ways(&first.items), ways(&rest.items)].concat(), expected);
    assert!(rest.next.is_none());
}

#[tokio::test]
async fn a_flow_that_is_declared_again_is_the_same_with_what_was_said_last() {
    let lake = Lake::open().await;
    let Declared::Made(made) = declare(&lake.catalog, new_flow("nyc.a", "nyc.b", "x")).await else { panic!() };
    let again = NewFlow {
        metadata: json!({"purpose": "billing"}).as_object().unwrap().clone(),
        target_version: Some(7),
        occurred_at: instant("2026-02-03T04:05:07Z"),
        ..new_flow("nyc.a", "nyc.b", "x")
    };
    let Declared::Changed(changed) = declare(&lake.catalog, again).await else { panic!() };
    assert_eq!((changed[0].id, changed[0].target_version), (made[0].id, Some(7)));
    assert_eq!(changed[0].metadata["purpose"], "billing");
    assert_eq!(listed(&lake.catalog, None).await.len(), 1);
}

#[tokio::test]
async fn cycles_by_hand_are_refused_whoever_told_of_the_rest_of_them() {
    let lake = Lake::open().await;
    for (source, target) in [("a", "b"), ("b", "c")] {
        declare(&lake.catalog, NewFlow { origin: FlowOrigin::Sql, ..new_flow(source, target, "t") }).await;
    }
    for (source, target) in [("c", "a"), ("b", "a"), ("a", "a")] {
        assert_eq!(declare(&lake.catalog, new_flow(source, target, "t")).await, Declared::Cycle, "{source} {target}");
    }
    assert!(matches!(declare(&lake.catalog, new_flow("a", "c", "t")).await, Declared::Made(_)));
    let told = NewFlow { origin: FlowOrigin::Sql, ..new_flow("c", "c", "itself") };
    assert!(matches!(declare(&lake.catalog, told).await, Declared::Made(_)));
    let both = [new_flow("x", "y", "t"), new_flow("y", "y", "t")];
    assert_eq!(lake.catalog.lineage().declare(&both).await.unwrap(), Declared::Cycle);
    assert_eq!(listed(&lake.catalog, Some("x")).await, Vec::<String>::new(), "all or none");
    assert_eq!(listed(&lake.catalog, Some("c")).await.iter().filter(|way| way.starts_with("c -> c")).count(), 1);
}

#[tokio::test]
async fn the_latest_run_of_a_transformation_is_what_a_graph_shows_and_others_can_be_asked_for() {
    let lake = Lake::open().await;
    let flow = |minute: i64, column_name: &str| {
        let mut flow = NewFlow {
            run: Some(Uuid::now_v7()),
            origin: FlowOrigin::OpenLineage,
            occurred_at: instant("2026-02-03T04:00:00Z") + Duration::minutes(minute),
            target_version: u64::try_from(minute).ok(),
            ..new_flow("nyc.a", "nyc.b", "daily")
        };
        flow.columns = [column(&flow, "x", column_name, Influence::Identity)].into();
        flow
    };
    // The middle one comes last: it is not the latest.
    for (minute, name) in [(1, "old"), (9, "new"), (5, "middle")] {
        declare(&lake.catalog, flow(minute, name)).await;
    }
    let lineage = lake.catalog.lineage();
    let at = async |before: Option<&str>| {
        let view = LineageView { before: before.map(instant), limit: 10 };
        let flows = lineage.flows(&[dataset("nyc.a")], FlowEnd::Source, view).await.unwrap();
        let start = ColumnNode::new(dataset("nyc.a"), "x").unwrap();
        let steps = lineage.steps(&[start], FlowEnd::Source, view).await.unwrap();
        let names: Vec<_> = steps.into_iter().map(|step| step.target.column.unwrap()).collect();
        (flows.iter().map(|flow| flow.target_version.unwrap()).collect::<Vec<_>>(), names)
    };
    assert_eq!(at(None).await, (vec![9], vec!["new".to_owned()]));
    assert_eq!(at(Some("2026-02-03T04:06:00Z")).await, (vec![5], vec!["middle".to_owned()]));
    assert_eq!(at(Some("2026-02-03T04:05:00Z")).await, (vec![1], vec!["old".to_owned()]));
    assert_eq!(at(Some("2026-02-03T04:00:00Z")).await, (vec![], vec![]));
    assert_eq!(listed(&lake.catalog, Some("nyc.a")).await.len(), 3);
    assert_eq!(listed(&lake.catalog, None).await.len(), 1);
}

#[tokio::test]
async fn flows_and_steps_are_found_from_both_ends_up_to_a_limit() {
    let lake = Lake::open().await;
    for number in 0..20 {
        let mut flow = new_flow("nyc.a", &format!("nyc.t{number}"), "spread");
        flow.columns = [column(&flow, "x", "y", Influence::Filter)].into();
        declare(&lake.catalog, flow).await;
    }
    let lineage = lake.catalog.lineage();
    let ends: Vec<Dataset> = (0..1_200).map(|number| dataset(&format!("nyc.t{number}"))).collect();
    assert_eq!(lineage.flows(&ends, FlowEnd::Target, ALL).await.unwrap().len(), 20);
    assert_eq!(lineage.flows(&ends, FlowEnd::Source, ALL).await.unwrap(), []);
    let few = LineageView { limit: 7, ..ALL };
    assert_eq!(lineage.flows(&ends, FlowEnd::Target, few).await.unwrap().len(), 7);
    let nodes: Vec<ColumnNode> = ends.into_iter().map(|end| ColumnNode::new(end, "y").unwrap()).collect();
    let steps = lineage.steps(&nodes, FlowEnd::Target, few).await.unwrap();
    assert_eq!((steps.len(), steps[0].influence), (7, Influence::Filter));
    let flows = lineage.flows(&[dataset("nyc.a")], FlowEnd::Source, ALL).await.unwrap();
    let ids: Vec<_> = flows.iter().map(|flow| flow.id).collect();
    assert_eq!(lineage.flow_columns(&ids, 100).await.unwrap().len(), 20);
    assert_eq!(lineage.flow_columns(&ids, 9).await.unwrap().len(), 9);
    assert_eq!(lineage.flow_columns(&[], 9).await.unwrap(), []);
}

fn event(kind: &str, second: u32, inputs: Value, outputs: Value) -> NewLineageEvent {
    let body = json!({
        "eventType": kind, "eventTime": format!("2026-02-03T04:05:{second:02}Z"), "run": {"runId": RUN},
        "job": {"namespace": "airflow", "name": "daily"}, "inputs": inputs, "outputs": outputs,
        "producer": "https://example.org", "schemaURL": "https://example.org/schema",
    });
    let report = read_event(&body).unwrap();
    NewLineageEvent { id: format!("{kind}{second}"), body: body.to_string(), report, principal: "airflow".into() }
}

fn story() -> [NewLineageEvent; 3] {
    let table = |name: &str| json!({"namespace": "sluice", "name": name});
    let statistics = |rows: u64| json!({"outputStatistics": {"rowCount": rows}});
    let lineage = json!({"fields": {"total": {"inputFields": [{"namespace": "sluice", "name": "nyc.c", "field": "x",
        "transformations": [{"type": "DIRECT", "subtype": "AGGREGATION"}]}]}}});
    let output = |rows| {
        json!([{"namespace": "sluice", "name": "nyc.b", "outputFacets": statistics(rows),
            "facets": {"columnLineage": lineage, "version": {"datasetVersion": "3"}}}])
    };
    [
        event("START", 1, json!([table("nyc.a")]), json!([])),
        event("RUNNING", 2, json!([]), output(5)),
        event("COMPLETE", 3, json!([table("nyc.z")]), output(9)),
    ]
}

#[rstest]
#[case([0, 1, 2])]
#[case([0, 2, 1])]
#[case([1, 0, 2])]
#[case([1, 2, 0])]
#[case([2, 0, 1])]
#[case([2, 1, 0])]
#[tokio::test]
async fn the_events_of_a_run_come_to_the_same_in_every_order(#[case] order: [usize; 3]) {
    let lake = Lake::open().await;
    let events = story();
    let lineage = lake.catalog.lineage();
    for at in order {
        assert_eq!(lineage.record_event(&events[at]).await.unwrap(), EventOutcome::Kept);
        assert_eq!(lineage.record_event(&events[at]).await.unwrap(), EventOutcome::Known);
    }
    let flows = lineage.flows(&[dataset("nyc.b")], FlowEnd::Target, ALL).await.unwrap();
    let sources: BTreeSet<String> = flows.iter().map(|flow| flow.source.to_string()).collect();
    assert_eq!(sources, ["nyc.a", "nyc.c", "nyc.z"].map(str::to_owned).into());
    for flow in &flows {
        let run = flow.run.as_ref().unwrap();
        assert_eq!((run.id.to_string(), run.progress), (RUN.to_owned(), RunProgress::Complete));
        assert_eq!(run.updated_at - run.started_at, Duration::seconds(2));
        assert_eq!((flow.transformation.as_str(), flow.origin), ("airflow/daily", FlowOrigin::OpenLineage));
        assert_eq!(flow.target_version, Some(3));
    }
    let declared = |name: &str| flows.iter().find(|flow| flow.source == dataset(name)).unwrap();
    assert_eq!(declared("nyc.z").metadata["record_count"], 9, "{flows:?}");
    let steps = lineage.steps(&[ColumnNode::new(dataset("nyc.c"), "x").unwrap()], FlowEnd::Source, ALL).await.unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!((steps[0].target.column.as_deref(), steps[0].influence), (Some("total"), Influence::Aggregation));
    let kept = lineage.run_events(RUN.parse().unwrap(), &page(2, None)).await.unwrap();
    let rest = lineage.run_events(RUN.parse().unwrap(), &page(2, kept.next)).await.unwrap();
    let bodies: Vec<&str> = kept.items.iter().chain(&rest.items).map(|event| event.body.as_str()).collect();
    assert_eq!(bodies, events.iter().map(|event| event.body.as_str()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_run_with_more_flows_than_are_accepted_is_refused_whole() {
    let lake = Lake::open().await;
    let many = |count: usize, prefix: &str| -> Value {
        (0..count).map(|number| json!({"namespace": "files", "name": format!("{prefix}{number}")})).collect()
    };
    let lineage = lake.catalog.lineage();
    let too_much = event("COMPLETE", 1, many(50, "in"), many(41, "out"));
    assert_eq!(lineage.record_event(&too_much).await.unwrap(), EventOutcome::TooMuch);
    assert!(lineage.run_events(RUN.parse().unwrap(), &page(9, None)).await.unwrap().items.is_empty());
    let enough = event("COMPLETE", 1, many(50, "in"), many(40, "out"));
    assert_eq!(lineage.record_event(&enough).await.unwrap(), EventOutcome::Kept);
    let more = event("OTHER", 2, many(51, "in"), json!([]));
    assert_eq!(lineage.record_event(&more).await.unwrap(), EventOutcome::TooMuch, "with what was told before");
}

#[tokio::test]
async fn a_table_is_found_by_its_folder() {
    let lake = Lake::open().await;
    let entry = lake.active_table("nyc.flights").await;
    let found = lake.catalog.lineage().table_at(entry.zone.as_str(), &entry.path).await.unwrap();
    assert_eq!(found, Some(entry.name.clone()));
    assert_eq!(lake.catalog.lineage().table_at("curated", &entry.path).await.unwrap(), None);
    lake.catalog.tables().delete(&entry.name).await.unwrap();
    assert_eq!(lake.catalog.lineage().table_at(entry.zone.as_str(), &entry.path).await.unwrap(), None);
}
