//! What runs tell Prometheus: the figures of each pipeline's last run, and how long processing takes.
//!
//! Invariant: the labels are names of pipelines, never of runs, and there are so many of them and no more.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use sluice_domain::{PipelineName, PipelineRun, RunKind, RunReport, RunStatus};

/// Upper bounds of the histogram of processing, in seconds.
const PROCESSING_BUCKETS: [f64; 5] = [10.0, 30.0, 60.0, 120.0, 300.0];
/// How many pipelines have labels of their own.
const MAX_PIPELINES: usize = 1000;
/// The label of all others.
const OTHER: &str = "other";

type Figures = Family<PipelineLabels, Gauge<f64, AtomicU64>>;

/// One value that a run tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sample {
    Started,
    RecordsProcessed(u64),
    RecordsFailed(u64),
    QualityScore(f64),
    Completed(RunStatus),
    DurationSeconds(f64),
    SuccessRate(f64),
}

/// Counters and gauges of runs.
#[derive(Debug, Clone, Default)]
pub struct MonitorMetrics {
    started: Family<PipelineLabels, Counter>,
    records_processed: Figures,
    records_failed: Figures,
    quality_score: Figures,
    completed: Family<CompletedLabels, Counter>,
    duration: Figures,
    success_rate: Figures,
    processing: Processing,
    deliveries: Family<DeliveryLabels, Counter>,
    change_requests: Family<OutcomeLabels, Counter>,
    names: Arc<Mutex<HashSet<PipelineName>>>,
}

#[derive(Debug, Clone)]
struct Processing {
    duration: Histogram,
    errors: Counter,
}

impl Default for Processing {
    fn default() -> Self {
        Self { duration: Histogram::new(PROCESSING_BUCKETS), errors: Counter::default() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PipelineLabels {
    pipeline_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CompletedLabels {
    pipeline_name: String,
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    channel: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: String,
}

impl MonitorMetrics {
    /// Metrics that this registry shows.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        // The text format adds `_total` to the names of counters.
        registry.register("pipeline_started", "Runs that began", metrics.started.clone());
        let figures = [
            ("pipeline_records_processed", "Records of the last run", &metrics.records_processed),
            ("pipeline_records_failed", "Bad records of the last run", &metrics.records_failed),
            ("pipeline_data_quality_score", "Data quality score of the last run, 0 to 100", &metrics.quality_score),
            ("pipeline_duration_seconds", "How long the last run took", &metrics.duration),
            ("pipeline_success_rate", "Good records of a hundred, of the last run", &metrics.success_rate),
        ];
        for (name, help, family) in figures {
            registry.register(name, help, family.clone());
        }
        registry.register("pipeline_completed", "Runs that ended, by their status", metrics.completed.clone());
        let help = "How long runs took that are no uploads";
        registry.register("data_lake_processing_duration_seconds", help, metrics.processing.duration.clone());
        let help = "Runs that failed and are no uploads";
        registry.register("data_lake_processing_errors", help, metrics.processing.errors.clone());
        let help = "Tries to deliver an alert, by what came of them";
        registry.register("data_lake_alert_deliveries", help, metrics.deliveries.clone());
        let help = "Requests that tell webhooks of changes, by what came of them";
        registry.register("data_lake_change_requests", help, metrics.change_requests.clone());
        metrics
    }

    /// Tell what a run tells.
    pub(crate) fn tell(&self, run: &PipelineRun, samples: &[Sample]) {
        let name = self.label(&run.pipeline);
        let labels = PipelineLabels { pipeline_name: name.clone() };
        for sample in samples {
            match *sample {
                Sample::Started => drop(self.started.get_or_create(&labels).inc()),
                Sample::RecordsProcessed(count) => set(&self.records_processed, &labels, count as f64),
                Sample::RecordsFailed(count) => set(&self.records_failed, &labels, count as f64),
                Sample::QualityScore(score) => set(&self.quality_score, &labels, score),
                Sample::SuccessRate(rate) => set(&self.success_rate, &labels, rate),
                Sample::DurationSeconds(seconds) => {
                    set(&self.duration, &labels, seconds);
                    if run.kind != RunKind::Upload {
                        self.processing.duration.observe(seconds);
                    }
                }
                Sample::Completed(status) => {
                    let labels = CompletedLabels { pipeline_name: name.clone(), status: status.to_string() };
                    self.completed.get_or_create(&labels).inc();
                    if run.kind != RunKind::Upload && status == RunStatus::Failed {
                        self.processing.errors.inc();
                    }
                }
            }
        }
    }

    pub(crate) fn delivered(&self, channel: &str, outcome: &str) {
        let labels = DeliveryLabels { channel: channel.to_owned(), outcome: outcome.to_owned() };
        self.deliveries.get_or_create(&labels).inc();
    }

    pub(crate) fn told_changes(&self, outcome: &str) {
        self.change_requests.get_or_create(&OutcomeLabels { outcome: outcome.to_owned() }).inc();
    }

    /// The name, for so many pipelines; further ones share one.
    fn label(&self, pipeline: &PipelineName) -> String {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.contains(pipeline) {
            return pipeline.to_string();
        }
        if names.len() >= MAX_PIPELINES {
            return OTHER.to_owned();
        }
        names.insert(pipeline.clone());
        pipeline.to_string()
    }
}

fn set(family: &Figures, labels: &PipelineLabels, value: f64) {
    family.get_or_create(labels).set(value);
}

/// What a run tells when it begins.
pub(crate) fn samples_of_start(run: &PipelineRun, report: &RunReport) -> Vec<Sample> {
    let mut samples = vec![Sample::Started];
    samples.extend(samples_of_report(run, report, RunStatus::Running));
    samples
}

/// What a run tells when this is reported of it, and before it had this status.
pub(crate) fn samples_of_report(run: &PipelineRun, report: &RunReport, before: RunStatus) -> Vec<Sample> {
    let mut samples = Vec::new();
    samples.extend(report.records_processed.map(Sample::RecordsProcessed));
    samples.extend(report.records_failed.map(Sample::RecordsFailed));
    samples.extend(report.quality_score.map(Sample::QualityScore));
    if run.status.has_ended() && !before.has_ended() {
        samples.push(Sample::Completed(run.status));
        samples.extend(run.duration_seconds.map(Sample::DurationSeconds));
        samples.extend(run.success_rate().map(Sample::SuccessRate));
    }
    samples
}

/// What a run of the ledger tells when it has ended.
pub(crate) fn samples_of_end(run: &PipelineRun) -> Vec<Sample> {
    let report = RunReport {
        records_processed: Some(run.records_processed),
        records_failed: Some(run.records_failed),
        quality_score: run.quality_score,
        ..RunReport::default()
    };
    samples_of_start(run, &report)
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, Utc};
    use prometheus_client::encoding::text::encode;
    use sluice_domain::{NewPipelineRun, RunId};
    use uuid::Uuid;

    use super::*;
    use crate::rules::samples::run;

    fn shown(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn a_run_reported_in_five_steps_tells_nineteen_values() {
        let mut registry = Registry::default();
        let metrics = MonitorMetrics::register(&mut registry);
        let (now, pipeline) = (Utc::now(), "daily_sales_etl".parse().unwrap());
        let new = NewPipelineRun { pipeline, table: None, started_at: None, report: RunReport::default() };
        let mut run = new.begin(RunId(Uuid::from_u128(1)), "ada", now).unwrap();
        let mut told = samples_of_start(&run, &RunReport::default());
        for step in 1..=5 {
            let report = RunReport {
                records_processed: Some(step * 1000),
                records_failed: Some(step * 2),
                quality_score: Some(99.5 - step as f64 * 0.1),
                ..RunReport::default()
            };
            run = run.report(&report, now).unwrap();
            told.extend(samples_of_report(&run, &report, RunStatus::Running));
        }
        let end = RunReport { status: Some(RunStatus::Success), ..RunReport::default() };
        run = run.report(&end, now + TimeDelta::seconds(5)).unwrap();
        told.extend(samples_of_report(&run, &end, RunStatus::Running));
        assert_eq!(told.len(), 19);
        metrics.tell(&run, &told);
        let text = shown(&registry);
        for line in [
            "pipeline_started_total{pipeline_name=\"daily_sales_etl\"} 1",
            "pipeline_records_processed{pipeline_name=\"daily_sales_etl\"} 5000.0",
            "pipeline_records_failed{pipeline_name=\"daily_sales_etl\"} 10.0",
            "pipeline_data_quality_score{pipeline_name=\"daily_sales_etl\"} 99.0",
            "pipeline_completed_total{pipeline_name=\"daily_sales_etl\",status=\"SUCCESS\"} 1",
            "pipeline_duration_seconds{pipeline_name=\"daily_sales_etl\"} 5.0",
            "pipeline_success_rate{pipeline_name=\"daily_sales_etl\"} 99.8",
            "data_lake_processing_duration_seconds_bucket{le=\"10.0\"} 1",
            "data_lake_processing_errors_total 0",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert!(samples_of_report(&run, &end, run.status).is_empty(), "the same end again is no news");
        assert!(!text.contains("run_id"));
    }

    #[test]
    fn an_upload_is_no_processing_and_a_run_without_records_has_no_success_rate() {
        let mut registry = Registry::default();
        let metrics = MonitorMetrics::register(&mut registry);
        let failed = PipelineRun { kind: RunKind::Upload, records_processed: 0, ..run(RunStatus::Failed) };
        let samples = samples_of_end(&failed);
        assert!(!samples.iter().any(|sample| matches!(sample, Sample::SuccessRate(_))));
        metrics.tell(&failed, &samples);
        assert!(shown(&registry).contains("data_lake_processing_errors_total 0"));
        metrics.tell(&PipelineRun { kind: RunKind::Source, ..failed }, &samples);
        assert!(shown(&registry).contains("data_lake_processing_errors_total 1"));
    }

    #[test]
    fn pipelines_beyond_the_bound_share_a_label() {
        let mut registry = Registry::default();
        let metrics = MonitorMetrics::register(&mut registry);
        for number in 0..=MAX_PIPELINES {
            let pipeline = format!("p{number}").parse().unwrap();
            metrics.tell(&PipelineRun { pipeline, ..run(RunStatus::Success) }, &[Sample::Started]);
        }
        let text = shown(&registry);
        assert_eq!(text.matches("pipeline_started_total{").count(), MAX_PIPELINES + 1);
        assert!(text.contains("pipeline_started_total{pipeline_name=\"other\"} 1"));
    }
}
