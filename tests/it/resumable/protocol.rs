//! The rules of tus 1.0.0, one test each.

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};
use sluice_tests::{TestLake, assert_problem, held_body};

use super::{
    FILE, TUS, assert_committed, call, create, creation, metadata, offset, outcome, partial_files, patch, piece, upload,
};

#[tokio::test]
async fn a_file_in_pieces_is_committed_once() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    assert_eq!(offset(&lake, &path).await, 0);
    for (from, to) in [(0, 5), (5, 5), (5, 12), (12, FILE.len())] {
        let answer = patch(&lake, &path, from, &FILE[from..to]).await;
        answer.expect_status(204);
        assert_eq!(answer.header("upload-offset"), Some(to.to_string().as_str()));
    }
    assert_committed(&lake, &path).await;
    assert_eq!(offset(&lake, &path).await, FILE.len());
}

#[tokio::test]
async fn the_server_says_what_it_speaks() {
    let lake = TestLake::open().await;
    let answer = lake.call(Method::OPTIONS, TUS).send().await;
    answer.expect_status(204);
    assert_eq!(answer.header("tus-resumable"), Some("1.0.0"));
    assert_eq!(answer.header("tus-version"), Some("1.0.0"));
    assert_eq!(answer.header("tus-extension"), Some("creation,creation-with-upload,termination,checksum,expiration"));
    assert_eq!(answer.header("tus-max-size"), Some((5_u64 << 30).to_string().as_str()));
    assert_eq!(answer.header("tus-checksum-algorithm"), Some("sha256,sha1"));
}

#[tokio::test]
async fn another_version_is_refused_and_every_answer_names_the_one_that_is_spoken() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    let calls = || [(Method::POST, TUS), (Method::PATCH, path.as_str()), (Method::DELETE, path.as_str())];
    for (method, path) in calls() {
        assert_problem(&lake.call(method, path).header("upload-length", "5").send().await, 400, "bad-header");
    }
    for version in ["0.2.2", "1.0.1"] {
        for (method, path) in calls() {
            let answer = lake.call(method, path).header("tus-resumable", version).header("upload-length", "5");
            let answer = answer.send().await;
            assert_problem(&answer, 412, "other-tus-version");
            assert_eq!((answer.header("tus-resumable"), answer.header("tus-version")), (Some("1.0.0"), Some("1.0.0")));
        }
    }
    for answer in [lake.get("/api/v1/tus/nowhere/at/all").await, lake.call(Method::PUT, TUS).send().await] {
        assert_eq!(answer.header("tus-resumable"), Some("1.0.0"), "{}", answer.status);
    }
    assert!(lake.get("/api/v1/tusk").await.header("tus-resumable").is_none());
    assert_eq!(offset(&lake, &path).await, 0);
}

#[tokio::test]
async fn how_far_an_upload_is_is_told_with_what_was_said_of_it() {
    let lake = TestLake::open().await;
    let said = metadata(&[("table", "a.t"), ("filename", "Zürich.csv"), ("relativePath", "x/y"), ("header", "true")]);
    let new = call(&lake, Method::POST, TUS).header("upload-length", "20").header("upload-metadata", &said);
    let path = new.send().await.header("location").unwrap().to_owned();
    let answer = call(&lake, Method::HEAD, &path).send().await;
    answer.expect_status(200);
    for (name, value) in [
        ("upload-offset", "0"),
        ("upload-length", "20"),
        ("upload-metadata", said.as_str()),
        ("cache-control", "no-store"),
        ("tus-resumable", "1.0.0"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert!(answer.header("upload-expires").unwrap().ends_with(" GMT"));
    let upload = upload(&lake, &path).await;
    assert_eq!((&upload["status"], &upload["file_name"]), (&"receiving".into(), &"Zürich.csv".into()));
}

#[tokio::test]
async fn a_piece_that_does_not_begin_where_the_bytes_end_is_refused() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    patch(&lake, &path, 0, &FILE[..7]).await.expect_status(204);
    for wrong in [0, 6, 8, FILE.len()] {
        assert_problem(&patch(&lake, &path, wrong, "x").await, 409, "other-offset");
    }
    assert_eq!(offset(&lake, &path).await, 7);
    patch(&lake, &path, 7, &FILE[7..]).await.expect_status(204);
    assert_committed(&lake, &path).await;
    assert_problem(&patch(&lake, &path, 3, "x").await, 409, "other-offset");
}

#[tokio::test]
async fn the_last_piece_may_be_asked_for_again_and_nothing_can_be_added() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    patch(&lake, &path, 0, FILE).await.expect_status(204);
    patch(&lake, &path, FILE.len(), "").await.expect_status(204);
    assert_problem(&patch(&lake, &path, FILE.len(), "x").await, 413, "body-too-large");
    assert_committed(&lake, &path).await;
}

#[tokio::test]
async fn a_piece_has_its_media_type_and_its_offset() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    let bare = call(&lake, Method::PATCH, &path).header("upload-offset", "0").body("id");
    assert_problem(&bare.send().await, 415, "unsupported-media-type");
    let nowhere = call(&lake, Method::PATCH, &path).header("content-type", "application/offset+octet-stream");
    assert_problem(&nowhere.body("id").send().await, 400, "bad-header");
    assert_eq!(offset(&lake, &path).await, 0);
}

#[tokio::test]
async fn a_creation_may_bring_the_first_piece_and_the_last_one_too() {
    let lake = TestLake::open().await;
    let with = |bytes: &'static [u8]| {
        let call = creation(&lake, FILE.len()).header("content-type", "application/offset+octet-stream");
        call.body(bytes).send()
    };
    let answer = with(&FILE[..9]).await;
    answer.expect_status(201);
    assert_eq!(answer.header("upload-offset"), Some("9"));
    let path = answer.header("location").unwrap().to_owned();
    patch(&lake, &path, 9, &FILE[9..]).await.expect_status(204);
    assert_committed(&lake, &path).await;

    let answer = with(FILE).await;
    answer.expect_status(201);
    assert_eq!(answer.header("upload-offset"), Some(FILE.len().to_string().as_str()));
    assert!(answer.header("upload-expires").is_none(), "what is whole is not given up");
    let upload = outcome(&lake, answer.header("location").unwrap()).await;
    assert_eq!(upload["status"], "committed");
    assert_eq!(lake.count("a.t").await, 6);
}

#[tokio::test]
async fn an_upload_that_is_ended_is_gone() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    patch(&lake, &path, 0, &FILE[..9]).await.expect_status(204);
    assert_eq!(partial_files(&lake), 1);
    call(&lake, Method::DELETE, &path).send().await.expect_status(204);
    assert_eq!(partial_files(&lake), 0);
    call(&lake, Method::HEAD, &path).send().await.expect_status(404);
    assert_problem(&patch(&lake, &path, 9, &FILE[9..]).await, 404, "not-found");
    assert_problem(&call(&lake, Method::DELETE, &path).send().await, 404, "not-found");
    let id = path.rsplit('/').next().unwrap();
    assert_problem(&lake.get(&format!("/api/v1/uploads/{id}")).await, 404, "not-found");
    assert_problem(&lake.get("/api/v1/tables/a/t").await, 404, "not-found");
}

#[tokio::test]
async fn an_upload_that_has_landed_cannot_be_ended() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    patch(&lake, &path, 0, FILE).await.expect_status(204);
    assert_problem(&call(&lake, Method::DELETE, &path).send().await, 409, "upload-landed");
    assert_committed(&lake, &path).await;
}

#[tokio::test]
async fn a_piece_with_another_sum_is_not_kept() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    let sha256 = STANDARD.encode(Sha256::digest(&FILE[..9]));
    let send = async |sum: &str, bytes: &'static [u8]| {
        piece(&lake, &path, 0).header("upload-checksum", sum).body(bytes).send().await
    };
    let right = format!("sha256 {sha256}");
    let answer = send(&right, &FILE[..8]).await;
    assert_problem(&answer, 460, "other-checksum");
    assert_eq!(offset(&lake, &path).await, 0);
    for wrong in ["md5 1B2M2Y8AsgTpgAmY7PhCfg==", "sha256", "sha256 !"] {
        assert_problem(&send(wrong, &FILE[..9]).await, 400, "bad-header");
    }
    send(&right, &FILE[..9]).await.expect_status(204);
    assert_eq!(offset(&lake, &path).await, 9);
    patch(&lake, &path, 9, &FILE[9..]).await.expect_status(204);
    assert_committed(&lake, &path).await;
}

#[tokio::test]
async fn a_piece_that_breaks_off_keeps_what_came_unless_it_has_a_sum() {
    let lake = TestLake::open().await;
    for (sum, kept) in [(false, 8), (true, 0)] {
        let path = create(&lake).await;
        let (body, mut holder) = held_body(b"id,name\n", b"1,a\n");
        let call = piece(&lake, &path, 0);
        let right = format!("sha256 {}", STANDARD.encode(Sha256::digest(b"id,name\n1,a\n")));
        let call = if sum { call.header("upload-checksum", &right) } else { call };
        let answer = tokio::spawn(call.body(body).send());
        holder.reached().await;
        drop(holder);
        assert_problem(&answer.await.unwrap(), 400, "body-broken");
        assert_eq!(offset(&lake, &path).await, kept);
    }
}

#[tokio::test]
async fn of_two_pieces_at_once_one_is_taken() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    let (body, mut holder) = held_body(b"id,name\n", b"1,a\n");
    let first = tokio::spawn(piece(&lake, &path, 0).body(body).send());
    holder.reached().await;
    let busy = patch(&lake, &path, 0, FILE).await;
    assert_problem(&busy, 409, "upload-busy");
    assert!(busy.header("retry-after").is_some());
    assert_problem(&call(&lake, Method::DELETE, &path).send().await, 409, "upload-busy");
    holder.release();
    first.await.unwrap().expect_status(204);
    patch(&lake, &path, 12, &FILE[12..]).await.expect_status(204);
    assert_committed(&lake, &path).await;
}

#[tokio::test]
async fn the_method_that_is_meant_may_stand_in_a_header() {
    let lake = TestLake::open().await;
    let path = create(&lake).await;
    let meant = |method: &str| {
        let call = call(&lake, Method::POST, &path).header("x-http-method-override", method);
        call.header("upload-offset", "0").header("content-type", "application/offset+octet-stream")
    };
    let answer = meant("PATCH").body(&FILE[..9]).send().await;
    answer.expect_status(204);
    assert_eq!(answer.header("upload-offset"), Some("9"));
    meant("DELETE").send().await.expect_status(204);
    assert_problem(&meant("PATCH").send().await, 404, "not-found");
    let elsewhere = lake.call(Method::POST, "/api/v1/tables/a/t").header("x-http-method-override", "DELETE");
    assert_problem(&elsewhere.send().await, 405, "method-not-allowed");
}

#[tokio::test]
async fn options_of_the_upload_are_metadata_and_others_are_refused() {
    let lake = TestLake::open().await;
    let send = async |pairs: &[(&str, &str)]| {
        let new = call(&lake, Method::POST, TUS).header("upload-length", "7");
        let new = new.header("upload-metadata", &metadata(pairs));
        new.header("content-type", "application/offset+octet-stream").body("1;x\n2;y".as_bytes()).send().await
    };
    let options = [("table", "a.t"), ("format", "csv"), ("delimiter", ";"), ("header", "false")];
    let answer = send(&options).await;
    answer.expect_status(201);
    assert_eq!(outcome(&lake, answer.header("location").unwrap()).await["status"], "committed");
    assert_eq!(lake.count("a.t").await, 2);
    for (pairs, word) in [
        (&[("table", "a.t"), ("format", "csv"), ("delimeter", ";")][..], "delimeter"),
        (&[("format", "csv")][..], "table"),
        (&[("table", "a.t"), ("format", "csv"), ("header", "perhaps")][..], "header"),
    ] {
        let problem = assert_problem(&send(pairs).await, 400, "bad-header");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
    assert_problem(&send(&[("table", "../t"), ("format", "csv")]).await, 400, "illegal-name");
    assert_problem(&send(&[("table", "a.t")]).await, 415, "unknown-format");
}

#[tokio::test]
async fn what_does_not_fit_the_table_fails_in_the_ledger() {
    let lake = TestLake::open().await;
    let answer = creation(&lake, 5).send().await;
    let path = answer.header("location").unwrap().to_owned();
    patch(&lake, &path, 0, "a,b\n1").await.expect_status(204);
    let upload = outcome(&lake, &path).await;
    assert_eq!((&upload["status"], &upload["progress"]["phase"]), (&"failed".into(), &"failed".into()));
    assert_eq!(upload["failure"]["type"], "urn:sluice:problem:malformed-file");
}
