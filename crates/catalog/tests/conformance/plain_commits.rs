//! Commits to tables without a log.

use std::collections::BTreeSet;

use arrow_schema::{DataType, Field, Schema};
use chrono::{TimeDelta, Utc};
use sluice_catalog::{CatalogError, NewTable, PlainCommit};
use sluice_domain::{RowCounts, TableEntry, TableFormat, TableId, TableState, UploadId, UploadState};

use crate::samples::{Lake, begin, new_table};

fn plain_table(name: &str) -> NewTable {
    NewTable { format: TableFormat::Parquet, folder: Some("lake/flights".into()), ..new_table(name) }
}

async fn reserved(lake: &Lake, name: &str) -> TableEntry {
    lake.catalog.tables().reserve(&plain_table(name)).await.unwrap()
}

fn commit_of(table: TableId, upload: UploadId, column: &str) -> PlainCommit {
    PlainCommit {
        table,
        partition_by: vec!["year".into()],
        schema: Schema::new(vec![Field::new(column, DataType::Int64, true)]),
        upload,
        principal: "ada".into(),
        rows: RowCounts::all_committed(3),
        committed_at: Utc::now(),
        content: format!("of {upload}"),
        quarantined: None,
    }
}

#[tokio::test]
async fn each_commit_makes_the_next_version_and_the_first_one_the_table() {
    let lake = Lake::open().await;
    let table = reserved(&lake, "nyc.flights").await;
    let uploads = lake.catalog.uploads();
    for version in 0..3 {
        let upload = lake.landed("nyc.flights").await;
        begin(uploads, upload, table.id).await.unwrap();
        let commit = commit_of(table.id, upload, "a");
        let entry = uploads.commit_next(&commit).await.unwrap().unwrap();
        assert_eq!((entry.state, entry.version), (UploadState::Committed, Some(version)));
        // Doing it again gives the same and makes no version.
        assert_eq!(uploads.commit_next(&commit).await.unwrap().unwrap().version, Some(version));
        let kept = lake.catalog.inventory().commits(table.id, version, 10).await.unwrap();
        assert_eq!(kept.iter().map(|record| &record.content).collect::<Vec<_>>(), [&format!("of {upload}")]);
    }
    let entry = lake.catalog.tables().find(&table.name).await.unwrap();
    assert_eq!((entry.state, entry.format), (TableState::Active, TableFormat::Parquet));
    assert_eq!(lake.catalog.schemas().latest(table.id).await.unwrap().unwrap().number, 1);
}

#[tokio::test]
async fn files_of_another_schema_are_not_committed() {
    let lake = Lake::open().await;
    let table = reserved(&lake, "nyc.flights").await;
    let uploads = lake.catalog.uploads();
    let (first, second) = (lake.landed("nyc.flights").await, lake.landed("nyc.flights").await);
    begin(uploads, first, table.id).await.unwrap();
    begin(uploads, second, table.id).await.unwrap();
    uploads.commit_next(&commit_of(table.id, first, "a")).await.unwrap().unwrap();
    assert!(uploads.commit_next(&commit_of(table.id, second, "b")).await.unwrap().is_none());
    assert_eq!(uploads.find(second).await.unwrap().state, UploadState::Committing);
    assert_eq!(lake.catalog.inventory().newest_commit(table.id).await.unwrap(), Some(0));
}

#[tokio::test]
async fn nothing_is_committed_that_was_not_begun_or_to_a_table_that_is_gone() {
    let lake = Lake::open().await;
    let table = reserved(&lake, "nyc.flights").await;
    let uploads = lake.catalog.uploads();
    let upload = lake.landed("nyc.flights").await;
    let error = uploads.commit_next(&commit_of(table.id, upload, "a")).await.unwrap_err();
    assert!(matches!(error, CatalogError::WrongState { .. }), "{error:?}");
    begin(uploads, upload, table.id).await.unwrap();
    lake.catalog.tables().activate(table.id, &[]).await.unwrap();
    lake.catalog.tables().delete(&table.name).await.unwrap();
    let error = uploads.commit_next(&commit_of(table.id, upload, "a")).await.unwrap_err();
    assert!(matches!(error, CatalogError::TableNotFound { .. }), "{error:?}");
    assert_eq!(uploads.find(upload).await.unwrap().state, UploadState::Committing);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_stamp_is_given_out_twice() {
    let lake = Lake::open().await;
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let (upload, catalog) = (lake.landed("nyc.flights").await, lake.catalog.clone());
        tasks.push(tokio::spawn(async move { catalog.uploads().reserve_stamps(upload, 1000).await.unwrap() }));
    }
    let mut all = BTreeSet::new();
    for task in tasks {
        let first = task.await.unwrap();
        all.extend((0..1000).map(|at| first + TimeDelta::microseconds(at)));
    }
    assert_eq!(all.len(), 16_000);
}

#[tokio::test]
async fn an_upload_keeps_its_stamps_over_a_restart() {
    let lake = Lake::open().await;
    let upload = lake.landed("nyc.flights").await;
    let first = lake.catalog.uploads().reserve_stamps(upload, 5).await.unwrap();
    let lake = lake.reopen().await;
    let uploads = lake.catalog.uploads();
    assert_eq!(uploads.reserve_stamps(upload, 5).await.unwrap(), first);
    assert_eq!(uploads.reserve_stamps(upload, 3).await.unwrap(), first);
    let more = uploads.reserve_stamps(upload, 6).await.unwrap();
    assert!(more >= first + TimeDelta::microseconds(5));
    let error = uploads.reserve_stamps(UploadId(uuid::Uuid::now_v7()), 1).await.unwrap_err();
    assert!(matches!(error, CatalogError::UploadNotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_folder_belongs_to_one_table_for_ever() {
    let lake = Lake::open().await;
    let first = reserved(&lake, "nyc.flights").await;
    lake.catalog.tables().activate(first.id, &[]).await.unwrap();
    lake.catalog.tables().delete(&first.name).await.unwrap();
    let paths = [first.path, reserved(&lake, "nyc.flights").await.path, reserved(&lake, "rome.flights").await.path];
    assert_eq!(paths, ["lake/flights", "lake/flights.2", "lake/flights.3"]);
}

#[tokio::test]
async fn a_reservation_takes_another_format_until_a_commit_was_begun() {
    let lake = Lake::open().await;
    let tables = lake.catalog.tables();
    tables.reserve(&new_table("nyc.flights")).await.unwrap();
    let plain = reserved(&lake, "nyc.flights").await;
    assert_eq!(plain.format, TableFormat::Parquet);
    begin(lake.catalog.uploads(), lake.landed("nyc.flights").await, plain.id).await.unwrap();
    let kept = tables.reserve(&new_table("nyc.flights")).await.unwrap();
    assert_eq!((kept.id, kept.format), (plain.id, TableFormat::Parquet));
}
