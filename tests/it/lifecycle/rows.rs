//! Rows and partitions that expire.

use serde_json::json;
use sluice_tests::TestLake;

use super::{apply, define, items, plan};

const ROWS: &str = "id,day\n1,2001-02-03\n2,2002-03-04\n3,2999-01-01\n4,\n";

#[tokio::test]
async fn rows_that_are_old_by_a_column_are_gone_for_readers_and_still_there_in_older_versions() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", ROWS).await.expect_status(201);
    lake.upload("a.t", "?format=csv", "id,day\n5,2001-02-03\n6,2001-02-04\n").await.expect_status(201);
    define(&lake, "old", json!({"table": "a.t"}), json!({"expire_rows": {"column": "day", "after": "5y"}})).await;
    let planned = plan(&lake).await;
    let item = &items(&planned)[0];
    assert_eq!(
        (items(&planned).len(), item["action"].as_str(), item["rule"].as_str()),
        (1, Some("expire_rows"), Some("old"))
    );
    assert_eq!((item["table"].as_str(), item["parameters"]["column"].as_str()), (Some("a.t"), Some("day")));
    assert_eq!(lake.count("a.t").await, 6, "a plan does nothing");

    let done = apply(&lake, &planned).await;
    assert_eq!((done["done"].as_u64(), items(&done)[0]["state"].as_str()), (Some(1), Some("done")), "{done}");
    assert_eq!(lake.rows("SELECT id FROM a.t ORDER BY id").await, [json!({"id": 3}), json!({"id": 4})]);
    let before = lake.rows("SELECT count(*) AS n FROM a.t VERSION AS OF 1").await;
    assert_eq!(before, [json!({"n": 6})], "time travel reaches them");
    assert!(items(&plan(&lake).await).is_empty(), "there is nothing left to do");
    let again = apply(&lake, &planned).await;
    assert_eq!((&again["items"], &again["finished_at"]), (&done["items"], &done["finished_at"]));
}

#[tokio::test]
async fn old_partitions_are_listed_one_by_one_and_go() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv&partition_by=day", ROWS).await.expect_status(201);
    define(&lake, "old", json!({"namespace": "a"}), json!({"expire_rows": {"column": "day", "after": "30d"}})).await;
    let planned = plan(&lake).await;
    let told: Vec<_> =
        items(&planned).iter().map(|item| (item["path"].as_str().unwrap(), item["rows"].as_u64())).collect();
    assert_eq!(told, [("2001-02-03", Some(1)), ("2002-03-04", Some(1))]);
    assert!(items(&planned).iter().all(|item| item["subject"] == "partition" && item["size_bytes"].as_u64() > Some(0)));
    assert_eq!(planned["rows"], 2);
    assert!(planned["saved_usd_per_month"].as_f64() > Some(0.0));
    let done = apply(&lake, &planned).await;
    assert_eq!(done["done"], 2, "{done}");
    assert_eq!(lake.rows("SELECT id FROM a.t ORDER BY id").await, [json!({"id": 3}), json!({"id": 4})]);
}

#[tokio::test]
async fn rows_expire_by_timestamps_too() {
    let lake = TestLake::open().await;
    let rows = "id,at\n1,2001-02-03T04:05:06Z\n2,2999-01-01T00:00:00Z\n";
    lake.upload("a.t", "?format=csv", rows).await.expect_status(201);
    define(&lake, "old", json!("lake"), json!({"expire_rows": {"column": "at", "after": "12h"}})).await;
    let done = apply(&lake, &plan(&lake).await).await;
    assert_eq!(done["done"], 1, "{done}");
    assert_eq!(lake.rows("SELECT id FROM a.t").await, [json!({"id": 2})]);
}

#[tokio::test]
async fn without_a_column_rows_are_as_old_as_their_files_and_zones_say_how_long_they_stay() {
    let lake = TestLake::builder().set(|settings| settings.lifecycle.every_seconds = 0).open().await;
    lake.upload("a.t", "?format=csv", "id\n1\n2\n").await.expect_status(201);
    let zones = lake.get("/api/v1/zones").await.expect(200);
    let told: Vec<_> = zones["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|zone| {
            (zone["name"].as_str().unwrap(), zone["format"].as_str().unwrap(), zone["retention"].as_str().unwrap())
        })
        .collect();
    assert_eq!(told, [("raw", "native", "infinite"), ("standardized", "delta", "7y"), ("curated", "delta", "2y")]);
    let future = async |years: i64| {
        let as_of = chrono::Utc::now() + chrono::TimeDelta::days(365 * years + 10);
        let path = format!("/api/v1/lifecycle/plan?as_of={}", as_of.format("%Y-%m-%dT%H:%M:%SZ"));
        let plan = lake.post(&path, &[], "").await.expect(201);
        super::shown(&lake, plan["plan_id"].as_str().unwrap()).await
    };
    assert!(items(&future(6).await).is_empty());
    let planned = future(7).await;
    let item = &items(&planned)[0];
    assert_eq!(
        (items(&planned).len(), item["rule"].as_str()),
        (1, Some("settings.zones.standardized")),
        "raw is never listed"
    );
    assert_eq!((item["rows"].as_u64(), item["action"].as_str()), (Some(2), Some("expire_rows")));
    let done = apply(&lake, &planned).await;
    assert_eq!(items(&done)[0]["state"], "skipped", "its time has not come: {done}");
    assert_eq!(lake.count("a.t").await, 2);
}

#[tokio::test]
async fn a_column_that_tells_no_age_is_refused_with_the_reason() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", ROWS).await.expect_status(201);
    lake.upload("a.p", "?format=csv&table_format=parquet", ROWS).await.expect_status(201);
    define(&lake, "text", json!({"table": "a.t"}), json!({"expire_rows": {"column": "id", "after": "5y"}})).await;
    define(&lake, "plain", json!({"table": "a.p"}), json!({"expire_rows": {"column": "day", "after": "5y"}})).await;
    let planned = plan(&lake).await;
    let refusals: Vec<_> = items(&planned).iter().map(|item| item["refusal"].as_str().unwrap()).collect();
    assert!(
        refusals.len() == 2 && refusals.iter().any(|text| text.contains("only dates and timestamps")),
        "{refusals:?}"
    );
    assert!(
        refusals.iter().any(|text| text.contains("a plain table has no log that could take rows away")),
        "{refusals:?}"
    );
    assert_eq!((planned["refused"].as_u64(), planned["pending"].as_u64()), (Some(2), Some(0)));
}
