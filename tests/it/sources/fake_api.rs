//! An API on a port of its own that answers as a test says, and remembers what it was asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use sluice_tests::{LakeBuilder, TestLake};
use tokio::{net::TcpListener, task::JoinHandle};

/// One request that came in.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) authorization: Option<String>,
}

impl Asked {
    /// A parameter, empty where it is not there.
    pub(super) fn param(&self, name: &str) -> &str {
        self.query.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.as_str())
    }
}

pub(super) struct FakeApi {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: JoinHandle<()>,
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl FakeApi {
    /// An API that gives this answer to a request, which is the so-manieth (from 1) of its address.
    pub(super) async fn start<A>(answer: impl Fn(Asked, usize) -> A + Clone + Send + Sync + 'static) -> Self
    where
        A: Future<Output = Response> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let router = Router::new().fallback(move |request: Request| {
            let (asked, answer) = (read(&request), answer.clone());
            let again = note(&seen, &asked);
            async move { answer(asked, again).await }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, asked, serving }
    }

    /// What it was asked.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A lake whose sources may ask it.
    pub(super) fn lake(&self) -> LakeBuilder {
        let host = self.address.to_string();
        TestLake::builder().set(|settings| settings.sources.http.hosts = vec![host])
    }
}

fn read(request: &Request) -> Asked {
    let uri = request.uri();
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let authorization = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    Asked {
        path: uri.path().to_owned(),
        query: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        authorization,
    }
}

/// Remember a request; says the so-manieth of its address it is.
fn note(seen: &Mutex<Vec<Asked>>, asked: &Asked) -> usize {
    let mut seen = seen.lock().unwrap();
    seen.push(asked.clone());
    seen.iter().filter(|other| (&other.path, &other.query) == (&asked.path, &asked.query)).count()
}

/// A page.
pub(super) fn page(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

pub(super) fn status(code: u16) -> Response {
    StatusCode::from_u16(code).unwrap().into_response()
}

/// The orders of one page of so many, out of a number of all.
pub(super) fn orders(all: u64, asked: &Asked) -> Value {
    let (page, limit): (u64, u64) = (asked.param("page").parse().unwrap(), asked.param("limit").parse().unwrap());
    let ids = (page - 1) * limit..(page * limit).min(all);
    ids.map(|id| serde_json::json!({"id": id, "updated_at": format!("2024-01-01T00:{:02}:{:02}Z", id / 60, id % 60)}))
        .collect()
}
