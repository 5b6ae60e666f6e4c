//! The uploads that have not landed: what is known of them, and that they go on from one place only.

use chrono::TimeDelta;
use sluice_catalog::NewUpload;
use sluice_domain::{Delivery, PartialUpload, UploadId};
use uuid::Uuid;

use crate::samples::{Lake, instant, new_upload, table_ref};

const LIMIT: u32 = 100;

fn partial(size_bytes: u64) -> PartialUpload {
    let NewUpload { options, file_name, .. } = new_upload("nyc.flights");
    PartialUpload {
        id: UploadId(Uuid::now_v7()),
        delivery: Delivery::Resumable,
        table: table_ref("nyc.flights"),
        principal: "ada".into(),
        file_name,
        note: Some("table bnljLmZsaWdodHM=".into()),
        options,
        size_bytes,
        offset_bytes: 0,
        sha256: Some("ab".repeat(32)),
        started_at: instant("2026-01-31T23:59:58Z"),
        expires_at: instant("2026-02-01T23:59:58.000000001Z"),
    }
}

#[tokio::test]
async fn what_was_announced_is_given_back_exactly() {
    let lake = Lake::open().await;
    let bare = PartialUpload { delivery: Delivery::Presigned, file_name: None, note: None, sha256: None, ..partial(1) };
    for new in [partial(1 << 40), bare] {
        assert!(lake.catalog.partials().announce(&new, LIMIT).await.unwrap());
        assert_eq!(lake.catalog.partials().find(new.id).await.unwrap(), Some(new));
    }
    assert_eq!(lake.catalog.partials().find(UploadId(Uuid::now_v7())).await.unwrap(), None);
}

#[tokio::test]
async fn there_are_never_more_than_the_limit() {
    let lake = Lake::open().await;
    let announcing = (0..8).map(|_| {
        let catalog = lake.catalog.clone();
        tokio::spawn(async move { catalog.partials().announce(&partial(1), 3).await.unwrap() })
    });
    let tasks: Vec<_> = announcing.collect();
    let mut entered = 0;
    for task in tasks {
        entered += u32::from(task.await.unwrap());
    }
    assert_eq!(entered, 3);
}

#[tokio::test]
async fn an_upload_goes_on_from_where_it_is_and_not_beyond_its_end() {
    let lake = Lake::open().await;
    let new = partial(10);
    let other = lake.another().await.unwrap();
    lake.catalog.partials().announce(&new, LIMIT).await.unwrap();
    let later = new.expires_at + TimeDelta::hours(1);
    assert!(lake.catalog.partials().advance(new.id, 0, 4, later).await.unwrap());
    for (from, to) in [(0, 4), (3, 5), (4, 11)] {
        assert!(!other.partials().advance(new.id, from, to, later).await.unwrap(), "{from} {to}");
    }
    assert!(!other.partials().advance(UploadId(Uuid::now_v7()), 4, 5, later).await.unwrap());
    assert!(other.partials().advance(new.id, 4, 10, later).await.unwrap());
    let found = lake.catalog.partials().find(new.id).await.unwrap().unwrap();
    assert_eq!(found, PartialUpload { offset_bytes: 10, expires_at: later, ..new });
    assert!(found.is_whole());
}

#[tokio::test]
async fn what_is_whole_lands_and_what_is_over_is_told() {
    let lake = Lake::open().await;
    let partials = lake.catalog.partials();
    let [first, second, whole] = [partial(10), partial(10), partial(10)];
    for new in [&first, &second, &whole] {
        partials.announce(new, LIMIT).await.unwrap();
    }
    let end = first.expires_at;
    partials.advance(whole.id, 0, 10, end).await.unwrap();
    partials.advance(second.id, 0, 9, end + TimeDelta::nanoseconds(1)).await.unwrap();
    let ids = |found: Vec<PartialUpload>| found.iter().map(|partial| partial.id).collect::<Vec<_>>();
    assert_eq!(ids(partials.expired(end - TimeDelta::nanoseconds(1), 9).await.unwrap()), []);
    assert_eq!(ids(partials.expired(end, 9).await.unwrap()), [first.id]);
    assert_eq!(ids(partials.expired(end + TimeDelta::hours(1), 9).await.unwrap()), [first.id, second.id]);
    assert_eq!(ids(partials.expired(end + TimeDelta::hours(1), 1).await.unwrap()), [first.id]);
    assert_eq!(ids(partials.whole(9).await.unwrap()), [whole.id]);
    assert!(partials.forget(first.id).await.unwrap() && !partials.forget(first.id).await.unwrap());
    assert_eq!(partials.find(first.id).await.unwrap(), None);
}

#[tokio::test]
async fn an_upload_that_lands_is_partial_no_more_and_one_that_does_not_stays() {
    let lake = Lake::open().await;
    let (new, kept) = (partial(10), partial(10));
    for new in [&new, &kept] {
        lake.catalog.partials().announce(new, LIMIT).await.unwrap();
    }
    let landed = NewUpload { id: new.id, ..new_upload("nyc.flights") };
    lake.catalog.uploads().land(&landed).await.unwrap();
    assert!(lake.catalog.uploads().land(&landed).await.is_err());
    assert_eq!(lake.catalog.partials().find(new.id).await.unwrap(), None);
    assert_eq!(lake.catalog.partials().find(kept.id).await.unwrap(), Some(kept));
}
