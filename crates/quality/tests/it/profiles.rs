//! Profiles, and suites proposed from them.

use serde_json::json;
use sluice_quality::{Profile, ProfileLimits, Profiler, propose};

use crate::samples::{floats, ints, rows, texts};

fn profile(batch: &arrow::array::RecordBatch, limits: ProfileLimits) -> Profile {
    let mut profiler = Profiler::new(&batch.schema(), limits);
    for from in 0..batch.num_rows() {
        profiler.look(&batch.slice(from, 1)).unwrap();
    }
    profiler.finish()
}

#[test]
fn a_profile_tells_what_pandas_tells() {
    let batch = rows(vec![
        ("v", floats([Some(0.0), Some(1.0), None, Some(2.0), Some(10.0)])),
        ("c", texts([Some("a"), Some("b"), Some("a"), None, Some("a")])),
    ]);
    let Profile { rows, columns } = profile(&batch, ProfileLimits::default());
    let [v, c] = columns.try_into().unwrap();
    assert_eq!((rows, v.missing, v.missing_percent, v.unique, v.dtype.as_str()), (5, 1, Some(20.0), 4, "float64"));
    assert_eq!((v.min, v.max, v.values_are_exact), (json!(0.0), json!(10.0), true));
    let numeric = v.numeric.unwrap();
    assert_eq!(
        (numeric.mean, numeric.median, numeric.q25, numeric.q75),
        (Some(3.25), Some(1.5), Some(0.75), Some(4.0))
    );
    assert_eq!((numeric.zero, numeric.quantiles_are_exact), (1, true));
    assert!((numeric.std.unwrap() - 4.573_474_244_670_748).abs() < 1e-12);
    let categorical = c.categorical.unwrap();
    assert_eq!((c.unique, c.dtype.as_str(), c.numeric.is_none()), (2, "object", true));
    let top: Vec<_> = categorical.top.iter().map(|one| (one.value.clone(), one.count)).collect();
    assert_eq!(top, [(json!("a"), 3), (json!("b"), 1)]);
}

#[test]
fn beyond_its_limits_a_profile_says_that_it_estimates() {
    let batch = rows(vec![("n", ints((0..1000).map(Some)))]);
    let few = ProfileLimits { numbers: 100, values: 100, of_column: 100 };
    let column = profile(&batch, few).columns.remove(0);
    assert!(!column.values_are_exact && !column.numeric.as_ref().unwrap().quantiles_are_exact);
    assert_eq!((column.min, column.max, column.numeric.unwrap().mean), (json!(0), json!(999), Some(499.5)));
    let enough = ProfileLimits { numbers: 1000, values: 1000, of_column: 1000 };
    let column = profile(&batch, enough).columns.remove(0);
    assert!(column.values_are_exact && column.numeric.unwrap().quantiles_are_exact);
    assert_eq!(column.unique, 1000);
}

#[test]
fn no_rows_have_a_profile_too() {
    let batch = rows(vec![("n", ints([]))]);
    let Profile { rows, columns } = profile(&batch, ProfileLimits::default());
    assert_eq!((rows, columns[0].missing_percent, columns[0].min.is_null()), (0, None, true));
    assert!(
        !propose("empty", &Profile { rows, columns }).rules.iter().any(|rule| rule.kwargs.contains_key("min_value"))
    );
}

/// Vector Q3: fewer than 5 % missing → not null; numbers → type and range; texts of up to 20 values → these.
#[test]
fn a_suite_is_proposed_from_a_profile_as_vector_q3_says() {
    let missing = |count: i64| (0..100).map(move |row| (row >= count).then_some(row));
    let codes: Vec<String> = (0..100).map(|row| format!("id{}", row % 21)).collect();
    let states = ["new", "paid", "sent", "done", "gone"];
    let batch = rows(vec![
        ("a", ints(missing(4))),
        ("b", ints(missing(5))),
        ("status", texts((0..100).map(|row| Some(states[row % 5])))),
        ("id", texts(codes.iter().map(|code| Some(code.as_str())))),
    ]);
    let suite = propose("auto_profiled", &profile(&batch, ProfileLimits::default()));
    let of = |column: &str, kind: &str| {
        suite.rules.iter().find(|rule| rule.column() == Some(column) && rule.kind.ends_with(kind)).cloned()
    };
    assert!(of("a", "to_not_be_null").is_some());
    assert!(of("b", "to_not_be_null").is_none());
    assert_eq!(of("a", "of_type").unwrap().kwargs["type_"], "int");
    let range = of("a", "between").unwrap().kwargs;
    assert_eq!((&range["min_value"], &range["max_value"]), (&json!(4), &json!(99)));
    let set = of("status", "in_set").unwrap().kwargs["value_set"].clone();
    assert_eq!(set, json!(["done", "gone", "new", "paid", "sent"]));
    assert!(of("id", "in_set").is_none());
    // The suite is broken by the very data that it is made of, where a value or a few are missing.
    let validation = crate::samples::ask(&suite, &batch);
    let broken: Vec<_> = validation.results.iter().filter(|result| !result.success).collect();
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].rule.column(), Some("a"));
}
