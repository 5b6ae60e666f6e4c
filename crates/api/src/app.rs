//! What the handlers work with.

use std::sync::Arc;

use axum::extract::FromRef;
use prometheus_client::registry::Registry;
use sluice_catalog::Catalog;
use sluice_curate::Curate;
use sluice_domain::TableEntry;
use sluice_ingest::{Ingest, Sources};
use sluice_lifecycle::Lifecycle;
use sluice_monitor::Monitor;
use sluice_query::QueryService;
use sluice_storage::Zones;
use tokio::sync::{Semaphore, watch};

use crate::Authenticator;

/// The services behind the HTTP layer, made once by the binary.
#[derive(Clone)]
pub struct App {
    /// Where the zones are.
    pub zones: Arc<Zones>,
    /// What exists.
    pub catalog: Catalog,
    /// Uploads.
    pub ingest: Ingest,
    /// Places that data is pulled from.
    pub sources: Sources,
    /// Runs, freshness, service levels and alerts.
    pub monitor: Monitor,
    /// Pipelines that make curated tables, and their runs.
    pub curate: Curate,
    /// What becomes of old data.
    pub lifecycle: Lifecycle,
    /// SQL.
    pub queries: Arc<QueryService>,
    /// Who may do what.
    pub authenticator: Arc<Authenticator>,
    /// What Prometheus is told.
    pub metrics: Arc<Registry>,
    /// The longest body of an upload, in bytes.
    pub max_body_bytes: u64,
    /// The places of clients that wait for events of uploads.
    pub listeners: Arc<Semaphore>,
    /// Whether the server is still taking requests.
    pub readiness: Readiness,
}

impl App {
    /// Where a table lies.
    pub(crate) fn location(&self, entry: &TableEntry) -> String {
        self.zones.get(entry.zone).folder(&entry.path).url.to_string()
    }
}

impl FromRef<App> for Arc<Authenticator> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.authenticator)
    }
}

/// Whether load balancers should send requests here.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<watch::Sender<bool>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(true)))
    }
}

impl Readiness {
    /// The server is shutting down.
    pub fn withdraw(&self) {
        self.0.send_replace(false);
    }

    pub(crate) fn is_given(&self) -> bool {
        *self.0.borrow()
    }

    /// Wait until the server is shutting down.
    pub(crate) async fn withdrawn(&self) {
        // The sender is here, so that there is an answer.
        let _ = self.0.subscribe().wait_for(|given| !given).await;
    }
}
