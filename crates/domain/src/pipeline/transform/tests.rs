use rstest::rstest;
use serde_json::{Value, json};

use super::Transform;
use crate::{PipelineDefinition, PipelineMode, PipelineStep, StepKind};

/// A pipeline whose second step is this.
fn pipeline(step: &Value) -> PipelineDefinition {
    let transform: Transform = serde_json::from_value(step.clone()).unwrap();
    let first = StepKind::Sql("SELECT * FROM raw.orders".into());
    let mut definition = PipelineDefinition::of(first, "curated.x".parse().unwrap(), PipelineMode::Overwrite);
    definition.steps.push(PipelineStep { name: None, kind: StepKind::Transform(transform) });
    definition
}

/// The second step's statement on one line.
fn select(step: &Value) -> String {
    let sql = pipeline(step).check().unwrap().sql;
    let body = sql.split_once("\"step_2\" AS (").unwrap().1;
    body.rsplit_once(") SELECT * FROM").unwrap().0.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[rstest]
#[case(json!({"deduplicate": {}}), "SELECT DISTINCT * FROM \"step_1\"")]
#[case(
    json!({"deduplicate": {"keys": ["a"], "keep": "last", "order_by": ["at"]}}),
    "SELECT * FROM \"step_1\" QUALIFY row_number() OVER (PARTITION BY \"a\" ORDER BY \"at\" DESC NULLS LAST ) = 1"
)]
#[case(
    json!({"deduplicate": {"keys": ["a", "b"], "keep": "none"}}),
    "SELECT * FROM \"step_1\" QUALIFY count(*) OVER (PARTITION BY \"a\" , \"b\" ) = 1"
)]
#[case(
    json!({"cast": {"columns": {"a": "bigint"}, "on_error": "drop_row"}}),
    "SELECT * REPLACE ( arrow_try_cast(\"a\", 'Int64') AS \"a\" ) FROM \"step_1\" WHERE (\"a\" IS NULL OR \
     arrow_try_cast(\"a\", 'Int64') IS NOT NULL)"
)]
#[case(json!({"drop": ["say \"hi\""]}), "SELECT * EXCLUDE ( \"say \"\"hi\"\"\" ) FROM \"step_1\"")]
#[case(json!({"fill_null": {"a": "it's"}}), "SELECT * REPLACE ( coalesce(\"a\", 'it''s') AS \"a\" ) FROM \"step_1\"")]
#[case(json!({"rename": {"a": "b"}}), "SELECT * EXCLUDE ( \"a\" ) , \"a\" AS \"b\" FROM \"step_1\"")]
#[case(json!({"filter": "a > 1 -- much"}), "SELECT * FROM \"step_1\" WHERE ( a > 1 -- much )")]
fn a_transform_is_one_select(#[case] step: Value, #[case] sql: &str) {
    assert_eq!(select(&step), sql);
}

#[rstest]
#[case(json!({"deduplicate": {"keys": ["a"]}}), "deduplicate.order_by")]
#[case(json!({"deduplicate": {"keep": "none"}}), "deduplicate.keys")]
#[case(json!({"deduplicate": {"order_by": ["a"]}}), "deduplicate.order_by")]
#[case(json!({"deduplicate": {"keys": ["a"], "keep": "none", "order_by": ["a"]}}), "deduplicate.order_by")]
#[case(json!({"deduplicate": {"keys": ["a", "a"], "order_by": ["b"]}}), "deduplicate.keys")]
#[case(json!({"cast": {"columns": {}}}), "cast.columns")]
#[case(json!({"cast": {"columns": {"amount": "nonsense"}}}), "cast.columns.amount")]
#[case(json!({"cast": {"columns": {"amount": "array<long>"}}}), "cast.columns.amount")]
#[case(json!({"fill_null": {"a": null}}), "fill_null.a")]
#[case(json!({"fill_null": {"a": [1]}}), "fill_null.a")]
#[case(json!({"rename": {"a": "c", "b": "c"}}), "rename")]
#[case(json!({"rename": {"a": ""}}), "rename")]
#[case(json!({"drop": []}), "drop")]
#[case(json!({"select": [""]}), "select")]
#[case(json!({"filter": "  "}), "filter")]
#[case(json!({"unpivot": {"columns": ["a"], "name_column": "x", "value_column": "x"}}), "unpivot.value_column")]
#[case(json!({"pivot": {"index": ["a"], "column": "b", "values": [], "value": "c", "aggregate": "sum"}}), "pivot.values")]
#[case(json!({"pivot": {"index": ["a"], "column": "b", "values": ["x", "x"], "value": "c", "aggregate": "sum"}}), "pivot.values")]
#[case(json!({"pivot": {"index": ["a"], "column": "b", "values": ["a"], "value": "c", "aggregate": "sum"}}), "pivot.values")]
#[case(json!({"pivot": {"index": [], "column": "b", "values": ["x"], "value": "c", "aggregate": "sum"}}), "pivot.index")]
#[case(json!({"mask": {"columns": {"a": "hash"}}}), "mask.salt")]
#[case(json!({"mask": {"columns": {"a": "hash"}, "salt": ""}}), "mask.salt")]
#[case(json!({"mask": {"columns": {"a": "hash"}, "salt": "s", "length": 65}}), "mask.length")]
#[case(json!({"mask": {"columns": {"a": "email"}, "salt": "s"}}), "mask.salt")]
#[case(json!({"tumbling_window": {"time": "at", "every_seconds": 0}}), "tumbling_window.every_seconds")]
#[case(json!({"session_window": {"time": "", "gap_seconds": 60}}), "session_window.time")]
fn what_makes_no_sense_is_refused_by_its_field(#[case] step: Value, #[case] field: &str) {
    assert_eq!(pipeline(&step).check().unwrap_err().field, format!("steps[1].{field}"));
}

#[rstest]
#[case(json!({"cast": {"columns": {"a": "long"}, "on_eror": "null"}}))]
#[case(json!({"mask": {"columns": {"a": "face"}}}))]
#[case(json!({"deduplicate": {"keys": ["a"], "keep": "some"}}))]
fn what_is_not_known_is_refused_when_it_is_read(#[case] step: Value) {
    assert!(serde_json::from_value::<Transform>(step).is_err());
}

#[test]
fn a_place_in_a_transform_is_told_by_its_field() {
    let statement = pipeline(&json!({"cast": {"columns": {"amount": "long", "id": "long"}}})).check().unwrap();
    let line = statement.sql.lines().position(|line| line.contains("\"id\"")).unwrap() as u64 + 1;
    assert_eq!(statement.place(line, 12).unwrap().field, "steps[1].cast.columns.id");
}

#[test]
fn the_first_step_is_over_the_one_input() {
    let transform: Transform = serde_json::from_value(json!({"drop": ["a"]})).unwrap();
    let kind = StepKind::Transform(transform);
    let mut definition = PipelineDefinition::of(kind, "curated.x".parse().unwrap(), PipelineMode::Overwrite);
    assert_eq!(definition.check().unwrap_err().field, "inputs");
    definition.inputs = vec!["raw.orders".parse().unwrap()];
    assert!(definition.check().unwrap().sql.ends_with("FROM \"raw\".\"orders\""));
    let stored = serde_json::to_value(&definition).unwrap();
    assert_eq!(stored["steps"][0]["kind"], json!({"transform": {"drop": ["a"]}}));
    assert_eq!(serde_json::from_value::<PipelineDefinition>(stored).unwrap(), definition);
}
