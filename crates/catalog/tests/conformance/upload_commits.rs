//! The ledger: the way from landed to committed or failed.

use sluice_catalog::{CatalogError, CommittedUpload};
use sluice_domain::{ErrorKind, Failure, RowCounts, StoredFailure, TableId, UploadId, UploadState};
use uuid::Uuid;

use crate::samples::{Lake, begin, commit, instant, table_ref};

fn committed(version: u64) -> CommittedUpload {
    CommittedUpload {
        version,
        rows: RowCounts { committed: 10, quarantined: 2, deduplicated: 1, rejected: 3, merged: None },
        committed_at: instant("2026-02-01T00:00:00.123456789Z"),
    }
}

fn failure(detail: &str) -> StoredFailure {
    StoredFailure { kind: ErrorKind::Invalid, code: "bad-csv".into(), detail: detail.into() }
}

fn assert_refused<T: std::fmt::Debug>(result: Result<T, CatalogError>, expected: UploadState) {
    let error = result.unwrap_err();
    assert!(matches!(&error, CatalogError::WrongState { state, .. } if *state == expected), "{error:?}");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "wrong-upload-state"));
}

#[tokio::test]
async fn an_upload_is_committed_once_and_says_so_after_a_restart() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    let id = lake.landed("nyc.flights").await;
    assert_refused(commit(lake.catalog.uploads(), id, table, committed(7)).await, UploadState::Landed);

    assert_eq!(begin(lake.catalog.uploads(), id, table).await.unwrap(), 1);
    let begun = lake.catalog.uploads().find(id).await.unwrap();
    assert_eq!((begun.state, begun.table_id, begun.sequence), (UploadState::Committing, Some(table), Some(1)));

    let entry = commit(lake.catalog.uploads(), id, table, committed(7)).await.unwrap();
    let lake = lake.reopen().await;
    let again = commit(lake.catalog.uploads(), id, table, committed(7)).await.unwrap();
    assert_eq!(format!("{entry:?}"), format!("{again:?}"));
    assert_eq!((again.state, again.version, again.sequence), (UploadState::Committed, Some(7), Some(1)));
    assert_eq!((again.rows, again.committed_at), (Some(committed(7).rows), Some(committed(7).committed_at)));
    assert!(again.failure.is_none());
    assert_refused(commit(lake.catalog.uploads(), id, table, committed(8)).await, UploadState::Committed);
}

#[tokio::test]
async fn what_is_committed_can_neither_fail_nor_be_tried_again() {
    let lake = Lake::open().await;
    let uploads = lake.catalog.uploads();
    let table = lake.active_table("nyc.flights").await.id;
    let id = lake.landed("nyc.flights").await;
    begin(uploads, id, table).await.unwrap();
    commit(uploads, id, table, committed(1)).await.unwrap();
    assert_refused(uploads.fail(id, &failure("line 3")).await, UploadState::Committed);
    assert_refused(begin(uploads, id, table).await, UploadState::Committed);
    let next = lake.landed("nyc.flights").await;
    assert_eq!(begin(uploads, next, table).await.unwrap(), 2, "the refused try took a sequence");
}

#[tokio::test]
async fn what_failed_stays_failed_with_its_first_reason() {
    let lake = Lake::open().await;
    let uploads = lake.catalog.uploads();
    let table = lake.active_table("nyc.flights").await.id;
    let landed = lake.landed("nyc.flights").await;
    let committing = lake.landed("nyc.flights").await;
    begin(uploads, committing, table).await.unwrap();
    for id in [landed, committing] {
        uploads.fail(id, &failure("line 3")).await.unwrap();
        uploads.fail(id, &failure("line 3")).await.unwrap();
        assert_refused(uploads.fail(id, &failure("line 4")).await, UploadState::Failed);
        assert_refused(begin(uploads, id, table).await, UploadState::Failed);
        assert_refused(commit(uploads, id, table, committed(1)).await, UploadState::Failed);
        let entry = uploads.find(id).await.unwrap();
        assert_eq!((entry.state, entry.failure), (UploadState::Failed, Some(failure("line 3"))));
    }
}

#[tokio::test]
async fn no_commit_begins_without_an_upload_or_to_a_table_that_is_gone() {
    let lake = Lake::open().await;
    let uploads = lake.catalog.uploads();
    let table = lake.active_table("nyc.flights").await.id;
    let id = lake.landed("nyc.flights").await;
    let absent = UploadId(Uuid::now_v7());
    let error = begin(uploads, absent, table).await.unwrap_err();
    assert!(matches!(error, CatalogError::UploadNotFound { .. }), "{error:?}");
    assert!(matches!(commit(uploads, absent, table, committed(1)).await, Err(CatalogError::UploadNotFound { .. })));
    assert!(matches!(uploads.fail(absent, &failure("x")).await, Err(CatalogError::UploadNotFound { .. })));

    lake.catalog.tables().delete(&table_ref("nyc.flights")).await.unwrap();
    for gone in [table, TableId(Uuid::now_v7())] {
        let error = begin(uploads, id, gone).await.unwrap_err();
        assert!(matches!(error, CatalogError::TableNotFound { .. }), "{error:?}");
    }
    assert_eq!(uploads.find(id).await.unwrap().state, UploadState::Landed, "a refused try left a trace");
}
