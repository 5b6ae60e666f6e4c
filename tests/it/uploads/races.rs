//! Uploads side by side.

use std::collections::BTreeSet;

use axum::http::Method;
use futures::future::join_all;
use serde_json::Value;
use sluice_tests::{Answer, TestLake, assert_problem};

use super::row;

const UPLOADS: u64 = 16;

/// Upload a row each, all at once; `column` names the second column of each.
async fn upload_all(lake: &TestLake, key: impl Fn(u64) -> String, body: impl Fn(u64) -> String) -> Vec<Answer> {
    let calls = (0..UPLOADS).map(|number| {
        let call = lake.call(Method::POST, "/api/v1/tables/a/t/uploads?format=csv");
        tokio::spawn(call.header("idempotency-key", &key(number)).body(body(number)).send())
    });
    join_all(calls).await.into_iter().map(Result::unwrap).collect()
}

fn versions(answers: &[Answer]) -> BTreeSet<u64> {
    answers.iter().map(|answer| answer.expect(201)["version"].as_u64().unwrap()).collect()
}

fn count_of(log: &[Value], action: &str) -> usize {
    log.iter().filter(|line| line.get(action).is_some()).count()
}

/// The uploads that a line of the log names.
fn uploads_of(line: &Value) -> Option<Vec<String>> {
    let uploads = line["commitInfo"]["sluice.uploads"].as_array()?;
    Some(uploads.iter().map(|upload| upload["id"].as_str().unwrap().to_owned()).collect())
}

async fn assert_every_row_is_there_once(lake: &TestLake) {
    let sql =
        "SELECT count(*) AS n, count(DISTINCT id) AS ids, min(id) AS least, max(id) AS most FROM a.t WHERE id < 100";
    let row = serde_json::json!({"n": UPLOADS, "ids": UPLOADS, "least": 0, "most": UPLOADS - 1});
    assert_eq!(lake.rows(sql).await, [row]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn first_uploads_that_race_make_one_table() {
    let lake = TestLake::open().await;
    let answers = upload_all(&lake, |number| format!("k{number}"), |number| format!("id\n{number}\n")).await;
    let versions = versions(&answers);
    assert_eq!(versions, (0..versions.len() as u64).collect(), "no version is left out");
    let first = lake.log("a.t", 0).await;
    assert_eq!((count_of(&first, "metaData"), count_of(&first, "protocol"), count_of(&first, "add")), (1, 1, 1));
    for version in 1..versions.len() as u64 {
        assert_eq!(count_of(&lake.log("a.t", version).await, "metaData"), 0, "version {version}");
    }
    assert_every_row_is_there_once(&lake).await;
    assert_eq!(lake.get("/api/v1/tables").await.expect(200)["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_that_race_are_all_committed() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id\n100\n").await.expect_status(201);
    let answers = upload_all(&lake, |number| format!("k{number}"), |number| format!("id\n{number}\n")).await;
    let mut told = 0;
    for version in versions(&answers) {
        let committed: BTreeSet<String> =
            lake.log("a.t", version).await.iter().filter_map(uploads_of).flatten().collect();
        let of_version = |answer: &&Answer| answer.json()["version"] == version;
        let answered: BTreeSet<String> = answers
            .iter()
            .filter(of_version)
            .map(|answer| answer.json()["upload_id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(committed, answered, "version {version}");
        told += answered.len() as u64;
    }
    assert_eq!(told, UPLOADS);
    assert_every_row_is_there_once(&lake).await;
    let lake = lake.reopen().await;
    assert_every_row_is_there_once(&lake).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn first_uploads_of_two_shapes_leave_one_table_with_the_columns_of_both() {
    let lake = TestLake::open().await;
    let column = |number: u64| if number.is_multiple_of(2) { "left" } else { "right" };
    let answers =
        upload_all(&lake, |number| format!("k{number}"), |number| format!("{}\n{number}\n", column(number))).await;
    for answer in &answers {
        answer.expect_status(201);
    }
    assert_eq!(count_of(&lake.log("a.t", 0).await, "metaData"), 1);
    let counts = row(&lake, "SELECT count(*) AS n, count(\"left\") AS l, count(\"right\") AS r FROM a.t").await;
    assert_eq!(counts, serde_json::json!({"n": UPLOADS, "l": UPLOADS / 2, "r": UPLOADS / 2}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn uploads_that_race_with_one_key_are_committed_once() {
    let lake = TestLake::open().await;
    let answers = upload_all(&lake, |_| "k".to_owned(), |_| "id\n7\n".to_owned()).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert!(!taken.is_empty());
    for answer in refused {
        assert_problem(answer, 409, "idempotency-key-in-flight");
    }
    let ids: BTreeSet<_> = taken.iter().map(|answer| answer.json()["upload_id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    let first_hand = taken.iter().filter(|answer| answer.header("idempotent-replayed").is_none()).count();
    assert_eq!(first_hand, 1, "one of them did it, the others heard of it");
    assert_eq!(lake.count("a.t").await, 1);
}
