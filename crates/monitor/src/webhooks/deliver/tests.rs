use std::sync::{Arc, Mutex};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use chrono::{TimeDelta, Utc};
use serde_json::Value;
use sluice_catalog::{Catalog, NewTable};
use sluice_domain::{TableFormat, WebhookDefinition, ZoneName};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::{ChangeWebhookSettings, Clock, MonitorMetrics, MonitorSettings, WebhookWish};

/// The bodies that came, and what is answered.
type Heard = Arc<Mutex<(Vec<Value>, StatusCode)>>;

async fn hear(State(heard): State<Heard>, body: String) -> StatusCode {
    let mut heard = heard.lock().unwrap();
    heard.0.push(serde_json::from_str(&body).unwrap());
    heard.1
}

/// A receiver, and a monitor that tells it of changes when the test says so.
struct Told {
    dir: TempDir,
    heard: Heard,
    host: String,
    monitor: Monitor,
}

fn monitor(catalog: Catalog, host: &str) -> Monitor {
    let webhooks = ChangeWebhookSettings { hosts: vec![host.to_owned()], ..ChangeWebhookSettings::default() };
    let settings = MonitorSettings { webhooks, ..MonitorSettings::default() };
    Monitor::new(catalog, settings, MonitorMetrics::default(), Clock::default()).unwrap()
}

impl Told {
    async fn open() -> Self {
        let (dir, heard) = (tempfile::tempdir().unwrap(), Heard::new(Mutex::new((Vec::new(), StatusCode::NO_CONTENT))));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let router = Router::new().route("/hook", post(hear)).with_state(Arc::clone(&heard));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let monitor = monitor(Catalog::open(dir.path()).await.unwrap(), &host);
        Self { dir, heard, host, monitor }
    }

    async fn define(&self) -> ChangeWebhook {
        let url = format!("http://{}/hook", self.host);
        let definition =
            WebhookDefinition { url, types: Vec::new(), namespaces: Vec::new(), mode: ContentMode::Structured };
        let wish = WebhookWish { definition, secret: None, since: None };
        self.monitor.define_webhook("hook".parse().unwrap(), wish, "ada").await.unwrap().0
    }

    /// Something happens: each table is one event.
    async fn table(&self, name: &str) {
        let new = NewTable {
            name: name.parse().unwrap(),
            zone: ZoneName::Raw,
            format: TableFormat::Delta,
            partition_by: Vec::new(),
            folder: None,
            owner: "ada".into(),
        };
        let tables = self.monitor.inner.catalog.tables();
        let entry = tables.reserve(&new).await.unwrap();
        tables.activate(entry.id, &[]).await.unwrap();
    }

    async fn now(&self) -> ChangeWebhook {
        self.monitor.webhook(&"hook".parse().unwrap()).await.unwrap()
    }

    fn ids(&self) -> Vec<String> {
        self.heard.lock().unwrap().0.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn what_was_forgotten_before_it_was_told_is_said_to_be_missed_and_the_rest_is_told() {
    let told = Told::open().await;
    let webhook = told.define().await;
    for table in ["a.one", "a.two", "a.three", "a.four"] {
        told.table(table).await;
    }
    let later = Utc::now() + TimeDelta::hours(1);
    assert_eq!(told.monitor.inner.catalog.changes().forget_changes(later, 2).await.unwrap(), 2);
    assert!(!told.monitor.tell(webhook).await.unwrap());
    assert_eq!(told.ids(), ["3", "4"]);
    let state = told.now().await.state;
    assert_eq!((state.position, state.missed.map(|missed| (missed.from, missed.to))), (4, Some((1, 2))));
    told.table("a.five").await;
    told.monitor.tell(told.now().await).await.unwrap();
    assert_eq!((told.ids().len(), told.now().await.state.position), (3, 5));
}

#[tokio::test]
async fn a_failure_ends_the_turn_of_a_webhook_and_nothing_overtakes_it() {
    let told = Told::open().await;
    let webhook = told.define().await;
    told.table("a.one").await;
    told.table("a.two").await;
    told.heard.lock().unwrap().1 = StatusCode::BAD_GATEWAY;
    assert!(!told.monitor.tell(webhook.clone()).await.unwrap());
    assert_eq!(told.ids(), ["1"]);
    let state = told.now().await.state;
    assert_eq!((state.position, state.attempts), (0, 1));
    assert!(state.next_at > Utc::now() && state.last_error.clone().unwrap().1.contains("502"));
    told.heard.lock().unwrap().1 = StatusCode::OK;
    assert!(!told.monitor.tell(webhook).await.unwrap());
    assert_eq!(told.now().await.state, state, "who has an old picture of it writes nothing");
    told.monitor.tell(told.now().await).await.unwrap();
    assert_eq!((told.ids(), told.now().await.state.position), (["1", "1", "1", "2"].map(str::to_owned).to_vec(), 2));
}

#[tokio::test]
async fn a_server_whose_turn_it_is_not_tells_nothing() {
    let told = Told::open().await;
    let webhook = told.define().await;
    told.table("a.one").await;
    let other = monitor(Catalog::open(told.dir.path()).await.unwrap(), &told.host);
    assert!(other.may_send().await.unwrap());
    assert!(!told.monitor.tell(webhook).await.unwrap());
    assert_eq!((told.ids(), told.now().await.state.position), (vec![], 0));
    other.tell(told.now().await).await.unwrap();
    assert_eq!((told.ids(), told.now().await.state.position), (vec!["1".to_owned()], 1));
}

#[tokio::test]
async fn a_catalog_that_is_older_than_what_was_told_goes_on_from_its_newest() {
    let told = Told::open().await;
    let webhook = told.define().await;
    told.table("a.one").await;
    let ahead = told.monitor.inner.catalog.change_webhooks().settle(&webhook, &webhook.state.passed(9)).await.unwrap();
    assert!(!told.monitor.tell(ahead.unwrap()).await.unwrap());
    told.table("a.two").await;
    told.monitor.tell(told.now().await).await.unwrap();
    assert_eq!(told.ids(), ["2"]);
}
