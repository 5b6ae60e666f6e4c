//! Runs that other programs report, and what all runs of a pipeline come to.

use chrono::{DateTime, TimeDelta, Utc};
use sluice_catalog::{RunBegun, RunFilter, RunLimits};
use sluice_domain::{
    NamespaceName, NewPipelineRun, Page, PageRequest, PipelineName, PipelineRun, PipelineTotals, RunId, RunKind,
    RunReport, RunTotals, ServiceLevel,
};
use uuid::{NoContext, Timestamp, Uuid};

use crate::{
    Health, Monitor, MonitorError, PipelineServiceLevel,
    metrics::{samples_of_report, samples_of_start},
    service_levels,
};

/// How many alerts a summary tells.
const MAX_ALERTS_TOLD: u32 = 100;
/// How often a report is tried again that came in between.
const MAX_TRIES: usize = 8;

/// A run that began, or began before.
#[derive(Debug, Clone, PartialEq)]
pub struct BegunRun {
    /// The run.
    pub run: PipelineRun,
    /// Whether an earlier request with the same key began it.
    pub is_known: bool,
}

impl Monitor {
    /// Enter a run that another program begins, or began, once per key.
    ///
    /// # Errors
    /// [`MonitorError::Run`], [`MonitorError::KeyTaken`], [`MonitorError::TooMany`], or the catalog's.
    pub async fn begin_run(
        &self,
        new: NewPipelineRun,
        principal: &str,
        key: Option<&str>,
    ) -> Result<BegunRun, MonitorError> {
        let now = self.inner.clock.now();
        let report = new.report.clone();
        let id = time_ordered(new.started_at.unwrap_or(now));
        let run = new.begin(id, principal, now)?;
        let settings = &self.inner.settings.runs;
        let limits = RunLimits { pipelines: settings.max_pipelines, runs: settings.keep_runs };
        match self.inner.catalog.pipeline_runs().begin(&run, key, limits).await? {
            RunBegun::Started(run) => {
                self.inner.metrics.tell(&run, &samples_of_start(&run, &report));
                Ok(BegunRun { run, is_known: false })
            }
            RunBegun::Known(known) if known.pipeline != run.pipeline => Err(MonitorError::KeyTaken),
            RunBegun::Known(known) => Ok(BegunRun { run: known, is_known: true }),
            RunBegun::TooMany => Err(MonitorError::TooMany { what: "pipelines", limit: limits.pipelines }),
        }
    }

    /// Take a report of a run.
    ///
    /// # Errors
    /// [`MonitorError::RunNotFound`], [`MonitorError::NotReported`], [`MonitorError::Run`], or the catalog's.
    pub async fn report_run(&self, id: RunId, report: &RunReport) -> Result<PipelineRun, MonitorError> {
        let runs = self.inner.catalog.pipeline_runs();
        let mut present = self.run(id).await?;
        for _ in 0..MAX_TRIES {
            if present.kind != RunKind::External {
                return Err(MonitorError::NotReported);
            }
            let next = present.report(report, self.inner.clock.now())?;
            if next == present {
                return Ok(present);
            }
            if runs.save(&next).await? {
                self.inner.metrics.tell(&next, &samples_of_report(&next, report, present.status));
                return Ok(PipelineRun { revision: next.revision + 1, ..next });
            }
            present = self.run(id).await?;
        }
        Err(MonitorError::TooMany { what: "reports of this run at the same time", limit: MAX_TRIES as u32 })
    }

    /// One run, wherever it comes from.
    ///
    /// # Errors
    /// [`MonitorError::RunNotFound`], or the catalog's.
    pub async fn run(&self, id: RunId) -> Result<PipelineRun, MonitorError> {
        self.inner.catalog.pipeline_runs().find(id).await?.ok_or(MonitorError::RunNotFound)
    }

    /// Runs of every kind, the last begun first.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn runs(&self, filter: &RunFilter, page: &PageRequest) -> Result<Page<PipelineRun>, MonitorError> {
        Ok(self.inner.catalog.pipeline_runs().list(filter, page).await?)
    }

    /// How the runs of a pipeline turned out in the last hours.
    ///
    /// # Errors
    /// [`MonitorError::NotFound`] where it never had one that the caller sees, or the catalog's.
    pub async fn health(
        &self,
        pipeline: &PipelineName,
        hours: u32,
        visible: Option<Vec<NamespaceName>>,
    ) -> Result<Health, MonitorError> {
        let since = self.inner.clock.now() - TimeDelta::hours(hours.into());
        let last = self.last_run(pipeline, visible.clone()).await?;
        let filter =
            RunFilter { pipeline: Some(pipeline.clone()), since: Some(since), visible, ..RunFilter::default() };
        let mut totals = RunTotals::default();
        self.totals(&filter).await?.iter().for_each(|one| totals.merge(&one.totals));
        let page = PageRequest { size: MAX_ALERTS_TOLD, token: None };
        let alerts = self.alerts(filter.visible.as_deref(), Some(pipeline.as_str()), &page).await?.items;
        let alerts = alerts.into_iter().filter(|sent| sent.alert.created_at >= since).collect();
        Ok(Health::of(&totals, Some(&last), alerts))
    }

    /// How pipelines kept to their service levels, by pipeline: one, or all that had runs since then.
    ///
    /// # Errors
    /// [`MonitorError::NotFound`] where the one never had a run that the caller sees, or the catalog's.
    pub async fn service_level_report(
        &self,
        pipeline: Option<&PipelineName>,
        since: Option<DateTime<Utc>>,
        visible: Option<Vec<NamespaceName>>,
    ) -> Result<(Vec<PipelineServiceLevel>, Vec<ServiceLevel>), MonitorError> {
        if let Some(pipeline) = pipeline {
            self.last_run(pipeline, visible.clone()).await?;
        }
        let since = since.unwrap_or_else(|| self.inner.clock.now() - self.service_level_window());
        let filter = RunFilter { pipeline: pipeline.cloned(), since: Some(since), visible, ..RunFilter::default() };
        let levels = self.inner.catalog.service_levels().list().await?;
        Ok((service_levels::report(&self.totals(&filter).await?, &levels), levels))
    }

    pub(crate) fn service_level_window(&self) -> TimeDelta {
        let seconds = i64::try_from(self.inner.settings.sla_window_seconds).ok();
        seconds.and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::days(366))
    }

    async fn last_run(
        &self,
        pipeline: &PipelineName,
        visible: Option<Vec<NamespaceName>>,
    ) -> Result<PipelineRun, MonitorError> {
        let filter = RunFilter { pipeline: Some(pipeline.clone()), visible, ..RunFilter::default() };
        let newest = self.runs(&filter, &PageRequest { size: 1, token: None }).await?.items.into_iter().next();
        newest.ok_or_else(|| MonitorError::NotFound { what: "run of the pipeline", name: pipeline.to_string() })
    }

    /// What runs come to, by pipeline and table.
    pub(crate) async fn totals(&self, filter: &RunFilter) -> Result<Vec<PipelineTotals>, MonitorError> {
        Ok(self.inner.catalog.pipeline_runs().totals(filter).await?)
    }
}

/// An id that sorts by when the run began.
fn time_ordered(started_at: DateTime<Utc>) -> RunId {
    let seconds = u64::try_from(started_at.timestamp()).unwrap_or_default();
    RunId(Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, started_at.timestamp_subsec_nanos())))
}
