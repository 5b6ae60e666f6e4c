//! The way of waiting deliveries to their channels: each channel goes its own way, so that one that hangs stops no
//! other.

use std::time::Duration;

use chrono::TimeDelta;
use futures::{StreamExt as _, stream};
use sluice_catalog::Settlement;
use sluice_domain::{Alert, AlertDelivery};

use crate::{
    Monitor, MonitorError,
    channels::{Channel, SendError},
};

/// How many deliveries a channel takes at once.
const AT_ONCE: usize = 8;
/// How long a claim outlasts the time that a channel may take.
const CLAIM_MARGIN: TimeDelta = TimeDelta::seconds(5);
/// How often a channel looks for what is due, beside when an alert is raised here.
const POLL: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(3600);

/// What came of a round of tries.
struct Round {
    /// How many there were.
    count: usize,
    /// How long the channel wants to be left alone.
    asked: Duration,
}

impl Monitor {
    /// Deliver what waits for this channel, until the server stops.
    pub(crate) async fn deliver(self, name: String) {
        let Some(channel) = self.inner.channels.get(&name) else { return };
        let mut stopped = self.inner.stop.subscribe();
        loop {
            let woken = self.inner.wake.notified();
            let mut asked = Duration::ZERO;
            match self.deliver_due(&name, channel).await {
                Ok(round) if round.asked > Duration::ZERO => asked = round.asked,
                // There may be more.
                Ok(round) if round.count >= AT_ONCE && !*stopped.borrow() => continue,
                Ok(_) => {}
                Err(error) => tracing::warn!(channel = name, %error, "could not look for alerts to deliver"),
            }
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = woken, if asked.is_zero() => {}
                () = tokio::time::sleep(POLL.max(asked)) => {}
            }
        }
    }

    /// One round of tries.
    async fn deliver_due(&self, name: &str, channel: &Channel) -> Result<Round, MonitorError> {
        let timeout =
            TimeDelta::seconds(i64::try_from(self.inner.settings.alerts.timeout_seconds.max(1)).unwrap_or(60));
        let until = self.inner.clock.now() + timeout + CLAIM_MARGIN;
        let due = self.inner.catalog.alerts().claim(name, until, AT_ONCE as u32).await?;
        let count = due.len();
        let tries = due.into_iter().map(|(delivery, alert)| self.try_one(channel, delivery, alert));
        let settled: Vec<_> = stream::iter(tries).buffer_unordered(AT_ONCE).collect().await;
        let asked = settled.into_iter().collect::<Result<Vec<Duration>, _>>()?.into_iter().max();
        Ok(Round { count, asked: asked.unwrap_or_default() })
    }

    /// Try once; gives how long the channel wants to be left alone.
    async fn try_one(
        &self,
        channel: &Channel,
        delivery: AlertDelivery,
        alert: Alert,
    ) -> Result<Duration, MonitorError> {
        let result = channel.send(&alert).await;
        let settlement = match &result {
            Ok(()) => Settlement::Delivered,
            Err(error) if delivery.attempts >= self.inner.settings.alerts.max_attempts => {
                Settlement::GivenUp(error.to_string())
            }
            Err(error) => {
                let wait = wait_after(error, self.inner.settings.alerts.backoff_ms, delivery.attempts);
                let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(1));
                Settlement::Again(self.inner.clock.now() + wait, error.to_string())
            }
        };
        let outcome = match &settlement {
            Settlement::Delivered => "delivered",
            Settlement::Again(..) => "retried",
            Settlement::GivenUp(_) => "failed",
        };
        self.inner.metrics.delivered(&delivery.channel, outcome);
        if let Err(error) = &result {
            tracing::warn!(
                alert.id = %alert.id, channel = delivery.channel, attempt = delivery.attempts, %error, outcome,
                "an alert could not be delivered"
            );
        }
        self.inner.catalog.alerts().settle(delivery.id, delivery.attempts, &settlement).await?;
        Ok(result.err().map_or(Duration::ZERO, |error| error.asked()))
    }
}

/// The wait after a failed try: never less than the channel asks for, and an hour at the most.
fn wait_after(error: &SendError, first_ms: u64, attempts: u32) -> Duration {
    backoff(first_ms, attempts).max(error.asked())
}

impl SendError {
    /// How long the channel wants to be left alone, as far as it is listened to.
    fn asked(&self) -> Duration {
        self.retry_after.unwrap_or_default().min(LONGEST_BACKOFF)
    }
}

/// The wait after so many tries.
pub(crate) fn backoff(first_ms: u64, attempts: u32) -> Duration {
    sluice_domain::backoff(Duration::from_millis(first_ms), attempts, LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(1, 2)]
    #[case(2, 4)]
    #[case(5, 32)]
    #[case(12, 3600)]
    #[case(200, 3600)]
    fn each_wait_is_twice_the_one_before_up_to_an_hour(#[case] attempts: u32, #[case] seconds: u64) {
        assert_eq!(backoff(2000, attempts), Duration::from_secs(seconds));
    }

    #[rstest]
    #[case(None, 2)]
    #[case(Some(1), 2)]
    #[case(Some(90), 90)]
    #[case(Some(u64::MAX), 3600)]
    fn a_channel_is_left_alone_for_as_long_as_it_asks(#[case] asked: Option<u64>, #[case] seconds: u64) {
        let error = SendError { reason: "busy".into(), retry_after: asked.map(Duration::from_secs) };
        assert_eq!(wait_after(&error, 2000, 1), Duration::from_secs(seconds));
    }
}
