//! The order of the commits to one table.

use sluice_catalog::CatalogError;
use sluice_domain::TableId;
use uuid::Uuid;

use crate::samples::{Lake, begin, new_table, table_ref};

#[tokio::test]
async fn every_try_has_a_fresh_sequence_of_its_table_even_after_a_restart() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await;
    let other = lake.active_table("nyc.taxis").await.id;
    let (first, second) = (lake.landed("nyc.flights").await, lake.landed("nyc.flights").await);
    let uploads = lake.catalog.uploads();
    assert_eq!(begin(uploads, first, table.id).await.unwrap(), 1);
    assert_eq!(begin(uploads, first, table.id).await.unwrap(), 2);
    assert_eq!(begin(uploads, second, table.id).await.unwrap(), 3);
    assert_eq!(begin(uploads, second, other).await.unwrap(), 1);

    let lake = lake.reopen().await;
    let uploads = lake.catalog.uploads();
    assert_eq!(uploads.find(second).await.unwrap().table_id, Some(other));
    // The third place is held by no upload any more, and is not given out again all the same.
    assert_eq!(begin(uploads, first, table.id).await.unwrap(), 4);
    lake.catalog.tables().delete(&table.name).await.unwrap();
    lake.catalog.tables().restore(&table.name).await.unwrap();
    assert_eq!(begin(uploads, first, table.id).await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_tries_at_once_each_has_a_sequence_of_its_own() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    let mut tasks = Vec::new();
    for _ in 0..32 {
        let id = lake.landed("nyc.flights").await;
        let catalog = lake.catalog.clone();
        tasks.push(tokio::spawn(async move { begin(catalog.uploads(), id, table).await.unwrap() }));
    }
    let mut sequences = Vec::new();
    for task in tasks {
        sequences.push(task.await.unwrap());
    }
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=32).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_commit_begins_after_the_sequences_that_were_skipped() {
    let lake = Lake::open().await;
    let (table, other) = (lake.active_table("nyc.flights").await.id, lake.active_table("nyc.taxis").await.id);
    let id = lake.landed("nyc.flights").await;
    let uploads = lake.catalog.uploads();
    uploads.skip_sequences(table, 41).await.unwrap();
    assert_eq!(begin(uploads, id, table).await.unwrap(), 42);
    assert_eq!(begin(uploads, id, other).await.unwrap(), 1);

    let lake = lake.reopen().await;
    let uploads = lake.catalog.uploads();
    uploads.skip_sequences(table, 50).await.unwrap();
    let lake = lake.reopen().await;
    assert_eq!(begin(lake.catalog.uploads(), id, table).await.unwrap(), 51);
    let reserved = lake.catalog.tables().reserve(&new_table("nyc.trains")).await.unwrap().id;
    lake.catalog.uploads().skip_sequences(reserved, 3).await.unwrap();
    assert_eq!(begin(lake.catalog.uploads(), id, reserved).await.unwrap(), 4);
}

#[tokio::test]
async fn to_skip_what_was_given_out_lowers_nothing() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    let id = lake.landed("nyc.flights").await;
    let uploads = lake.catalog.uploads();
    uploads.skip_sequences(table, 41).await.unwrap();
    for through in [41, 40, 0, -1, i64::MIN] {
        uploads.skip_sequences(table, through).await.unwrap();
    }
    assert_eq!(begin(uploads, id, table).await.unwrap(), 42);
    uploads.skip_sequences(table, 42).await.unwrap();
    assert_eq!(begin(uploads, id, table).await.unwrap(), 43);
}

#[tokio::test]
async fn the_last_sequence_cannot_be_skipped() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    let id = lake.landed("nyc.flights").await;
    let uploads = lake.catalog.uploads();
    let error = uploads.skip_sequences(table, i64::MAX).await.unwrap_err();
    assert!(matches!(error, CatalogError::Corrupt { .. }), "{error:?}");
    assert_eq!(begin(uploads, id, table).await.unwrap(), 1);
    uploads.skip_sequences(table, i64::MAX - 1).await.unwrap();
    assert_eq!(begin(uploads, id, table).await.unwrap(), i64::MAX);
    begin(uploads, id, table).await.unwrap_err();
}

#[tokio::test]
async fn nothing_is_skipped_of_a_table_that_is_gone() {
    let lake = Lake::open().await;
    let (tables, uploads) = (lake.catalog.tables(), lake.catalog.uploads());
    let table = lake.active_table("nyc.flights").await.id;
    tables.delete(&table_ref("nyc.flights")).await.unwrap();
    for gone in [table, TableId(Uuid::now_v7())] {
        let error = uploads.skip_sequences(gone, 41).await.unwrap_err();
        assert!(matches!(error, CatalogError::TableNotFound { .. }), "{error:?}");
    }
    tables.restore(&table_ref("nyc.flights")).await.unwrap();
    let id = lake.landed("nyc.flights").await;
    assert_eq!(begin(uploads, id, table).await.unwrap(), 1);
}
