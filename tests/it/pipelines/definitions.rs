//! What may be saved, and what is told of what may not.

use axum::http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use sluice_tests::assert_problem;

use super::{define, into_orders, lake, put};

#[tokio::test]
async fn a_pipeline_is_made_shown_changed_and_deleted() {
    let lake = lake().await;
    let mut body = into_orders("SELECT id, amount FROM raw.orders", "merge");
    body["keys"] = json!(["ID"]);
    body["schedule"] = json!({"every_seconds": 86400});
    body["enabled"] = json!(false);
    let made = put(&lake, "orders", &body).await;
    made.expect_status(201);
    let shown = lake.get("/api/v1/pipelines/orders").await.expect(200);
    assert_eq!((&shown["sql"], &shown["mode"], &shown["retries"]), (&body["sql"], &json!("merge"), &json!(3)));
    assert_eq!((&shown["schedule"], &shown["next_run_at"]), (&body["schedule"], &Value::Null), "{shown}");
    body["description"] = json!("what was paid");
    put(&lake, "orders", &body).await.expect_status(200);
    let listed = lake.get("/api/v1/pipelines").await.expect(200);
    assert_eq!(listed["items"][0]["description"], "what was paid");
    lake.call(Method::DELETE, "/api/v1/pipelines/orders").send().await.expect_status(204);
    assert_problem(&lake.get("/api/v1/pipelines/orders").await, 404, "not-found");
}

#[rstest]
#[case::column("SELECT id,\n       amont\nFROM raw.orders", "sql, line 2, column 8", "amont")]
#[case::function("SELECT id, nofunction(id) AS x FROM raw.orders", "sql, line 1, column 12", "nofunction")]
#[case::table("SELECT id\nFROM raw.nothing", "sql, line 2, column 6", "raw.nothing")]
#[case::undeclared("SELECT id FROM raw.orders JOIN raw.other USING (id)", "sql, line 1, column 32", "raw.other")]
#[case::syntax("SELECT id FRM raw.orders WHERE", "sql, line 1", "raw")]
#[case::type_of_sum("SELECT sum(region) AS x FROM raw.orders", "sql", "sum")]
#[case::not_a_query("DROP TABLE raw.orders", "sql", "DROP")]
#[case::explain("EXPLAIN SELECT id FROM raw.orders", "sql", "EXPLAIN")]
#[tokio::test]
async fn a_statement_that_cannot_be_planned_is_told_with_its_place(
    #[case] sql: &str,
    #[case] place: &str,
    #[case] word: &str,
) {
    let lake = lake().await;
    lake.upload("raw.other", "?format=csv", "id\n1\n").await.expect_status(201);
    let answer = put(&lake, "orders", &into_orders(sql, "overwrite")).await;
    assert_problem(&answer, 422, "bad-statement");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with(place) && detail.contains(word), "{detail}");
    assert_problem(&lake.get("/api/v1/pipelines/orders").await, 404, "not-found");
}

#[tokio::test]
async fn a_place_is_told_within_its_step() {
    let lake = lake().await;
    let body = json!({"inputs": ["raw.orders"], "target": "curated.orders", "steps": [
        {"name": "paid", "sql": "SELECT id, amount FROM raw.orders\nWHERE amount > 0"},
        {"expressions": ["id", "region"]},
    ]});
    let answer = put(&lake, "orders", &body).await;
    assert_problem(&answer, 422, "bad-statement");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("steps[1].expressions[1], line 1, column 1"), "{detail}");
}

#[rstest]
#[case::nothing_to_do(json!({"target": "curated.orders"}), "bad-pipeline", "sql")]
#[case::two_ways(json!({"target": "curated.orders", "sql": "SELECT 1 AS x", "expressions": ["id"]}), "bad-pipeline", "steps")]
#[case::target_is_input(json!({"target": "raw.orders", "inputs": ["raw.orders"], "sql": "SELECT 1 AS x"}), "bad-pipeline", "target")]
#[case::target_is_read(json!({"target": "raw.orders", "sql": "SELECT id FROM raw.orders"}), "bad-pipeline", "target")]
#[case::no_such_input(json!({"target": "curated.x", "inputs": ["raw.nope"], "sql": "SELECT 1 AS x"}), "bad-pipeline", "inputs")]
#[case::merge_without_keys(json!({"target": "curated.x", "sql": "SELECT 1 AS x", "mode": "merge"}), "bad-pipeline", "keys")]
#[case::unknown_key(json!({"target": "curated.x", "sql": "SELECT 1 AS x", "mode": "merge", "keys": ["y"]}), "target-misfit", "keys")]
#[case::unknown_partition(json!({"target": "curated.x", "sql": "SELECT 1 AS x", "partition_by": ["y"]}), "target-misfit", "partition_by")]
#[case::twice(json!({"target": "curated.x", "sql": "SELECT 1 AS x, 2 AS \"X\""}), "target-misfit", "two of that name")]
#[case::two_schedules(json!({"target": "curated.x", "sql": "SELECT 1 AS x", "schedule": {"every_seconds": 5, "on_new_data": true}}), "bad-pipeline", "schedule")]
#[case::bad_pattern(json!({"target": "curated.x", "sql": "SELECT 1 AS x", "schedule": {"cron": "0 25 * * *"}}), "bad-pipeline", "schedule.cron")]
#[case::no_such_day(json!({"target": "curated.x", "sql": "SELECT 1 AS x", "schedule": {"cron": "0 0 30 2 *"}}), "bad-pipeline", "schedule.cron")]
#[case::no_zone(json!({"target": "curated.x", "sql": "SELECT 1 AS x", "schedule": {"cron": "0 6 * * *", "time_zone": "Mars/Olympus"}}), "bad-pipeline", "schedule.time_zone")]
#[case::zone_alone(json!({"target": "curated.x", "sql": "SELECT 1 AS x", "schedule": {"every_seconds": 5, "time_zone": "UTC"}}), "bad-pipeline", "schedule")]
#[case::no_time(json!({"target": "curated.x", "sql": "SELECT 1 AS x", "timeout_seconds": 0}), "bad-pipeline", "timeout_seconds")]
#[tokio::test]
async fn what_makes_no_sense_is_refused_by_its_field(#[case] body: Value, #[case] code: &str, #[case] field: &str) {
    let lake = lake().await;
    let answer = put(&lake, "p", &body).await;
    assert_problem(&answer, 422, code);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(field), "{detail}");
}

#[tokio::test]
async fn a_cycle_is_refused_by_its_names_and_a_target_has_one_pipeline() {
    let lake = lake().await;
    for table in ["c.a", "c.b"] {
        lake.upload(table, "?format=csv", "id\n1\n").await.expect_status(201);
    }
    define(&lake, "first", &json!({"sql": "SELECT id FROM c.a", "target": "c.b"})).await;
    let back = json!({"sql": "SELECT id FROM c.b", "target": "c.a"});
    let answer = put(&lake, "second", &back).await;
    assert_problem(&answer, 422, "pipeline-cycle");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("second -> first -> second"), "{detail}");
    let taken = put(&lake, "third", &json!({"sql": "SELECT id FROM raw.orders", "target": "c.b"})).await;
    assert_problem(&taken, 409, "target-taken");
    assert!(taken.text().contains("first"));
}

#[tokio::test]
async fn who_may_not_see_an_input_cannot_make_a_pipeline_of_it() {
    use sluice_domain::Action;
    let all = [Action::Read, Action::Append, Action::Manage];
    let builder = sluice_tests::TestLake::builder().key("owner", &all, None).key("guest", &all, Some(&["curated"]));
    let lake = builder.open().await;
    let upload = lake.call(Method::POST, "/api/v1/tables/raw/orders/uploads").key("owner");
    upload.header("content-type", "text/csv").body("id\n1\n").send().await.expect_status(201);
    let body = json!({"sql": "SELECT id FROM raw.orders", "target": "curated.orders"});
    let put = |key| lake.call(Method::PUT, "/api/v1/pipelines/p").key(key).json(&body).send();
    assert_problem(&put("guest").await, 422, "bad-statement");
    put("owner").await.expect_status(201);
    lake.call(Method::GET, "/api/v1/pipelines/p").key("guest").send().await.expect_status(200);
}

#[tokio::test]
async fn a_dry_run_answers_as_it_would_and_changes_nothing() {
    let lake = lake().await;
    let path = "/api/v1/pipelines/orders?dry_run=true";
    let trial = async |body: &Value| lake.call(Method::PUT, path).json(body).send().await;
    let body = into_orders("SELECT id, amount FROM raw.orders", "append");
    let told = trial(&body).await.expect(200);
    assert_eq!((&told["mode"], &told["retries"]), (&json!("append"), &json!(3)), "{told}");
    assert_problem(&lake.get("/api/v1/pipelines/orders").await, 404, "not-found");
    assert_problem(&trial(&into_orders("SELECT amont FROM raw.orders", "append")).await, 422, "bad-statement");
    put(&lake, "orders", &body).await.expect_status(201);
    assert_eq!(trial(&into_orders("SELECT id FROM raw.orders", "overwrite")).await.expect(200)["mode"], "overwrite");
    assert_eq!(lake.get("/api/v1/pipelines/orders").await.expect(200)["mode"], "append");
    assert_problem(
        &lake.call(Method::PUT, "/api/v1/pipelines/orders?dry_run=x").json(&body).send().await,
        400,
        "bad-parameter",
    );
}

#[tokio::test]
async fn a_pipeline_by_the_calendar_tells_when_it_runs_next() {
    let lake = lake().await;
    let mut body = into_orders("SELECT id FROM raw.orders", "append");
    body["schedule"] = json!({"cron": "0 6 * * *", "time_zone": "Europe/Zurich"});
    let made = define(&lake, "daily", &body).await;
    assert_eq!(made["schedule"], body["schedule"]);
    let next: chrono::DateTime<chrono::Utc> = made["next_run_at"].as_str().unwrap().parse().unwrap();
    let time = next.format("%H:%M:%S").to_string();
    assert!(next > chrono::Utc::now() && ["04:00:00", "05:00:00"].contains(&time.as_str()), "{next}");
    body["schedule"] = json!({"cron": "0 6 * * *"});
    assert_eq!(define(&lake, "daily", &body).await["schedule"]["time_zone"], "UTC");
}

#[tokio::test]
async fn a_pipeline_may_read_what_another_one_will_make() {
    let lake = lake().await;
    let mut first = into_orders("SELECT id, amount, amount > 10 AS is_large FROM raw.orders", "merge");
    (first["keys"], first["scd"]) = (json!(["id"]), json!(2));
    define(&lake, "first", &first).await;
    let sql = "SELECT is_large, count(*) AS orders, max(valid_from) AS latest FROM curated.orders GROUP BY is_large";
    let second = json!({"sql": sql, "target": "curated.sums", "mode": "overwrite"});
    let made = define(&lake, "second", &second).await;
    assert_eq!(made["inputs"], json!(["curated.orders"]));
    define(&lake, "third", &json!({"sql": "SELECT orders + 1 AS n FROM curated.sums", "target": "curated.more"})).await;
    let unknown = json!({"sql": "SELECT id,\n  amont FROM curated.orders", "target": "curated.x"});
    let answer = put(&lake, "unknown", &unknown).await;
    assert_problem(&answer, 422, "bad-statement");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("sql, line 2, column 3") && detail.contains("amont"), "{detail}");
    let back = json!({"sql": "SELECT n AS id FROM curated.more", "target": "raw.orders", "mode": "append"});
    assert_problem(&put(&lake, "back", &back).await, 422, "pipeline-cycle");
    let stranger = json!({"sql": "SELECT * FROM curated.nobody_makes_it", "target": "curated.x"});
    assert_problem(&put(&lake, "stranger", &stranger).await, 422, "bad-statement");
}
