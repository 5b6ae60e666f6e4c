//! What only this backend can show: its settings, and its ways to fail.

use std::path::PathBuf;

use sluice_domain::{Failure, TableFormat, ZoneName};
use sqlx::AnyPool;
use tempfile::TempDir;

use super::*;
use crate::NewTable;

async fn opened() -> (TempDir, PathBuf, SqlBackend) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("catalog.db");
    let backend = SqlBackend::open_file(&file, 0).await.unwrap();
    (dir, file, backend)
}

fn new_table(name: &str) -> NewTable {
    NewTable {
        name: name.parse().unwrap(),
        zone: ZoneName::Raw,
        format: TableFormat::Delta,
        folder: None,
        partition_by: Vec::new(),
        owner: "ada".into(),
    }
}

async fn run(pool: &AnyPool, sql: &'static str) {
    sqlx::query(sql).execute(pool).await.unwrap();
}

#[tokio::test]
async fn every_commit_is_synced_and_foreign_keys_hold() {
    let (_dir, _file, backend) = opened().await;
    for pool in [&backend.writer, &backend.readers] {
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await.unwrap();
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await.unwrap();
        let foreign_keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(pool).await.unwrap();
        assert_eq!((synchronous, journal.as_str(), foreign_keys), (2, "wal", 1));
    }
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let (_dir, _file, backend) = opened().await;
    assert!(sqlx::query("DELETE FROM namespaces").execute(&backend.readers).await.is_err());
    assert!(sqlx::query("DELETE FROM namespaces").execute(&backend.writer).await.is_ok());
}

#[tokio::test]
async fn a_full_disk_is_told_as_such_and_writing_resumes_once_there_is_space() {
    let (_dir, _file, backend) = opened().await;
    run(&backend.writer, "PRAGMA max_page_count = 1").await;
    let long = NewTable { owner: "x".repeat(1 << 20), ..new_table("nyc.flights") };
    let error = backend.reserve(&long).await.unwrap_err();
    assert!(matches!(error, CatalogError::Full), "{error:?}");
    assert_eq!(error.code(), "storage-full");

    run(&backend.writer, "PRAGMA max_page_count = 1000000").await;
    let entry = backend.reserve(&new_table("nyc.flights")).await.unwrap();
    assert_eq!(entry.owner, "ada", "something of the failed write was kept");
}

/// A stand-in for a statement that makes SQLite roll back on its own, as a full disk may.
#[tokio::test]
async fn a_transaction_that_the_database_ended_does_not_block_the_writer() {
    let (_dir, _file, backend) = opened().await;
    let mut write = backend.write().await.unwrap();
    sqlx::query("ROLLBACK").execute(&mut *write).await.unwrap();
    drop(write);
    backend.reserve(&new_table("nyc.flights")).await.unwrap();
}

#[tokio::test]
async fn an_abandoned_transaction_leaves_nothing() {
    let (_dir, _file, backend) = opened().await;
    let mut write = backend.write().await.unwrap();
    namespaces::ensure_namespace(&mut write, &"nyc".parse().unwrap(), "ada").await.unwrap();
    drop(write);
    backend.reserve(&new_table("hr.salaries")).await.unwrap();
    let page = backend.tables().list_namespaces(None, &PageRequest::default()).await.unwrap();
    assert_eq!(page.items.iter().map(|namespace| namespace.name.as_str()).collect::<Vec<_>>(), ["hr"]);
}

#[tokio::test]
async fn a_row_that_does_not_read_is_an_error_and_no_guess() {
    let (_dir, _file, backend) = opened().await;
    run(&backend.writer, "PRAGMA foreign_keys = OFF").await;
    for damage in [
        "UPDATE tables SET partition_by = '{'",
        "UPDATE tables SET created_at = 'yesterday'",
        "UPDATE tables SET format = 'orc'",
        "UPDATE tables SET zone = x'ff'",
        "UPDATE tables SET name = '../x'",
        "UPDATE tables SET id = 'x'",
    ] {
        run(&backend.writer, "DELETE FROM search_postings; DELETE FROM tables").await;
        let entry = backend.reserve(&new_table("nyc.flights")).await.unwrap();
        backend.activate(entry.id, &[]).await.unwrap();
        run(&backend.writer, damage).await;
        let error = backend.tables().list(None, None, &PageRequest::default()).await.unwrap_err();
        assert!(matches!(error, CatalogError::Corrupt { .. }), "{damage}: {error:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("catalog.db");
    std::fs::write(&file, "name,age\n".repeat(1000)).unwrap();
    let error = SqlBackend::open_file(&file, 0).await.unwrap_err();
    assert_eq!(error.code(), "catalog-corrupt", "{error:?}");
}

#[tokio::test]
async fn a_database_of_a_later_release_is_refused() {
    let (_dir, file, backend) = opened().await;
    run(
        &backend.writer,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', TRUE, x'00', 0)",
    )
    .await;
    backend.close().await;
    let error = SqlBackend::open_file(&file, 0).await.unwrap_err();
    assert_eq!(error.code(), "catalog-corrupt", "{error:?}");
}

#[tokio::test]
async fn every_table_goes_out_and_in() {
    let (_dir, _file, backend) = opened().await;
    let mut tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\' \
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT IN ('servers', 'watches')",
    )
    .fetch_all(&backend.readers)
    .await
    .unwrap();
    let mut known = transfer::TABLES.to_vec();
    tables.sort_unstable();
    known.sort_unstable();
    assert_eq!(tables, known);
}

#[tokio::test]
async fn closing_folds_the_log_into_the_file() {
    let (dir, _file, backend) = opened().await;
    backend.reserve(&new_table("nyc.flights")).await.unwrap();
    backend.ping().await.unwrap();
    backend.close().await;
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["catalog.db"]);
}
