//! An upload goes on after its server ended, in whatever way, and on another server.

use std::path::Path;

use chrono::{TimeDelta, Utc};
use sluice_domain::UploadId;
use sluice_tests::{ClosedLake, TestLake, assert_problem, held_body};

use super::{FILE, assert_committed, call, create, offset, partial_files, patch, piece};

fn id_of(path: &str) -> UploadId {
    path.rsplit('/').next().unwrap().parse().unwrap()
}

/// What a server that is gone had done so far.
async fn as_left(closed: &ClosedLake, path: &str, offset: u64, expires: TimeDelta) {
    let catalog = closed.catalog().await;
    let from = catalog.partials().find(id_of(path)).await.unwrap().unwrap().offset_bytes;
    assert!(catalog.partials().advance(id_of(path), from, offset, Utc::now() + expires).await.unwrap());
    catalog.close().await.unwrap();
}

fn write_partial(data_dir: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(data_dir.join("partial").join(name), bytes).unwrap();
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    patch(&lake, &path, 0, &FILE[..9]).await.expect_status(204);
    let lake = lake.reopen().await;
    assert_eq!(offset(&lake, &path).await, 9);
    patch(&lake, &path, 9, &FILE[9..]).await.expect_status(204);
    assert_committed(&lake, &path).await;
}

#[tokio::test]
async fn bytes_that_nobody_was_told_of_are_not_there() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    patch(&lake, &path, 0, &FILE[..9]).await.expect_status(204);
    let closed = lake.close().await;
    let left = [&FILE[..9], b"written by a server that was killed, and much longer than the file"].concat();
    write_partial(closed.data_dir(), &id_of(&path).to_string(), &left);
    let lake = closed.open().await;
    assert_eq!(offset(&lake, &path).await, 9);
    patch(&lake, &path, 9, &FILE[9..12]).await.expect_status(204);
    patch(&lake, &path, 12, &FILE[12..]).await.expect_status(204);
    assert_committed(&lake, &path).await;
}

#[tokio::test]
async fn an_upload_that_was_whole_lands_at_the_next_start() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    patch(&lake, &path, 0, &FILE[..9]).await.expect_status(204);
    let closed = lake.close().await;
    write_partial(closed.data_dir(), &id_of(&path).to_string(), FILE);
    // Its time is over, but whoever sent the last byte was told that it is there.
    as_left(&closed, &path, FILE.len() as u64, TimeDelta::hours(-1)).await;
    // A lake that is closed again has done what it took up.
    let lake = closed.open().await.reopen().await;
    assert_committed(&lake, &path).await;
}

#[tokio::test]
async fn an_upload_whose_bytes_are_lost_begins_anew() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    patch(&lake, &path, 0, &FILE[..9]).await.expect_status(204);
    let closed = lake.close().await;
    write_partial(closed.data_dir(), &id_of(&path).to_string(), &FILE[..8]);
    let lake = closed.open().await;
    assert_problem(&patch(&lake, &path, 9, &FILE[9..]).await, 404, "not-found");
    assert_eq!(call(&lake, axum::http::Method::HEAD, &path).send().await.status, 404);
}

#[tokio::test]
async fn what_is_given_up_and_what_was_left_behind_is_removed() {
    let lake = TestLake::open().await;
    let (given_up, kept) = (create(&lake).await, create(&lake).await);
    for path in [&given_up, &kept] {
        patch(&lake, path, 0, &FILE[..9]).await.expect_status(204);
    }
    let closed = lake.close().await;
    as_left(&closed, &given_up, 9, TimeDelta::hours(-1)).await;
    write_partial(closed.data_dir(), &uuid::Uuid::now_v7().to_string(), FILE);
    let lake = closed.open().await.reopen().await;
    assert_eq!(partial_files(&lake), 1);
    assert_problem(&patch(&lake, &given_up, 9, &FILE[9..]).await, 404, "not-found");
    patch(&lake, &kept, 9, &FILE[9..]).await.expect_status(204);
    assert_committed(&lake, &kept).await;
}

#[tokio::test]
async fn any_server_goes_on_and_one_at_a_time() {
    let first = TestLake::open().await;
    let second = first.open_another().await;
    let path = create(&first).await;
    let (body, mut holder) = held_body(b"id,name\n", b"1,a\n");
    let held = tokio::spawn(piece(&second, &path, 0).body(body).send());
    holder.reached().await;
    assert_problem(&patch(&first, &path, 0, FILE).await, 409, "upload-busy");
    holder.release();
    held.await.unwrap().expect_status(204);
    assert_eq!(offset(&first, &path).await, 12);
    patch(&first, &path, 12, &FILE[12..14]).await.expect_status(204);
    drop(first.close().await);
    patch(&second, &path, 14, &FILE[14..]).await.expect_status(204);
    assert_committed(&second, &path).await;
}

#[tokio::test]
async fn an_upload_that_nobody_waits_for_any_more_lands_all_the_same() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    let (body, mut holder) = held_body(b"id,name\n1,a\n", b"2,b\n3,c\n");
    let sending = tokio::spawn(piece(&lake, &path, 0).body(body).send());
    holder.reached().await;
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    holder.release();
    let lake = lake.reopen().await;
    assert_committed(&lake, &path).await;
}
