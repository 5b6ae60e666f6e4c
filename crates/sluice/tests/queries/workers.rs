//! The life of workers.

use std::time::Duration;

use serde_json::json;

use crate::{
    processes::{about, children, is_alive, signal, ticks, wait_for},
    server::ServerProcess,
};

/// A query that computes for longer than any test waits.
const ENDLESS: &str =
    "SELECT count(*) AS n FROM shop.numbers AS a, shop.numbers AS b, shop.numbers AS c WHERE a.n + b.n + c.n < 0";
/// What one hundredth of a second of computing at a time comes to, before a worker counts as busy.
const BUSY_TICKS: u64 = 20;
/// How soon a query ends that nobody wants any more.
const SOON: Duration = Duration::from_secs(1);

/// The worker that computes, once there is one.
async fn busy_worker(server: &ServerProcess) -> u32 {
    let (pid, before) = wait_for("a worker", || children(server.pid()).first().map(|pid| (*pid, ticks(*pid)))).await.0;
    let busy = || (ticks(pid) > before + BUSY_TICKS).then_some(pid);
    wait_for("a worker that computes", busy).await.0
}

#[tokio::test]
async fn a_worker_is_kept_for_the_next_query() {
    let server = ServerProcess::start(&[("QUERY__CONCURRENCY", "1")]).await;
    assert!(children(server.pid()).is_empty());
    assert_eq!(server.rows("SELECT 1 AS x").await, json!([{ "x": 1 }]));
    let first = children(server.pid());
    for table in ["NULL", "(SELECT max(n) FROM shop.numbers)", "count(*) FROM shop.numbers WHERE n", "nonsense", "1/0"]
    {
        server.answer(&format!("SELECT {table} AS x")).await;
    }
    assert_eq!(server.rows("SELECT count(*) AS x FROM shop.numbers").await, json!([{ "x": 20_000 }]));
    assert_eq!((first.len(), children(server.pid())), (1, first));
}

#[tokio::test]
async fn rows_are_read_as_soon_as_they_are_acknowledged() {
    let server = ServerProcess::start(&[]).await;
    for upload in 1..4 {
        server.upload("shop/orders", "{\"id\":1}\n{\"id\":2}\n".into()).await;
        assert_eq!(server.rows("SELECT count(*) AS x FROM shop.orders").await, json!([{ "x": 2 * upload }]));
    }
    assert_eq!(server.rows("SELECT count(*) AS x FROM shop.orders VERSION AS OF 0").await, json!([{ "x": 2 }]));
    let (status, problem) = server.answer("SELECT * FROM shop.orders VERSION AS OF 9").await;
    assert_eq!((status, problem["type"].as_str()), (404, Some("urn:sluice:problem:version-not-found")));
}

#[tokio::test]
async fn a_worker_that_is_killed_fails_its_query_alone() {
    let server = ServerProcess::start(&[]).await;
    let (answer, killed) = tokio::join!(server.answer(ENDLESS), async {
        let pid = busy_worker(&server).await;
        signal(pid, "KILL");
        pid
    });
    assert_eq!((answer.0, answer.1["type"].as_str()), (422, Some("urn:sluice:problem:query-memory-exceeded")));
    assert_eq!(server.rows("SELECT count(*) AS x FROM shop.numbers").await, json!([{ "x": 20_000 }]));
    assert!(!is_alive(killed));
}

#[tokio::test]
async fn a_worker_that_is_killed_while_it_waits_is_not_missed() {
    let server = ServerProcess::start(&[]).await;
    server.rows("SELECT 1 AS x").await;
    let idle = children(server.pid());
    idle.iter().for_each(|pid| signal(*pid, "KILL"));
    wait_for("its end", || (!idle.iter().any(|pid| is_alive(*pid))).then_some(())).await;
    assert_eq!(server.rows("SELECT 1 AS x").await, json!([{ "x": 1 }]));
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_query() {
    let server = ServerProcess::start(&[("QUERY__CONCURRENCY", "1")]).await;
    let asking = tokio::spawn(server.query(ENDLESS).send());
    let pid = busy_worker(&server).await;
    asking.abort();
    let took = wait_for("the worker's end", || (!is_alive(pid)).then_some(())).await.1;
    assert!(took < SOON, "it computed for {took:?} more");
    assert_eq!(server.rows("SELECT 1 AS x").await, json!([{ "x": 1 }]));
    let left = std::fs::read_dir(server.data_dir().join("spill/0")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.len() <= children(server.pid()).len(), "{left:?} is left of killed workers");
}

#[tokio::test]
async fn a_query_ends_at_its_deadline() {
    let server = ServerProcess::start(&[("QUERY__TIMEOUT_SECONDS", "1"), ("QUERY__CONCURRENCY", "1")]).await;
    let (status, problem) = server.answer(ENDLESS).await;
    assert_eq!((status, problem["type"].as_str()), (408, Some("urn:sluice:problem:query-timeout")));
    assert_eq!(server.rows("SELECT 1 AS x").await, json!([{ "x": 1 }]));
}

#[tokio::test]
async fn no_worker_outlives_its_server() {
    for name in ["TERM", "KILL"] {
        let server = ServerProcess::start(&[("GRACE_SECONDS", "1")]).await;
        let asking = tokio::spawn(server.query(ENDLESS).send());
        let pid = busy_worker(&server).await;
        let workers = children(server.pid());
        assert!(workers.contains(&pid));
        signal(server.pid(), name);
        wait_for("the server's end", || (!is_alive(server.pid())).then_some(())).await;
        let took = wait_for("the workers' end", || (!workers.iter().any(|pid| is_alive(*pid))).then_some(())).await.1;
        assert!(took < SOON, "after {name} a worker lived for {took:?}");
        // The answer is broken off, or says that the query was.
        let _ = asking.await.unwrap();
    }
}

#[tokio::test]
async fn a_signal_to_the_whole_service_leaves_queries_to_the_server() {
    let server = ServerProcess::start(&[("QUERY__CONCURRENCY", "1")]).await;
    server.rows("SELECT 1 AS x").await;
    let workers = children(server.pid());
    workers.iter().for_each(|pid| signal(*pid, "TERM"));
    workers.iter().for_each(|pid| signal(*pid, "INT"));
    assert_eq!(server.rows("SELECT 1 AS x").await, json!([{ "x": 1 }]));
    assert_eq!(children(server.pid()), workers);
}

#[tokio::test]
async fn a_worker_has_its_limits_and_no_secrets_that_others_can_read() {
    let settings = [
        ("STORAGE__S3__ACCESS_KEY_ID", "canary-id"),
        ("STORAGE__S3__SECRET_ACCESS_KEY", "canary-secret"),
        ("QUERY__ADDRESS_SPACE_BYTES", "4000000000"),
    ];
    let server = ServerProcess::start(&settings).await;
    server.rows("SELECT count(*) FROM shop.numbers").await;
    let pid = children(server.pid())[0];
    let limits = about(pid, "limits");
    let limit = |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert_eq!(limit("Max address space").matches("4000000000").count(), 2, "{limits}");
    assert_eq!(limit("Max core file size").split_whitespace().filter(|word| *word == "0").count(), 2, "{limits}");
    assert_eq!(about(pid, "oom_score_adj").trim(), "1000");
    let (environment, arguments) = (about(pid, "environ"), about(pid, "cmdline"));
    assert!(!environment.contains("SLUICE") && !environment.contains("canary"), "{environment}");
    assert!(arguments.contains("query-worker") && !arguments.contains("canary"), "{arguments}");
}
