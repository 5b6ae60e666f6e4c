//! The way of waiting deliveries to their channels: each channel goes its own way, so that one that hangs stops no
//! other.

use std::time::Duration;

use chrono::TimeDelta;
use futures::{StreamExt as _, stream};
use sluice_catalog::Settlement;
use sluice_domain::{Alert, AlertDelivery};

use crate::{Monitor, MonitorError, channels::Channel};

/// How many deliveries a channel takes at once.
const AT_ONCE: usize = 8;
/// How long a claim outlasts the time that a channel may take.
const CLAIM_MARGIN: TimeDelta = TimeDelta::seconds(5);
/// How often a channel looks for what is due, beside when an alert is raised here.
const POLL: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(3600);

impl Monitor {
    /// Deliver what waits for this channel, until the server stops.
    pub(crate) async fn deliver(self, name: String) {
        let Some(channel) = self.inner.channels.get(&name) else { return };
        let mut stopped = self.inner.stop.subscribe();
        loop {
            let woken = self.inner.wake.notified();
            match self.deliver_due(&name, channel).await {
                // There may be more.
                Ok(count) if count >= AT_ONCE && !*stopped.borrow() => continue,
                Ok(_) => {}
                Err(error) => tracing::warn!(channel = name, %error, "could not look for alerts to deliver"),
            }
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = woken => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// One round of tries; gives how many there were.
    async fn deliver_due(&self, name: &str, channel: &Channel) -> Result<usize, MonitorError> {
        let timeout =
            TimeDelta::seconds(i64::try_from(self.inner.settings.alerts.timeout_seconds.max(1)).unwrap_or(60));
        let until = self.inner.clock.now() + timeout + CLAIM_MARGIN;
        let due = self.inner.catalog.alerts().claim(name, until, AT_ONCE as u32).await?;
        let count = due.len();
        let tries = due.into_iter().map(|(delivery, alert)| self.try_one(channel, delivery, alert));
        let settled: Vec<_> = stream::iter(tries).buffer_unordered(AT_ONCE).collect().await;
        settled.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(count)
    }

    async fn try_one(&self, channel: &Channel, delivery: AlertDelivery, alert: Alert) -> Result<(), MonitorError> {
        let result = channel.send(&alert).await;
        let settlement = match &result {
            Ok(()) => Settlement::Delivered,
            Err(error) if delivery.attempts >= self.inner.settings.alerts.max_attempts => {
                Settlement::GivenUp(error.to_string())
            }
            Err(error) => {
                let wait = backoff(self.inner.settings.alerts.backoff_ms, delivery.attempts);
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
        if let Err(error) = result {
            tracing::warn!(
                alert.id = %alert.id, channel = delivery.channel, attempt = delivery.attempts, %error, outcome,
                "an alert could not be delivered"
            );
        }
        Ok(self.inner.catalog.alerts().settle(delivery.id, delivery.attempts, &settlement).await?)
    }
}

/// The wait after so many tries.
pub(crate) fn backoff(first_ms: u64, attempts: u32) -> Duration {
    let doubled = first_ms.saturating_mul(1_u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX));
    Duration::from_millis(doubled).min(LONGEST_BACKOFF)
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
}
