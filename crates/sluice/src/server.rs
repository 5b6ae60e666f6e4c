//! The server: its parts wired together, its start and its end.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use axum::Router;
use prometheus_client::registry::Registry;
use sluice_api::{App, Authenticator, Readiness};
use sluice_catalog::Catalog;
use sluice_ingest::{Ingest, IngestMetrics};
use sluice_query::QueryService;
use sluice_storage::Zones;
use sluice_table::Shelf;
use tokio::{net::TcpListener, time::Instant};

use crate::{lake::LakeTables, settings::Settings};

/// How old a file must be that a killed process left behind, for nobody to be writing it any more.
const STALE_STAGING: Duration = Duration::from_secs(3600);

/// A server that is ready to serve.
pub struct Server {
    listener: TcpListener,
    app: App,
    grace: Duration,
}

impl Server {
    /// Open everything that the settings name, prove that the stores are fit, and resume what was cut off.
    ///
    /// # Errors
    /// Whatever makes serving impossible or unsafe.
    pub async fn open(settings: Settings) -> anyhow::Result<Self> {
        let authenticator = Authenticator::new(&settings.auth)?;
        if authenticator.is_open() && !settings.listen.ip().is_loopback() {
            bail!(
                "without authentication the server listens on loopback addresses only, not on {}: add [[auth.keys]] \
                 to the settings",
                settings.listen
            );
        }
        std::fs::create_dir_all(&settings.data_dir)
            .with_context(|| format!("the folder {} cannot be made", settings.data_dir.display()))?;
        let data_dir = std::fs::canonicalize(&settings.data_dir)?;
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("cannot listen at {}", settings.listen))?;
        // The catalog comes first: its lock keeps a second server from the same folders.
        let catalog = Catalog::open(&data_dir).await?;
        let zones = Arc::new(Zones::open(&settings.storage, &data_dir)?);
        zones.probe().await?;
        let removed = zones.remove_stale_staging(STALE_STAGING).await?;
        if removed > 0 {
            tracing::info!(files = removed, "removed what a killed process left behind");
        }
        let scratch_dir = settings.ingest.scratch_dir.clone().unwrap_or_else(|| data_dir.join("scratch"));
        std::fs::create_dir_all(&scratch_dir)
            .with_context(|| format!("the folder {} cannot be made", scratch_dir.display()))?;

        let mut metrics = Registry::default();
        let shelf = Arc::new(Shelf::new(Arc::clone(&zones)));
        let max_body_bytes = settings.ingest.max_body_bytes;
        let ingest_metrics = IngestMetrics::register(&mut metrics);
        let ingest = Ingest::new(
            settings.ingest,
            sluice_ingest::Lake { zones: Arc::clone(&zones), catalog: catalog.clone(), shelf: Arc::clone(&shelf) },
            ingest_metrics,
            &scratch_dir,
        )
        .context("the processes that decode files cannot be started")?;
        let tables = LakeTables { catalog: catalog.clone(), shelf: Arc::clone(&shelf) };
        let queries = Arc::new(QueryService::new(settings.query, Arc::new(tables))?);
        let resumed = ingest.resume().await?;
        if resumed > 0 {
            tracing::info!(uploads = resumed, "resuming uploads that were cut off");
        }
        let app = App {
            zones,
            catalog,
            shelf,
            ingest,
            queries,
            authenticator: Arc::new(authenticator),
            metrics: Arc::new(metrics),
            max_body_bytes,
            readiness: Readiness::default(),
        };
        Ok(Self { listener, app, grace: Duration::from_secs(settings.grace_seconds) })
    }

    /// The address that it listens at.
    ///
    /// # Errors
    /// The operating system's.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The HTTP layer, for callers without a socket.
    pub fn router(&self) -> Router {
        sluice_api::router(self.app.clone())
    }

    /// Serve until `stop` is ready, then finish what is under way, within the grace of the settings.
    ///
    /// # Errors
    /// The socket's.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let router = self.router();
        let Self { listener, app, grace } = self;
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        let readiness = app.readiness.clone();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
            stop.await;
            readiness.withdraw();
            tracing::info!(grace_seconds = grace.as_secs(), "shutting down");
            // Nobody listens when serving ended by itself.
            let _ = stopping.send(());
        });
        let mut deadline = None;
        let out_of_grace = async {
            let _ = stopped.await;
            let end = Instant::now() + grace;
            deadline = Some(end);
            tokio::time::sleep_until(end).await;
        };
        tokio::select! {
            served = serving.into_future() => served?,
            () = out_of_grace => tracing::warn!("some requests were not finished within the grace"),
        }
        let left = deadline.map_or(grace, |end| end.saturating_duration_since(Instant::now()));
        if app.ingest.drain(left).await {
            app.catalog.close().await?;
            tracing::info!("stopped");
        } else {
            // The catalog stays locked until the process has ended: nobody may take up what is still under way here.
            tracing::warn!("some uploads were not finished within the grace; the next start resumes them");
        }
        Ok(())
    }
}
