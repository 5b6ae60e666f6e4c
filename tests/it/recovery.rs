//! What was cut off is finished when the lake is opened again, exactly once.
//!
//! A crash is made by hand, on the closed lake: the ledger is written as far as it had come, or put back to where it
//! was before the last step.

use std::path::{Path, PathBuf};

use serde_json::json;
use sluice_catalog::{Catalog, CommitTry, NewTable, NewUpload};
use sluice_domain::{
    Format, IdempotencyKey, Landed, MergeOptions, Prepared, ReadOptions, TableFormat, TableId, UploadId, UploadState,
    WriteMode, WriteOptions, ZoneName,
};
use sluice_tests::{ClosedLake, TestLake, assert_problem, sha256_of};

const ROWS: &[u8] = b"id\n1\n2\n";

/// Put a file into the raw zone and its entry into the ledger, as an upload to `a.t` that was cut off then.
async fn land(data_dir: &Path, catalog: &Catalog, key: &str) -> UploadId {
    land_bytes(data_dir, catalog, key, ROWS).await
}

async fn land_bytes(data_dir: &Path, catalog: &Catalog, key: &str, bytes: &[u8]) -> UploadId {
    land_as(data_dir, catalog, (key, bytes), WriteOptions::default()).await
}

async fn land_as(data_dir: &Path, catalog: &Catalog, (key, bytes): (&str, &[u8]), write: WriteOptions) -> UploadId {
    let id = UploadId(uuid::Uuid::now_v7());
    let raw_path = format!("uploads/a/t/{id}.csv");
    let file = data_dir.join("raw").join(&raw_path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, bytes).unwrap();
    let now = chrono::Utc::now();
    let upload = NewUpload {
        id,
        table: "a.t".parse().unwrap(),
        principal: "anonymous".into(),
        idempotency_key: Some(IdempotencyKey {
            scope: "anonymous POST /api/v1/tables/a/t/uploads".into(),
            key: key.into(),
        }),
        file_name: None,
        options: ReadOptions { write, ..ReadOptions::of(Format::Csv) },
        landed: Landed { raw_path, size_bytes: bytes.len() as u64, sha256: sha256_of(bytes), landed_at: now },
        started_at: now,
    };
    catalog.uploads().land(&upload).await.unwrap();
    id
}

/// The catalog's entry of `a.t`, made if need be.
async fn reserve(catalog: &Catalog) -> TableId {
    let table = NewTable {
        name: "a.t".parse().unwrap(),
        zone: ZoneName::Raw,
        format: TableFormat::Delta,
        folder: None,
        partition_by: Vec::new(),
        owner: "anonymous".into(),
    };
    catalog.tables().reserve(&table).await.unwrap().id
}

/// Tell the ledger that the upload's commit is about to be tried.
async fn begin(catalog: &Catalog, upload: UploadId, table: TableId) {
    catalog
        .uploads()
        .begin_commits(table, &[CommitTry { upload, files: Vec::new(), prepared: Prepared::default() }])
        .await
        .unwrap();
}

/// The files of the catalog: those that lie in the data folder itself.
fn catalog_files(data_dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data_dir).unwrap().map(Result::unwrap);
    entries.filter(|entry| entry.file_type().unwrap().is_file()).map(|entry| entry.path()).collect()
}

/// Copy the catalog of a closed lake.
fn copy_catalog(from: &Path, to: &Path) {
    for file in catalog_files(from) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

async fn assert_committed_once(lake: &TestLake, id: UploadId, version: u64, rows: u64) {
    let upload = lake.get(&format!("/api/v1/uploads/{id}")).await.expect(200);
    assert_eq!(upload["status"], "committed", "{upload}");
    assert_eq!((&upload["receipt"]["version"], &upload["receipt"]["rows_committed"]), (&json!(version), &json!(2)));
    assert_eq!(lake.count("a.t").await, rows);
    assert_eq!(lake.describe("a.t").await["version"], version, "nothing was committed after it");
}

async fn assert_replayed(lake: &TestLake, id: UploadId, key: &str) {
    let path = "/api/v1/tables/a/t/uploads?format=csv";
    let answer = lake.post(path, &[("idempotency-key", key)], ROWS).await;
    assert_eq!(answer.expect(201)["upload_id"], id.to_string());
    assert_eq!(answer.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn an_upload_that_landed_is_finished_at_the_next_start() {
    let closed = TestLake::open().await.close().await;
    let catalog = closed.catalog().await;
    let id = land(closed.data_dir(), &catalog, "k").await;
    catalog.close().await.unwrap();

    // A lake that is closed again has finished what it resumed.
    let lake = closed.open().await.reopen().await;
    assert_committed_once(&lake, id, 0, 2).await;
    assert_replayed(&lake, id, "k").await;
    assert_committed_once(&lake.reopen().await, id, 0, 2).await;
}

#[tokio::test]
async fn uploads_that_landed_go_into_the_table_that_is_there() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id\n7\n").await.expect_status(201);
    let closed = lake.close().await;
    let catalog = closed.catalog().await;
    let ids = [land(closed.data_dir(), &catalog, "k1").await, land(closed.data_dir(), &catalog, "k2").await];
    let table = reserve(&catalog).await;
    begin(&catalog, ids[1], table).await;
    catalog.close().await.unwrap();

    let lake = closed.open().await.reopen().await;
    for (id, key) in ids.into_iter().zip(["k1", "k2"]) {
        // They are finished side by side: either may be first, and both may share a version.
        let upload = lake.get(&format!("/api/v1/uploads/{id}")).await.expect(200);
        assert_eq!((&upload["status"], &upload["receipt"]["rows_committed"]), (&json!("committed"), &json!(2)));
        assert_replayed(&lake, id, key).await;
    }
    assert_eq!(lake.count("a.t").await, 5);
}

/// A lake that was cut off between the commit of an upload and the ledger's word of it, and is closed now.
///
/// The ledger is kept from when the upload had landed; the upload is finished; the kept ledger is put back and told, as
/// it was then, that the commit is about to be tried.
async fn committed_behind_the_ledger(lake: TestLake, write: WriteOptions) -> (ClosedLake, UploadId) {
    let closed = lake.close().await;
    let catalog = closed.catalog().await;
    let id = land_as(closed.data_dir(), &catalog, ("k", ROWS), write).await;
    reserve(&catalog).await;
    catalog.close().await.unwrap();
    let kept = tempfile::tempdir().unwrap();
    copy_catalog(closed.data_dir(), kept.path());

    let closed = closed.open().await.close().await;
    for file in catalog_files(closed.data_dir()) {
        std::fs::remove_file(file).unwrap();
    }
    copy_catalog(kept.path(), closed.data_dir());
    let catalog = closed.catalog().await;
    let table = reserve(&catalog).await;
    begin(&catalog, id, table).await;
    let entry = catalog.uploads().find(id).await.unwrap();
    assert_eq!(entry.state, UploadState::Committing);
    catalog.close().await.unwrap();
    (closed, id)
}

#[tokio::test]
async fn a_commit_that_the_ledger_does_not_know_is_found_in_the_log() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id\n7\n").await.expect_status(201);
    let (closed, id) = committed_behind_the_ledger(lake, WriteOptions::default()).await;
    let lake = closed.open().await.reopen().await;
    assert_committed_once(&lake, id, 1, 3).await;
    assert_replayed(&lake, id, "k").await;
    let next = lake.upload("a.t", "?format=csv", "id\n8\n").await.expect(201);
    assert_eq!((&next["version"], lake.count("a.t").await), (&json!(2), 4));
}

#[tokio::test]
async fn a_table_that_the_catalog_does_not_know_to_be_made_is_found_in_the_log() {
    let (closed, id) = committed_behind_the_ledger(TestLake::open().await, WriteOptions::default()).await;
    let lake = closed.open().await.reopen().await;
    assert_committed_once(&lake, id, 0, 2).await;
    assert_replayed(&lake, id, "k").await;
    let schemas = lake.get("/api/v1/tables/a/t/schema/history").await.expect(200);
    assert_eq!(schemas["items"].as_array().unwrap().len(), 1);
    assert_eq!(schemas["items"][0]["upload_id"], id.to_string());
}

/// A merge by `id`.
fn merge() -> WriteOptions {
    let merge = MergeOptions { keys: vec!["id".into()], ..MergeOptions::default() };
    WriteOptions { mode: WriteMode::Merge, merge, ..WriteOptions::default() }
}

async fn assert_merged_once(lake: &TestLake, id: UploadId) {
    assert_committed_once(lake, id, 1, 2).await;
    let receipt = &lake.get(&format!("/api/v1/uploads/{id}")).await.expect(200)["receipt"];
    let counts = ["rows_inserted", "rows_updated", "rows_deleted"].map(|field| &receipt[field]);
    assert_eq!(counts, [&json!(1), &json!(1), &json!(0)]);
}

#[tokio::test]
async fn a_merge_that_the_ledger_does_not_know_is_found_in_the_log_with_its_counts() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id\n1\n").await.expect_status(201);
    let (closed, id) = committed_behind_the_ledger(lake, merge()).await;
    let lake = closed.open().await.reopen().await;
    assert_merged_once(&lake, id).await;
    assert_merged_once(&lake.reopen().await, id).await;
}

#[tokio::test]
async fn a_merge_that_landed_is_done_at_the_next_start() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id\n1\n").await.expect_status(201);
    let closed = lake.close().await;
    let catalog = closed.catalog().await;
    let id = land_as(closed.data_dir(), &catalog, ("k", ROWS), merge()).await;
    let table = reserve(&catalog).await;
    begin(&catalog, id, table).await;
    catalog.close().await.unwrap();
    assert_merged_once(&closed.open().await.reopen().await, id).await;
}

#[tokio::test]
async fn the_upload_that_made_its_table_is_not_told_that_the_table_exists() {
    let write = WriteOptions { mode: WriteMode::ErrorIfExists, ..WriteOptions::default() };
    let (closed, id) = committed_behind_the_ledger(TestLake::open().await, write).await;
    assert_committed_once(&closed.open().await.reopen().await, id, 0, 2).await;
}

#[tokio::test]
async fn an_upload_that_landed_and_cannot_be_read_fails_at_the_next_start() {
    let closed = TestLake::open().await.close().await;
    let catalog = closed.catalog().await;
    let id = land_bytes(closed.data_dir(), &catalog, "k", b"id,name\n1\n").await;
    catalog.close().await.unwrap();
    let lake = closed.open().await.reopen().await;
    let upload = lake.get(&format!("/api/v1/uploads/{id}")).await.expect(200);
    assert_eq!(upload["status"], "failed", "{upload}");
    let path = "/api/v1/tables/a/t/uploads?format=csv";
    let answer = lake.post(path, &[("idempotency-key", "k")], "id,name\n1\n").await;
    let problem = assert_problem(&answer, 400, "malformed-file");
    assert_eq!(problem["detail"], upload["failure"]["detail"]);
    assert_problem(&lake.get("/api/v1/tables/a/t").await, 404, "not-found");
}

#[tokio::test]
async fn a_catalog_from_a_backup_loses_no_upload_that_comes_after_it() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id\n1\n").await.expect_status(201);
    let closed = lake.close().await;
    let kept = tempfile::tempdir().unwrap();
    copy_catalog(closed.data_dir(), kept.path());

    let lake = closed.open().await;
    for row in ["id\n2\n", "id\n3\n"] {
        lake.upload("a.t", "?format=csv", row).await.expect_status(201);
    }
    let closed = lake.close().await;
    for file in catalog_files(closed.data_dir()) {
        std::fs::remove_file(file).unwrap();
    }
    copy_catalog(kept.path(), closed.data_dir());

    // The backup gives out sequences that the log holds already.
    let lake = closed.open().await;
    let receipt = lake.upload("a.t", "?format=csv", "id\n4\n").await.expect(201);
    assert_eq!((&receipt["version"], &receipt["rows_committed"]), (&json!(3), &json!(1)));
    assert_eq!(lake.rows("SELECT sum(id) AS total FROM a.t").await[0]["total"], 10);
}
