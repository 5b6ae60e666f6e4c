//! What ingestion tells Prometheus.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use sluice_domain::{Format, RunState, TableRef, Validation};

use crate::quality::QualityGauges;

/// Upper bounds of the latency histogram, in seconds.
const LATENCY_BUCKETS: [f64; 5] = [0.1, 0.5, 1.0, 2.0, 5.0];

/// Upper bounds of the histogram of requests in a group.
const GROUP_BUCKETS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1000.0];
/// Upper bounds of the histogram of the time to an answer, in seconds.
const ANSWER_BUCKETS: [f64; 8] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Counters and timers of ingestion.
#[derive(Debug, Clone)]
pub struct IngestMetrics {
    latency: Histogram,
    errors: Counter,
    bytes: Family<BytesLabels, Counter>,
    group_requests: Histogram,
    group_rows: Histogram,
    answer: Histogram,
    source_runs: Family<RunLabels, Counter>,
    quality: QualityGauges,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BytesLabels {
    table: String,
    format: String,
}

impl IngestMetrics {
    /// Metrics that this registry shows.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            latency: Histogram::new(LATENCY_BUCKETS),
            errors: Counter::default(),
            bytes: Family::default(),
            group_requests: Histogram::new(GROUP_BUCKETS),
            group_rows: Histogram::new(GROUP_BUCKETS.map(|count| count * 10.0)),
            answer: Histogram::new(ANSWER_BUCKETS),
            source_runs: Family::default(),
            quality: QualityGauges::register(registry),
        };
        registry.register(
            "data_lake_ingest_latency_seconds",
            "Time from the first byte of an upload to its durable commit",
            metrics.latency.clone(),
        );
        // The text format adds `_total` to the names of counters.
        registry.register("data_lake_ingest_errors", "Uploads that failed", metrics.errors.clone());
        registry.register("data_lake_bytes_ingested", "Bytes of committed uploads, as sent", metrics.bytes.clone());
        let help = "Requests whose rows went into the table together, in one commit";
        registry.register("data_lake_rows_group_requests", help, metrics.group_requests.clone());
        let help = "Rows of small requests that went into the table together";
        registry.register("data_lake_rows_group_rows", help, metrics.group_rows.clone());
        let help = "Time from a request with a few rows to its answer after their durable commit";
        registry.register("data_lake_rows_answer_seconds", help, metrics.answer.clone());
        registry.register("data_lake_source_runs", "Runs of sources that ended", metrics.source_runs.clone());
        metrics
    }

    pub(crate) fn ended_run(&self, state: RunState) {
        self.source_runs.get_or_create(&RunLabels { state: state.as_str().to_owned() }).inc();
    }

    pub(crate) fn committed_group(&self, requests: usize, rows: u64) {
        self.group_requests.observe(requests as f64);
        self.group_rows.observe(rows as f64);
    }

    pub(crate) fn answered_rows(&self, taken: Duration) {
        self.answer.observe(taken.as_secs_f64());
    }

    pub(crate) fn committed(&self, table: &TableRef, format: Format, size_bytes: u64, taken: Duration) {
        self.latency.observe(taken.as_secs_f64());
        let labels = BytesLabels { table: table.to_string(), format: format.to_string() };
        self.bytes.get_or_create(&labels).inc_by(size_bytes);
    }

    /// Tell what came of a suite.
    pub(crate) fn judged(&self, table: &TableRef, validation: &Validation) {
        self.quality.set(table, validation);
    }

    pub(crate) fn failed(&self) {
        self.errors.inc();
    }
}
