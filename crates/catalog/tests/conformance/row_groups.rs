//! Requests that an upload gathers: entered with it, found by their key, and bound to their channel.

use chrono::{TimeDelta, Utc};
use sluice_catalog::{CommitTry, CommittedUpload, Entered, NewGroup, Obstacle, RowRequest};
use sluice_domain::{
    Channel, ChannelOffset, ErrorKind, IdempotencyKey, RowCounts, StoredFailure, TableId, UploadId, UploadState,
};

use crate::samples::{Lake, commit, instant, new_upload, table_ref};

const TABLE: &str = "nyc.taps";

fn keyed(key: &str) -> RowRequest {
    let key = Some(IdempotencyKey { scope: "ada POST rows".into(), key: key.into() });
    RowRequest { key, offset: None, sha256: "ab".repeat(32), rows: 3 }
}

fn of_channel(channel: &Channel, offset: i64) -> RowRequest {
    let offset = Some(ChannelOffset { channel: channel.id, epoch: channel.epoch, offset });
    RowRequest { key: None, offset, sha256: "cd".repeat(32), rows: 1 }
}

fn group(requests: &[RowRequest]) -> NewGroup {
    NewGroup { upload: new_upload(TABLE), requests: requests.to_vec() }
}

fn stopped<T>(group: &NewGroup, number: usize, obstacle: Obstacle) -> Entered<T> {
    Entered::Stopped { upload: group.upload.id, number, obstacle }
}

impl Lake {
    async fn channel(&self, name: &str) -> Channel {
        let opened = self.catalog.channels().open(&table_ref(TABLE), &name.parse().unwrap(), "ada", 10).await;
        opened.unwrap().unwrap()
    }

    async fn begin_group(&self, table: TableId, group: &NewGroup) -> Entered<Vec<i64>> {
        let tries = [CommitTry { upload: group.upload.id, files: Vec::new(), prepared: Default::default() }];
        self.catalog.row_groups().begin_groups(table, &tries, &[group]).await.unwrap()
    }

    async fn committed(&self, table: TableId, upload: UploadId, version: u64) {
        let rows = RowCounts::all_committed(3);
        let committed = CommittedUpload { version, rows, committed_at: instant("2026-02-01T00:00:00Z") };
        commit(self.catalog.uploads(), upload, table, committed).await.unwrap();
    }

    async fn failed(&self, upload: UploadId) {
        let failure = StoredFailure { kind: ErrorKind::Conflict, code: "begun-anew".into(), detail: "x".into() };
        self.catalog.uploads().fail(upload, &failure).await.unwrap();
    }

    async fn known(&self, key: &str) -> Option<UploadState> {
        let known = self.catalog.row_groups().find_by_key("ada POST rows", key).await.unwrap();
        known.map(|known| known.upload.state)
    }
}

#[tokio::test]
async fn a_group_is_entered_and_begun_at_once_and_its_keys_outlive_a_restart() {
    let lake = Lake::open().await;
    let table = lake.active_table(TABLE).await.id;
    let group = group(&[keyed("a"), keyed("b")]);
    assert_eq!(lake.begin_group(table, &group).await, Entered::All(vec![1]));
    assert_eq!(lake.known("a").await, Some(UploadState::Committing));
    lake.committed(table, group.upload.id, 1).await;
    let lake = lake.reopen().await;
    let known = lake.catalog.row_groups().find_by_key("ada POST rows", "b").await.unwrap().unwrap();
    assert_eq!((known.upload.id, known.upload.version), (group.upload.id, Some(1)));
    assert_eq!((known.rows, known.sha256, known.offset), (3, "ab".repeat(32), None));
    assert!(lake.catalog.row_groups().find_by_key("eve POST rows", "b").await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_that_is_taken_stops_its_request_and_nothing_is_entered() {
    let lake = Lake::open().await;
    let table = lake.active_table(TABLE).await.id;
    let first = group(&[keyed("a")]);
    lake.begin_group(table, &first).await;
    let second = group(&[keyed("b"), keyed("a")]);
    assert_eq!(lake.begin_group(table, &second).await, stopped(&second, 1, Obstacle::KeyTaken(first.upload.id)));
    assert_eq!(lake.known("b").await, None);
    assert!(lake.catalog.uploads().find(second.upload.id).await.is_err());
    let landing = lake.catalog.row_groups().land_group(&second).await.unwrap();
    assert!(matches!(landing, Entered::Stopped { number: 1, .. }), "{landing:?}");
    // The sequence of what was stopped is not lost: nothing of it was entered.
    let third = group(&[keyed("b")]);
    assert_eq!(lake.begin_group(table, &third).await, Entered::All(vec![2]));
}

#[tokio::test]
async fn a_key_whose_group_failed_is_free() {
    let lake = Lake::open().await;
    let table = lake.active_table(TABLE).await.id;
    let first = group(&[keyed("a")]);
    assert!(matches!(lake.catalog.row_groups().land_group(&first).await.unwrap(), Entered::All(_)));
    assert_eq!(lake.known("a").await, Some(UploadState::Landed));
    lake.failed(first.upload.id).await;
    assert_eq!(lake.known("a").await, None);
    let second = group(&[keyed("a")]);
    assert_eq!(lake.begin_group(table, &second).await, Entered::All(vec![1]));
    assert_eq!(lake.known("a").await, Some(UploadState::Committing));
}

#[tokio::test]
async fn a_channel_has_rows_in_one_unfinished_upload_at_the_most() {
    let lake = Lake::open().await;
    let table = lake.active_table(TABLE).await.id;
    let (groups, channel, other) = (lake.catalog.row_groups(), lake.channel("c").await, lake.channel("d").await);
    let first = group(&[of_channel(&channel, 1)]);
    lake.begin_group(table, &first).await;
    assert_eq!(groups.offsets(first.upload.id).await.unwrap(), [(channel.id, 1)]);
    assert_eq!(groups.unfinished_of(channel.id).await.unwrap(), Some(first.upload.id));
    assert_eq!(groups.unfinished_of(other.id).await.unwrap(), None);
    let second = group(&[of_channel(&other, 7), of_channel(&channel, 2)]);
    let busy = Obstacle::ChannelBusy(first.upload.id);
    assert_eq!(lake.begin_group(table, &second).await, stopped(&second, 1, busy));
    lake.committed(table, first.upload.id, 1).await;
    assert_eq!(groups.unfinished_of(channel.id).await.unwrap(), None);
    assert_eq!(lake.begin_group(table, &second).await, Entered::All(vec![2]));
    lake.failed(second.upload.id).await;
    let third = group(&[of_channel(&channel, 2)]);
    assert_eq!(lake.begin_group(table, &third).await, Entered::All(vec![3]));
}

#[tokio::test]
async fn a_channel_that_was_opened_again_or_dropped_stops_what_came_through_it_before() {
    let lake = Lake::open().await;
    let table = lake.active_table(TABLE).await.id;
    let (name, taps) = ("c".parse().unwrap(), table_ref(TABLE));
    let first = lake.channel("c").await;
    let second = lake.channel("c").await;
    assert_eq!((first.epoch, second.epoch, second.id), (1, 2, first.id));
    let late = group(&[of_channel(&first, 1)]);
    assert_eq!(lake.begin_group(table, &late).await, stopped(&late, 0, Obstacle::ChannelFenced));
    assert_eq!(lake.catalog.channels().find(&taps, &name).await.unwrap(), Some(second.clone()));
    assert!(lake.catalog.channels().drop(&taps, &name).await.unwrap());
    assert!(!lake.catalog.channels().drop(&taps, &name).await.unwrap());
    let late = group(&[of_channel(&second, 1)]);
    assert_eq!(lake.begin_group(table, &late).await, stopped(&late, 0, Obstacle::ChannelFenced));
    let third = lake.channel("c").await;
    assert_eq!(third.epoch, 1);
    assert_ne!(third.id, first.id);
}

#[tokio::test]
async fn a_table_has_no_more_channels_than_the_limit() {
    let lake = Lake::open().await;
    let taps = table_ref(TABLE);
    for name in ["a", "b", "a"] {
        assert!(lake.catalog.channels().open(&taps, &name.parse().unwrap(), "ada", 2).await.unwrap().is_some());
    }
    let open = |table: &'static str| {
        let channels = lake.catalog.channels();
        async move { channels.open(&table_ref(table), &"c".parse().unwrap(), "ada", 2).await.unwrap() }
    };
    assert_eq!(open(TABLE).await, None);
    assert!(open("nyc.others").await.is_some());
}

#[tokio::test]
async fn requests_are_forgotten_when_they_are_old_and_settled() {
    let lake = Lake::open().await;
    let table = lake.active_table(TABLE).await.id;
    let (settled, open) = (group(&[keyed("a"), keyed("b")]), group(&[keyed("c")]));
    lake.begin_group(table, &settled).await;
    lake.committed(table, settled.upload.id, 1).await;
    lake.begin_group(table, &open).await;
    let groups = lake.catalog.row_groups();
    assert_eq!(groups.forget_requests(Utc::now() - TimeDelta::hours(1), 10).await.unwrap(), 0);
    let soon = Utc::now() + TimeDelta::hours(1);
    assert_eq!(groups.forget_requests(soon, 1).await.unwrap(), 1);
    assert_eq!(groups.forget_requests(soon, 10).await.unwrap(), 1);
    assert_eq!((lake.known("a").await, lake.known("b").await), (None, None));
    assert_eq!(lake.known("c").await, Some(UploadState::Committing));
}
