//! What does not fit is refused whole, with its place, and kept.

use rstest::rstest;
use serde_json::{Value, json};
use sluice_tests::{TestLake, assert_problem, form_of, uploads_path};

/// A table of numbers and days, with one row.
async fn lake_with_days() -> TestLake {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id,day\n1,2024-01-01\n").await.expect_status(201);
    lake
}

#[rstest]
#[case::csv_number("csv", "id,day\n2,2024-01-02\nx7,2024-01-03\n", &["row 2", "line 3", "\"id\"", "\"x7\"", "Int64"])]
#[case::csv_day("csv", "id,day\n2,never\n", &["row 1", "line 2", "\"day\"", "\"never\"", "Date32"])]
#[case::ndjson("ndjson", "{\"id\":2}\n{\"id\":1.5}\n", &["row 2", "line 2", "\"id\"", "1.5", "Int64"])]
#[case::json("json", "[{\"id\":2},{\"id\":true}]", &["row 2", "\"id\"", "true"])]
#[tokio::test]
async fn a_value_that_does_not_fit_is_named_by_row_and_column(
    #[case] format: &str,
    #[case] body: &'static str,
    #[case] words: &[&str],
) {
    let lake = lake_with_days().await;
    let answer = lake.upload("a.t", &format!("?format={format}&max_bad_rows=0"), body).await;
    let problem = assert_problem(&answer, 422, "type-mismatch");
    let detail = problem["detail"].as_str().unwrap();
    for word in words {
        assert!(detail.contains(word), "{word} is not in {detail}");
    }
    let table = lake.describe("a.t").await;
    assert_eq!((&table["version"], &table["rows"]), (&json!(0), &json!(1)), "nothing of it was committed");
    assert_kept(&lake, &problem, body).await;
}

/// The upload stands in the ledger with its reason, and its bytes can be had.
async fn assert_kept(lake: &TestLake, problem: &Value, body: &str) {
    let path = format!("/api/v1/uploads/{}", problem["upload_id"].as_str().unwrap());
    let upload = lake.get(&path).await.expect(200);
    assert_eq!((&upload["status"], &upload["receipt"]), (&json!("failed"), &Value::Null));
    assert_eq!(upload["failure"], json!({"type": problem["type"], "detail": problem["detail"]}));
    assert_eq!(lake.get(&format!("{path}/content")).await.text(), body);
}

#[rstest]
#[case::ragged("?format=csv", "id,day\n1\n", 400, "malformed-file")]
#[case::open_quote("?format=csv", "id\n\"1\n", 400, "malformed-file")]
#[case::no_json("?format=ndjson&max_bad_rows=0", "{\"id\":1}\n{\"id\":\n", 400, "malformed-file")]
#[case::no_parquet("?format=parquet", "PAR1 is not enough", 400, "malformed-file")]
#[case::no_gzip("?format=csv&file_name=a.csv.gz", "id\n1\n", 400, "broken-compression")]
#[case::no_zstd("?format=csv&file_name=a.csv.zst", "id\n1\n", 400, "broken-compression")]
#[tokio::test]
async fn what_cannot_be_read_makes_no_table_and_is_kept(
    #[case] query: &str,
    #[case] body: &'static str,
    #[case] status: u16,
    #[case] code: &str,
) {
    let lake = TestLake::open().await;
    let problem = assert_problem(&lake.upload("a.t", query, body).await, status, code);
    assert_problem(&lake.get("/api/v1/tables/a/t").await, 404, "not-found");
    assert_kept(&lake, &problem, body).await;
}

#[rstest]
#[tokio::test]
async fn an_empty_body_is_refused_and_leaves_no_trace(#[values("csv", "ndjson", "json", "parquet")] format: &str) {
    let lake = TestLake::open().await;
    let problem = assert_problem(&lake.upload("a.t", &format!("?format={format}"), "").await, 400, "empty-body");
    assert!(problem.get("upload_id").is_none());
    let (media_type, form) = form_of(&format!("rows.{format}"), b"");
    let answer = lake.post(&uploads_path("a.t"), &[("content-type", media_type)], form).await;
    assert_problem(&answer, 400, "empty-body");
    assert_eq!(lake.get("/api/v1/namespaces").await.expect(200), json!({"items": []}));
}

#[rstest]
#[case("", &[], 415, "unknown-format")]
#[case("?format=xlsx", &[], 415, "unknown-format")]
#[case("", &[("content-type", "application/pdf")], 415, "unknown-format")]
#[case("?format=csv", &[("content-encoding", "br")], 415, "unsupported-encoding")]
#[case("?format=csv", &[("content-encoding", "gzip, zstd")], 415, "unsupported-encoding")]
#[case("?format=csv&delimiter=ab", &[], 400, "bad-parameter")]
#[case("?format=csv&quote=,", &[], 400, "bad-parameter")]
#[case("?format=csv&header=perhaps", &[], 400, "bad-parameter")]
#[case("?format=csv&colour=red", &[], 400, "bad-parameter")]
#[case("?format=csv&file_name=a%0Ab", &[], 400, "bad-parameter")]
#[case("", &[("content-type", "multipart/form-data")], 400, "bad-form")]
#[case("", &[("content-type", "multipart/form-data; boundary=x")], 400, "bad-form")]
#[tokio::test]
async fn a_request_that_cannot_be_understood_is_refused_before_its_body(
    #[case] query: &str,
    #[case] headers: &[(&str, &str)],
    #[case] status: u16,
    #[case] code: &str,
) {
    let lake = TestLake::open().await;
    let answer = lake.post(&format!("{}{query}", uploads_path("a.t")), headers, "id\n1\n").await;
    assert_problem(&answer, status, code);
    assert_eq!(lake.get("/api/v1/namespaces").await.expect(200), json!({"items": []}));
}

#[tokio::test]
async fn another_partitioning_is_refused() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv&partition_by=part", "id,part\n1,a\n").await.expect_status(201);
    let answer = lake.upload("a.t", "?format=csv&partition_by=id", "id,part\n2,b\n").await;
    assert_problem(&answer, 422, "other-partitioning");
    for query in ["?format=csv", "?format=csv&partition_by=PART"] {
        lake.upload("a.t", query, "id,part\n3,c\n").await.expect_status(201);
    }
    assert_eq!(lake.count("a.t").await, 3);
}

#[tokio::test]
async fn original_bytes_that_are_gone_are_a_problem_and_no_broken_answer() {
    let lake = TestLake::open().await;
    let receipt = lake.upload("a.t", "?format=csv", "id\n1\n").await.expect(201);
    let object = receipt["raw_object"].as_str().unwrap().strip_prefix("file://").unwrap();
    std::fs::remove_file(object).unwrap();
    let path = format!("/api/v1/uploads/{}/content", receipt["upload_id"].as_str().unwrap());
    assert_problem(&lake.get(&path).await, 500, "object-not-found");
}
