//! Clients that keep the server waiting, on real sockets.

use std::time::{Duration, Instant};

use futures::future::join_all;
use rstest::rstest;
use serde_json::json;
use sluice_tests::{ServedLake, TestLake, read_answer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// How long anything may take that is not waited for in vain.
const SOON: Duration = Duration::from_secs(20);
const SLOW_CLIENTS: usize = 200;
/// A result of more bytes than a system keeps for a connection.
const BIG_QUERY: &str = "SELECT value, repeat('x', 1000) AS filling FROM generate_series(1, 20000)";

/// Wait until the server has closed the connection; what it says before is read and dropped.
async fn closed(connection: &mut TcpStream) {
    let reading = async { while matches!(connection.read(&mut [0; 4096]).await, Ok(1..)) {} };
    assert!(tokio::time::timeout(SOON, reading).await.is_ok(), "the server does not close the connection");
}

fn query(accept: &str) -> String {
    let body = json!({ "sql": BIG_QUERY, "row_limit": 20_000 }).to_string();
    let length = body.len();
    format!(
        "POST /api/v1/queries HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

async fn connections(lake: &ServedLake) -> u64 {
    let (status, text) = lake.get("/metrics").await;
    assert_eq!(status, 200, "{text}");
    let line = text.lines().find_map(|line| line.strip_prefix("data_lake_connections "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn two_hundred_clients_that_drip_their_requests_keep_nobody_waiting_and_are_cut() {
    let lake = TestLake::builder().set(|settings| settings.connections.head_seconds = 2).serve().await;
    let started = Instant::now();
    let mut slow = join_all((0..SLOW_CLIENTS).map(|_| lake.connect("GET /healthz HTTP/1.1\r\nhost: l"))).await;
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(lake.get("/healthz").await.0, 200);
        assert!(asked.elapsed() < Duration::from_secs(1), "an honest client waited for {:?}", asked.elapsed());
        for connection in &mut slow {
            // Those that are cut cannot be written to.
            let _ = connection.write_all(b"o").await;
        }
    }
    join_all(slow.iter_mut().map(closed)).await;
    assert!(started.elapsed() < SOON, "they were cut after {:?}", started.elapsed());
    assert_eq!(connections(&lake).await, 1, "only the one that asks is left");
    lake.stop().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut() {
    let lake = TestLake::builder().set(|settings| settings.connections.head_seconds = 1).serve().await;
    closed(&mut lake.connect("").await).await;
    lake.stop().await;
}

#[tokio::test]
async fn a_connection_outlives_the_deadline_of_heads_between_requests_but_not_its_idle_time() {
    let lake = TestLake::builder().set(|settings| {
        (settings.connections.head_seconds, settings.connections.idle_seconds) = (1, 3);
    });
    let lake = lake.serve().await;
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut connection = lake.connect(request).await;
    assert_eq!(read_answer(&mut connection).await.unwrap().0, 200);
    let idle = tokio::time::timeout(Duration::from_secs(2), connection.read(&mut [0; 1])).await;
    assert!(idle.is_err(), "a connection between two requests was closed: {idle:?}");
    connection.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut connection).await.unwrap().0, 200);
    closed(&mut connection).await;
    lake.stop().await;
}

#[rstest]
#[case("text/csv")]
#[case("application/json")]
#[tokio::test]
async fn a_reader_that_stops_is_cut_and_its_place_is_free(#[case] accept: &str) {
    let lake = TestLake::builder().set(|settings| {
        (settings.connections.stall_seconds, settings.query.concurrency, settings.query.queue) = (2, 1, 0);
    });
    let lake = lake.serve().await;
    let mut stopped = lake.connect(&query(accept)).await;
    // It has begun, and nothing more is read.
    stopped.read_exact(&mut [0; 12]).await.unwrap();
    let body = json!({ "sql": "SELECT 1 AS one" }).to_string();
    let freed = async {
        while connections(&lake).await > 1 {
            tokio::task::yield_now().await;
        }
        while read_answer(&mut lake.post_json("/api/v1/queries", &body).await).await.unwrap().0 == 429 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, freed).await.unwrap();
    // The system had taken a part of the answer; the rest never comes.
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(SOON, stopped.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.len() < 20_000_000, "the whole answer was sent");
    lake.stop().await;
}

#[tokio::test]
async fn a_query_that_finds_no_place_is_told_to_come_again() {
    let lake = TestLake::builder().set(|settings| (settings.query.concurrency, settings.query.queue) = (1, 0));
    let lake = lake.serve().await;
    // Its answer has begun and nobody reads it, so that it holds the one place.
    let mut running = lake.connect(&query("text/csv")).await;
    running.read_exact(&mut [0; 12]).await.unwrap();
    let body = json!({ "sql": "SELECT 1 AS one" }).to_string();
    let mut refused = lake.post_json("/api/v1/queries", &body).await;
    let (status, text) = read_answer(&mut refused).await.unwrap();
    assert_eq!(status, 429, "{text}");
    assert!(text.contains("retry-after: 1") && text.contains("urn:sluice:problem:too-many-queries"), "{text}");
    drop(running);
    lake.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_to_come_again() {
    let lake = TestLake::builder().set(|settings| settings.connections.max_connections = 2).serve().await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut connection = lake.connect("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert_eq!(read_answer(&mut connection).await.unwrap().0, 200);
        held.push(connection);
    }
    let mut refused = lake.connect("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let (status, text) = read_answer(&mut refused).await.unwrap();
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("retry-after: 1") && text.contains("urn:sluice:problem:too-many-connections"), "{text}");
    closed(&mut refused).await;
    drop(held.pop());
    let served = async {
        while lake.get("/healthz").await.0 != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, served).await.unwrap();
    lake.stop().await;
}

#[rstest]
#[case(1, 40_000)]
#[case(101, 10)]
#[case(2_000, 100)]
#[tokio::test]
async fn a_head_that_is_too_long_or_has_too_many_lines_is_refused(#[case] lines: usize, #[case] bytes: usize) {
    let lake = TestLake::builder().serve().await;
    let line = |number| format!("x-{number}: {}\r\n", "y".repeat(bytes));
    let bomb: String = (0..lines).map(line).collect();
    let mut connection = TcpStream::connect(lake.address).await.unwrap();
    // The server may hang up before it is said to the end.
    let _ = connection.write_all(format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{bomb}\r\n").as_bytes()).await;
    let mut status = [0; 12];
    connection.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 431");
    closed(&mut connection).await;
    assert_eq!(lake.get("/healthz").await.0, 200);
    lake.stop().await;
}

#[tokio::test]
async fn a_request_that_is_no_http_is_refused() {
    let lake = TestLake::builder().serve().await;
    for nonsense in ["\u{16}\u{3}\u{1}\r\n\r\n", "GET  HTTP/1.1\r\n\r\n"] {
        let mut connection = lake.connect(nonsense).await;
        let mut status = [0; 12];
        connection.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 400", "{nonsense:?}");
        closed(&mut connection).await;
    }
    closed(&mut lake.connect("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await).await;
    assert_eq!(lake.get("/healthz").await.0, 200);
    lake.stop().await;
}

#[tokio::test]
async fn a_refusal_of_what_was_not_read_ends_the_connection_and_one_of_what_was_read_does_not() {
    let lake = TestLake::builder().set(|settings| settings.ingest.min_free_bytes = u64::MAX).serve().await;
    let upload = |length: usize, body: &str| {
        format!(
            "POST /api/v1/tables/a/t/uploads?format=csv HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    let mut connection = lake.connect(&upload(10_000_000, "id\n")).await;
    let (status, text) = read_answer(&mut connection).await.unwrap();
    assert_eq!(status, 507, "{text}");
    assert!(text.contains("\r\nconnection: close\r\n"), "{text}");

    let query = "{\"sql\": \"SELECT\"}";
    let length = query.len();
    let request = format!(
        "POST /api/v1/queries HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{query}"
    );
    let mut connection = lake.connect(&request).await;
    let (status, text) = read_answer(&mut connection).await.unwrap();
    assert!(status == 400 && !text.contains("connection: close"), "{text}");
    lake.stop().await;
}
