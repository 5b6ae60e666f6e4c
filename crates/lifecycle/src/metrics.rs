//! What Prometheus is told of runs.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use sluice_domain::{ItemResult, PlanCause};

/// A label and its value.
type Label = [(&'static str, &'static str); 1];

/// Counts runs, their items, and what they freed.
#[derive(Debug, Clone, Default)]
pub struct LifecycleMetrics {
    runs: Family<Label, Counter>,
    items: Family<Label, Counter>,
    freed_bytes: Counter,
    errors: Counter,
}

impl LifecycleMetrics {
    /// Metrics that this registry shows.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        // The text format adds `_total` to the names of counters.
        registry.register("data_lake_lifecycle_runs", "Lifecycle plans that were applied", metrics.runs.clone());
        let help = "Items of lifecycle plans that came to a result";
        registry.register("data_lake_lifecycle_items", help, metrics.items.clone());
        let help = "Bytes that lifecycle plans removed from the store";
        registry.register("data_lake_lifecycle_freed_bytes", help, metrics.freed_bytes.clone());
        let help = "Rounds of the lifecycle runner that failed";
        registry.register("data_lake_lifecycle_errors", help, metrics.errors.clone());
        metrics
    }

    pub(crate) fn ran(&self, cause: PlanCause) {
        self.runs.get_or_create(&[("cause", cause.as_str())]).inc();
    }

    pub(crate) fn came_to(&self, result: &ItemResult) {
        self.items.get_or_create(&[("state", result.state.as_str())]).inc();
        self.freed_bytes.inc_by(result.freed_bytes);
    }

    pub(crate) fn failed(&self) {
        self.errors.inc();
    }
}
