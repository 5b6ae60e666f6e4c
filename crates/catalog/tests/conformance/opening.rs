//! Opening and closing.

use sluice_catalog::{Catalog, CatalogError};
use sluice_domain::{ErrorKind, Failure, StoredFailure};

use crate::samples::{Lake, begin, new_upload, table_ref};

fn failure() -> StoredFailure {
    StoredFailure { kind: ErrorKind::Invalid, code: "bad-csv".into(), detail: "line 3".into() }
}

#[tokio::test]
async fn the_folder_is_made_if_it_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&dir.path().join("a/b")).await.unwrap();
    catalog.ping().await.unwrap();
    assert!(dir.path().join("a/b/sluice.lock").is_file());
}

#[tokio::test]
async fn servers_share_a_catalog_under_names_of_their_own_until_every_place_is_taken() {
    let lake = Lake::open().await;
    let mut others = Vec::new();
    for _ in 1..16 {
        others.push(lake.another().await.unwrap());
    }
    let mut writers: Vec<&str> = others.iter().chain([&lake.catalog]).map(Catalog::writer).collect();
    writers.sort_unstable();
    writers.dedup();
    assert_eq!(writers.len(), 16);
    let error = lake.another().await.unwrap_err();
    assert!(matches!(&error, CatalogError::CatalogInUse { servers: 16, .. }), "{error:?}");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "catalog-in-use"));
    for other in others {
        other.close().await.unwrap();
    }
    lake.reopen().await.catalog.ping().await.unwrap();
}

#[tokio::test]
async fn a_server_commits_under_the_same_name_after_a_restart_and_other_lakes_under_others() {
    let (lake, other) = (Lake::open().await, Lake::open().await);
    let writer = lake.catalog.writer().to_owned();
    assert_ne!(writer, other.catalog.writer());
    assert_eq!(lake.reopen().await.catalog.writer(), writer);
}

#[tokio::test]
async fn dropping_the_last_clone_gives_the_place_free() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(dir.path()).await.unwrap();
    let (clone, writer) = (catalog.clone(), catalog.writer().to_owned());
    drop(catalog);
    assert_ne!(Catalog::open(dir.path()).await.unwrap().writer(), writer);
    drop(clone);
    assert_eq!(Catalog::open(dir.path()).await.unwrap().writer(), writer);
}

#[tokio::test]
async fn uploads_of_a_server_that_ended_are_taken_over_and_those_of_a_living_one_are_not() {
    let lake = Lake::open().await;
    let other = lake.another().await.unwrap();
    let table = lake.active_table("nyc.flights").await.id;
    let (landed, committing, done) = (new_upload("nyc.flights"), new_upload("nyc.flights"), new_upload("nyc.flights"));
    for upload in [&landed, &committing, &done] {
        other.uploads().land(upload).await.unwrap();
    }
    begin(other.uploads(), committing.id, table).await.unwrap();
    other.uploads().fail(done.id, &failure()).await.unwrap();

    let uploads = lake.catalog.uploads();
    assert!(lake.catalog.is_foreign(&uploads.find(landed.id).await.unwrap()));
    assert_eq!(lake.catalog.take_over().await.unwrap(), 0);
    assert!(uploads.unfinished(10).await.unwrap().is_empty());
    let error = begin(uploads, landed.id, table).await.unwrap_err();
    assert!(matches!(error, CatalogError::WrongState { .. }), "{error:?}");

    let writer = other.writer().to_owned();
    other.close().await.unwrap();
    assert_eq!(lake.catalog.take_over().await.unwrap(), 2);
    let taken = uploads.unfinished(10).await.unwrap();
    assert_eq!(taken.iter().map(|entry| entry.id).collect::<Vec<_>>(), [landed.id, committing.id]);
    assert!(!lake.catalog.is_foreign(&taken[0]));
    // Where its commit may stand is not forgotten.
    assert_eq!(taken[1].writer.as_deref(), Some(writer.as_str()));
    begin(uploads, landed.id, table).await.unwrap();
    assert_eq!(lake.catalog.take_over().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_open_a_new_catalog_at_once_agree_on_its_name() {
    let opening = Lake::open_many(8).await;
    let mut lakes = Vec::new();
    for catalog in opening {
        lakes.push((catalog.writer().rsplit_once(':').unwrap().0.to_owned(), catalog));
    }
    assert!(lakes.iter().all(|(lake, _)| *lake == lakes[0].0));
}

#[tokio::test]
async fn a_closed_catalog_is_unavailable() {
    let lake = Lake::open().await;
    let clone = lake.catalog.clone();
    lake.catalog.close().await.unwrap();
    for error in [
        clone.ping().await.unwrap_err(),
        clone.tables().find(&table_ref("nyc.flights")).await.unwrap_err(),
        clone.tables().delete(&table_ref("nyc.flights")).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "catalog-unavailable"), "{error:?}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = Catalog::open(&dir.path().join("file/below")).await.unwrap_err();
    assert_eq!(error.code(), "catalog-unavailable");
}
