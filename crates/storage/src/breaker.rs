//! A circuit breaker: what fails again and again is left alone for a while, so that nobody waits for it in vain.
//!
//! Invariant: while it is open no call passes; when its time is over one call at a time passes, until one succeeds.
//! Invariant: a call that is given up before its outcome leaves the state as it was.

mod outage;
mod store;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sluice_domain::CircuitOpen;

use crate::BreakerSettings;

pub(crate) use outage::find_open_circuit;
pub use outage::is_outage;
pub use store::Guarded;

/// Tells the time; tests have one of their own.
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// What a breaker does with the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// It lets every call through.
    Closed,
    /// It lets one call through, to see whether it succeeds.
    HalfOpen,
    /// It refuses every call.
    Open,
}

/// Counts the failures of one service, and keeps calls from it once there are too many in a row.
pub struct Breaker {
    service: String,
    threshold: u32,
    rest: Duration,
    clock: Clock,
    phase: Mutex<Phase>,
}

enum Phase {
    Closed { failures: u32 },
    Open { until: Instant, on_trial: bool },
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("service", &self.service).field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Breaker {
    /// A closed breaker for the service of this name.
    pub fn new(service: impl Into<String>, settings: &BreakerSettings) -> Self {
        Self::with_clock(service, settings, Box::new(Instant::now))
    }

    fn with_clock(service: impl Into<String>, settings: &BreakerSettings, clock: Clock) -> Self {
        Self {
            service: service.into(),
            threshold: settings.threshold.max(1),
            rest: Duration::from_secs(settings.open_seconds),
            clock,
            phase: Mutex::new(Phase::Closed { failures: 0 }),
        }
    }

    /// The name of what it guards.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// What it does with the next call.
    pub fn state(&self) -> BreakerState {
        match *self.phase() {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { until, .. } if (self.clock)() < until => BreakerState::Open,
            Phase::Open { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether it refuses every call now.
    ///
    /// # Errors
    /// [`CircuitOpen`].
    pub fn check(&self) -> Result<(), CircuitOpen> {
        match *self.phase() {
            Phase::Open { until, .. } if (self.clock)() < until => Err(self.refusal(until)),
            _ => Ok(()),
        }
    }

    /// Ask to make a call, whose outcome the admission is to be told.
    fn admit(self: &Arc<Self>) -> Result<Admission, CircuitOpen> {
        let is_trial = match &mut *self.phase() {
            Phase::Closed { .. } => false,
            Phase::Open { until, on_trial } if *on_trial || (self.clock)() < *until => return Err(self.refusal(*until)),
            Phase::Open { on_trial, .. } => {
                *on_trial = true;
                true
            }
        };
        Ok(Admission { breaker: Arc::clone(self), is_trial, was_answered: false, is_settled: false })
    }

    fn refusal(&self, until: Instant) -> CircuitOpen {
        let left = until.saturating_duration_since((self.clock)()).as_secs_f64().ceil();
        // While another call is on trial there is nothing left, and its outcome is near.
        CircuitOpen { service: self.service.clone(), seconds: (left as u32).max(1) }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeeded(&self, is_trial: bool) {
        let mut phase = self.phase();
        match &mut *phase {
            Phase::Closed { failures } => *failures = 0,
            Phase::Open { .. } if is_trial => {
                *phase = Phase::Closed { failures: 0 };
                tracing::info!(service = self.service, "the circuit breaker is closed: the service answers again");
            }
            // It was asked before the breaker opened.
            Phase::Open { .. } => {}
        }
    }

    fn failed(&self, is_trial: bool) {
        let mut phase = self.phase();
        let opens = match &mut *phase {
            Phase::Closed { failures } => {
                *failures += 1;
                *failures >= self.threshold
            }
            Phase::Open { .. } => is_trial,
        };
        if opens {
            *phase = Phase::Open { until: (self.clock)() + self.rest, on_trial: false };
            let open_seconds = self.rest.as_secs();
            tracing::error!(service = self.service, open_seconds, "the circuit breaker is open: the service fails");
        }
    }

    fn given_up(&self, is_trial: bool) {
        if let (true, Phase::Open { on_trial, .. }) = (is_trial, &mut *self.phase()) {
            *on_trial = false;
        }
    }
}

/// The right to make one call.
#[derive(Debug)]
struct Admission {
    breaker: Arc<Breaker>,
    is_trial: bool,
    was_answered: bool,
    is_settled: bool,
}

impl Admission {
    /// The service answered. That is a success, unless a failure follows.
    fn answered(&mut self) {
        self.was_answered = true;
        // A trial ends with its first answer: its reader may take as long as it likes over the rest.
        if std::mem::take(&mut self.is_trial) {
            self.breaker.succeeded(true);
        }
    }

    fn failed(mut self) {
        self.is_settled = true;
        self.breaker.failed(self.is_trial);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        match (self.is_settled, self.was_answered) {
            (true, _) => {}
            (false, true) => self.breaker.succeeded(self.is_trial),
            (false, false) => self.breaker.given_up(self.is_trial),
        }
    }
}
