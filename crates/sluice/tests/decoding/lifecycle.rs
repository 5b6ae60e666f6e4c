//! How processes that decode begin and end.

use std::{collections::BTreeSet, path::Path};

use crate::{
    corpus::same,
    damaged::{SOUND_ROWS, sound},
    processes::{about, decoders, is_alive, open_files, signal, wait_for},
    server::ServerProcess,
};

/// So many rows that a process is still at them when it is looked for.
const SLOW_ROWS: u64 = 100_000_000;

/// A process that waits for a file.
async fn spare(server: &ServerProcess) -> u32 {
    wait_for("a spare process", || decoders(server.id()).first().copied()).await
}

/// The spare processes, once there are as many as there are without anything to do.
async fn all_spare(server: &ServerProcess) -> BTreeSet<u32> {
    let both = || Some(decoders(server.id())).filter(|processes| processes.len() == 2);
    wait_for("two spare processes", both).await.into_iter().collect()
}

#[tokio::test]
async fn a_decoder_has_limits_and_nothing_of_the_server() {
    let server = ServerProcess::start(&[("INGEST__WORKER__ADDRESS_SPACE_BYTES", "1234567168")]);
    let process = spare(&server).await;
    let limit = |name: &str| {
        let limits = about(process, "limits");
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        let values: Vec<String> = line.split_whitespace().take(2).map(str::to_owned).collect();
        assert_eq!(values[0], values[1], "{name}");
        values[0].clone()
    };
    wait_for("limits", || (limit("Max file size") == "0").then_some(())).await;
    assert_eq!(limit("Max address space"), "1234567168");
    assert_eq!(limit("Max cpu time"), "3600");
    assert_eq!(limit("Max core file size"), "0");
    assert_eq!(limit("Max open files"), "0");
    let environment = about(process, "environ");
    assert!(!environment.contains("SLUICE") && !environment.contains("secret"), "{environment}");
    for file in open_files(process) {
        assert!(file.to_string_lossy().starts_with("pipe:"), "{}", file.display());
    }
    assert_eq!(std::fs::read_link(format!("/proc/{process}/cwd")).unwrap(), Path::new("/"));
}

/// The processes when one of them has taken a file.
async fn with_a_busy_one(server: &ServerProcess) -> Vec<u32> {
    wait_for("a busy process", || Some(decoders(server.id())).filter(|all| all.len() == 3)).await
}

#[tokio::test]
async fn a_decoder_that_dies_with_its_file_is_a_fault_of_the_file() {
    let server = ServerProcess::start(&[]);
    // Where the table is there, a file is given to one process only.
    assert_eq!(server.upload("t", "parquet", same(10)).await.status, 201);
    let before = all_spare(&server).await;
    let killing = async {
        with_a_busy_one(&server).await;
        before.iter().for_each(|process| signal(*process, "KILL"));
    };
    let (answer, ()) = tokio::join!(server.upload("t", "parquet", same(SLOW_ROWS)), killing);
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.body["detail"].as_str().unwrap().contains("the decoder ended: killed"), "{answer:?}");
    assert_eq!(server.upload("t", "parquet", same(10)).await.status, 201);
    assert_eq!(server.count("t").await, 20);
}

#[tokio::test]
async fn spare_decoders_that_die_cost_no_upload() {
    let server = ServerProcess::start(&[]);
    for process in all_spare(&server).await {
        signal(process, "KILL");
        wait_for("its end", || (!is_alive(process)).then_some(())).await;
    }
    assert_eq!(server.upload("t", "parquet", sound()).await.status, 201);
    assert_eq!(server.count("t").await, SOUND_ROWS);
    all_spare(&server).await;
}

#[tokio::test]
async fn a_stopped_server_leaves_no_decoder_behind() {
    let mut server = ServerProcess::start(&[]);
    let spare = all_spare(&server).await;
    signal(server.id(), "TERM");
    assert!(server.wait());
    wait_for("the end of all", || spare.iter().all(|process| !is_alive(*process)).then_some(())).await;
}

#[tokio::test]
async fn a_killed_server_leaves_no_decoder_behind() {
    let mut server = ServerProcess::start(&[]);
    all_spare(&server).await;
    let killing = async {
        let all = with_a_busy_one(&server).await;
        signal(server.id(), "KILL");
        all
    };
    let upload = server.upload("t", "parquet", same(SLOW_ROWS));
    let all = tokio::select! { all = killing => all, answer = upload => panic!("{answer:?}") };
    assert!(!server.wait());
    wait_for("the end of all", || all.iter().all(|process| !is_alive(*process)).then_some(())).await;
}
