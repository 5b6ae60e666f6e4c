//! What the binary itself tells Prometheus: of its connections, and of the breaker before the store.

use std::sync::Arc;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::Counter, gauge::ConstGauge, gauge::Gauge},
    registry::Registry,
};
use sluice_storage::{BreakerState, Zones};

/// Counts connections.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionMetrics {
    open: Gauge,
    refused: Counter,
}

/// A connection that is counted as long as this is there.
#[derive(Debug)]
pub(crate) struct OpenConnection(Gauge);

impl ConnectionMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self { open: Gauge::default(), refused: Counter::default() };
        registry.register("data_lake_connections", "Connections that are open", metrics.open.clone());
        let help = "Connections that were told that there are too many";
        registry.register("data_lake_connections_refused", help, metrics.refused.clone());
        metrics
    }

    pub(crate) fn opened(&self) -> OpenConnection {
        self.open.inc();
        OpenConnection(self.open.clone())
    }

    pub(crate) fn refused(&self) {
        self.refused.inc();
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Tells the state of the breaker when it is asked: time alone changes it.
#[derive(Debug)]
pub(crate) struct BreakerMetrics(pub(crate) Arc<Zones>);

impl Collector for BreakerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(breaker) = self.0.breaker() else { return Ok(()) };
        let state: i64 = match breaker.state() {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        let gauge = ConstGauge::new(state);
        let (name, help) =
            ("data_lake_store_breaker_state", "The breaker before the store: 0 closed, 1 half open, 2 open");
        let mut samples = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
        gauge.encode(samples.encode_family(&[("store", breaker.service())])?)
    }
}
