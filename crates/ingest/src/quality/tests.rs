use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::Field,
};
use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn rules(json: &str) -> Vec<RowRule> {
    serde_json::from_str(json).unwrap()
}

fn one(check: &str) -> Vec<RowRule> {
    rules(&format!(r#"[{{"name": "r", "column": "C", "check": {check}}}]"#))
}

fn batch(column: ArrayRef) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("c", column.data_type().clone(), true)]);
    RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap()
}

fn broken(rules: &[RowRule], batch: &RecordBatch) -> Vec<usize> {
    let found = Rules::new(rules, &batch.schema()).unwrap().broken(batch).unwrap();
    found.iter().map(|broken| broken.row).collect()
}

fn integers() -> ArrayRef {
    Arc::new(Int64Array::from(vec![Some(-1), None, Some(0), Some(7), Some(i64::MAX)]))
}

fn doubles() -> ArrayRef {
    Arc::new(Float64Array::from(vec![Some(-0.5), None, Some(0.0), Some(f64::NAN), Some(1e300)]))
}

fn decimals() -> ArrayRef {
    Arc::new(Decimal128Array::from(vec![Some(-1), None, Some(150), Some(151)]).with_precision_and_scale(10, 2).unwrap())
}

fn texts() -> ArrayRef {
    Arc::new(StringArray::from(vec![Some("AB"), None, Some(""), Some("äöü"), Some("ab1")]))
}

fn flags() -> ArrayRef {
    Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))
}

fn days() -> ArrayRef {
    Arc::new(Date32Array::from(vec![Some(0), None, Some(19_000)]))
}

fn instants() -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None, Some(1)]).with_timezone("UTC"))
}

#[rstest]
#[case(r#""not_null""#, integers(), &[1])]
#[case(r#"{"minimum": 0}"#, integers(), &[0])]
#[case(r#"{"minimum": 0.5}"#, integers(), &[0, 2])]
#[case(r#"{"maximum": 6.9}"#, integers(), &[3, 4])]
#[case(r#"{"between": [0, 7]}"#, integers(), &[0, 4])]
#[case(r#"{"maximum": "9223372036854775806"}"#, integers(), &[4])]
#[case(r#"{"maximum": 1e300}"#, integers(), &[])]
#[case(r#"{"one_of": [0, 7.5, "7"]}"#, integers(), &[0, 4])]
#[case(r#"{"minimum": 0}"#, doubles(), &[0, 3])]
#[case(r#"{"maximum": "1.5"}"#, doubles(), &[3, 4])]
#[case(r#"{"one_of": [0]}"#, doubles(), &[0, 3, 4])]
#[case(r#"{"minimum": 0}"#, decimals(), &[0])]
#[case(r#"{"maximum": 1.5}"#, decimals(), &[3])]
#[case(r#"{"maximum": "1.509"}"#, decimals(), &[3])]
#[case(r#"{"one_of": [1.5]}"#, decimals(), &[0, 3])]
#[case(r#"{"max_length": 2}"#, texts(), &[3, 4])]
#[case(r#"{"max_length": 3}"#, texts(), &[])]
#[case(r#"{"matches": "^[A-Z]+$"}"#, texts(), &[2, 3, 4])]
#[case(r#"{"matches": "[0-9]"}"#, texts(), &[0, 2, 3])]
#[case(r#"{"one_of": ["AB", "", 7]}"#, texts(), &[3, 4])]
#[case(r#"{"minimum": "B"}"#, texts(), &[0, 2])]
#[case(r#"{"one_of": [true]}"#, flags(), &[2])]
#[case(r#"{"minimum": "2000-01-01"}"#, days(), &[0])]
#[case(r#"{"maximum": "1970-01-01T00:00:00Z"}"#, instants(), &[2])]
fn a_rule_names_the_rows_that_break_it(#[case] check: &str, #[case] column: ArrayRef, #[case] expected: &[usize]) {
    assert_eq!(broken(&one(check), &batch(column)), expected);
}

#[rstest]
#[case(r#"{"minimum": "x"}"#, integers())]
#[case(r#"{"minimum": true}"#, integers())]
#[case(r#"{"minimum": 0}"#, flags())]
#[case(r#"{"minimum": 5}"#, days())]
#[case(r#"{"minimum": "yesterday"}"#, days())]
#[case(r#"{"one_of": ["true"]}"#, flags())]
#[case(r#"{"matches": "x"}"#, integers())]
#[case(r#"{"max_length": 5}"#, doubles())]
fn a_rule_that_cannot_be_asked_is_refused_by_name(#[case] check: &str, #[case] column: ArrayRef) {
    let error = Rules::new(&one(check), &batch(column).schema()).unwrap_err();
    assert!(error.to_string().contains("rule \"r\""), "{error}");
}

#[test]
fn the_first_rule_that_a_row_breaks_is_told() {
    let rules = rules(
        r#"[{"name": "there", "column": "c", "check": "not_null", "action": "reject"},
            {"name": "sane", "column": "c", "check": {"minimum": 0}, "message": "balance must be non-negative"},
            {"name": "small", "column": "c", "check": {"between": [1, 5]}}]"#,
    );
    let batch = batch(integers());
    let found = Rules::new(&rules, &batch.schema()).unwrap().broken(&batch).unwrap();
    let told: Vec<_> =
        found.iter().map(|broken| (broken.row, broken.rule.name.as_str().to_owned(), broken.message())).collect();
    let expected = [
        (0, "sane", "balance must be non-negative"),
        (1, "there", "c must have a value"),
        (2, "small", "c must be between 1 and 5"),
        (3, "small", "c must be between 1 and 5"),
        (4, "small", "c must be between 1 and 5"),
    ];
    assert_eq!(told, expected.map(|(row, name, message)| (row, name.to_owned(), message.to_owned())));
    assert_eq!((found[0].action(), found[1].action()), (RuleAction::Quarantine, RuleAction::Reject));
}

#[test]
fn a_column_that_the_table_does_not_have_has_no_values() {
    let rules = rules(
        r#"[{"name": "later", "column": "d", "check": {"minimum": 0}},
            {"name": "now", "column": "d", "check": "not_null"}]"#,
    );
    assert_eq!(broken(&rules[..1], &batch(integers())), [0_usize; 0]);
    assert_eq!(broken(&rules, &batch(integers())), [0, 1, 2, 3, 4]);
}

#[test]
fn a_batch_of_other_types_is_an_error() {
    let rules = Rules::new(&one(r#"{"matches": "x"}"#), &batch(texts()).schema()).unwrap();
    assert!(rules.broken(&batch(integers())).is_err());
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![-1]));
    let rules = Rules::new(&one(r#"{"minimum": 0}"#), &batch(integers()).schema()).unwrap();
    assert_eq!(rules.broken(&batch(narrow)).unwrap().len(), 1);
}

proptest! {
    #[test]
    fn bounds_are_those_of_the_numbers(
        values in prop::collection::vec(prop::option::of(-50_i64..50), 1..40),
        least in -60_i64..60,
        span in 0_i64..60,
        offset in 0_usize..3,
    ) {
        let column: ArrayRef = Arc::new(Int64Array::from(values.clone()));
        let offset = offset.min(values.len());
        let sliced = batch(column.slice(offset, values.len() - offset));
        let found = broken(&one(&format!(r#"{{"between": [{least}, {}]}}"#, least + span)), &sliced);
        let kept = |value: &Option<i64>| value.is_none_or(|value| (least..=least + span).contains(&value));
        let expected: Vec<_> =
            values[offset..].iter().enumerate().filter(|(_, value)| !kept(value)).map(|(row, _)| row).collect();
        prop_assert_eq!(found, expected);
    }
}
