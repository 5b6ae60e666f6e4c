//! Uploads that do not come by one request: each rule of tus 1.0.0, restarts, several servers, and what is told meanwhile.

mod bounds;
mod events;
mod protocol;
mod restarts;

use axum::{body::Body, http::Method};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use sluice_tests::{Answer, Call, TestLake};

const TUS: &str = "/api/v1/tus";
const FILE: &[u8] = b"id,name\n1,a\n2,b\n3,c\n";

/// A request in the version that is spoken.
fn call(lake: &TestLake, method: Method, path: &str) -> Call {
    lake.call(method, path).header("tus-resumable", "1.0.0")
}

fn metadata(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value)));
    pairs.collect::<Vec<_>>().join(",")
}

/// The creation of an upload into `a.t`.
fn creation(lake: &TestLake, size_bytes: usize) -> Call {
    let call = call(lake, Method::POST, TUS).header("upload-length", &size_bytes.to_string());
    call.header("upload-metadata", &metadata(&[("table", "a.t"), ("filename", "a.csv")]))
}

/// Where the pieces of a new upload of the file go.
async fn create(lake: &TestLake) -> String {
    let answer = creation(lake, FILE.len()).send().await;
    answer.expect_status(201);
    answer.header("location").unwrap().to_owned()
}

fn piece(lake: &TestLake, path: &str, offset: usize) -> Call {
    let call = call(lake, Method::PATCH, path).header("upload-offset", &offset.to_string());
    call.header("content-type", "application/offset+octet-stream")
}

async fn patch(lake: &TestLake, path: &str, offset: usize, body: impl Into<Body>) -> Answer {
    piece(lake, path, offset).body(body).send().await
}

/// How many bytes the upload has.
async fn offset(lake: &TestLake, path: &str) -> usize {
    let answer = call(lake, Method::HEAD, path).send().await;
    answer.expect_status(200);
    answer.header("upload-offset").unwrap().parse().unwrap()
}

/// The upload as the ledger tells it.
async fn upload(lake: &TestLake, path: &str) -> Value {
    let id = path.rsplit('/').next().unwrap();
    lake.get(&format!("/api/v1/uploads/{id}")).await.expect(200)
}

/// The upload once it has an outcome: whoever listens for its events hears of that.
async fn outcome(lake: &TestLake, path: &str) -> Value {
    let id = path.rsplit('/').next().unwrap();
    lake.get(&format!("/api/v1/uploads/{id}/events")).await.expect_status(200);
    upload(lake, path).await
}

/// The file is in the table, once, and in the raw zone, byte for byte.
async fn assert_committed(lake: &TestLake, path: &str) {
    let upload = outcome(lake, path).await;
    assert_eq!(upload["status"], "committed", "{upload}");
    assert_eq!(upload["receipt"]["rows_committed"], 3, "{upload}");
    assert_eq!(upload["sha256"], sluice_tests::sha256_of(FILE));
    let id = path.rsplit('/').next().unwrap();
    let content = lake.get(&format!("/api/v1/uploads/{id}/content")).await;
    assert_eq!(content.body, FILE);
    assert_eq!(lake.rows("SELECT count(*) AS n, sum(id) AS s FROM a.t").await[0], serde_json::json!({"n": 3, "s": 6}));
    assert_eq!(partial_files(lake), 0, "the bytes are in the raw zone alone");
}

/// How many files of uploads there are that have not landed.
fn partial_files(lake: &TestLake) -> usize {
    std::fs::read_dir(lake.data_dir().join("partial")).unwrap().count()
}
