//! The time that runs are for: as the statement sees it, run after run, and part by part of a range.

use axum::http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use sluice_tests::{TestLake, assert_problem};

use super::{define, put, run, run_well};

const EVENTS: &str = "id,happened\n1,2026-01-01T10:00:00Z\n2,2026-01-02T00:00:00Z\n3,2026-01-02T23:59:59Z\n\
                      4,2026-01-03T12:00:00Z\n5,2026-01-05T00:00:00Z\n";
const SQL: &str = "SELECT id, $interval_start AS since FROM raw.events WHERE happened >= $interval_start AND happened < \
                   $interval_end";

async fn lake() -> TestLake {
    let lake = TestLake::open().await;
    lake.upload("raw.events", "?format=csv", EVENTS).await.expect_status(201);
    lake
}

fn of_events(sql: &str) -> Value {
    json!({"sql": sql, "target": "curated.events", "mode": "append"})
}

async fn run_for(lake: &TestLake, body: Value) -> Value {
    let headers = [("prefer", "wait=60"), ("content-type", "application/json")];
    lake.post("/api/v1/pipelines/events/runs", &headers, body.to_string()).await.expect(202)
}

async fn backfill(lake: &TestLake, body: &Value) -> sluice_tests::Answer {
    lake.call(Method::POST, "/api/v1/pipelines/events/backfill").json(body).send().await
}

fn days(to: u32) -> Value {
    json!({"from": "2026-01-01T00:00:00Z", "to": format!("2026-01-{to:02}T00:00:00Z"), "step_seconds": 86400})
}

/// Wait until the backfill has ended.
async fn ended(lake: &TestLake) -> Value {
    for _ in 0..1200 {
        let seen = lake.get("/api/v1/pipelines/events/backfill").await.expect(200);
        if seen["status"] != "RUNNING" {
            return seen;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    unreachable!("the backfill has no end");
}

async fn rows(lake: &TestLake) -> Vec<Value> {
    let sql = "SELECT id, CAST(CAST(since AS DATE) AS VARCHAR) AS day FROM curated.events ORDER BY id";
    lake.rows(sql).await
}

#[tokio::test]
async fn a_run_goes_on_from_where_the_last_one_that_went_through_ended() {
    let lake = lake().await;
    define(&lake, "events", &of_events(SQL)).await;
    let first = run_well(&lake, "events").await;
    assert_eq!(
        (&first["interval_start"], &first["interval_end"]),
        (&json!("1970-01-01T00:00:00Z"), &first["started_at"])
    );
    define(&lake, "events", &of_events("SELECT id / (id - id) AS id, $interval_end AS since FROM raw.events")).await;
    let failed = run(&lake, "events").await;
    assert_eq!((&failed["status"], &failed["interval_start"]), (&json!("FAILED"), &first["interval_end"]), "{failed}");
    define(&lake, "events", &of_events(SQL)).await;
    let third = run_well(&lake, "events").await;
    assert_eq!((&third["interval_start"], &third["interval_end"]), (&first["interval_end"], &third["started_at"]));
    assert_eq!(third["rows_out"], 0, "none of the events is that new");
}

#[tokio::test]
async fn a_run_is_for_the_time_that_it_is_told() {
    let lake = lake().await;
    define(&lake, "events", &of_events(SQL)).await;
    let told = json!({"interval_start": "2026-01-02T00:00:00Z", "interval_end": "2026-01-03T02:00:00+02:00"});
    let one = run_for(&lake, told).await;
    assert_eq!(
        (&one["status"], &one["rows_out"], &one["cause"]),
        (&json!("SUCCESS"), &json!(2), &json!("request")),
        "{one}"
    );
    let own = run_well(&lake, "events").await;
    assert_eq!(own["interval_start"], "1970-01-01T00:00:00Z", "what it was told is no run's own time");
    let refreshed = run_for(&lake, json!({"full_refresh": true})).await;
    assert_eq!((&refreshed["interval_start"], &refreshed["rows_out"]), (&json!("1970-01-01T00:00:00Z"), &json!(5)));
    assert_eq!(lake.count("curated.events").await, 5);
}

#[rstest]
#[case::half(json!({"interval_start": "2026-01-02T00:00:00Z"}), 422, "interval")]
#[case::empty(json!({"interval_start": "2026-01-02T00:00:00Z", "interval_end": "2026-01-02T00:00:00Z"}), 422, "interval")]
#[case::no_moment(json!({"interval_start": "soon", "interval_end": "later"}), 422, "")]
#[tokio::test]
async fn a_time_that_is_none_is_refused(#[case] body: Value, #[case] status: u16, #[case] word: &str) {
    let lake = lake().await;
    define(&lake, "events", &of_events(SQL)).await;
    let headers = [("content-type", "application/json")];
    let answer = lake.post("/api/v1/pipelines/events/runs", &headers, body.to_string()).await;
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert!(answer.text().contains(word), "{}", answer.text());
}

#[tokio::test]
async fn other_parameters_are_not_known() {
    let lake = lake().await;
    let answer = put(&lake, "events", &of_events("SELECT id FROM raw.events WHERE id = $id")).await;
    assert_problem(&answer, 422, "bad-statement");
    assert!(answer.text().contains("$id"), "{}", answer.text());
}

#[tokio::test]
async fn a_backfill_runs_for_each_part_of_a_range_in_its_order() {
    let lake = lake().await;
    define(&lake, "events", &of_events(SQL)).await;
    assert_problem(&lake.get("/api/v1/pipelines/events/backfill").await, 404, "not-found");
    let entered = backfill(&lake, &days(4)).await.expect(202);
    assert_eq!((&entered["status"], &entered["intervals"]), (&json!("RUNNING"), &json!(3)), "{entered}");
    assert_problem(&backfill(&lake, &days(4)).await, 409, "backfill-in-progress");
    let done = ended(&lake).await;
    assert_eq!((&done["status"], &done["intervals_done"], &done["next"]), (&json!("SUCCESS"), &json!(3), &Value::Null));
    let day = |id: i64, day: &str| json!({"id": id, "day": day});
    let expected = [day(1, "2026-01-01"), day(2, "2026-01-02"), day(3, "2026-01-02"), day(4, "2026-01-03")];
    assert_eq!(rows(&lake).await, expected);
    let runs = lake.get("/api/v1/pipelines/events/runs").await.expect(200);
    let runs: Vec<&Value> = runs["items"].as_array().unwrap().iter().rev().collect();
    let starts: Vec<&str> = runs.iter().map(|run| run["interval_start"].as_str().unwrap()).collect();
    assert_eq!(starts, ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]);
    assert!(runs.iter().all(|run| run["cause"] == "backfill" && run["status"] == "SUCCESS"), "{runs:?}");
    let moment =
        |run: &Value, field: &str| run[field].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert!(runs.windows(2).all(|two| moment(two[0], "ended_at") <= moment(two[1], "started_at")), "{runs:?}");
    assert_eq!(run_well(&lake, "events").await["interval_start"], "1970-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_part_that_fails_ends_the_backfill_and_leaves_the_rest() {
    let lake = lake().await;
    define(&lake, "events", &of_events(&SQL.replace("SELECT id,", "SELECT id + 0 / (id - 3) AS id,"))).await;
    backfill(&lake, &days(6)).await.expect_status(202);
    let failed = ended(&lake).await;
    assert_eq!((&failed["status"], &failed["intervals_done"]), (&json!("FAILED"), &json!(1)), "{failed}");
    assert_eq!(failed["next"], "2026-01-02T00:00:00Z", "it tells where to go on");
    assert_eq!(lake.count("curated.events").await, 1);
    define(&lake, "events", &of_events(SQL)).await;
    let mut rest = days(6);
    rest["from"] = failed["next"].clone();
    backfill(&lake, &rest).await.expect_status(202);
    assert_eq!(ended(&lake).await["status"], "SUCCESS");
    assert_eq!(lake.count("curated.events").await, 5);
}

#[tokio::test]
async fn a_backfill_that_is_cancelled_ends_with_its_run() {
    let lake = lake().await;
    let endless = "SELECT count(*) AS id, $interval_start AS since FROM generate_series(1, 200000) AS a(x), \
                   generate_series(1, 200000) AS b(y) WHERE a.x * b.y % 7 = 3";
    define(&lake, "events", &of_events(endless)).await;
    backfill(&lake, &days(4)).await.expect_status(202);
    let mut looks = 0;
    let path = loop {
        looks += 1;
        assert!(looks < 600, "no run begins");
        let runs = lake.get("/api/v1/pipelines/events/runs").await.expect(200);
        if runs["items"][0]["attempts"] == 1 {
            break format!("/api/v1/runs/{}/cancel", runs["items"][0]["run_id"].as_str().unwrap());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let answer = lake.call(Method::DELETE, "/api/v1/pipelines/events/backfill").send().await.expect(200);
    assert_eq!(answer["status"], "CANCELLED");
    let run = lake.post(&path, &[("prefer", "wait=60")], "").await.expect(202);
    assert_eq!(run["status"], "CANCELLED", "{run}");
    assert_eq!(ended(&lake).await["intervals_done"], 0);
    let runs = lake.get("/api/v1/pipelines/events/runs").await.expect(200);
    assert_eq!(runs["items"].as_array().unwrap().len(), 1, "no further part begins: {runs}");
}

#[tokio::test]
async fn a_backfill_goes_on_where_a_server_left_it() {
    let lake = lake().await;
    define(&lake, "events", &of_events(SQL)).await;
    backfill(&lake, &days(6)).await.expect_status(202);
    let lake = lake.reopen().await;
    let done = ended(&lake).await;
    assert_eq!((&done["status"], &done["intervals_done"]), (&json!("SUCCESS"), &json!(5)), "{done}");
    let ids: Vec<Value> = rows(&lake).await.into_iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5].map(Value::from));
}

#[rstest]
#[case::overwrite(json!({"mode": "overwrite"}), days(3), "mode")]
#[case::incremental(json!({"incremental": ["raw.events"]}), days(3), "interval")]
#[case::no_length(json!({}), days(1), "interval")]
#[case::too_many(json!({}), json!({"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "step_seconds": 60}), "step_seconds")]
#[tokio::test]
async fn a_backfill_that_makes_no_sense_is_refused(#[case] change: Value, #[case] range: Value, #[case] field: &str) {
    let lake = lake().await;
    let mut body = of_events(SQL);
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    define(&lake, "events", &body).await;
    let answer = backfill(&lake, &range).await;
    assert_problem(&answer, 422, "bad-pipeline");
    assert!(answer.json()["detail"].as_str().unwrap().starts_with(field), "{}", answer.text());
}
