use arrow::{
    array::{AsArray as _, Int32Array, Int64Array, StringViewArray},
    datatypes::{Int64Type, TimeUnit},
};
use rstest::rstest;
use sluice_domain::{Failure as _, StepKind};

use super::*;

fn schema(fields: &[(&str, DataType)]) -> Schema {
    Schema::new(fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Vec<_>>())
}

fn target(fields: &[(&str, DataType)], partition_by: &[&str]) -> Description {
    Description {
        version: 3,
        schema: Arc::new(schema(fields)),
        partition_by: partition_by.iter().map(|name| (*name).to_owned()).collect(),
        rows: Some(0),
        files: 0,
        size_bytes: 0,
        protocol: (1, 2),
        layout: TableLayout::default(),
    }
}

fn pipeline(mode: PipelineMode) -> PipelineDefinition {
    PipelineDefinition::of(StepKind::Sql("SELECT 1".into()), "c.t".parse().unwrap(), mode)
}

fn names(schema: &Schema) -> Vec<(&str, DataType)> {
    schema.fields().iter().map(|field| (field.name().as_str(), field.data_type().clone())).collect()
}

#[test]
fn an_append_writes_the_columns_that_the_target_has_and_those_that_are_new() {
    let result = schema(&[("new", DataType::Utf8View), ("ID", DataType::Int32)]);
    let target = target(&[("id", DataType::Int64), ("other", DataType::Utf8)], &[]);
    let shape = Shape::plan(&pipeline(PipelineMode::Append), &result, Some(&target)).unwrap();
    assert_eq!(names(&shape.written), [("id", DataType::Int64), ("new", DataType::Utf8)]);
    assert_eq!(names(&shape.after), [("id", DataType::Int64), ("other", DataType::Utf8), ("new", DataType::Utf8)]);
    assert!(shape.changes_columns());
    let columns: Vec<ArrayRef> =
        vec![Arc::new(StringViewArray::from(vec!["a", "b"])), Arc::new(Int32Array::from(vec![7, 8]))];
    let rows = shape.conform(&RecordBatch::try_new(Arc::new(result), columns).unwrap()).unwrap();
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[7, 8]);
    assert_eq!(rows.column(1).as_string::<i32>().value(1), "b");
}

#[test]
fn an_overwrite_has_the_columns_of_the_result() {
    let result = schema(&[("day", DataType::Timestamp(TimeUnit::Nanosecond, None)), ("n", DataType::UInt64)]);
    let target = target(&[("id", DataType::Int64)], &[]);
    let shape = Shape::plan(&pipeline(PipelineMode::Overwrite), &result, Some(&target)).unwrap();
    let day = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(names(&shape.after), [("day", day), ("n", DataType::Decimal128(20, 0))]);
    assert_eq!(shape.written, shape.after);
}

#[test]
fn a_column_of_the_target_widens_where_the_result_needs_it() {
    let target = target(&[("id", DataType::Int32)], &[]);
    let result = schema(&[("id", DataType::Int64)]);
    let shape = Shape::plan(&pipeline(PipelineMode::Append), &result, Some(&target)).unwrap();
    assert_eq!(names(&shape.after), [("id", DataType::Int64)]);
    let rows = RecordBatch::try_new(Arc::new(result), vec![Arc::new(Int64Array::from(vec![i64::MAX]))]).unwrap();
    assert_eq!(shape.conform(&rows).unwrap().num_rows(), 1);
}

#[rstest]
#[case::text_into_number(PipelineMode::Append, &[("id", DataType::Utf8)], "id")]
#[case::interval(PipelineMode::Overwrite, &[("i", DataType::Interval(arrow::datatypes::IntervalUnit::DayTime))], "i")]
#[case::twice(PipelineMode::Overwrite, &[("a", DataType::Int64), ("A", DataType::Int64)], "A")]
#[case::nameless(PipelineMode::Overwrite, &[("", DataType::Int64)], "")]
#[case::no_columns(PipelineMode::Overwrite, &[], "")]
fn what_does_not_fit_is_told_by_its_column(
    #[case] mode: PipelineMode,
    #[case] result: &[(&str, DataType)],
    #[case] column: &str,
) {
    let target = target(&[("id", DataType::Int64)], &[]);
    let error = Shape::plan(&pipeline(mode), &schema(result), Some(&target)).unwrap_err();
    assert_eq!(error.code(), "target-misfit");
    assert!(error.to_string().contains(&format!("column {column}")), "{error}");
}

#[test]
fn a_target_keeps_its_partitions() {
    let target = target(&[("id", DataType::Int64), ("day", DataType::Date32)], &["day"]);
    let result = schema(&[("id", DataType::Int64), ("day", DataType::Date32)]);
    let mut definition = pipeline(PipelineMode::Overwrite);
    for asked in [vec![], vec!["DAY".to_owned()]] {
        definition.partition_by = asked;
        let shape = Shape::plan(&definition, &result, Some(&target)).unwrap();
        assert_eq!(shape.partition_by, ["day"]);
    }
    definition.partition_by = vec!["id".into()];
    assert!(Shape::plan(&definition, &result, Some(&target)).is_err());
    definition.partition_by = Vec::new();
    let without = schema(&[("id", DataType::Int64)]);
    assert!(Shape::plan(&definition, &without, Some(&target)).is_err(), "the partition column is missing");
}

#[test]
fn what_the_target_sorts_by_or_computes_is_not_lost() {
    let mut target = target(&[("id", DataType::Int64)], &[]);
    target.layout.sort_by = vec!["id".into()];
    let other = schema(&[("x", DataType::Int64)]);
    assert!(Shape::plan(&pipeline(PipelineMode::Overwrite), &other, Some(&target)).is_err());
    assert!(Shape::plan(&pipeline(PipelineMode::Append), &other, Some(&target)).is_ok());
}
