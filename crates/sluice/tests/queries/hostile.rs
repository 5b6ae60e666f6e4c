//! Statements that exhaust an engine: the server goes on, and takes uploads meanwhile.

#![expect(clippy::print_stdout, reason = "the figures are for whoever reads the test's output")]

#[path = "../../../query/src/tests/statements.rs"]
mod statements;

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use serde_json::json;

use crate::{
    processes::{about, is_alive},
    server::ServerProcess,
};
use statements::{Killer, killers};

/// How long one query may run here, in seconds.
const TIMEOUT_SECONDS: u64 = 2;
/// How long an answer may take where the queries before it have to end first, on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// Run one, and say what was wrong with its end.
async fn run(server: &ServerProcess, killer: &Killer) -> Option<String> {
    let Killer { name, refused, sql } = killer;
    let started = Instant::now();
    let response = server.query(sql).timeout(PATIENCE).send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    println!("{status} {:>6} ms {name}: {:.160}", started.elapsed().as_millis(), body.split("detail").last().unwrap());
    let bounds: &[u16] = if *refused { &[422] } else { &[200, 408, 422] };
    (!bounds.contains(&status)).then(|| format!("{name}: {status} {body}"))
}

/// How long the server took to say that it is well, each time it was asked until `end`.
async fn health(server: &ServerProcess, mut end: tokio::sync::oneshot::Receiver<()>) -> Vec<Duration> {
    let mut took = Vec::new();
    while end.try_recv().is_err() {
        let started = Instant::now();
        let response = server.get("/healthz").timeout(PATIENCE).send().await.unwrap();
        assert!(response.status().is_success());
        took.push(started.elapsed());
        if took.len() % 100 == 0 {
            server.upload("shop/beside", "{\"id\":1}\n".into()).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    took.sort();
    took
}

fn resident_kib(pid: u32) -> u64 {
    let status = about(pid, "status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn no_statement_ends_or_stalls_the_server() {
    let timeout = TIMEOUT_SECONDS.to_string();
    let settings = [
        ("QUERY__TIMEOUT_SECONDS", timeout.as_str()),
        // More than there are clients here, so that none is turned away while the places of others are cleared.
        ("QUERY__CONCURRENCY", "8"),
        ("QUERY__MEMORY_BYTES", "268435456"),
        ("QUERY__SPILL_BYTES", "268435456"),
        ("QUERY__MAX_SQL_BYTES", "1048576"),
    ];
    let server = ServerProcess::start(&settings).await;
    let killers = killers();
    assert!(killers.len() >= 60);
    let before = resident_kib(server.pid());
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let queries = async {
        let ends = stream::iter(&killers).map(|killer| run(&server, killer)).buffer_unordered(4);
        let wrong: Vec<String> = ends.filter_map(|wrong| async { wrong }).collect().await;
        stop.send(()).unwrap();
        wrong
    };
    let (wrong, health) = tokio::join!(queries, health(&server, stopped));
    let (p99, worst) = (health[health.len() * 99 / 100], health[health.len() - 1]);
    println!("healthz: {} answers, p99 {p99:?}, worst {worst:?}", health.len());
    let after = resident_kib(server.pid());
    println!("memory of the server: {before} KiB before, {after} KiB after");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(is_alive(server.pid()));
    assert!(worst < Duration::from_secs(5), "the server took {worst:?} to say that it is well");
    assert!(after < before + 512 * 1024, "the server grew from {before} to {after} KiB");
    assert_eq!(server.rows("SELECT count(*) AS x FROM shop.numbers").await, json!([{ "x": 20_000 }]));
}
