//! What ingestion tells Prometheus.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use sluice_domain::{Format, TableRef};

/// Upper bounds of the latency histogram, in seconds.
const LATENCY_BUCKETS: [f64; 5] = [0.1, 0.5, 1.0, 2.0, 5.0];

/// Counters and timers of ingestion.
#[derive(Debug, Clone)]
pub struct IngestMetrics {
    latency: Histogram,
    errors: Counter,
    bytes: Family<BytesLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BytesLabels {
    table: String,
    format: String,
}

impl IngestMetrics {
    /// Metrics that this registry shows.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics =
            Self { latency: Histogram::new(LATENCY_BUCKETS), errors: Counter::default(), bytes: Family::default() };
        registry.register(
            "data_lake_ingest_latency_seconds",
            "Time from the first byte of an upload to its durable commit",
            metrics.latency.clone(),
        );
        // The text format adds `_total` to the names of counters.
        registry.register("data_lake_ingest_errors", "Uploads that failed", metrics.errors.clone());
        registry.register("data_lake_bytes_ingested", "Bytes of committed uploads, as sent", metrics.bytes.clone());
        metrics
    }

    pub(crate) fn committed(&self, table: &TableRef, format: Format, size_bytes: u64, taken: Duration) {
        self.latency.observe(taken.as_secs_f64());
        let labels = BytesLabels { table: table.to_string(), format: format.to_string() };
        self.bytes.get_or_create(&labels).inc_by(size_bytes);
    }

    pub(crate) fn failed(&self) {
        self.errors.inc();
    }
}
