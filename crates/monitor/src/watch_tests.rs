use std::sync::{Arc, Mutex};

use sluice_catalog::{Catalog, NewTable};
use sluice_domain::{
    NewPipelineRun, Observed, QualityAction, QualityResult, QualitySubject, Rule, RuleResult, RunReport, RunStatus,
    ServiceLevel, ServiceLevelTargets, Severity, TableFormat, TableId, Validation, ZoneName,
};
use tempfile::TempDir;

use super::*;
use crate::{Clock, MonitorMetrics, MonitorSettings};

/// A monitor without channels, whose clock the test moves.
struct Watched {
    _dir: TempDir,
    monitor: Monitor,
    ahead: Arc<Mutex<TimeDelta>>,
    memory: Memory,
}

impl Watched {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(dir.path()).await.unwrap();
        let ahead = Arc::new(Mutex::new(TimeDelta::zero()));
        let moved = Arc::clone(&ahead);
        let clock = Clock::new(move || Utc::now() + *moved.lock().unwrap());
        let monitor = Monitor::new(catalog, MonitorSettings::default(), MonitorMetrics::default(), clock).unwrap();
        let mut watched = Self { _dir: dir, monitor, ahead, memory: Memory::default() };
        watched.round().await;
        watched
    }

    async fn round(&mut self) {
        self.monitor.round(&mut self.memory).await.unwrap();
    }

    fn wait(&self, time: TimeDelta) {
        *self.ahead.lock().unwrap() += time;
    }

    async fn ended(&self, status: RunStatus) {
        let report = RunReport { status: Some(status), ..RunReport::default() };
        let pipeline = "daily_etl".parse().unwrap();
        let new = NewPipelineRun { pipeline, table: None, started_at: None, report };
        self.monitor.begin_run(new, "ada", None).await.unwrap();
    }

    async fn table(&self, name: &str) -> TableId {
        let new = NewTable {
            name: name.parse().unwrap(),
            zone: ZoneName::Raw,
            format: TableFormat::Delta,
            partition_by: Vec::new(),
            folder: None,
            owner: "ada".into(),
        };
        let tables = self.monitor.inner.catalog.tables();
        let table = tables.reserve(&new).await.unwrap();
        tables.activate(table.id, &[]).await.unwrap();
        table.id
    }

    /// A check of a table, of one rule.
    async fn checked(&self, table: TableId, success: bool) {
        let rule = Rule {
            kind: "expect_table_row_count_to_equal".into(),
            kwargs: serde_json::Map::new(),
            severity: Severity::Medium,
            action: QualityAction::Warn,
            row_condition: None,
            description: None,
        };
        let observed = Observed::default();
        let results = vec![RuleResult { rule, success, observed, exception: None, complaints: Vec::new() }];
        let validation = Validation { suite: "s".into(), results, ..Validation::default() };
        let (subject, checked_at) = (QualitySubject::Table(uuid::Uuid::now_v7()), Utc::now());
        let result = QualityResult { subject, version: Some(1), checked_at, validation };
        self.monitor.inner.catalog.quality().record(table, &result).await.unwrap();
    }

    /// The rules of the alerts about this subject, newest first.
    async fn raised(&self, subject: &str) -> Vec<String> {
        let page = PageRequest::default();
        let alerts = self.monitor.alerts(None, Some(subject), &page).await.unwrap().items;
        alerts.into_iter().map(|sent| sent.alert.finding.rule.to_string()).collect()
    }
}

#[tokio::test]
async fn a_failed_run_is_told_once_however_often_it_is_looked_at() {
    let mut watched = Watched::open().await;
    watched.ended(RunStatus::Success).await;
    watched.ended(RunStatus::Failed).await;
    watched.round().await;
    assert_eq!(watched.raised("daily_etl").await, ["pipeline-failure"]);
    watched.round().await;
    // As after a restart.
    watched.memory = Memory::default();
    watched.round().await;
    assert_eq!(watched.raised("daily_etl").await, ["pipeline-failure"]);
}

#[tokio::test]
async fn a_pipeline_that_goes_on_failing_is_told_again_after_the_window() {
    let mut watched = Watched::open().await;
    for wait in [TimeDelta::zero(), TimeDelta::minutes(30), TimeDelta::minutes(40)] {
        watched.wait(wait);
        watched.ended(RunStatus::Failed).await;
        watched.round().await;
    }
    assert_eq!(watched.raised("daily_etl").await.len(), 2);
}

#[tokio::test]
async fn nothing_that_ended_between_two_rounds_is_passed_over() {
    let mut watched = Watched::open().await;
    watched.wait(TimeDelta::hours(5));
    watched.ended(RunStatus::Failed).await;
    watched.wait(TimeDelta::hours(5));
    watched.round().await;
    assert_eq!(watched.raised("daily_etl").await, ["pipeline-failure"]);
}

#[tokio::test]
async fn a_table_that_gets_nothing_is_told_when_it_is_late() {
    let mut watched = Watched::open().await;
    watched.table("nyc.flights").await;
    let name = "nyc.flights".parse().unwrap();
    assert!(watched.monitor.expect_freshness(&name, 60, "ada").await.unwrap());
    watched.round().await;
    assert!(watched.raised("nyc.flights").await.is_empty());
    watched.wait(TimeDelta::seconds(91));
    watched.round().await;
    assert_eq!(watched.raised("nyc.flights").await, ["stale-data"]);
}

#[tokio::test]
async fn a_failed_check_is_told_until_the_next_one_passes_and_then_anew() {
    let mut watched = Watched::open().await;
    let table = watched.table("nyc.flights").await;
    let over = async |watched: &Watched| {
        let alerts = watched.monitor.alerts(None, Some("nyc.flights"), &PageRequest::default()).await.unwrap().items;
        alerts.iter().map(|sent| sent.alert.resolved_at.is_some()).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        watched.checked(table, false).await;
        watched.round().await;
    }
    assert_eq!(watched.raised("nyc.flights").await, ["quality-check-failure"]);
    assert_eq!(over(&watched).await, [false]);
    watched.checked(table, true).await;
    watched.round().await;
    assert_eq!(over(&watched).await, [true]);
    // As after a restart: what failed before it passed is no news.
    watched.memory = Memory::default();
    watched.round().await;
    assert_eq!(over(&watched).await, [true]);
    watched.checked(table, false).await;
    watched.round().await;
    assert_eq!(over(&watched).await, [false, true], "another alert, within the window");
    // As after a restart: the passed check that lies between them ends the first one alone.
    watched.memory = Memory::default();
    watched.round().await;
    assert_eq!(over(&watched).await, [false, true]);
}

#[tokio::test]
async fn a_missed_service_level_is_told_for_named_pipelines_and_for_all_where_the_default_is_set() {
    for level in ["daily_etl", "default"] {
        let mut watched = Watched::open().await;
        watched.ended(RunStatus::Success).await;
        watched.ended(RunStatus::Cancelled).await;
        watched.wait(TimeDelta::minutes(2));
        watched.round().await;
        assert!(watched.raised("daily_etl").await.is_empty(), "nothing is asked");
        let level = ServiceLevel { pipeline: level.parse().unwrap(), targets: ServiceLevelTargets::default() };
        watched.monitor.define_service_level(&level, "ada").await.unwrap();
        watched.wait(TimeDelta::minutes(2));
        watched.round().await;
        assert_eq!(watched.raised("daily_etl").await, ["sla-breach"]);
    }
}
