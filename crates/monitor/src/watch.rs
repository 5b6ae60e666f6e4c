//! The round that finds what is wrong: runs that ended, results of suites, tables that are late, service levels that are
//! missed.
//!
//! Invariant: one server goes the round at a time, and the mark moves only after every alert is in the catalog.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use sluice_catalog::{EndedPlace, RunFilter};
use sluice_domain::{
    AlertCondition, AlertRule, NamespaceName, PageRequest, PipelineRun, PipelineTotals, RunId, RunKind,
};
use uuid::Uuid;

use crate::{
    Monitor, MonitorError, PipelineServiceLevel,
    metrics::samples_of_end,
    rules::{judge_report, judge_run, judge_table},
    service_levels,
};

/// The name of the turn.
const TURN: &str = "alerts";
/// For how long a run may come to light after it ended: clocks differ, and transactions take their time.
pub(crate) const OVERLAP: TimeDelta = TimeDelta::seconds(60);
/// How many runs are read at once.
const RUNS_AT_ONCE: u32 = 1000;
/// How many runs one round judges; the next one goes on from there.
const MAX_RUNS_PER_ROUND: usize = 100_000;
/// How often service levels are judged at the most, in seconds.
const SERVICE_LEVELS_EVERY: TimeDelta = TimeDelta::seconds(60);

/// What a server remembers between rounds.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The runs that were judged and are still within the overlap.
    judged: HashMap<RunId, DateTime<Utc>>,
    /// The results of suites that were judged and are still within the overlap, with when they were written down.
    pub(crate) results: HashMap<Uuid, DateTime<Utc>>,
    /// When service levels were judged last.
    service_levels_at: Option<DateTime<Utc>>,
}

impl Monitor {
    /// Go the round again and again, until the server stops.
    pub(crate) async fn watch(self) {
        let pause = Duration::from_secs(self.inner.settings.interval_seconds.max(1));
        let mut stopped = self.inner.stop.subscribe();
        let mut memory = Memory::default();
        loop {
            if let Err(error) = self.round(&mut memory).await {
                tracing::warn!(%error, "could not look for what is wrong with runs and tables");
            }
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One round, if it is this server's turn.
    pub(crate) async fn round(&self, memory: &mut Memory) -> Result<(), MonitorError> {
        let now = self.inner.clock.now();
        let pause = i64::try_from(self.inner.settings.interval_seconds.max(1)).unwrap_or(3600);
        let until = Utc::now() + TimeDelta::seconds(60) + TimeDelta::seconds(pause.min(3600) * 2);
        let Some(mark) = self.inner.catalog.watches().take_turn(TURN, until).await? else { return Ok(()) };
        let rules: Vec<AlertRule> = self.rules().await?.into_iter().map(|rule| rule.rule).collect();
        // What ended long before anybody watched is no news.
        let from = mark.unwrap_or(now);
        let mark = self.judge_runs(&rules, from, now, memory).await?;
        let mark = mark.min(self.judge_results(&rules, (from, now), memory).await?);
        self.judge_tables(&rules, now).await?;
        if memory.service_levels_at.is_none_or(|at| now - at >= SERVICE_LEVELS_EVERY) {
            self.judge_service_levels(&rules, now).await?;
            memory.service_levels_at = Some(now);
        }
        let known: Vec<String> = self.inner.channels.keys().cloned().collect();
        self.inner.catalog.alerts().give_up_unknown(&known).await?;
        Ok(self.inner.catalog.watches().advance(TURN, mark).await?)
    }

    /// Judge the runs that ended since the mark; gives the new one.
    async fn judge_runs(
        &self,
        rules: &[AlertRule],
        mark: DateTime<Utc>,
        now: DateTime<Utc>,
        memory: &mut Memory,
    ) -> Result<DateTime<Utc>, MonitorError> {
        let mut place = EndedPlace { at: mark - OVERLAP, run: None };
        memory.judged.retain(|_, ended| *ended >= place.at);
        let mut count = 0;
        loop {
            let runs = self.inner.catalog.pipeline_runs().ended_after(&place, RUNS_AT_ONCE).await?;
            let Some((at, last)) = runs.last().and_then(|run| Some((run.ended_at?, run.id))) else { break };
            for run in &runs {
                self.judge_one(rules, run, memory).await?;
            }
            place = EndedPlace { at, run: Some(last) };
            count += runs.len();
            if count >= MAX_RUNS_PER_ROUND {
                return Ok(at);
            }
            if runs.len() < RUNS_AT_ONCE as usize {
                break;
            }
        }
        Ok(now.max(mark))
    }

    async fn judge_one(&self, rules: &[AlertRule], run: &PipelineRun, memory: &mut Memory) -> Result<(), MonitorError> {
        let Some(ended) = run.ended_at.filter(|_| !memory.judged.contains_key(&run.id)) else { return Ok(()) };
        for rule in rules {
            if let Some(finding) = judge_run(rule, run) {
                self.raise(rule, &finding).await?;
            }
        }
        // Who reports a run tells its figures at once.
        if run.kind != RunKind::External {
            self.inner.metrics.tell(run, &samples_of_end(run));
        }
        memory.judged.insert(run.id, ended);
        Ok(())
    }

    async fn judge_tables(&self, rules: &[AlertRule], now: DateTime<Utc>) -> Result<(), MonitorError> {
        let rules: Vec<&AlertRule> =
            rules.iter().filter(|rule| rule.condition == AlertCondition::Freshness && rule.enabled).collect();
        let mut page = PageRequest { size: PageRequest::MAX_SIZE, token: None };
        while !rules.is_empty() {
            let found = self.inner.catalog.freshness().list(None, true, &page).await?;
            for table in &found.items {
                for rule in &rules {
                    if let Some(finding) = judge_table(rule, table, now) {
                        self.raise(rule, &finding).await?;
                    }
                }
            }
            page.token = found.next;
            if page.token.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Judge the pipelines of which something is asked: those named one by one, and, where the default was set, all
    /// others too.
    async fn judge_service_levels(&self, rules: &[AlertRule], now: DateTime<Utc>) -> Result<(), MonitorError> {
        let levels = self.inner.catalog.service_levels().list().await?;
        let since = Some(now - self.service_level_window());
        for level in &levels {
            let is_default = level.pipeline.as_str() == service_levels::DEFAULT;
            let pipeline = (!is_default).then(|| level.pipeline.clone());
            let totals = self.totals(&RunFilter { pipeline, since, ..RunFilter::default() }).await?;
            for one in service_levels::report(&totals, &levels) {
                if is_default && levels.iter().any(|other| other.pipeline == one.pipeline) {
                    continue;
                }
                self.judge_reported(rules, &one, namespace_of(&totals, &one), now).await?;
            }
        }
        Ok(())
    }

    async fn judge_reported(
        &self,
        rules: &[AlertRule],
        one: &PipelineServiceLevel,
        namespace: Option<NamespaceName>,
        now: DateTime<Utc>,
    ) -> Result<(), MonitorError> {
        for rule in rules {
            if let Some(finding) = judge_report(rule, &one.pipeline, (&one.report, namespace.clone()), now) {
                self.raise(rule, &finding).await?;
            }
        }
        Ok(())
    }
}

/// The namespace of the tables that a pipeline fills, if it is one.
fn namespace_of(totals: &[PipelineTotals], one: &PipelineServiceLevel) -> Option<NamespaceName> {
    let mut tables = totals.iter().filter(|of| of.pipeline == one.pipeline).map(|of| of.table.as_ref());
    let first = tables.next().flatten()?.namespace.clone();
    tables.all(|table| table.is_some_and(|table| table.namespace == first)).then_some(first)
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
