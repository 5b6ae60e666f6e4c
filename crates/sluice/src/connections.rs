//! The connections of clients: how many there are, and how long one may take to say or to take something.
//!
//! Speaks HTTP/1.1 only, so that no connection has more than one request at a time. A head that cannot be read or is
//! too long is answered by the protocol's own layer, without a problem document.
//!
//! Invariant: there are never more connections than the settings allow, and a few that are told so.
//! Invariant: a connection that makes no progress for its client's sake is closed.

mod activity;
mod deadline;
mod socket;

use std::{io, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{activity::Activity, socket::Socket};
use crate::metrics::ConnectionMetrics;

/// The longest head of a request, in bytes. What is read at once may go beyond it by a buffer's length.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How much a connection keeps in memory of what it reads, and of what it writes, in bytes.
const MAX_BUFFER_BYTES: usize = 128 * 1024;
/// How many connections are told at a time that there are too many.
const MAX_REFUSALS: usize = 64;
/// How long such a connection may take to say what it wants, in seconds.
const REFUSAL_SECONDS: u64 = 2;
/// How long to wait when the system has no more connections to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Limits of connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionSettings {
    /// How many there may be; more are answered with 503 and closed. The system's limit on open files must be higher.
    pub max_connections: usize,
    /// How long the head of a request may take to come, in seconds.
    pub head_seconds: u64,
    /// How long a connection may wait for its next request, in seconds.
    pub idle_seconds: u64,
    /// How long a client may take nothing, or too little, of an answer, in seconds.
    pub stall_seconds: u64,
    /// How much of an answer it must take in that time if it cannot take all, in bytes a second.
    pub min_bytes_per_second: u64,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            head_seconds: 10,
            idle_seconds: 75,
            stall_seconds: 30,
            min_bytes_per_second: 1024,
        }
    }
}

/// Takes connections and serves them.
pub(crate) struct Connections {
    settings: ConnectionSettings,
    router: Router,
    metrics: ConnectionMetrics,
    places: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    running: TaskTracker,
    stopping: CancellationToken,
}

/// A connection and what it is served with.
struct Accepted {
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    is_refused: bool,
}

impl Connections {
    pub(crate) fn new(settings: ConnectionSettings, router: Router, metrics: ConnectionMetrics) -> Self {
        let places = Arc::new(Semaphore::new(settings.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
        let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
        let (running, stopping) = (TaskTracker::new(), CancellationToken::new());
        Self { settings, router, metrics, places, refusals, running, stopping }
    }

    /// Serve until `stop` is ready, then let the requests that are under way come to their end.
    pub(crate) async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.accept(&listener) => self.start(accepted),
            }
        }
        drop(listener);
        self.stopping.cancel();
        self.running.close();
        self.running.wait().await;
    }

    async fn accept(&self, listener: &TcpListener) -> Accepted {
        let stream = next(listener).await;
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Accepted { stream, place, is_refused: false };
            }
            // Those that do not get so far wait in the system's queue.
            if let Ok(place) = Arc::clone(&self.refusals).acquire_owned().await {
                return Accepted { stream, place, is_refused: true };
            }
        }
    }

    fn start(&self, accepted: Accepted) {
        let Accepted { stream, place, is_refused } = accepted;
        let (router, settings) = if is_refused {
            self.metrics.refused();
            (sluice_api::refusals(), ConnectionSettings { head_seconds: REFUSAL_SECONDS, ..self.settings.clone() })
        } else {
            (self.router.clone(), self.settings.clone())
        };
        let (open, stopping) = (self.metrics.opened(), self.stopping.clone());
        self.running.spawn(async move {
            if let Err(error) = converse(stream, router, &settings, !is_refused, stopping).await {
                tracing::debug!(%error, "a connection broke off");
            }
            drop((open, place));
        });
    }
}

/// The next connection, however long the system has none to give.
async fn next(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionRefused | Kind::ConnectionAborted | Kind::ConnectionReset)
}

/// Answer the requests of one connection until it ends.
async fn converse(
    stream: TcpStream,
    router: Router,
    settings: &ConnectionSettings,
    keep_alive: bool,
    stopping: CancellationToken,
) -> hyper::Result<()> {
    // Without it an answer in pieces waits for acknowledgements; a connection that cannot have it is served as well.
    let _ = stream.set_nodelay(true);
    let activity = Activity::default();
    let socket = Socket::new(stream, activity.clone(), settings);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let begun = activity.begin();
        let answering = hyper::service::Service::call(&router, request.map(Body::new));
        async move { answering.await.map(|answer| begun.until_sent(answer)) }
    });
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(settings.idle_seconds))
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES)
        .keep_alive(keep_alive);
    let mut conversation = std::pin::pin!(protocol.serve_connection(TokioIo::new(socket), service));
    tokio::select! {
        ended = &mut conversation => return ended,
        () = stopping.cancelled() => conversation.as_mut().graceful_shutdown(),
    }
    conversation.await
}
