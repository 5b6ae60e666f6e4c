//! Gates: what is asked of the rows of a run before anybody reads them.

use axum::http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use sluice_tests::{TestLake, assert_problem};

use super::{define, put, run, run_well};

/// A lake with a raw table of readings of which so many of 1000 have no value, and a curated one of ten good rows, which
/// is held to having values.
async fn held(missing: usize) -> TestLake {
    let lake = TestLake::open().await;
    readings(&lake, 10, 0).await;
    define(&lake, "readings", &pipeline(Value::Null)).await;
    run_well(&lake, "readings").await;
    let rule = json!({"kind": "expect_column_values_to_not_be_null", "kwargs": {"column": "v"}, "severity": "high"});
    let body = json!({"name": "tests", "rules": [rule]});
    let set = lake.call(Method::PUT, "/api/v1/tables/curated/readings/quality").json(&body);
    set.send().await.expect_status(200);
    readings(&lake, 1000, missing).await;
    lake
}

async fn readings(lake: &TestLake, rows: usize, missing: usize) {
    let row = |n: usize| if n < missing { format!("{n},\n") } else { format!("{n},{n}\n") };
    let rows: String = (0..rows).map(row).collect();
    lake.upload("raw.readings", "?format=csv&mode=overwrite", format!("n,v\n{rows}")).await.expect_status(201);
}

fn pipeline(gate: Value) -> Value {
    let mut body = json!({"sql": "SELECT n, v FROM raw.readings", "target": "curated.readings"});
    if !gate.is_null() {
        body["gate"] = gate;
    }
    body
}

async fn results(lake: &TestLake) -> Value {
    lake.get("/api/v1/tables/curated/readings/quality/results").await.expect(200)["items"].clone()
}

#[rstest]
#[case::g1_98_9("critical", 11, false, 98.9)]
#[case::g1_99("critical", 10, true, 99.0)]
#[case::high("high", 51, false, 94.9)]
#[case::medium("medium", 100, true, 90.0)]
#[tokio::test]
async fn a_score_below_the_threshold_is_not_published(
    #[case] criticality: &str,
    #[case] missing: usize,
    #[case] passes: bool,
    #[case] score: f64,
) {
    let lake = held(missing).await;
    let gate = json!({"on_failure": "block", "criticality": criticality});
    assert_eq!(define(&lake, "readings", &pipeline(gate.clone())).await["gate"], gate);
    let ended = run(&lake, "readings").await;
    assert_eq!(ended["status"], if passes { "SUCCESS" } else { "FAILED" }, "{ended}");
    let quality = &ended["quality"];
    assert_eq!((&quality["score"], &quality["passed"]), (&json!(score), &json!(passes)), "{ended}");
    assert_eq!((&quality["rules"], &quality["rules_kept"]), (&json!(1), &json!(0)));
    assert_eq!(ended["quality_score"], score);
    let report = &results(&lake).await[0];
    assert_eq!((&report["result_id"], &report["run_id"]), (&quality["result_id"], &ended["run_id"]), "{report}");
    assert_eq!(report["scores"]["data_quality_score"], score);
    assert_eq!(report["version"], if passes { json!(1) } else { Value::Null });
    assert_eq!(lake.count("curated.readings").await, if passes { 1000 } else { 10 });
    assert_eq!(lake.describe("curated.readings").await["version"], u64::from(passes));
}

#[tokio::test]
async fn what_is_blocked_leaves_no_file_and_the_next_good_run_goes_through() {
    let lake = held(500).await;
    define(&lake, "readings", &pipeline(json!({"on_failure": "block"}))).await;
    let before = files(&lake).await;
    let failed = run(&lake, "readings").await;
    assert_eq!((&failed["status"], &failed["attempts"]), (&json!("FAILED"), &json!(1)), "it is not tried again");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("1 of 1 rules of tests are broken"), "{error}");
    assert_eq!(files(&lake).await, before);
    let verdict = lake.get("/api/v1/tables/curated/readings/quality/verdict").await.expect(200);
    assert_eq!(verdict["publishable"], true, "{verdict}");
    readings(&lake, 20, 0).await;
    let good = run_well(&lake, "readings").await;
    assert_eq!((&good["quality"]["score"], &good["quality"]["passed"]), (&json!(100.0), &json!(true)));
    let flows = lake.get("/api/v1/lineage?asset=curated.readings").await.expect(200);
    let scores: Vec<&Value> = flows["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|flow| &flow["metadata"]["operational"]["quality_score"])
        .collect();
    assert!(scores.contains(&&json!(100.0)), "{flows}");
}

/// The data files in the folder of the target.
async fn files(lake: &TestLake) -> usize {
    let location = lake.describe("curated.readings").await["location"].as_str().unwrap().to_owned();
    let folder = std::path::PathBuf::from(location.strip_prefix("file://").unwrap());
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".parquet")).count()
}

#[tokio::test]
async fn a_gate_that_warns_publishes_and_says_so() {
    let lake = held(500).await;
    define(&lake, "readings", &pipeline(json!({"on_failure": "warn", "min_score": 0.9}))).await;
    let warned = run(&lake, "readings").await;
    assert_eq!((&warned["status"], &warned["version_out"]), (&json!("WARNING"), &json!(1)), "{warned}");
    assert!(warned["error"].as_str().unwrap().contains("50.00 of 100 rows"), "{warned}");
    assert_eq!(lake.count("curated.readings").await, 1000);
}

#[tokio::test]
async fn a_table_with_the_tag_critical_is_taken_for_that() {
    let lake = held(11).await;
    let gate = json!({"on_failure": "block"});
    let tags = json!({"tags": ["critical"]});
    lake.call(Method::PATCH, "/api/v1/tables/curated/readings").json(&tags).send().await.expect_status(200);
    define(&lake, "readings", &pipeline(gate)).await;
    let failed = run(&lake, "readings").await;
    assert!(failed["error"].as_str().unwrap().contains("less than 99.00"), "{failed}");
    readings(&lake, 1000, 10).await;
    run_well(&lake, "readings").await;
}

#[tokio::test]
async fn a_gate_without_a_suite_says_that_it_asked_nothing() {
    let lake = TestLake::open().await;
    readings(&lake, 10, 0).await;
    define(&lake, "readings", &pipeline(json!({"on_failure": "block"}))).await;
    let first = run(&lake, "readings").await;
    assert_eq!((&first["status"], &first["version_out"]), (&json!("WARNING"), &json!(0)), "{first}");
    assert!(first["error"].as_str().unwrap().contains("no suite"), "{first}");
}

#[rstest]
#[case(94, "FAILED")]
#[case(96, "SUCCESS")]
#[tokio::test]
async fn i12_rows_that_are_lost_are_counted(#[case] stay: usize, #[case] status: &str) {
    let lake = TestLake::open().await;
    readings(&lake, 100, 0).await;
    let mut body = pipeline(json!({"on_failure": "block", "max_data_loss_percent": 5.0}));
    body["sql"] = json!(format!("SELECT n, v FROM raw.readings WHERE n < {stay}"));
    assert_eq!(define(&lake, "readings", &body).await["gate"], body["gate"]);
    let ended = run(&lake, "readings").await;
    assert_eq!(ended["status"], status, "{ended}");
    let complaint = "High data loss detected: 6.00%";
    assert_eq!(ended["error"].as_str() == Some(complaint), status == "FAILED", "{ended}");
}

#[tokio::test]
async fn a_merge_is_asked_before_it_changes_anything() {
    let lake = held(500).await;
    let mut body = pipeline(json!({"on_failure": "block", "criticality": "medium"}));
    (body["mode"], body["keys"]) = (json!("merge"), json!(["n"]));
    define(&lake, "readings", &body).await;
    assert_eq!(run(&lake, "readings").await["quality"]["score"], 50.0);
    assert_eq!(lake.describe("curated.readings").await["version"], 0);
}

#[rstest]
#[case(json!({"on_failure": "block", "min_score": 101}), "gate.min_score")]
#[case(json!({"on_failure": "block", "max_data_loss_percent": -1}), "gate.max_data_loss_percent")]
#[tokio::test]
async fn a_gate_that_cannot_be_is_refused_by_its_field(#[case] gate: Value, #[case] field: &str) {
    let lake = TestLake::open().await;
    readings(&lake, 1, 0).await;
    let answer = put(&lake, "readings", &pipeline(gate)).await;
    assert_problem(&answer, 422, "bad-pipeline");
    assert!(answer.text().contains(field), "{}", answer.text());
}
