//! Every kind: what keeps it and what breaks it, missing values, and the edge of `mostly`.

use std::{collections::HashSet, sync::Arc};

use arrow::array::RecordBatch;
use rstest::rstest;
use serde_json::{Value, json};
use sluice_domain::type_name;
use sluice_quality::{Conditions, OtherTable, References, Scope, kind_names};

use crate::samples::{NOW, ask_one, ask_with, days, floats, ints, positive, rows, some, suite, texts};

/// Texts that are written with bars between them.
fn barred(all: &'static str) -> Vec<Option<&'static str>> {
    all.split('|').map(|text| (text != "-").then_some(text)).collect()
}

/// Ten rows: `n` counts from 1 and misses its last value, `c` has two values, `f` is half of `n`, `dup` is 1 four times.
fn table() -> RecordBatch {
    let n = (1..=9).map(Some).chain([None]);
    let f = (1..=10).map(|number| Some(f64::from(number) / 2.0));
    let last_days = "2024-05-31|2024-06-01|2024-06-01|2024-06-01|2024-06-02";
    // From 11:59 back to 11:54, and then the present.
    let moment =
        |row| if row < 6 { format!("2024-06-01T11:{}:00Z", 59 - row) } else { "2024-06-01T12:00:00Z".to_owned() };
    let moments: Vec<String> = (0..10).map(moment).collect();
    rows(vec![
        ("n", ints(n)),
        ("f", floats(f)),
        ("c", texts(barred("a|a|a|b|b|b|b|b|b|a"))),
        ("dup", ints(some(&[1, 1, 1, 1, 2, 3, 4, 5, 6, 7]))),
        ("code", texts(barred("AB1|AB2|-|AB4|x|AB6|AB7|AB8|AB9|AB10"))),
        ("mail", texts((0..10).map(|row| Some(if row < 9 { "a@b.c" } else { "nobody" })))),
        ("day", days([barred("2024-01-01|2024-02-01|2024-03-01|2024-04-01|2024-05-01"), barred(last_days)].concat())),
        (
            "spelled",
            texts(barred(
                "2024-01-01|Jan 5, 2024|05/31/2024|2024-01-01T10:00:00Z|31.05.2024|2024-06-01 10:00|10 June 2024|\
                 20240601|12:30|yesterday",
            )),
        ),
        ("moment", texts(moments.iter().map(|moment| Some(moment.as_str())))),
        ("json", texts(barred("1|{}|[]|null|\"x\"|{\"a\": 1}|true|2|3|{"))),
        ("none", texts([None; 10])),
    ])
}

#[rstest]
// Columns.
#[case("expect_table_column_count_to_equal", json!({"value": 11}), json!({"value": 10}))]
#[case("expect_table_column_count_to_be_between", json!({"min_value": 11, "max_value": 11}), json!({"max_value": 10}))]
#[case("expect_table_columns_to_match_ordered_list",
    json!({"column_list": ["n", "f", "c", "dup", "code", "mail", "day", "spelled", "moment", "json", "none"]}),
    json!({"column_list": ["f", "n", "c", "dup", "code", "mail", "day", "spelled", "moment", "json", "none"]}))]
#[case("expect_table_columns_to_match_set", json!({"column_set": ["c", "n"], "exact_match": false}),
    json!({"column_set": ["c", "n"]}))]
#[case("expect_column_to_exist", json!({"column": "n", "column_index": 0}), json!({"column": "z"}))]
#[case("expect_column_to_exist", json!({"column": "n"}), json!({"column": "n", "column_index": 1}))]
#[case("expect_column_values_to_be_of_type", json!({"column": "n", "type_": "int64"}),
    json!({"column": "n", "type_": "int32"}))]
#[case("expect_column_values_to_be_of_type", json!({"column": "c", "type_": "StringType"}),
    json!({"column": "c", "type_": "datetime64[ns]"}))]
#[case("expect_column_values_to_be_in_type_list", json!({"column": "f", "type_list": ["int", "float"]}),
    json!({"column": "f", "type_list": ["int", "str"]}))]
// Missing values: one of ten.
#[case("expect_column_values_to_not_be_null", json!({"column": "n", "mostly": 0.9}),
    json!({"column": "n", "mostly": 0.91}))]
#[case("expect_column_values_to_be_null", json!({"column": "none"}), json!({"column": "n", "mostly": 0.2}))]
#[case("expect_column_proportion_of_non_null_values_to_be_between", json!({"column": "n", "min_value": 0.9}),
    json!({"column": "n", "min_value": 0.9, "strict_min": true}))]
// Uniqueness: four of ten are there more than once.
#[case("expect_column_values_to_be_unique", json!({"column": "n"}), json!({"column": "dup"}))]
#[case("expect_column_values_to_be_unique", json!({"column": "dup", "mostly": 0.6}),
    json!({"column": "dup", "mostly": 0.61}))]
#[case("expect_compound_columns_to_be_unique", json!({"column_list": ["dup", "f"]}),
    json!({"column_list": ["dup", "c"]}))]
#[case("expect_column_unique_value_count_to_be_between", json!({"column": "dup", "min_value": 7, "max_value": 7}),
    json!({"column": "dup", "min_value": 7, "strict_min": true}))]
#[case("expect_column_proportion_of_unique_values_to_be_between", json!({"column": "n", "min_value": 1}),
    json!({"column": "dup", "min_value": 0.71}))]
#[case("expect_column_distinct_values_to_be_in_set", json!({"column": "c", "value_set": ["a", "b", "z"]}),
    json!({"column": "c", "value_set": ["a", "z"]}))]
#[case("expect_column_distinct_values_to_contain_set", json!({"column": "c", "value_set": ["a"]}),
    json!({"column": "c", "value_set": ["a", "z"]}))]
#[case("expect_column_distinct_values_to_equal_set", json!({"column": "c", "value_set": ["b", "a"]}),
    json!({"column": "c", "value_set": ["a", "b", "z"]}))]
#[case("expect_column_most_common_value_to_be_in_set", json!({"column": "c", "value_set": ["b"]}),
    json!({"column": "c", "value_set": ["a"]}))]
#[case("expect_column_most_common_value_to_be_in_set", json!({"column": "n", "value_set": [3], "ties_okay": true}),
    json!({"column": "n", "value_set": [3]}))]
// Values; of nine that are there, one is 9.
#[case("expect_column_values_to_be_between", json!({"column": "n", "min_value": 1, "max_value": 9}),
    json!({"column": "n", "min_value": 1, "max_value": 9, "strict_max": true}))]
#[case("expect_column_values_to_be_between", json!({"column": "n", "max_value": 8, "mostly": 0.888}),
    json!({"column": "n", "max_value": 8, "mostly": 0.889}))]
#[case("expect_column_values_to_be_between", json!({"column": "f", "min_value": 0.4}),
    json!({"column": "f", "min_value": 0.5, "strict_min": true}))]
#[case("expect_column_values_to_be_between", json!({"column": "n", "min_value": 0.5, "strict_min": true}),
    json!({"column": "n", "max_value": 8.5, "strict_max": true}))]
#[case("expect_column_values_to_be_between", json!({"column": "day", "min_value": "2024-01-01"}),
    json!({"column": "day", "max_value": "2024-06-01"}))]
#[case("expect_column_values_to_be_in_set", json!({"column": "c", "value_set": ["a", "b"]}),
    json!({"column": "c", "value_set": ["b"]}))]
#[case("expect_column_values_to_be_in_set", json!({"column": "c", "value_set": ["b"], "mostly": 0.6}),
    json!({"column": "n", "value_set": [1, 2]}))]
#[case("expect_column_values_to_not_be_in_set", json!({"column": "n", "value_set": [0, 10]}),
    json!({"column": "n", "value_set": [9]}))]
fn a_rule_about_columns_or_values_is_kept_or_broken(#[case] kind: &str, #[case] kept: Value, #[case] broken: Value) {
    assert_kept_and_broken(kind, &kept, &broken);
}

#[rstest]
// Texts; one code of nine is no code.
#[case("expect_column_values_to_match_regex", json!({"column": "code", "regex": "^AB", "mostly": 0.888}),
    json!({"column": "code", "regex": "^AB"}))]
#[case("expect_column_values_to_not_match_regex", json!({"column": "code", "regex": "^y"}),
    json!({"column": "code", "regex": "^x"}))]
#[case("expect_column_values_to_match_regex_list", json!({"column": "code", "regex_list": ["^AB", "^x"]}),
    json!({"column": "code", "regex_list": ["^AB", "^x"], "match_on": "all"}))]
#[case("expect_column_values_to_not_match_regex_list", json!({"column": "code", "regex_list": ["y", "z"]}),
    json!({"column": "code", "regex_list": ["y", "x"]}))]
#[case("expect_column_values_to_match_like_pattern", json!({"column": "mail", "like_pattern": "%_o%", "mostly": 0.1}),
    json!({"column": "mail", "like_pattern": "%@%.%"}))]
#[case("expect_column_values_to_not_match_like_pattern", json!({"column": "mail", "like_pattern": "z%"}),
    json!({"column": "mail", "like_pattern": "no%"}))]
#[case("expect_column_values_to_contain", json!({"column": "mail", "substring": "@", "mostly": 0.9}),
    json!({"column": "mail", "substring": "@"}))]
#[case("expect_column_value_lengths_to_be_between", json!({"column": "code", "min_value": 1, "max_value": 4}),
    json!({"column": "code", "min_value": 1, "max_value": 4, "strict_max": true}))]
#[case("expect_column_value_lengths_to_equal", json!({"column": "c", "value": 1}), json!({"column": "code", "value": 3}))]
#[case("expect_column_values_to_be_json_parseable", json!({"column": "json", "mostly": 0.9}), json!({"column": "json"}))]
// Moments; the last day is tomorrow.
#[case("expect_column_values_to_be_dateutil_parseable", json!({"column": "spelled", "mostly": 0.9}),
    json!({"column": "spelled"}))]
#[case("expect_column_values_to_match_strftime_format",
    json!({"column": "spelled", "strftime_format": "%Y-%m-%d", "mostly": 0.1}),
    json!({"column": "spelled", "strftime_format": "%Y-%m-%d", "mostly": 0.2}))]
#[case("expect_column_values_to_not_be_in_the_future", json!({"column": "day", "tolerance": "12h"}),
    json!({"column": "day", "tolerance": "11h"}))]
#[case("expect_column_values_to_be_recent", json!({"column": "moment", "max_delay": "6m"}),
    json!({"column": "moment", "max_delay": "5m"}))]
#[case("expect_column_max_to_be_recent", json!({"column": "moment", "max_delay": 0}),
    json!({"column": "none", "max_delay": "7d"}))]
// Several columns.
#[case("expect_column_pair_values_a_to_be_greater_than_b",
    json!({"column_A": "n", "column_B": "f", "ignore_row_if": "either_value_is_missing"}),
    json!({"column_A": "n", "column_B": "f"}))]
#[case("expect_column_pair_values_A_to_be_greater_than_B", json!({"column_A": "f", "column_B": "f", "or_equal": true}),
    json!({"column_A": "f", "column_B": "f"}))]
#[case("expect_column_pair_values_to_be_equal", json!({"column_A": "n", "column_B": "n"}),
    json!({"column_A": "n", "column_B": "f"}))]
#[case("expect_column_pair_values_to_be_in_set",
    json!({"column_A": "c", "column_B": "mail", "value_pairs_set": [["a", "a@b.c"], ["b", "a@b.c"], ["a", "nobody"]]}),
    json!({"column_A": "c", "column_B": "mail", "value_pairs_set": [["a", "a@b.c"], ["b", "a@b.c"]]}))]
#[case("expect_multicolumn_sum_to_equal", json!({"column_list": ["n", "f"], "sum_total": 1.5, "mostly": 0.1}),
    json!({"column_list": ["n", "f"], "sum_total": 1.5}))]
#[case("expect_select_column_values_to_be_unique_within_record", json!({"column_list": ["c", "mail"]}),
    json!({"column_list": ["n", "dup"]}))]
// Figures of n: 1 to 9, of which mean and median are 5 and the deviation the root of 7.5.
#[case("expect_column_min_to_be_between", json!({"column": "n", "min_value": 1}),
    json!({"column": "n", "min_value": 1, "strict_min": true}))]
#[case("expect_column_max_to_be_between", json!({"column": "c", "max_value": "b"}),
    json!({"column": "c", "max_value": "a"}))]
#[case("expect_column_mean_to_be_between", json!({"column": "n", "min_value": 5, "max_value": 5}),
    json!({"column": "n", "min_value": 5, "strict_min": true}))]
#[case("expect_column_median_to_be_between", json!({"column": "f", "min_value": 2.75, "max_value": 2.75}),
    json!({"column": "f", "max_value": 2.74}))]
#[case("expect_column_stdev_to_be_between", json!({"column": "n", "min_value": 2.738, "max_value": 2.739}),
    json!({"column": "n", "max_value": 2.7}))]
#[case("expect_column_sum_to_be_between", json!({"column": "n", "min_value": 45, "max_value": 45}),
    json!({"column": "n", "max_value": 44}))]
#[case("expect_column_quantile_values_to_be_between",
    json!({"column": "n", "quantile_ranges": {"quantiles": [0, 0.5, 1], "value_ranges": [[1, 1], [5, 5], [null, 9]]}}),
    json!({"column": "n", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[6, null]]}}))]
#[case("expect_column_value_z_scores_to_be_less_than", json!({"column": "n", "threshold": 1.5}),
    json!({"column": "n", "threshold": 1.4}))]
#[case("expect_column_values_to_be_within_iqr", json!({"column": "n"}), json!({"column": "n", "factor": 0.1}))]
#[case("expect_column_outlier_share_to_be_less_than", json!({"column": "n", "threshold": 1.4, "max_fraction": 0.21}),
    json!({"column": "n", "threshold": 1.4, "max_fraction": 0.2}))]
// Rows.
#[case("expect_table_row_count_to_be_between", json!({"min_value": 10, "max_value": 10}), json!({"min_value": 11}))]
#[case("expect_table_row_count_to_equal", json!({"value": 10}), json!({"value": 9}))]
#[case("expect_table_row_count_to_equal_other_table", json!({"other_table_name": "a.ten"}),
    json!({"other_table_name": "a.eleven"}))]
#[case("expect_table_row_loss_to_be_at_most", json!({"other_table_name": "a.eleven", "max_fraction": 0.1}),
    json!({"other_table_name": "a.eleven", "max_fraction": 0.09}))]
#[case("expect_column_values_to_exist_in_other_table",
    json!({"column": "n", "other_table_name": "a.ten", "other_column": "id"}),
    json!({"column": "dup", "other_table_name": "a.eleven", "other_column": "id"}))]
// The order of the rows: n grows and misses its last value, dup stays at 1 first, moment falls and rises at the end.
#[case("expect_column_values_to_be_increasing", json!({"column": "n", "strictly": true}),
    json!({"column": "dup", "strictly": true}))]
#[case("expect_column_values_to_be_increasing", json!({"column": "dup"}), json!({"column": "moment"}))]
#[case("expect_column_values_to_be_increasing", json!({"column": "day", "parse_strings_as_datetimes": false,
    "strictly": true, "mostly": 0.8}), json!({"column": "day", "strictly": true, "mostly": 0.81}))]
#[case("expect_column_values_to_be_decreasing", json!({"column": "moment", "mostly": 0.9}),
    json!({"column": "moment", "mostly": 0.91}))]
#[case("expect_column_values_to_be_decreasing", json!({"column": "none"}), json!({"column": "c"}))]
#[case("expect_column_values_to_be_near_moving_average", json!({"column": "n", "threshold": 10}),
    json!({"column": "dup", "threshold": 0.1}))]
// The quartiles of n are 3 and 7.
#[case("expect_column_quantile_spread_to_be_between", json!({"column": "n", "min_value": 4, "max_value": 4}),
    json!({"column": "n", "lower": 0, "upper": 1, "max_value": 7.9}))]
// Queries, of which the answers are handed in: no row, and the figure 7.
#[case("unexpected_rows_expectation", json!({"unexpected_rows_query": "SELECT * FROM {batch} WHERE none"}),
    json!({"unexpected_rows_query": "SELECT * FROM {batch}"}))]
#[case("expect_query_result_to_be_between", json!({"query": "SELECT 7 FROM {batch}", "min_value": 7}),
    json!({"query": "SELECT 7 FROM {batch}", "max_value": 7, "strict_max": true}))]
// SQL.
#[case("expect_rows_to_satisfy_expression", json!({"expression": "n > 0", "mostly": 0.9}),
    json!({"expression": "n > 0"}))]
fn a_rule_about_rows_figures_or_tables_is_kept_or_broken(
    #[case] kind: &str,
    #[case] kept: Value,
    #[case] broken: Value,
) {
    assert_kept_and_broken(kind, &kept, &broken);
}

#[track_caller]
fn assert_kept_and_broken(kind: &str, kept: &Value, broken: &Value) {
    let ask = |kwargs: &Value| {
        let one = suite(&[(kind, kwargs.clone(), "warn")]);
        ask_with(&one, &table(), positive("n > 0", "n"), others(), Scope::Table).results.remove(0)
    };
    let result = ask(kept);
    assert!(result.success && result.complaints.is_empty() && result.exception.is_none(), "{result:?}");
    let result = ask(broken);
    assert!(!result.success && !result.complaints.is_empty() && result.exception.is_none(), "{result:?}");
}

fn others() -> References {
    let other = |rows: u64, keys: Vec<String>| {
        let keys = [("id".to_owned(), Ok(HashSet::from_iter(keys)))].into();
        Ok(OtherTable { rows, keys })
    };
    let all = (1..=10).map(|number| number.to_string()).collect();
    [("a.ten".to_owned(), other(10, all)), ("a.eleven".to_owned(), other(11, vec!["1".to_owned()]))].into()
}

#[test]
fn about_sixty_kinds_are_there_and_each_is_tested() {
    let source = include_str!("kinds.rs").to_lowercase();
    let names: Vec<&str> = kind_names().collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    assert!(names.len() > 50, "{}", names.len());
    let untested: Vec<_> = names.iter().filter(|name| !source.contains(&format!("(\"{name}\""))).collect();
    assert!(untested.is_empty(), "{untested:?}");
}

#[test]
fn what_is_out_of_order_is_told_across_batches_and_missing_values() {
    let values = rows(vec![("v", ints([Some(1), None, Some(3), Some(2), None, None, Some(2), Some(1), Some(9)]))]);
    let result = ask_one("expect_column_values_to_be_increasing", json!({"column": "v"}), &values);
    let observed = result.observed;
    assert_eq!((observed.element_count, observed.missing_count), (Some(9), Some(3)));
    assert_eq!((observed.unexpected_count, observed.unexpected), (Some(2), vec![json!(2), json!(1)]));
    let strictly = ask_one("expect_column_values_to_be_increasing", json!({"column": "v", "strictly": true}), &values);
    assert_eq!(strictly.observed.unexpected, [json!(2), json!(2), json!(1)]);
    assert_eq!(strictly.complaints, ["Values of v are not strictly increasing"]);
}

/// Vector T11.
#[rstest]
#[case(&[10.0, 10.5, 9.8, 10.2, 10.1, 50.0, 10.0], &[50.0])]
#[case(&[10.0, 10.0, 10.0, 10.0, 11.0], &[])]
fn t11_only_a_number_far_from_the_moving_average_is_flagged(#[case] values: &[f64], #[case] flagged: &[f64]) {
    let values = rows(vec![("v", floats(some(values)))]);
    let result = ask_one("expect_column_values_to_be_near_moving_average", json!({"column": "v"}), &values);
    assert_eq!(result.observed.unexpected, flagged.iter().map(|number| json!(number)).collect::<Vec<_>>());
}

#[test]
fn rows_that_a_query_finds_are_told_as_great_expectations_tells_them() {
    let kwargs = json!({"unexpected_rows_query": "SELECT * FROM {batch}"});
    let one = suite(&[("unexpected_rows_expectation", kwargs, "block")]);
    let validation = ask_with(&one, &table(), Conditions::new(), References::new(), Scope::Table);
    let result = &validation.results[0];
    assert_eq!(result.observed.value, Some(json!(30)));
    let shown = result.observed.details["details"]["unexpected_rows"].as_array().unwrap();
    assert_eq!((shown.len(), &shown[0]), (20, &json!({"n": 1})));
    assert!(!validation.publishable && validation.not_asked.is_empty());
}

#[test]
fn a_query_is_not_asked_of_an_upload_and_said_not_to_be() {
    let kwargs = json!({"unexpected_rows_query": "SELECT * FROM {batch}"});
    let two = suite(&[
        ("unexpected_rows_expectation", kwargs, "block"),
        ("expect_column_to_exist", json!({"column": "n"}), "warn"),
    ]);
    let validation = ask_with(&two, &table(), Conditions::new(), References::new(), Scope::Upload);
    assert_eq!(validation.not_asked, ["unexpected_rows_expectation"]);
    assert!(validation.publishable && validation.results.len() == 1 && validation.success());
}

#[test]
fn whole_rows_that_are_there_twice_are_found() {
    let doubled = rows(vec![("a", ints(some(&[1, 1, 2]))), ("b", texts([None, None, Some("x")]))]);
    let result = ask_one("expect_table_rows_to_be_unique", json!({}), &doubled);
    assert!(!result.success);
    assert_eq!((result.observed.unexpected_count, &result.observed.details["duplicate_count"]), (Some(2), &json!(1)));
}

#[test]
fn counts_and_values_are_told_as_great_expectations_tells_them() {
    let result = ask_one("expect_column_values_to_match_regex", json!({"column": "code", "regex": "^AB"}), &table());
    let observed = result.observed;
    assert_eq!(
        (observed.element_count, observed.missing_count, observed.unexpected_count),
        (Some(10), Some(1), Some(1))
    );
    assert_eq!(observed.unexpected, [json!("x")]);
    let kwargs = json!({"column": "n", "min_value": 3, "max_value": 8});
    let result = ask_one("expect_column_values_to_be_between", kwargs, &table());
    assert_eq!(result.observed.details["below_min"], json!({"count": 2, "percentage": 20.0}));
    assert_eq!(result.observed.details["above_max"], json!({"count": 1, "percentage": 10.0}));
    assert_eq!(result.complaints, ["Values below minimum in n", "Values above maximum in n"]);
    let result = ask_one("expect_column_mean_to_be_between", json!({"column": "n", "min_value": 6}), &table());
    assert_eq!(result.observed.value, Some(json!(5.0)));
    let result = ask_one("expect_column_sum_to_be_between", json!({"column": "n", "min_value": 6}), &table());
    assert_eq!(result.observed.value, Some(json!(45)));
}

#[test]
fn nothing_is_divided_by_no_rows() {
    let empty = table().slice(0, 0);
    for kind in kind_names() {
        let kwargs = match kind {
            "expect_table_rows_to_be_unique" => json!({}),
            "expect_column_values_to_be_between" | "expect_column_mean_to_be_between" => {
                json!({"column": "n", "min_value": 0})
            }
            "expect_column_outlier_share_to_be_less_than" | "expect_column_values_to_not_be_null" => {
                json!({"column": "n"})
            }
            "expect_column_proportion_of_non_null_values_to_be_between" => json!({"column": "n", "min_value": 0.5}),
            "expect_table_row_loss_to_be_at_most" => json!({}),
            _ => continue,
        };
        let result = ask_one(kind, kwargs, &empty);
        let is_figure = kind == "expect_column_mean_to_be_between";
        assert_eq!((result.success, result.exception), (!is_figure, None), "{kind}");
    }
}

#[test]
fn days_are_compared_with_a_fixed_present() {
    let now = chrono::DateTime::from_timestamp_micros(NOW).unwrap();
    assert_eq!(now.to_rfc3339(), "2024-06-01T12:00:00+00:00");
    assert_eq!(type_name(Arc::new(table().schema().field(6).clone()).data_type()), "date");
}
