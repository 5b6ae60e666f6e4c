//! Plans that are resumed, expire or are made by the server itself, and rules that are wrong.

use axum::http::Method;
use serde_json::json;
use sluice_tests::{TestLake, assert_problem};

use super::{SOON, applied, define, items, plan_with_items};

#[tokio::test]
async fn a_plan_that_was_begun_by_a_server_that_ended_is_applied_after_the_next_start() {
    let lake = TestLake::open().await;
    for id in 0..3 {
        lake.upload("a.t", "?format=csv", format!("id\n{id}\n")).await.expect_status(201);
    }
    define(&lake, "short", json!("lake"), json!({"expire_objects": {"after": "1s"}})).await;
    let planned = plan_with_items(&lake).await;
    let id = planned["plan_id"].as_str().unwrap().to_owned();
    let closed = lake.close().await;
    let catalog = closed.catalog().await;
    catalog.lifecycle_plans().begin(id.parse().unwrap()).await.unwrap().unwrap();
    catalog.close().await.unwrap();
    let lake = closed.open().await;
    let done = applied(&lake, &id).await;
    assert_eq!(done["pending"], 0, "{done}");
    assert_eq!(done["done"], planned["pending"]);
    let runs = lake.get("/api/v1/lifecycle/runs").await.expect(200);
    assert_eq!((runs["items"][0]["plan_id"].as_str(), &runs["items"][0]["done"]), (Some(id.as_str()), &done["done"]));
    let metrics = lake.get("/metrics").await.text().to_owned();
    for line in
        ["data_lake_lifecycle_runs_total{cause=\"request\"} 1", "data_lake_lifecycle_items_total{state=\"done\"}"]
    {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn the_server_makes_and_applies_plans_by_itself_when_it_is_time() {
    let lake = TestLake::builder()
        .set(|settings| {
            settings.lifecycle.every_seconds = 1;
            settings.lifecycle.poll_seconds = 1;
        })
        .open()
        .await;
    lake.upload("a.t", "?format=csv", "id,day\n1,2001-01-01\n2,2999-01-01\n").await.expect_status(201);
    define(&lake, "old", json!("lake"), json!({"expire_rows": {"column": "day", "after": "1y"}})).await;
    let waiting = async {
        while lake.count("a.t").await > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.expect("the old row goes in time");
    let runs = lake.get("/api/v1/lifecycle/runs").await.expect(200);
    assert!(items(&runs).iter().all(|run| run["cause"] == "schedule" && run["principal"] == "lifecycle"), "{runs}");
}

#[tokio::test]
async fn a_plan_that_expired_is_not_applied() {
    let lake = TestLake::builder().set(|settings| settings.lifecycle.plan_valid_seconds = 0).open().await;
    let plan = lake.post("/api/v1/lifecycle/plan", &[], "").await.expect(201);
    let path = format!("/api/v1/lifecycle/plans/{}/apply", plan["plan_id"].as_str().unwrap());
    assert_problem(&lake.post(&path, &[], "").await, 409, "plan-expired");
    let unknown = format!("/api/v1/lifecycle/plans/{}/apply", uuid::Uuid::now_v7());
    assert_problem(&lake.post(&unknown, &[], "").await, 404, "not-found");
}

#[tokio::test]
async fn a_plan_holds_so_many_items_and_says_that_there_is_more() {
    let lake = TestLake::builder().set(|settings| settings.lifecycle.max_items = 2).open().await;
    for id in 0..3 {
        lake.upload("a.t", "?format=csv", format!("id\n{id}\n")).await.expect_status(201);
    }
    let steps = json!([{"after": "1s", "storage_class": "STANDARD_IA"}]);
    define(&lake, "cold", json!({"zone": "raw"}), json!({"transition": {"steps": steps}})).await;
    let waiting = async {
        loop {
            let plan = plan_with_items(&lake).await;
            if plan["truncated"] == true {
                return plan;
            }
        }
    };
    let plan = tokio::time::timeout(SOON, waiting).await.expect("all three are old enough in time");
    assert_eq!(items(&plan).len(), 2);
    super::apply(&lake, &plan).await;
    // The plan was cut where it was full: the last upload may have been too young for it.
    let waiting = async {
        loop {
            let rest = super::plan(&lake).await;
            if !items(&rest).is_empty() {
                return rest;
            }
        }
    };
    let rest = tokio::time::timeout(SOON, waiting).await.expect("the last one is old enough in time");
    assert_eq!((items(&rest).len(), &rest["truncated"]), (1, &json!(false)));
}

#[tokio::test]
async fn a_rule_that_makes_no_sense_is_refused_by_field_and_nothing_is_kept() {
    let lake = TestLake::open().await;
    for (body, code, name) in [
        (
            json!({"scope": "lake", "action": {"expire_objects": {"after": "0d"}}}),
            "bad-body",
            "action.expire_objects.after",
        ),
        (json!({"scope": "lake", "action": {"shred": {"after": "1d"}}}), "bad-body", "action"),
        (json!({"scope": "lake", "action": {"expire_objects": {"after": "1d", "soon": true}}}), "bad-body", "soon"),
        (json!({"scope": {"zone": "gold"}, "action": {"retain": {"for": "1d"}}}), "bad-body", "scope.zone"),
        (
            json!({"scope": "lake", "action": {"versions": {"log_after": "1d"}}}),
            "bad-rule",
            "action.versions.log_after",
        ),
        (json!({"scope": {"tag": ""}, "action": {"retain": {"for": "1d"}}}), "bad-rule", "scope.tag"),
        (json!({"scope": "lake", "action": {"retain": {"for": "1d"}}, "run_by": "bucket"}), "bad-rule", "run_by"),
    ] {
        let answer = lake.call(Method::PUT, "/api/v1/lifecycle/rules/r").json(&body).send().await;
        let problem = assert_problem(&answer, 422, code);
        assert!(problem["detail"].as_str().unwrap().contains(name), "{name}: {problem}");
    }
    assert_eq!(lake.get("/api/v1/lifecycle/rules").await.expect(200), json!({"items": []}));
}
