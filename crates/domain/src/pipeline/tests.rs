use rstest::rstest;

use super::*;

fn table(name: &str) -> TableRef {
    name.parse().unwrap()
}

fn sql(text: &str) -> PipelineDefinition {
    PipelineDefinition::of(StepKind::Sql(text.into()), table("curated.orders"), PipelineMode::Overwrite)
}

fn expressions(select: &[&str], filter: Option<&str>) -> PipelineDefinition {
    let select = select.iter().map(|text| (*text).to_owned()).collect();
    let kind = StepKind::Expressions { select, filter: filter.map(str::to_owned) };
    let definition = PipelineDefinition::of(kind, table("curated.orders"), PipelineMode::Overwrite);
    PipelineDefinition { inputs: vec![table("raw.orders")], ..definition }
}

fn cron(pattern: &str) -> PipelineSchedule {
    PipelineSchedule::Cron(CronSchedule { pattern: pattern.into(), time_zone: "UTC".into() })
}

#[test]
fn one_statement_is_left_as_it_is() {
    let statement = sql("SELECT 1 AS x,\n  y\nFROM a.b ; ").check().unwrap();
    assert_eq!(statement.sql, "SELECT 1 AS x,\n  y\nFROM a.b ");
    let place = statement.place(2, 3).unwrap();
    assert_eq!((place.field.as_str(), place.line, place.column), ("sql", 2, 3));
}

#[test]
fn expressions_are_one_select_and_each_has_lines_of_its_own() {
    let statement =
        expressions(&["id", "amount -- what was paid", "amount*2 AS twice"], Some("amount > 0")).check().unwrap();
    assert!(
        statement
            .sql
            .starts_with("SELECT\nid\n,\namount -- what was paid\n,\namount*2 AS twice\nFROM \"raw\".\"orders\"")
    );
    let line = statement.sql.lines().position(|line| line.starts_with("amount*2")).unwrap() as u64 + 1;
    let place = statement.place(line, 7).unwrap();
    assert_eq!((place.field.as_str(), place.line, place.column), ("expressions[2]", 1, 7));
    assert_eq!(statement.field(), "expressions");
}

#[test]
fn steps_read_those_before_them() {
    let mut definition = sql("SELECT id, amount FROM raw.orders;");
    definition.steps[0].name = Some("clean".into());
    let kind = StepKind::Expressions { select: vec!["id".into(), "nope".into()], filter: None };
    definition.steps.push(PipelineStep { name: None, kind });
    let statement = definition.check().unwrap();
    assert!(statement.sql.contains("FROM \"clean\"") && statement.sql.ends_with("SELECT * FROM \"step_2\""));
    let line = statement.sql.lines().position(|line| line == "nope").unwrap() as u64 + 1;
    assert_eq!(statement.place(line, 1).unwrap().field, "steps[1].expressions[1]");
}

#[rstest]
#[case::no_statement(sql("  "), "sql")]
#[case::target_is_input(PipelineDefinition { inputs: vec![table("curated.orders")], ..sql("SELECT 1") }, "target")]
#[case::merge_without_keys(PipelineDefinition { mode: PipelineMode::Merge, ..sql("SELECT 1") }, "keys")]
#[case::keys_without_merge(PipelineDefinition { keys: vec!["id".into()], ..sql("SELECT 1") }, "keys")]
#[case::history_without_merge(PipelineDefinition { history: Some(PipelineHistory { close_missing: true }), ..sql("SELECT 1") }, "scd")]
#[case::partitioned_twice(PipelineDefinition { partition_by: vec!["a".into(), "A".into()], ..sql("SELECT 1") }, "partition_by")]
#[case::no_time(PipelineDefinition { timeout_seconds: 0, ..sql("SELECT 1") }, "timeout_seconds")]
#[case::many_retries(PipelineDefinition { retries: 11, ..sql("SELECT 1") }, "retries")]
#[case::always(PipelineDefinition { schedule: Some(PipelineSchedule::EverySeconds(0)), ..sql("SELECT 1") }, "schedule.every_seconds")]
#[case::no_day(PipelineDefinition { schedule: Some(cron("0 0 31 4 *")), ..sql("SELECT 1") }, "schedule.cron")]
#[case::no_steps(PipelineDefinition { steps: Vec::new(), ..sql("SELECT 1") }, "steps")]
#[case::no_expressions(expressions(&[], None), "expressions")]
#[case::empty_expression(expressions(&["id", " "], None), "expressions[1]")]
#[case::two_inputs(PipelineDefinition { inputs: vec![table("a.b"), table("a.c")], ..expressions(&["id"], None) }, "inputs")]
#[case::long(sql(&"x".repeat(70_000)), "steps")]
fn what_cannot_be_is_refused_by_its_field(#[case] definition: PipelineDefinition, #[case] field: &str) {
    assert_eq!(definition.check().unwrap_err().field, field);
}

#[test]
fn what_is_stored_is_read_back() {
    let definition = PipelineDefinition {
        schedule: Some(PipelineSchedule::EverySeconds(60)),
        owner: Some("ann".into()),
        gate: Some(PipelineGate {
            on_failure: GateAction::Warn,
            criticality: Some(crate::Criticality::High),
            min_score: crate::Threshold::try_from(97.5).ok(),
            max_data_loss: crate::Fraction::new(0.05),
        }),
        ..expressions(&["id"], Some("id > 1"))
    };
    let stored = serde_json::to_string(&definition).unwrap();
    assert_eq!(serde_json::from_str::<PipelineDefinition>(&stored).unwrap(), definition);
}

/// Pipelines of a name, what they read and what they fill.
fn cycle_of(new: (&str, &[&str], &str), others: &[(&str, &[&str], &str)]) -> Option<String> {
    let parsed = |(name, inputs, target): &(&str, &[&str], &str)| {
        let inputs: Vec<TableRef> = inputs.iter().map(|input| table(input)).collect();
        (name.parse::<PipelineName>().unwrap(), inputs, table(target))
    };
    let (new, others) = (parsed(&new), others.iter().map(parsed).collect::<Vec<_>>());
    fn link((name, inputs, target): &(PipelineName, Vec<TableRef>, TableRef)) -> PipelineLink<'_> {
        PipelineLink { name, inputs, below: &[], target }
    }
    let others: Vec<PipelineLink<'_>> = others.iter().map(link).collect();
    find_cycle(link(&new), &others).map(|way| way.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "))
}

#[test]
fn a_cycle_is_told_in_the_order_of_the_data() {
    let others: [(&str, &[&str], &str); 3] =
        [("b", &["c.a", "raw.x"], "c.b"), ("c", &["c.b"], "c.c"), ("d", &["c.c"], "c.d")];
    assert_eq!(cycle_of(("a", &["raw.y", "c.c"], "c.a"), &others).unwrap(), "a b c a");
    assert_eq!(cycle_of(("a", &["c.a"], "c.a"), &others).unwrap(), "a a");
    assert_eq!(cycle_of(("a", &["raw.y"], "c.a"), &others), None);
    assert_eq!(cycle_of(("b", &["c.d"], "c.e"), &others), None, "what it was before does not count");
}
