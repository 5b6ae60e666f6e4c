//! The service: what it works with, its start and its end.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use sluice_catalog::{Catalog, Entry};
use sluice_domain::{
    Freshness, NamespaceName, Page, PageRequest, PipelineName, ServiceLevel, TableFreshness, TableRef, judge_freshness,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

use crate::{
    Clock, MonitorError, MonitorMetrics, MonitorSettings,
    channels::{self, Channel},
    webhooks::{Sender, Turn},
};

/// Watches runs, tables and pipelines, and tells people. Clones share everything.
#[derive(Debug, Clone)]
pub struct Monitor {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) catalog: Catalog,
    pub(crate) settings: MonitorSettings,
    pub(crate) clock: Clock,
    pub(crate) metrics: MonitorMetrics,
    pub(crate) channels: BTreeMap<String, Channel>,
    /// Sends requests to webhooks.
    pub(crate) sender: Sender,
    /// Whether it is this server that tells webhooks.
    pub(crate) turn: Turn,
    /// Told when an alert was raised here.
    pub(crate) wake: Notify,
    pub(crate) stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

impl Monitor {
    /// A service over this catalog; nothing goes on before [`Monitor::start`].
    ///
    /// # Errors
    /// [`MonitorError::Settings`].
    pub fn new(
        catalog: Catalog,
        settings: MonitorSettings,
        metrics: MonitorMetrics,
        clock: Clock,
    ) -> Result<Self, MonitorError> {
        let channels = channels::open(&settings)?;
        let sender = Sender::new(&settings.webhooks)?;
        let inner = Inner {
            catalog,
            settings,
            clock,
            metrics,
            channels,
            sender,
            turn: Turn::default(),
            wake: Notify::new(),
            stop: watch::Sender::new(false),
            tasks: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Watch, deliver alerts and tell webhooks of changes, until [`Monitor::stop`].
    pub fn start(&self) {
        let mut tasks = self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(self.clone().watch());
        tasks.spawn(self.clone().tell_changes());
        for name in self.inner.channels.keys() {
            tasks.spawn(self.clone().deliver(name.clone()));
        }
    }

    /// End what goes on. What was not delivered is delivered by the next server.
    pub async fn stop(&self) {
        self.inner.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }

    /// How fresh a table is, and what is expected of it.
    ///
    /// # Errors
    /// The catalog's: without a table there is none.
    pub async fn freshness(&self, table: &TableRef) -> Result<(TableFreshness, Freshness), MonitorError> {
        Ok(self.judged(self.inner.catalog.freshness().find(table).await?))
    }

    /// How fresh the tables in these namespaces are, by name.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn all_freshness(
        &self,
        visible: Option<&[NamespaceName]>,
        page: &PageRequest,
    ) -> Result<Page<(TableFreshness, Freshness)>, MonitorError> {
        let page = self.inner.catalog.freshness().list(visible, false, page).await?;
        Ok(page.map(|table| self.judged(table)))
    }

    fn judged(&self, table: TableFreshness) -> (TableFreshness, Freshness) {
        let judged = judge_freshness(table.expected_every_seconds, table.last_update, self.inner.clock.now());
        (table, judged)
    }

    /// Expect a table to change every so many seconds; says whether that is new.
    ///
    /// # Errors
    /// The catalog's: without a table there is none.
    pub async fn expect_freshness(
        &self,
        table: &TableRef,
        every_seconds: u64,
        principal: &str,
    ) -> Result<bool, MonitorError> {
        let freshness = self.inner.catalog.freshness();
        let id = freshness.find(table).await?.table.id;
        Ok(freshness.expect(id, every_seconds, principal).await?)
    }

    /// Expect nothing of a table any more.
    ///
    /// # Errors
    /// [`MonitorError::NotFound`] where nothing was, or the catalog's.
    pub async fn forget_freshness(&self, table: &TableRef) -> Result<(), MonitorError> {
        let freshness = self.inner.catalog.freshness();
        let id = freshness.find(table).await?.table.id;
        let missing = || MonitorError::NotFound { what: "expectation of the table", name: table.to_string() };
        freshness.forget(id).await?.then_some(()).ok_or_else(missing)
    }

    /// What is asked of pipelines, by name.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn service_levels(&self) -> Result<Vec<ServiceLevel>, MonitorError> {
        Ok(self.inner.catalog.service_levels().list().await?)
    }

    /// Ask something of a pipeline, `default` for all that have nothing of their own; says whether that is new.
    ///
    /// # Errors
    /// [`MonitorError::ServiceLevel`], [`MonitorError::TooMany`], or the catalog's.
    pub async fn define_service_level(&self, level: &ServiceLevel, principal: &str) -> Result<bool, MonitorError> {
        level.targets.check()?;
        let limit = self.inner.settings.alerts.max_rules;
        match self.inner.catalog.service_levels().define(level, principal, limit).await? {
            Entry::Made => Ok(true),
            Entry::Changed => Ok(false),
            Entry::TooMany => Err(MonitorError::TooMany { what: "service levels", limit }),
        }
    }

    /// Ask nothing of a pipeline any more.
    ///
    /// # Errors
    /// [`MonitorError::NotFound`] where nothing was, or the catalog's.
    pub async fn forget_service_level(&self, pipeline: &PipelineName) -> Result<(), MonitorError> {
        let missing = || MonitorError::NotFound { what: "service level of", name: pipeline.to_string() };
        self.inner.catalog.service_levels().forget(pipeline).await?.then_some(()).ok_or_else(missing)
    }
}
