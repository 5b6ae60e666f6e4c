//! Who may go on with an upload, and how many and how large they may be.

use axum::http::Method;
use serde_json::json;
use sluice_domain::Action;
use sluice_tests::{TestLake, assert_problem};

use super::{FILE, TUS, call, create, creation, offset, partial_files, patch, piece};

#[tokio::test]
async fn an_upload_exists_for_its_creator_alone() {
    let all = [Action::Read, Action::Append, Action::Manage];
    let builder = TestLake::builder().key("ada", &all, None).key("bob", &all, None);
    let lake = builder.key("eve", &all, Some(&["elsewhere"])).open().await;
    let answer = creation(&lake, FILE.len()).key("ada").send().await;
    let path = answer.header("location").unwrap().to_owned();
    for caller in ["bob", "eve"] {
        call(&lake, Method::HEAD, &path).key(caller).send().await.expect_status(404);
        assert_problem(&piece(&lake, &path, 0).key(caller).body(FILE).send().await, 404, "not-found");
        assert_problem(&call(&lake, Method::DELETE, &path).key(caller).send().await, 404, "not-found");
    }
    piece(&lake, &path, 0).key("ada").body(FILE).send().await.expect_status(204);
}

#[tokio::test]
async fn an_upload_that_is_too_large_is_refused_before_and_while_it_comes() {
    let lake = TestLake::builder().set(|settings| settings.ingest.max_body_bytes = FILE.len() as u64).open().await;
    let answer = creation(&lake, FILE.len() + 1).send().await;
    assert_problem(&answer, 413, "body-too-large");
    assert_eq!(answer.header("tus-max-size"), Some(FILE.len().to_string().as_str()));
    assert_problem(&creation(&lake, 0).send().await, 400, "empty-body");
    let path = create(&lake).await;
    let long = [FILE, b"4"].concat();
    let told = piece(&lake, &path, 0).header("content-length", &long.len().to_string());
    assert_problem(&told.body(long.clone()).send().await, 413, "body-too-large");
    assert_problem(&patch(&lake, &path, 0, long).await, 413, "body-too-large");
    assert_eq!(offset(&lake, &path).await, 0);
    patch(&lake, &path, 0, FILE).await.expect_status(204);
}

#[tokio::test]
async fn no_more_uploads_are_open_than_the_limit() {
    let lake = TestLake::builder().set(|settings| settings.ingest.resumable.max_open = 2).open().await;
    let first = create(&lake).await;
    create(&lake).await;
    let answer = creation(&lake, FILE.len()).send().await;
    assert_problem(&answer, 429, "too-many-open-uploads");
    patch(&lake, &first, 0, FILE).await.expect_status(204);
    create(&lake).await;
}

#[tokio::test]
async fn what_the_disk_has_no_room_for_is_refused() {
    let lake = TestLake::builder().set(|settings| settings.ingest.min_free_bytes = u64::MAX).open().await;
    assert_problem(&creation(&lake, FILE.len()).send().await, 507, "storage-full");
    let lake = TestLake::builder().set(|settings| settings.ingest.max_body_bytes = u64::MAX / 4).open().await;
    assert_problem(&creation(&lake, usize::MAX / 8).send().await, 507, "storage-full");
    assert_eq!(partial_files(&lake), 0);
}

#[tokio::test]
async fn an_upload_whose_time_is_over_is_gone() {
    let lake = TestLake::builder().set(|settings| settings.ingest.resumable.expire_hours = 0).open().await;
    let path = create(&lake).await;
    call(&lake, Method::HEAD, &path).send().await.expect_status(404);
    assert_problem(&patch(&lake, &path, 0, FILE).await, 404, "not-found");
}

#[tokio::test]
async fn a_folder_of_this_machine_takes_no_direct_uploads_and_names_the_way() {
    let lake = TestLake::open().await;
    let call = lake.call(Method::POST, "/api/v1/tables/a/t/uploads/presigned?format=csv");
    let problem = assert_problem(&call.json(&json!({ "size_bytes": 5 })).send().await, 409, "no-direct-uploads");
    assert!(problem["detail"].as_str().unwrap().contains(TUS), "{problem}");
    let path = create(&lake).await;
    let id = path.rsplit('/').next().unwrap();
    let complete = lake.call(Method::POST, &format!("/api/v1/uploads/{id}/complete"));
    assert_problem(&complete.send().await, 409, "not-direct");
}

#[tokio::test]
async fn a_piece_that_does_not_come_is_not_waited_for_and_what_came_stays() {
    let lake = TestLake::builder().set(|settings| settings.ingest.idle_seconds = 1).open().await;
    let path = create(&lake).await;
    let (body, holder) = sluice_tests::held_body(b"id,name\n", b"1,a\n");
    assert_problem(&patch(&lake, &path, 0, body).await, 408, "body-too-slow");
    drop(holder);
    assert_eq!(offset(&lake, &path).await, 8);
}
