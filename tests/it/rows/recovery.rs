//! A group that was cut off is finished at the next start, exactly once: with its keys and with its channels.
//!
//! A crash is made by hand, on the closed lake: the original lies in the raw zone, and the ledger was written as far as
//! it had come.

use std::path::Path;

use axum::http::Method;
use serde_json::json;
use sluice_catalog::{CommitTry, Entered, NewGroup, NewUpload, RowRequest};
use sluice_domain::{ChannelOffset, Format, IdempotencyKey, Landed, Prepared, ReadOptions, UploadId};
use sluice_tests::{ClosedLake, TestLake, sha256_of};

use super::{channel_path, rows_path};

const KEYED: &str = "{\"id\": 1}";
const OF_CHANNEL: &str = "{\"id\": 2}";

/// Where a crash cut the group off.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Before its commit was begun, as the one that makes a table is entered.
    Landed,
    /// After its commit was begun, before the log had it.
    Begun,
}

/// The group of one request with a key and one of a channel, as a crash left it.
async fn cut_off(closed: &ClosedLake, cut: Cut) -> UploadId {
    let catalog = closed.catalog().await;
    let taps = "nyc.taps".parse().unwrap();
    let channel = catalog.channels().find(&taps, &"c".parse().unwrap()).await.unwrap().unwrap();
    let scope = "anonymous POST /api/v1/tables/nyc/taps/rows".to_owned();
    let keyed = RowRequest {
        key: Some(IdempotencyKey { scope, key: "k".into() }),
        offset: None,
        sha256: sha256_of(KEYED.as_bytes()),
        rows: 1,
    };
    let offset = ChannelOffset { channel: channel.id, epoch: channel.epoch, offset: 7 };
    let of_channel = RowRequest { key: None, offset: Some(offset), sha256: sha256_of(OF_CHANNEL.as_bytes()), rows: 1 };
    let group = NewGroup { upload: original(closed.data_dir()), requests: vec![keyed, of_channel] };
    let id = group.upload.id;
    match cut {
        Cut::Landed => {
            assert!(matches!(catalog.row_groups().land_group(&group).await.unwrap(), Entered::All(_)));
        }
        Cut::Begun => {
            let table = catalog.tables().find(&taps).await.unwrap().id;
            let tries = [CommitTry { upload: id, files: Vec::new(), prepared: Prepared::default() }];
            let begun = catalog.row_groups().begin_groups(table, &tries, &[&group]).await.unwrap();
            assert!(matches!(begun, Entered::All(_)));
        }
    }
    catalog.close().await.unwrap();
    id
}

/// Put the rows of the group into the raw zone.
fn original(data_dir: &Path) -> NewUpload {
    let (id, bytes) = (UploadId(uuid::Uuid::now_v7()), format!("{KEYED}\n{OF_CHANNEL}\n"));
    let raw_path = format!("uploads/nyc/taps/{id}.ndjson");
    let file = data_dir.join("raw").join(&raw_path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, &bytes).unwrap();
    let (now, sha256) = (chrono::Utc::now(), sha256_of(bytes.as_bytes()));
    NewUpload {
        id,
        table: "nyc.taps".parse().unwrap(),
        principal: "anonymous".into(),
        idempotency_key: None,
        file_name: None,
        options: ReadOptions::of(Format::Ndjson),
        landed: Landed { raw_path, size_bytes: bytes.len() as u64, sha256, landed_at: now },
        started_at: now,
    }
}

async fn open_channel(lake: &TestLake) -> serde_json::Value {
    lake.call(Method::PUT, &channel_path("nyc.taps", "c")).send().await.expect(200)
}

/// Whoever asks again, by the key or through the channel, is told of the rows that are there.
async fn assert_finished_once(lake: &TestLake, id: UploadId, rows: u64) {
    let again = lake.post(&rows_path("nyc.taps"), &[("idempotency-key", "k")], KEYED).await;
    assert_eq!(again.expect(201)["upload_id"], id.to_string());
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let path = format!("{}?channel=c&offset=7", rows_path("nyc.taps"));
    let again = lake.post(&path, &[], OF_CHANNEL).await.expect(200);
    assert_eq!((&again["rows_committed"], &again["rows_deduplicated"]), (&json!(0), &json!(1)));
    assert_eq!(lake.count("nyc.taps").await, rows);
}

#[tokio::test]
async fn a_group_that_was_cut_off_is_finished_at_the_next_start() {
    for (cut, exists) in [(Cut::Landed, false), (Cut::Landed, true), (Cut::Begun, true)] {
        let lake = TestLake::open().await;
        open_channel(&lake).await;
        if exists {
            lake.post(&rows_path("nyc.taps"), &[], "{\"id\": 0}").await.expect(201);
        }
        let closed = lake.close().await;
        let id = cut_off(&closed, cut).await;
        // A lake that is closed again has finished what it resumed.
        let lake = closed.open().await.reopen().await;
        assert_finished_once(&lake, id, 2 + u64::from(exists)).await;
        assert_finished_once(&lake.reopen().await, id, 2 + u64::from(exists)).await;
    }
}

#[tokio::test]
async fn whoever_opens_the_channel_first_is_told_of_rows_that_were_cut_off() {
    let lake = TestLake::open().await;
    open_channel(&lake).await;
    lake.post(&rows_path("nyc.taps"), &[], "{\"id\": 0}").await.expect(201);
    let closed = lake.close().await;
    let id = cut_off(&closed, Cut::Begun).await;
    // Whether the server or this request finishes the group first: nobody is told of an offset that still moves.
    let lake = closed.open().await;
    let mut opened = lake.call(Method::PUT, &channel_path("nyc.taps", "c")).send().await;
    while opened.status == 409 {
        sluice_tests::assert_problem(&opened, 409, "channel-busy");
        opened = lake.call(Method::PUT, &channel_path("nyc.taps", "c")).send().await;
    }
    assert_eq!(opened.expect(200)["last_committed_offset"], 7);
    assert_finished_once(&lake, id, 3).await;
}
