//! A run that is cut off goes on when a server opens the lake again, and takes nothing twice.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};
use sluice_catalog::{Begun, Catalog, NewUpload};
use sluice_domain::{Format, Landed, Pull, ReadOptions, RunCause, SourceRun, UploadId};
use sluice_tests::{ClosedLake, TestLake, sha256_of};

use super::{
    define,
    fake_api::{Asked, FakeApi, page},
    folder_source, lake_over, run_well, wait,
};

const LINES: &[u8] = b"{\"id\": 1, \"at\": 7}\n";

/// Begin a run of the source `s` as the server of a closed lake, and go on as the test says; then the server ends.
async fn cut_off(closed: &ClosedLake, go_on: impl AsyncFnOnce(&Catalog, &SourceRun)) -> Value {
    let catalog = closed.catalog().await;
    let source = catalog.sources().find(&"s".parse().unwrap()).await.unwrap().unwrap();
    let begun = catalog.source_runs().begin(&source, RunCause::Request, None).await.unwrap();
    let (Begun::Started(run) | Begun::Known(run) | Begun::Busy(run)) = begun;
    go_on(&catalog, &run).await;
    catalog.close().await.unwrap();
    json!({"run_id": run.id.to_string()})
}

/// Land these bytes as a pull of the run.
async fn land(closed: &ClosedLake, catalog: &Catalog, pull: &Pull, (format, bytes): (Format, &[u8])) -> UploadId {
    let id = UploadId(uuid::Uuid::now_v7());
    let raw_path = format!("uploads/a/t/{id}.{format}");
    let file = closed.data_dir().join("raw").join(&raw_path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, bytes).unwrap();
    let now = chrono::Utc::now();
    let upload = NewUpload {
        id,
        table: "a.t".parse().unwrap(),
        principal: "anonymous".into(),
        idempotency_key: None,
        file_name: None,
        options: ReadOptions::of(format),
        landed: Landed { raw_path, size_bytes: bytes.len() as u64, sha256: sha256_of(bytes), landed_at: now },
        started_at: now,
    };
    catalog.pulls().land(&upload, pull).await.unwrap().unwrap().id
}

#[tokio::test]
async fn pages_that_landed_before_the_server_ended_are_not_fetched_again() {
    let api = FakeApi::start(async |_: Asked, _| page(&json!([{"id": 2, "at": 8}]))).await;
    let lake = api.lake().open().await;
    let watermark = json!({"column": "at", "param": "since"});
    define(&lake, "s", &json!({"table": "a.t", "http": {"url": api.url("/"), "watermark": watermark}})).await;
    let closed = lake.close().await;
    let begun = cut_off(&closed, async |catalog, run| {
        let pull = Pull {
            run: run.id,
            position: "pages".into(),
            fingerprint: run.id.to_string(),
            pages: 1,
            watermark: Some("7".into()),
        };
        land(&closed, catalog, &pull, (Format::Ndjson, LINES)).await;
    })
    .await;
    let lake = closed.open().await;
    let ended = wait(&lake, "s", &begun).await;
    assert_eq!((&ended["state"], &ended["rows_committed"]), (&json!("succeeded"), &json!(1)), "{ended}");
    assert_eq!((&ended["watermark_after"], &ended["pages"]), (&json!("7"), &json!(1)));
    assert!(api.asked().is_empty(), "its pages were there");
    run_well(&lake, "s").await;
    assert_eq!(api.asked()[0].param("since"), "7");
    assert_eq!(lake.rows("SELECT sum(id) AS ids, count(*) AS n FROM a.t").await, [json!({"ids": 3, "n": 2})]);
}

#[tokio::test]
async fn a_run_without_its_pages_fetches_them() {
    let api = FakeApi::start(async |_: Asked, _| page(&json!([{"id": 2}]))).await;
    let lake = api.lake().open().await;
    define(&lake, "s", &json!({"table": "a.t", "http": {"url": api.url("/")}})).await;
    let closed = lake.close().await;
    let begun = cut_off(&closed, async |_, _| {}).await;
    let lake = closed.open().await;
    let ended = wait(&lake, "s", &begun).await;
    assert_eq!((&ended["state"], lake.count("a.t").await), (&json!("succeeded"), 1), "{ended}");
}

#[tokio::test]
async fn a_file_that_landed_before_the_server_ended_is_not_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    for (name, id) in [("a.csv", 1), ("b.csv", 2)] {
        std::fs::write(folder.path().join(name), format!("id\n{id}\n")).unwrap();
    }
    let lake = lake_over(folder.path()).open().await;
    define(&lake, "s", &folder_source(folder.path(), &json!({}))).await;
    let closed = lake.close().await;
    let meta = std::fs::metadata(folder.path().join("a.csv")).unwrap();
    let modified = chrono::DateTime::<chrono::Utc>::from(meta.modified().unwrap());
    let begun = cut_off(&closed, async |catalog, run| {
        let modified = modified.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
        let fingerprint = format!("{}-{modified}", meta.len());
        let pull = Pull { run: run.id, position: "a.csv".into(), fingerprint, pages: 0, watermark: None };
        land(&closed, catalog, &pull, (Format::Csv, b"id\n1\n")).await;
    })
    .await;
    let lake = closed.open().await;
    let ended = wait(&lake, "s", &begun).await;
    assert_eq!((&ended["files_taken"], &ended["rows_committed"]), (&json!(2), &json!(2)), "{ended}");
    assert_eq!(lake.rows("SELECT sum(id) AS ids, count(*) AS n FROM a.t").await, [json!({"ids": 3, "n": 2})]);
}

#[tokio::test]
async fn a_server_that_is_stopped_leaves_its_run_to_the_next_one() {
    let is_slow = Arc::new(AtomicBool::new(true));
    let slow = Arc::clone(&is_slow);
    let api = FakeApi::start(move |_: Asked, _| {
        let is_slow = slow.load(Ordering::SeqCst);
        async move {
            if is_slow {
                std::future::pending::<()>().await;
            }
            page(&json!([{"id": 1}]))
        }
    })
    .await;
    let lake = api.lake().open().await;
    define(&lake, "s", &json!({"table": "a.t", "http": {"url": api.url("/")}})).await;
    let begun = lake.post("/api/v1/sources/s/runs", &[], "").await.expect(202);
    while api.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    let closed = lake.close().await;
    is_slow.store(false, Ordering::SeqCst);
    let lake: TestLake = closed.open().await;
    let ended = wait(&lake, "s", &begun).await;
    assert_eq!((&ended["state"], lake.count("a.t").await), (&json!("succeeded"), 1), "{ended}");
}

#[tokio::test]
async fn a_run_is_taken_over_from_a_server_that_ended_by_one_that_lives() {
    let (reached, release) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (seen, free) = (Arc::clone(&reached), Arc::clone(&release));
    let api = FakeApi::start(move |_: Asked, _| {
        seen.store(true, Ordering::SeqCst);
        let is_free = free.load(Ordering::SeqCst);
        async move {
            if !is_free {
                std::future::pending::<()>().await;
            }
            page(&json!([{"id": 1}]))
        }
    })
    .await;
    let first = api.lake().set(|settings| settings.ingest.retry_seconds = 1).open().await;
    let second = first.open_another().await;
    define(&first, "s", &json!({"table": "a.t", "http": {"url": api.url("/")}})).await;
    let begun = first.post("/api/v1/sources/s/runs", &[], "").await.expect(202);
    while !reached.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    release.store(true, Ordering::SeqCst);
    drop(first.close().await);
    let ended = wait(&second, "s", &begun).await;
    assert_eq!((&ended["state"], second.count("a.t").await), (&json!("succeeded"), 1), "{ended}");
}
