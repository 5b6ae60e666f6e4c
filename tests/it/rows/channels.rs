//! Channels: exactly once by offsets, which the table's log keeps.

use axum::http::Method;
use futures::future::join_all;
use serde_json::{Value, json};
use sluice_domain::Action;
use sluice_tests::{Answer, TestLake, assert_problem};

use super::{assert_committed, channel_path, rows_path};

async fn open(lake: &TestLake, channel: &str) -> Value {
    lake.call(Method::PUT, &channel_path("nyc.taps", channel)).send().await.expect(200)
}

async fn send(lake: &TestLake, place: &str, body: &str) -> Answer {
    lake.post(&format!("{}?{place}", rows_path("nyc.taps")), &[], body.to_owned()).await
}

async fn last_offset(lake: &TestLake, channel: &str) -> Value {
    lake.get(&channel_path("nyc.taps", channel)).await.expect(200)["last_committed_offset"].clone()
}

#[tokio::test]
async fn a_channel_tells_how_far_it_is_and_takes_what_comes_after() {
    let lake = TestLake::open().await;
    let opened = open(&lake, "s1").await;
    assert_eq!((&opened["last_committed_offset"], &opened["epoch"]), (&Value::Null, &json!(1)));
    let receipt = send(&lake, "channel=s1&offset=2", "[{\"id\": 1}, {\"id\": 2}]").await.expect(201);
    assert_committed(&receipt, 2);
    assert_eq!((&receipt["channel"], &receipt["offset"]), (&json!("s1"), &json!(2)));
    send(&lake, "channel=s1&offset=7&epoch=1", "{\"id\": 3}").await.expect(201);
    assert_eq!(last_offset(&lake, "s1").await, 7);
    for offset in [7, 3, 0, -5, i64::MIN] {
        let receipt = send(&lake, &format!("channel=s1&offset={offset}"), "{\"id\": 9}").await.expect(200);
        assert_eq!((&receipt["rows_received"], &receipt["rows_deduplicated"]), (&json!(1), &json!(1)), "{receipt}");
        assert_eq!((&receipt["rows_committed"], &receipt["offset"]), (&json!(0), &json!(7)), "{receipt}");
    }
    assert_eq!(lake.count("nyc.taps").await, 3);
    let log = lake.log("nyc.taps", 1).await;
    let channels: Vec<_> = log.iter().filter(|action| action["txn"]["version"] == 7).collect();
    assert_eq!(channels.len(), 1, "{log:?}");
}

#[tokio::test]
async fn the_offset_outlives_the_server_and_the_catalogs_memory_of_requests() {
    let lake = TestLake::open().await;
    open(&lake, "s1").await;
    for offset in 1..=3 {
        send(&lake, &format!("channel=s1&offset={offset}"), "{\"id\": 1}").await.expect(201);
    }
    let lake = lake.reopen().await;
    assert_eq!(send(&lake, "channel=s1&offset=3", "{\"id\": 1}").await.status, 200);
    assert_eq!(last_offset(&lake, "s1").await, 3);
    let reopened = open(&lake, "s1").await;
    assert_eq!((&reopened["last_committed_offset"], &reopened["epoch"]), (&json!(3), &json!(2)));
    assert_eq!(lake.count("nyc.taps").await, 3);
}

#[tokio::test]
async fn channels_share_a_commit_and_keep_their_own_offsets() {
    let lake = TestLake::builder().set(|settings| settings.ingest.rows.max_wait_ms = 200).open().await;
    let names: Vec<String> = (0..12).map(|number| format!("s{number}")).collect();
    for name in &names {
        open(&lake, name).await;
    }
    for round in 1..=2 {
        let places: Vec<String> =
            (0..12).map(|number| format!("channel=s{number}&offset={}", round * 100 + number)).collect();
        let answers = join_all(places.iter().map(|place| send(&lake, place, "{\"id\": 1}"))).await;
        answers.iter().for_each(|answer| answer.expect_status(201));
    }
    for (number, name) in names.iter().enumerate() {
        assert_eq!(last_offset(&lake, name).await, json!(200 + number));
    }
    assert_eq!(lake.count("nyc.taps").await, 24);
    assert!(lake.describe("nyc.taps").await["version"].as_u64().unwrap() < 8);
}

#[tokio::test]
async fn a_later_opener_fences_off_the_earlier_one() {
    let lake = TestLake::open().await;
    open(&lake, "s1").await;
    send(&lake, "channel=s1&offset=1&epoch=1", "{\"id\": 1}").await.expect(201);
    assert_eq!(open(&lake, "s1").await["epoch"], 2);
    let late = send(&lake, "channel=s1&offset=2&epoch=1", "{\"id\": 2}").await;
    assert_problem(&late, 409, "channel-fenced");
    send(&lake, "channel=s1&offset=2&epoch=2", "{\"id\": 2}").await.expect(201);
    assert_eq!(lake.count("nyc.taps").await, 2);
}

#[tokio::test]
async fn an_opener_at_another_server_fences_off_what_gathers_here() {
    let one = TestLake::builder().set(|settings| settings.ingest.rows.max_wait_ms = 400).open().await;
    let two = one.open_another().await;
    open(&one, "s1").await;
    send(&one, "channel=s1&offset=1", "{\"id\": 1}").await.expect(201);
    let gathering = send(&one, "channel=s1&offset=2&epoch=1", "{\"id\": 2}");
    let neighbour = super::post(&one, "nyc.taps", "{\"id\": 3}");
    let fencing = async {
        // The other request is in its group by the time that this one has its answer.
        one.get("/healthz").await.expect_status(200);
        open(&two, "s1").await
    };
    let (late, neighbour, fenced) = futures::join!(gathering, neighbour, fencing);
    assert_problem(&late, 409, "channel-fenced");
    neighbour.expect_status(201);
    assert_eq!(fenced["last_committed_offset"], 1);
    send(&two, "channel=s1&offset=2&epoch=2", "{\"id\": 2}").await.expect(201);
    assert_eq!(two.rows("SELECT sum(id) AS s FROM nyc.taps").await, [json!({ "s": 6 })]);
}

#[tokio::test]
async fn two_requests_of_a_channel_at_once_are_serialised() {
    let lake = TestLake::builder().set(|settings| settings.ingest.rows.max_wait_ms = 200).open().await;
    open(&lake, "s1").await;
    let answers = join_all([1, 2].map(|offset| {
        let (lake, place) = (&lake, format!("channel=s1&offset={offset}"));
        async move { send(lake, &place, "{\"id\": 1}").await }
    }))
    .await;
    let committed = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(committed, 1);
    let busy = answers.iter().find(|answer| answer.status != 201).unwrap();
    assert_problem(busy, 409, "channel-busy");
    assert_eq!(busy.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn two_servers_never_add_an_offset_twice() {
    let one = TestLake::builder().set(|settings| settings.ingest.rows.max_wait_ms = 5).open().await;
    let two = one.open_another().await;
    open(&one, "s1").await;
    for offset in 1..=15 {
        let place = format!("channel=s1&offset={offset}");
        let (left, right) = futures::join!(send(&one, &place, "{\"id\": 1}"), send(&two, &place, "{\"id\": 1}"));
        let statuses = [left.status.as_u16(), right.status.as_u16()];
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 201, 409].contains(status)), "{statuses:?}");
    }
    assert_eq!(one.count("nyc.taps").await, 15);
    assert_eq!(last_offset(&one, "s1").await, 15);
}

#[tokio::test]
async fn a_channel_that_is_not_open_takes_nothing_and_one_that_was_dropped_begins_anew() {
    let lake = TestLake::open().await;
    assert_problem(&send(&lake, "channel=s1&offset=1", "{\"id\": 1}").await, 404, "channel-not-found");
    assert_problem(&lake.get(&channel_path("nyc.taps", "s1")).await, 404, "channel-not-found");
    open(&lake, "s1").await;
    send(&lake, "channel=s1&offset=5", "{\"id\": 1}").await.expect(201);
    lake.call(Method::DELETE, &channel_path("nyc.taps", "s1")).send().await.expect_status(204);
    let again = lake.call(Method::DELETE, &channel_path("nyc.taps", "s1")).send().await;
    assert_problem(&again, 404, "channel-not-found");
    assert_problem(&send(&lake, "channel=s1&offset=6", "{\"id\": 1}").await, 404, "channel-not-found");
    assert_eq!(open(&lake, "s1").await["last_committed_offset"], Value::Null);
    send(&lake, "channel=s1&offset=1", "{\"id\": 1}").await.expect(201);
    assert_eq!(lake.count("nyc.taps").await, 2);
}

#[tokio::test]
async fn a_table_has_no_more_channels_than_it_may() {
    let lake = TestLake::builder().set(|settings| settings.ingest.rows.channels_per_table = 2).open().await;
    open(&lake, "a").await;
    open(&lake, "b").await;
    open(&lake, "b").await;
    let third = lake.call(Method::PUT, &channel_path("nyc.taps", "c")).send().await;
    assert_problem(&third, 409, "too-many-channels");
    lake.call(Method::PUT, &channel_path("nyc.others", "c")).send().await.expect_status(200);
}

#[tokio::test]
async fn channels_of_a_hidden_table_do_not_exist() {
    let all = [Action::Read, Action::Append, Action::Manage];
    let lake = TestLake::builder().key("owner", &all, None).key("stranger", &all, Some(&["else"])).open().await;
    lake.call(Method::PUT, &channel_path("nyc.taps", "a")).key("owner").send().await.expect_status(200);
    for method in [Method::PUT, Method::GET, Method::DELETE] {
        let answer = lake.call(method, &channel_path("nyc.taps", "a")).key("stranger").send().await;
        assert_problem(&answer, 404, "not-found");
    }
}
