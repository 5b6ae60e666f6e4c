//! Whether it is this server that tells webhooks of changes.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sluice_catalog::{Catalog, CatalogError};
use tokio::sync::Mutex;

/// The name of the turn.
const TURN: &str = "webhooks";
/// For how long the turn is taken, beside the time of two requests.
const LEASE: TimeDelta = TimeDelta::seconds(30);
/// How much of the turn must be left, beside the time of a request.
const MARGIN: TimeDelta = TimeDelta::seconds(5);
/// After how long a server asks again whose turn it is.
const ASK_AGAIN: TimeDelta = TimeDelta::seconds(5);

/// What a server knows of the turn, by the clock of the catalog's leases.
#[derive(Debug, Default)]
pub(crate) struct Turn(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    held_until: Option<DateTime<Utc>>,
    refused_until: Option<DateTime<Utc>>,
}

impl Turn {
    /// Take or keep the turn for a request that may take this long; says whether it is this server's.
    pub(crate) async fn take(&self, catalog: &Catalog, request: Duration) -> Result<bool, CatalogError> {
        let request = TimeDelta::from_std(request).unwrap_or(TimeDelta::hours(1));
        let mut known = self.0.lock().await;
        let now = Utc::now();
        if known.held_until.is_some_and(|until| until - now > request + MARGIN) {
            return Ok(true);
        }
        if known.refused_until.is_some_and(|until| now < until) {
            return Ok(false);
        }
        let until = now + request * 2 + LEASE;
        let is_ours = catalog.watches().take_turn(TURN, until).await?.is_some();
        *known = Known { held_until: is_ours.then_some(until), refused_until: (!is_ours).then(|| now + ASK_AGAIN) };
        Ok(is_ours)
    }
}
