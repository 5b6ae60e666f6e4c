//! A time by which something must have happened once it has begun.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Costs nothing but a look at the clock until somebody waits for it.
#[derive(Debug)]
pub(super) struct Deadline {
    limit: Duration,
    begun: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, begun: None, timer: None }
    }

    /// Begin now, unless it began before.
    pub(super) fn begin(&mut self) {
        self.begun.get_or_insert_with(Instant::now);
    }

    /// It is over, or was never needed.
    pub(super) fn end(&mut self) {
        (self.begun, self.timer) = (None, None);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Whether it has passed; wakes the task when it will have.
    pub(super) fn is_missed(&mut self, context: &mut Context<'_>) -> bool {
        let Some(begun) = self.begun else { return false };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(begun + self.limit)));
        matches!(timer.as_mut().poll(context), Poll::Ready(()))
    }
}
