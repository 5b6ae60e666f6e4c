//! The server: its parts wired together, its start and its end.

use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use axum::Router;
use prometheus_client::registry::Registry;
use sluice_api::{App, Authenticator, Readiness};
use sluice_catalog::Catalog;
use sluice_curate::{Curate, CurateSettings};
use sluice_ingest::{Ingest, IngestMetrics, Sources};
use sluice_lifecycle::{Lifecycle, LifecycleMetrics, LifecycleSettings};
use sluice_monitor::{Clock, Monitor, MonitorMetrics, MonitorSettings};
use sluice_query::{Isolation, QueryService, QuerySettings};
use sluice_storage::{StorageSettings, Zones};
use sluice_table::{Shelf, WriterSettings};
use tokio::{net::TcpListener, sync::Semaphore, time::Instant};

use crate::{
    connections::{ConnectionSettings, Connections},
    housekeeping::Housekeeping,
    lake::{LakeFacts, LakeNames, LakeTables},
    metrics::{BreakerMetrics, ConnectionMetrics},
    query_worker,
    settings::Settings,
};

/// How old a file must be that a killed process left behind, for nobody to be writing it any more.
const STALE_STAGING: Duration = Duration::from_secs(3600);

/// A server that is ready to serve.
pub struct Server {
    listener: TcpListener,
    app: App,
    connections: ConnectionSettings,
    connection_metrics: ConnectionMetrics,
    grace: Duration,
    housekeeping: Housekeeping,
}

impl Server {
    /// Open everything that the settings name, prove that the stores are fit, and resume what was cut off.
    ///
    /// # Errors
    /// Whatever makes serving impossible or unsafe.
    pub async fn open(settings: Settings) -> anyhow::Result<Self> {
        let authenticator = authenticator(&settings)?;
        let data_dir = made(&settings.data_dir)?;
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("cannot listen at {}", settings.listen))?;
        // The catalog comes first: it gives this server its place among those that share the folder.
        let catalog = Catalog::start(&settings.catalog, &data_dir).await?;
        let zones = zones(&settings.storage, &data_dir).await?;
        let scratch_dir = settings.ingest.scratch_dir.clone().unwrap_or_else(|| data_dir.join("scratch"));
        made(&scratch_dir)?;
        let mut settings = settings;
        let max_listeners = settings.ingest.resumable.max_listeners;
        settings.ingest.resumable.dir.get_or_insert_with(|| data_dir.join("partial"));
        let mut metrics = Registry::default();
        let shelf = Arc::new(Shelf::new(Arc::clone(&zones)));
        let (max_body_bytes, writer) = (settings.ingest.max_body_bytes, settings.ingest.writer.clone());
        let ingest_metrics = IngestMetrics::register(&mut metrics);
        let connection_metrics = ConnectionMetrics::register(&mut metrics);
        metrics.register_collector(Box::new(BreakerMetrics(Arc::clone(&zones))));
        let ingest = Ingest::new(
            settings.ingest,
            sluice_ingest::Lake { zones: Arc::clone(&zones), catalog: catalog.clone(), shelf: Arc::clone(&shelf) },
            ingest_metrics,
            &scratch_dir,
        )
        .context("the processes that decode files cannot be started")?;
        let housekeeping = Housekeeping::start(catalog.clone());
        let names = LakeNames {
            catalog: catalog.clone(),
            ingest: ingest.clone(),
            zones: Arc::clone(&zones),
            reads: housekeeping.reads(),
        };
        let queries = Arc::new(queries(settings.query, &settings.storage, &data_dir, names, &shelf)?);
        let monitor = monitor(settings.monitor, &catalog, &mut metrics)?;
        let resumed = ingest.resume().await?;
        if resumed > 0 {
            tracing::info!(uploads = resumed, "resuming uploads that were cut off");
        }
        let sources =
            Sources::new(ingest.clone(), settings.sources, settings.storage.clone(), sluice_api::upload_options);
        sources.start();
        monitor.start();
        let facts = Arc::new(LakeFacts { ingest: ingest.clone(), catalog: catalog.clone() });
        let curate = begin_curate(settings.curate, (&facts, &queries), &shelf, (&scratch_dir, writer));
        let lifecycle = begin_lifecycle(settings.lifecycle, &mut metrics, facts, (&zones, &shelf), scratch_dir);
        let app = App {
            zones,
            catalog,
            ingest,
            sources,
            monitor,
            curate,
            lifecycle,
            queries,
            authenticator: Arc::new(authenticator),
            metrics: Arc::new(metrics),
            max_body_bytes,
            listeners: Arc::new(Semaphore::new(max_listeners)),
            readiness: Readiness::default(),
        };
        let grace = Duration::from_secs(settings.grace_seconds);
        Ok(Self { listener, app, connections: settings.connections, connection_metrics, grace, housekeeping })
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
    /// The catalog's, which cannot be closed.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let router = self.router();
        let Self { listener, app, connections, connection_metrics, grace, housekeeping } = self;
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        let readiness = app.readiness.clone();
        let connections = Connections::new(connections, router, connection_metrics);
        let serving = connections.serve(listener, async move {
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
            () = serving => {}
            () = out_of_grace => tracing::warn!("some requests were not finished within the grace"),
        }
        let left = deadline.map_or(grace, |end| end.saturating_duration_since(Instant::now()));
        app.monitor.stop().await;
        app.curate.stop().await;
        // An item that is under way may take long: what is cut off here is done again after the next start.
        if tokio::time::timeout(left, app.lifecycle.stop()).await.is_err() {
            tracing::warn!("a step of the lifecycle was not finished within the grace; the next start resumes it");
        }
        let left = deadline.map_or(grace, |end| end.saturating_duration_since(Instant::now()));
        if app.ingest.drain(left).await {
            housekeeping.end().await;
            app.catalog.close().await?;
            tracing::info!("stopped");
        } else {
            // The catalog stays locked until the process has ended: nobody may take up what is still under way here.
            tracing::warn!("some uploads were not finished within the grace; the next start resumes them");
        }
        Ok(())
    }
}

/// Who may do what; everybody may do everything only where nobody else hears the server.
fn authenticator(settings: &Settings) -> anyhow::Result<Authenticator> {
    let authenticator = Authenticator::new(&settings.auth)?;
    if authenticator.is_open() && !settings.listen.ip().is_loopback() {
        bail!(
            "without authentication the server listens on loopback addresses only, not on {}: add [[auth.keys]] to the \
             settings",
            settings.listen
        );
    }
    Ok(authenticator)
}

/// The zones, proved to be fit and tidied up.
async fn zones(settings: &StorageSettings, data_dir: &Path) -> anyhow::Result<Arc<Zones>> {
    let zones = Arc::new(Zones::open(settings, data_dir)?);
    zones.probe().await?;
    let removed = zones.remove_stale_staging(STALE_STAGING).await?;
    if removed > 0 {
        tracing::info!(files = removed, "removed what a killed process left behind");
    }
    Ok(zones)
}

/// A folder, made where it is missing, by its path without links.
fn made(folder: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    Ok(std::fs::canonicalize(folder)?)
}

/// What watches runs and tables.
fn monitor(settings: MonitorSettings, catalog: &Catalog, metrics: &mut Registry) -> anyhow::Result<Monitor> {
    Ok(Monitor::new(catalog.clone(), settings, MonitorMetrics::register(metrics), Clock::default())?)
}

/// Pipelines, begun.
fn begin_curate(
    settings: CurateSettings,
    (facts, queries): (&Arc<LakeFacts>, &Arc<QueryService>),
    shelf: &Arc<Shelf>,
    (scratch_dir, writer): (&Path, WriterSettings),
) -> Curate {
    let lake = sluice_curate::Lake {
        catalog: facts.catalog.clone(),
        shelf: Arc::clone(shelf),
        queries: Arc::clone(queries),
        logs: facts.clone(),
        suites: facts.clone(),
        scratch_dir: scratch_dir.to_owned(),
        writer,
    };
    let curate = Curate::new(lake, settings);
    curate.start();
    curate
}

/// What becomes of old data, begun.
fn begin_lifecycle(
    settings: LifecycleSettings,
    metrics: &mut Registry,
    facts: Arc<LakeFacts>,
    (zones, shelf): (&Arc<Zones>, &Arc<Shelf>),
    scratch_dir: PathBuf,
) -> Lifecycle {
    let lake = sluice_lifecycle::Lake {
        zones: Arc::clone(zones),
        catalog: facts.catalog.clone(),
        shelf: Arc::clone(shelf),
        facts,
        scratch_dir,
    };
    let lifecycle = Lifecycle::new(lake, settings, LifecycleMetrics::register(metrics));
    lifecycle.start();
    lifecycle
}

/// The query service, with the isolation that the settings ask for.
fn queries(
    mut settings: QuerySettings,
    storage: &StorageSettings,
    data_dir: &Path,
    names: LakeNames,
    shelf: &Arc<Shelf>,
) -> anyhow::Result<QueryService> {
    let node = names.catalog.node().to_string();
    let names = Arc::new(names);
    let spill_dir = settings.spill_dir.get_or_insert_with(|| data_dir.join("spill").join(node));
    made(spill_dir)?;
    Ok(match settings.isolation {
        Isolation::Process => {
            let program = query_worker::program(&settings, storage, data_dir)?;
            QueryService::in_workers(settings, names, program)?
        }
        Isolation::None => {
            let tables = LakeTables { shelf: Arc::clone(shelf) };
            QueryService::in_process(settings, names, Arc::new(tables))?
        }
    })
}
