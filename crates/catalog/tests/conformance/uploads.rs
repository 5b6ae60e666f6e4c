//! The ledger: what lands, and how it is found again.

use sluice_catalog::{CatalogError, NewUpload};
use sluice_domain::{ErrorKind, Failure, PageRequest, PageToken, StoredFailure, UploadId, UploadState};
use uuid::Uuid;

use crate::samples::{Lake, begin, keyed_upload, new_upload, page, table_ref};

#[tokio::test]
async fn what_landed_is_given_back_exactly() {
    let lake = Lake::open().await;
    let new = keyed_upload("nyc.flights", "ada/nyc.flights", "k' --");
    lake.catalog.uploads().land(&new).await.unwrap();
    let lake = lake.reopen().await;
    let entry = lake.catalog.uploads().find(new.id).await.unwrap();
    assert_eq!((entry.id, &entry.table, &entry.principal), (new.id, &new.table, &new.principal));
    assert_eq!((&entry.options, &entry.landed, entry.started_at), (&new.options, &new.landed, new.started_at));
    assert_eq!((&entry.file_name, &entry.idempotency_key), (&new.file_name, &new.idempotency_key));
    assert_eq!(entry.state, UploadState::Landed);
    assert_eq!((entry.table_id, entry.sequence, entry.version, entry.committed_at), (None, None, None, None));
    assert_eq!((entry.rows, entry.failure), (None, None));
}

#[tokio::test]
async fn an_upload_that_did_not_land_is_not_found() {
    let lake = Lake::open().await;
    let absent = UploadId(Uuid::now_v7());
    let error = lake.catalog.uploads().find(absent).await.unwrap_err();
    assert!(matches!(&error, CatalogError::UploadNotFound { upload } if *upload == absent), "{error:?}");
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, "not-found"));
}

#[tokio::test]
async fn a_key_belongs_to_the_first_that_lands_with_it_in_its_scope() {
    let lake = Lake::open().await;
    let uploads = lake.catalog.uploads();
    let first = keyed_upload("nyc.flights", "ada", "k");
    uploads.land(&first).await.unwrap();
    let error = uploads.land(&keyed_upload("nyc.taxis", "ada", "k")).await.unwrap_err();
    assert!(matches!(&error, CatalogError::KeyTaken { key } if key == "k"), "{error:?}");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "idempotency-key-taken"));

    let other_scope = keyed_upload("nyc.flights", "bob", "k");
    uploads.land(&other_scope).await.unwrap();
    assert_eq!(uploads.find_by_key("ada", "k").await.unwrap().unwrap().id, first.id);
    assert_eq!(uploads.find_by_key("bob", "k").await.unwrap().unwrap().id, other_scope.id);
    assert!(uploads.find_by_key("ada", "K").await.unwrap().is_none());
    assert!(uploads.find_by_key("adak", "").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_land_with_one_key_at_once_one_does() {
    let lake = Lake::open().await;
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let catalog = lake.catalog.clone();
            tokio::spawn(async move { catalog.uploads().land(&keyed_upload("nyc.flights", "ada", "k")).await })
        })
        .collect();
    let mut landed = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => landed += 1,
            Err(error) => assert!(matches!(error, CatalogError::KeyTaken { .. }), "{error:?}"),
        }
    }
    assert_eq!((landed, lake.catalog.uploads().unfinished(100).await.unwrap().len()), (1, 1));
}

#[tokio::test]
async fn an_upload_lands_once() {
    let lake = Lake::open().await;
    let uploads = lake.catalog.uploads();
    for new in [new_upload("nyc.flights"), keyed_upload("nyc.flights", "ada", "k")] {
        uploads.land(&new).await.unwrap();
        let error = uploads.land(&new).await.unwrap_err();
        assert!(
            matches!(error, CatalogError::WrongState { upload, state: UploadState::Landed } if upload == new.id),
            "{error:?}"
        );
    }
    let both = uploads.list(&table_ref("nyc.flights"), &PageRequest::default()).await.unwrap();
    assert_eq!(both.items.len(), 2, "uploads without a key stood in each other's way");
}

#[tokio::test]
async fn a_size_beyond_what_is_stored_is_refused() {
    let lake = Lake::open().await;
    let mut new = new_upload("nyc.flights");
    new.landed.size_bytes = u64::MAX;
    assert!(lake.catalog.uploads().land(&new).await.is_err());
    assert!(lake.catalog.uploads().find(new.id).await.is_err());
}

#[tokio::test]
async fn unfinished_uploads_are_those_that_landed_or_are_committing_oldest_first() {
    let lake = Lake::open().await;
    let uploads = lake.catalog.uploads();
    let table = lake.active_table("nyc.flights").await.id;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(lake.landed("nyc.flights").await);
    }
    begin(uploads, ids[1], table).await.unwrap();
    let failure = StoredFailure { kind: ErrorKind::Invalid, code: "bad-csv".into(), detail: "line 3".into() };
    uploads.fail(ids[2], &failure).await.unwrap();

    let lake = lake.reopen().await;
    let unfinished = |limit| {
        let catalog = lake.catalog.clone();
        async move { catalog.uploads().unfinished(limit).await.unwrap().iter().map(|entry| entry.id).collect::<Vec<_>>() }
    };
    assert_eq!(unfinished(u32::MAX).await, [ids[0], ids[1], ids[3], ids[4]]);
    assert_eq!(unfinished(2).await, [ids[0], ids[1]]);
}

#[tokio::test]
async fn the_uploads_of_a_table_are_listed_newest_first() {
    let lake = Lake::open().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(lake.landed("nyc.flights").await);
        lake.landed("nyc.taxis").await;
    }
    ids.reverse();
    let (mut seen, mut token) = (Vec::new(), None);
    loop {
        let listed = lake.catalog.uploads().list(&table_ref("nyc.flights"), &page(3, token)).await.unwrap();
        seen.extend(listed.items.iter().map(|entry| entry.id));
        token = listed.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn a_hostile_token_is_only_a_place_in_the_order() {
    let lake = Lake::open().await;
    let NewUpload { table, .. } = new_upload("nyc.flights");
    lake.landed("nyc.flights").await;
    for (key, expected) in [("~' OR 1=1 --", 1), ("' OR 1=1 --", 0)] {
        let request = page(10, Some(PageToken::after(key)));
        assert_eq!(lake.catalog.uploads().list(&table, &request).await.unwrap().items.len(), expected, "{key}");
    }
}
