//! Rows that do not fit: they are set aside with a reason, and the others are taken.

use axum::http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use sluice_tests::{Answer, TestLake, assert_problem, table_path, uploads_path};

use super::counts;

async fn quarantined(lake: &TestLake, table: &str) -> Vec<Value> {
    let columns = "upload_id, row_number, line, column_name, rule, reason, record, record_format";
    lake.rows(&format!("SELECT {columns} FROM {table}__quarantine ORDER BY upload_id, row_number")).await
}

#[tokio::test]
async fn a_row_that_does_not_fit_is_set_aside_and_the_others_are_taken() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id,age\n1,30\n").await.expect_status(201);
    let receipt = lake.upload("a.t", "?format=csv", "id,age\n2,old\n3,31\n4\n").await.expect(201);
    assert_eq!(counts(&receipt), [3, 1, 2]);
    assert_eq!(receipt["quarantine_table"], "a.t__quarantine");
    assert_eq!(
        lake.rows("SELECT id, age FROM a.t ORDER BY id").await,
        [json!({"id":1,"age":30}), json!({"id":3,"age":31})]
    );
    let expected = [
        json!({"upload_id": receipt["upload_id"], "row_number": 1, "line": 2, "column_name": "age", "rule": "type-mismatch",
            "reason": "row 1, line 2, column \"age\": \"old\" does not fit into Int64", "record": "2,old", "record_format": "csv"}),
        json!({"upload_id": receipt["upload_id"], "row_number": 3, "line": 4, "column_name": null, "rule": "malformed-file",
            "reason": "this is not good csv: line 4: the record has 1 fields, the first one has 2", "record": "4", "record_format": "csv"}),
    ];
    assert_eq!(quarantined(&lake, "a.t").await, expected);
    let upload = lake.get(&format!("/api/v1/uploads/{}", receipt["upload_id"].as_str().unwrap())).await.expect(200);
    assert_eq!(upload["receipt"], receipt);
}

#[rstest]
#[case::ndjson("ndjson", "{\"id\":1}\nnot json\n{\"id\":3}\n", "not json")]
#[case::json("json", "[{\"id\":1},{\"id\":},{\"id\":3}]", "{\"id\":}")]
#[case::csv("csv", "id\n1\n2,3\n3\n", "2,3")]
#[tokio::test]
async fn a_new_table_is_made_of_the_good_rows(#[case] format: &str, #[case] body: &'static str, #[case] record: &str) {
    let lake = TestLake::open().await;
    let receipt = lake.upload("a.t", &format!("?format={format}"), body).await.expect(201);
    assert_eq!(counts(&receipt), [3, 2, 1]);
    assert_eq!(lake.rows("SELECT id FROM a.t ORDER BY id").await, [json!({"id":1}), json!({"id":3})]);
    assert_eq!(quarantined(&lake, "a.t").await[0]["record"], record);
}

#[tokio::test]
async fn an_upload_without_a_good_row_is_refused_with_the_first_bad_one() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id\n1\n").await.expect_status(201);
    let answer = lake.upload("a.t", "?format=csv", "id\nx\ny\n").await;
    let problem = assert_problem(&answer, 422, "type-mismatch");
    assert_eq!(problem["detail"], "row 1, line 2, column \"id\": \"x\" does not fit into Int64");
    lake.get("/api/v1/tables/a/t__quarantine").await.expect_status(404);
    assert_eq!(lake.describe("a.t").await["version"], 0);
}

#[rstest]
#[case("max_bad_rows=0", "type-mismatch", None)]
#[case("max_bad_rows=1", "too-many-bad-rows", None)]
#[case("max_bad_rows=2", "", Some(2))]
#[case("max_bad_fraction=0.49", "too-many-bad-rows", None)]
#[case("max_bad_fraction=0.5", "", Some(2))]
#[tokio::test]
async fn more_bad_rows_than_may_be_reject_the_upload(
    #[case] limit: &str,
    #[case] code: &str,
    #[case] committed: Option<u64>,
) {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id\n0\n").await.expect_status(201);
    let answer = lake.upload("a.t", &format!("?format=csv&{limit}"), "id\n1\nx\n2\ny\n").await;
    match committed {
        Some(rows) => assert_eq!(counts(&answer.expect(201)), [4, rows, 4 - rows]),
        None => drop(assert_problem(&answer, 422, code)),
    }
    assert_eq!(lake.count("a.t").await, 1 + committed.unwrap_or(0));
}

#[tokio::test]
async fn a_limit_that_is_none_is_refused() {
    let lake = TestLake::open().await;
    for limit in ["max_bad_rows=-1", "max_bad_fraction=1.5", "max_bad_fraction=x"] {
        lake.upload("a.t", &format!("?format=csv&{limit}"), "id\n1\n").await.expect_status(400);
    }
}

#[tokio::test]
async fn nobody_uploads_into_a_quarantine() {
    let lake = TestLake::open().await;
    let answer = lake.upload("a.t__quarantine", "?format=csv", "id\n1\n").await;
    assert_problem(&answer, 422, "reserved-name");
}

#[tokio::test]
async fn bad_rows_are_set_aside_once_however_often_the_upload_is_sent() {
    let lake = TestLake::open().await;
    let path = format!("{}?format=csv", uploads_path("a.t"));
    let send = || lake.post(&path, &[("idempotency-key", "k")], "id\n1\n2,3\n");
    let first = send().await.expect(201);
    assert_eq!(send().await.expect(201), first);
    let lake = lake.reopen().await;
    assert_eq!(quarantined(&lake, "a.t").await.len(), 1);
    lake.upload("a.t", "?format=csv", "id\n4\n5,6\n").await.expect_status(201);
    assert_eq!(quarantined(&lake, "a.t").await.len(), 2);
}

async fn replay(lake: &TestLake, body: &Value) -> Answer {
    let path = format!("{}/quarantine/replay", table_path("a.t"));
    lake.call(Method::POST, &path).json(body).send().await
}

/// A table of one number, and an upload of which rows 2, 3 and 4 are in quarantine.
async fn with_bad_rows() -> (TestLake, Value) {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id\n0\n").await.expect_status(201);
    let receipt = lake.upload("a.t", "?format=csv", "id\n1\ntwo\n\"three, or 3\"\n4,4\n").await.expect(201);
    assert_eq!(counts(&receipt), [4, 1, 3]);
    (lake, receipt["upload_id"].clone())
}

#[tokio::test]
async fn mended_rows_get_into_the_table_once_and_leave_quarantine() {
    let (lake, id) = with_bad_rows().await;
    let body = json!({"upload_id": id, "records": [{"row_number": 2, "record": {"id": 2}}, {"row_number": 4, "record": {"id": 4}}]});
    let answer = replay(&lake, &body).await.expect(200);
    assert_eq!((&answer["rows_replayed"], counts(&answer["receipts"][0])), (&json!(2), [2, 2, 0]));
    assert_eq!(lake.rows("SELECT id FROM a.t ORDER BY id").await.len(), 4);
    let left = quarantined(&lake, "a.t").await;
    assert_eq!(left.iter().map(|row| row["row_number"].as_u64().unwrap()).collect::<Vec<_>>(), [3]);
    assert_problem(&replay(&lake, &body).await, 404, "nothing-to-replay");
    let lake = lake.reopen().await;
    assert_eq!(lake.count("a.t").await, 4);
}

#[tokio::test]
async fn rows_that_are_bad_still_stay_in_quarantine() {
    let (lake, id) = with_bad_rows().await;
    assert_problem(&replay(&lake, &json!({"upload_id": id})).await, 422, "type-mismatch");
    assert_eq!(quarantined(&lake, "a.t").await.len(), 3);
    let body = json!({"upload_id": id, "records": [{"row_number": 2, "record": {"id": 2}}, {"row_number": 3, "record": {"id": "x"}}]});
    let answer = replay(&lake, &body).await.expect(200);
    assert_eq!(counts(&answer["receipts"][0]), [2, 1, 1]);
    let left = quarantined(&lake, "a.t").await;
    let left: Vec<_> = left.iter().map(|row| (&row["upload_id"], &row["row_number"], &row["record"])).collect();
    let replayed = &answer["receipts"][0]["upload_id"];
    assert_eq!(left, [(&id, &json!(4), &json!("4,4")), (replayed, &json!(2), &json!("{\"id\":\"x\"}"))]);
}

#[tokio::test]
async fn two_replays_of_a_row_bring_it_in_once() {
    let (lake, id) = with_bad_rows().await;
    let body = json!({"upload_id": id, "records": [{"row_number": 2, "record": {"id": 2}}]});
    let (first, second) = tokio::join!(replay(&lake, &body), replay(&lake, &body));
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert!(statuses == [200, 404] || statuses == [200, 409], "{statuses:?}");
    assert_eq!(lake.count("a.t").await, 3);
}

#[tokio::test]
async fn the_quarantine_is_listed_in_pages_sampled_and_purged() {
    let (lake, id) = with_bad_rows().await;
    let path = format!("{}/quarantine", table_path("a.t"));
    let first = lake.get(&format!("{path}?page_size=2")).await.expect(200);
    let token = first["next_page_token"].as_str().unwrap();
    let second = lake.get(&format!("{path}?page_size=2&page_token={token}")).await.expect(200);
    let numbers = |page: &Value| {
        page["items"].as_array().unwrap().iter().map(|row| row["row_number"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((numbers(&first), numbers(&second), second.get("next_page_token")), (vec![2, 3], vec![4], None));
    assert_eq!(numbers(&lake.get(&format!("{path}?sample=true&page_size=2")).await.expect(200)).len(), 2);
    let other = uuid::Uuid::nil();
    let purge = async |query: String| {
        lake.call(Method::DELETE, &format!("{path}{query}")).send().await.expect(200)["rows_purged"].as_u64().unwrap()
    };
    assert_eq!(purge(format!("?upload_id={other}")).await, 0);
    assert_eq!(purge(format!("?upload_id={}", id.as_str().unwrap())).await, 3);
    assert_eq!(lake.get(&path).await.expect(200), json!({"items": []}));
    assert_eq!(lake.count("a.t").await, 2);
}
