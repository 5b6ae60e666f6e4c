//! What is told of an upload while it comes on.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_tests::{ServedLake, TestLake, held_body};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::TcpStream,
};

use super::{FILE, piece, upload};

/// No test waits for longer: what is waited for has failed then.
const PATIENCE: Duration = Duration::from_secs(60);

/// The events of a stream that has ended, as names and data.
fn events_of(text: &str) -> Vec<(String, Value)> {
    let field = |event: &str, name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name)).map(|text| text.trim().to_owned())
    };
    let events = text.split("\n\n").filter_map(|event| Some((field(event, "event:")?, field(event, "data:")?)));
    events.map(|(name, data)| (name, serde_json::from_str(&data).unwrap())).collect()
}

fn events_path(path: &str) -> String {
    path.replace("/tus/", "/uploads/") + "/events"
}

#[tokio::test]
async fn an_upload_that_is_over_is_told_at_once() {
    let lake = TestLake::open().await;
    let receipt = lake.upload("a.t", "?format=csv", "id\n1\n2\n").await.expect(201);
    let id = receipt["upload_id"].as_str().unwrap();
    let answer = lake.get(&format!("/api/v1/uploads/{id}/events")).await;
    assert!(answer.header("content-type").unwrap().starts_with("text/event-stream"));
    let events = events_of(answer.text());
    assert_eq!(events.len(), 1);
    let (name, data) = &events[0];
    assert_eq!((name.as_str(), &data["receipt"]), ("committed", &receipt));
    let progress = json!({"phase": "committed", "bytes_received": 7, "bytes_total": 7, "bytes_decoded": 7, "rows": 2});
    assert_eq!(data["progress"], progress);
    assert_eq!(upload(&lake, id).await["progress"], progress);

    let failed = lake.upload("a.t", "?format=csv", "id\n1,2\n").await.json();
    let answer = lake.get(&format!("/api/v1/uploads/{}/events", failed["upload_id"].as_str().unwrap())).await;
    let (name, data) = events_of(answer.text()).remove(0);
    assert_eq!((name.as_str(), &data["failure"]["type"]), ("failed", &failed["type"]));
}

#[tokio::test]
async fn how_many_bytes_came_is_told_while_they_come() {
    let lake = TestLake::open().await;
    let path = super::create(&lake).await;
    let (body, mut holder) = held_body(b"id,name\n", b"1,a\n");
    let sending = tokio::spawn(piece(&lake, &path, 0).body(body).send());
    holder.reached().await;
    let seen = upload(&lake, &path).await;
    assert_eq!((&seen["status"], &seen["bytes_received"]), (&"receiving".into(), &8.into()));
    let progress = json!({"phase": "receiving", "bytes_received": 8, "bytes_total": FILE.len(), "rows": 0});
    assert_eq!(seen["progress"], progress);
    holder.release();
    sending.await.unwrap().expect_status(204);
    assert_eq!(upload(&lake, &path).await["bytes_received"], 12);
}

/// A connection over which events come.
struct Listening(Lines<BufReader<TcpStream>>);

impl Listening {
    /// The data of the next event of this name; nothing where the stream ends before.
    async fn next(&mut self, name: &str) -> Option<Value> {
        let mut is_named = false;
        while let Some(line) = tokio::time::timeout(PATIENCE, self.0.next_line()).await.unwrap().unwrap() {
            if let Some(found) = line.strip_prefix("event:") {
                is_named = found.trim() == name;
            } else if let Some(data) = line.strip_prefix("data:").filter(|_| is_named) {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
        None
    }
}

fn head(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ntus-resumable: 1.0.0\r\nconnection: close\r\n{more}\r\n")
}

async fn ask(lake: &ServedLake, method: &str, path: &str, more: &str) -> (u16, String) {
    let more = format!("{more}content-length: 0\r\n");
    let mut connection = lake.connect(&head(method, path, &more)).await;
    sluice_tests::read_answer(&mut connection).await.unwrap()
}

/// Where the pieces of a new upload go.
async fn create(lake: &ServedLake) -> String {
    let metadata = super::metadata(&[("table", "a.t"), ("filename", "a.csv")]);
    let more = format!("upload-length: {}\r\nupload-metadata: {metadata}\r\n", FILE.len());
    let (status, text) = ask(lake, "POST", "/api/v1/tus", &more).await;
    assert_eq!(status, 201, "{text}");
    let location = text.lines().find_map(|line| line.strip_prefix("location: "));
    location.unwrap().trim().to_owned()
}

async fn listen(lake: &ServedLake, path: &str) -> Listening {
    let connection = lake.connect(&head("GET", &events_path(path), "")).await;
    Listening(BufReader::new(connection).lines())
}

#[tokio::test]
async fn a_listener_hears_how_an_upload_comes_on_and_how_it_ends() {
    let lake = TestLake::builder().serve().await;
    let path = create(&lake).await;
    let more = format!(
        "upload-offset: 0\r\ncontent-type: application/offset+octet-stream\r\ncontent-length: {}\r\n",
        FILE.len()
    );
    let mut sending = lake.connect(&head("PATCH", &path, &more)).await;
    sending.write_all(&FILE[..9]).await.unwrap();
    let mut listening = listen(&lake, &path).await;
    while listening.next("progress").await.unwrap()["bytes_received"] != 9 {}
    sending.write_all(&FILE[9..]).await.unwrap();
    let (status, text) = sluice_tests::read_answer(&mut sending).await.unwrap();
    assert_eq!(status, 204, "{text}");
    let last = listening.next("committed").await.unwrap();
    assert_eq!((&last["receipt"]["rows_committed"], &last["progress"]["rows"]), (&3.into(), &3.into()));
    assert!(listening.next("progress").await.is_none(), "nothing follows the last event");
    lake.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_its_listeners() {
    let lake = TestLake::builder().set(|settings| settings.grace_seconds = 3600).serve().await;
    let path = create(&lake).await;
    let mut listening = listen(&lake, &path).await;
    assert_eq!(listening.next("progress").await.unwrap()["phase"], "receiving");
    tokio::time::timeout(PATIENCE, lake.stop()).await.expect("the server stops at once");
    assert!(listening.next("progress").await.is_none());
}

#[tokio::test]
async fn there_are_no_more_listeners_than_the_limit_and_one_whose_upload_is_ended_hears_it() {
    let lake = TestLake::builder().set(|settings| settings.ingest.resumable.max_listeners = 1).serve().await;
    let path = create(&lake).await;
    let mut listening = listen(&lake, &path).await;
    assert_eq!(listening.next("progress").await.unwrap()["bytes_received"], 0);
    let (status, text) = ask(&lake, "GET", &events_path(&path), "").await;
    assert!(status == 429 && text.contains("too-many-listeners"), "{status} {text}");
    assert_eq!(ask(&lake, "DELETE", &path, "").await.0, 204);
    assert!(listening.next("gone").await.is_some());
    lake.stop().await;
}
