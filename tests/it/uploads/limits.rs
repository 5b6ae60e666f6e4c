//! The limits of a body, each crossed by as little as can be.

use axum::{body::Body, http::Method};
use bytes::Bytes;
use futures::stream;
use sluice_tests::{Call, TestLake, assert_problem, form_of, held_body};

const LIMIT_BYTES: usize = 64;
const UPLOADS: &str = "/api/v1/tables/a/t/uploads?format=csv";

/// A file of this many bytes: one column, one long text.
fn file_of(size_bytes: usize) -> Vec<u8> {
    let mut file = b"name\n".to_vec();
    file.resize(size_bytes - 1, b'x');
    file.push(b'\n');
    file
}

async fn small_lake() -> TestLake {
    TestLake::builder().set(|settings| settings.ingest.max_body_bytes = LIMIT_BYTES as u64).open().await
}

/// The body in pieces that do not tell how many bytes there will be.
fn chunked(file: &[u8]) -> Body {
    let pieces: Vec<_> = file.chunks(7).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    Body::from_stream(stream::iter(pieces))
}

fn announced(call: Call, file: &[u8]) -> Call {
    call.header("content-length", &file.len().to_string()).body(file.to_vec())
}

#[tokio::test]
async fn a_body_of_the_limit_is_taken_and_one_byte_more_is_not() {
    let lake = small_lake().await;
    let (longest, longer) = (file_of(LIMIT_BYTES), file_of(LIMIT_BYTES + 1));
    let call = || lake.call(Method::POST, UPLOADS);
    announced(call(), &longest).send().await.expect_status(201);
    call().body(chunked(&longest)).send().await.expect_status(201);
    assert_problem(&announced(call(), &longer).send().await, 413, "body-too-large");
    let problem = assert_problem(&call().body(chunked(&longer)).send().await, 413, "body-too-large");
    assert!(problem["detail"].as_str().unwrap().contains(&LIMIT_BYTES.to_string()));
    assert!(problem.get("upload_id").is_none(), "a part of a body is not kept");
    assert_eq!(lake.count("a.t").await, 2);
    assert_eq!(lake.get("/api/v1/tables/a/t/uploads").await.expect(200)["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_file_in_a_form_has_the_same_limit() {
    let lake = small_lake().await;
    let (media_type, form) = form_of("a.csv", &file_of(LIMIT_BYTES + 1));
    let call = lake.call(Method::POST, UPLOADS).header("content-type", media_type);
    assert_problem(&call.body(chunked(&form)).send().await, 413, "body-too-large");
    let (media_type, form) = form_of("a.csv", &file_of(LIMIT_BYTES));
    let call = lake.call(Method::POST, UPLOADS).header("content-type", media_type);
    call.body(chunked(&form)).send().await.expect_status(201);
}

#[tokio::test]
async fn what_decodes_to_more_than_the_limit_is_refused() {
    let lake = TestLake::builder().set(|settings| settings.ingest.decode.decoded_bytes = 1000).open().await;
    let send = async |file: Vec<u8>| {
        let call = lake.call(Method::POST, UPLOADS).header("content-encoding", "gzip");
        call.body(sluice_tests::Encoding::Gzip.encode(&file)).send().await
    };
    send(file_of(1000)).await.expect_status(201);
    assert_problem(&send(file_of(1001)).await, 413, "decoded-too-large");
    assert_eq!(lake.count("a.t").await, 1);
}

#[tokio::test]
async fn more_uploads_than_are_taken_at_once_are_told_to_come_again() {
    let lake = TestLake::builder().set(|settings| settings.ingest.concurrent_uploads = 2).open().await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let (body, mut holder) = held_body(b"id\n1\n", b"2\n");
        let answer = tokio::spawn(lake.call(Method::POST, UPLOADS).body(body).send());
        holder.reached().await;
        held.push((answer, holder));
    }
    let answer = lake.upload("a.t", "?format=csv", "id\n3\n").await;
    assert_problem(&answer, 429, "too-many-uploads");
    assert!(answer.header("retry-after").unwrap().parse::<u32>().is_ok());
    lake.get("/api/v1/tables").await.expect_status(200);

    for (answer, holder) in held {
        holder.release();
        answer.await.unwrap().expect_status(201);
    }
    lake.upload("a.t", "?format=csv", "id\n3\n").await.expect_status(201);
    assert_eq!(lake.count("a.t").await, 5);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let lake = TestLake::builder().set(|settings| settings.ingest.idle_seconds = 1).open().await;
    let (body, holder) = held_body(b"id\n1\n", b"2\n");
    let answer = lake.call(Method::POST, UPLOADS).header("idempotency-key", "k").body(body).send().await;
    let problem = assert_problem(&answer, 408, "body-too-slow");
    assert!(problem.get("upload_id").is_none(), "a part of a body is not kept");
    drop(holder);
    let again = lake.call(Method::POST, UPLOADS).header("idempotency-key", "k").body("id\n1\n").send().await;
    again.expect_status(201);
    assert!(again.header("idempotent-replayed").is_none());
    assert_eq!(lake.count("a.t").await, 1);
}

#[tokio::test]
async fn what_comes_before_the_file_of_a_form_is_bounded() {
    let lake = TestLake::open().await;
    let endless = Body::from_stream(futures::stream::repeat_with(|| {
        std::io::Result::Ok(bytes::Bytes::from_static(&[b'x'; 64 * 1024]))
    }));
    let call = lake.call(axum::http::Method::POST, UPLOADS);
    let call = call.header("content-type", "multipart/form-data; boundary=never");
    assert_problem(&call.body(endless).send().await, 400, "bad-form");
}

#[tokio::test]
async fn a_body_that_drips_is_cut_off() {
    let lake = TestLake::builder().set(|settings| {
        (settings.ingest.min_bytes_per_second, settings.ingest.slow_start_seconds) = (u64::MAX, 0);
    });
    let lake = lake.open().await;
    assert_problem(&lake.upload("a.t", "?format=csv", "id\n1\n").await, 408, "body-too-slow");
    assert_problem(&lake.get("/api/v1/tables/a/t").await, 404, "not-found");
}
